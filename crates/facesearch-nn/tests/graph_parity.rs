//! Imported networks against onnxruntime and OpenVINO.
//!
//! `models/reference/graph_reference.py` writes what those two say of a folder of network files.
//! Set `FACESEARCH_REFERENCE` to its output and `FACESEARCH_SHARED` to the folder whose `models`
//! it read.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use facesearch_nn::{ImportedNetwork, Network, import_onnx, import_openvino};
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry {
    file: PathBuf,
    input: String,
    pictures: usize,
    size: [usize; 2],
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    values: String,
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).expect("numbers of the reference");
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn import(path: &Path, size: [usize; 2]) -> ImportedNetwork {
    let bytes = fs::read(path).expect("a network's file");
    let imported = match path.extension().and_then(|e| e.to_str()) {
        Some("onnx") => import_onnx(&bytes, Some(size)),
        _ => import_openvino(&bytes, &fs::read(path.with_extension("bin")).expect("weights"), None),
    };
    imported.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every network's file in a folder, and in those inside it.
fn networks(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(networks(&path));
        } else if path.extension().is_some_and(|ending| ending == "onnx" || ending == "xml") {
            found.push(path);
        }
    }
    found
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_SHARED"]
fn outputs_equal_those_of_the_original_run_times() {
    let named = |name: &str| PathBuf::from(std::env::var_os(name).expect(name));
    let (folder, shared) = (named("FACESEARCH_REFERENCE"), named("FACESEARCH_SHARED"));
    let json = fs::read(folder.join("graphs.json")).expect("graphs.json in FACESEARCH_REFERENCE");
    let entries: Vec<Entry> = serde_json::from_slice(&json).expect("as the script writes it");
    let mut files = networks(&shared.join("models"));
    files.sort();
    let mut compared: Vec<_> =
        entries.iter().map(|e| shared.join("models").join(&e.file)).collect();
    compared.sort();
    assert_eq!(compared, files, "the reference is of other files");
    assert!(!entries.is_empty());
    for entry in entries {
        let imported = import(&shared.join("models").join(&entry.file), entry.size);
        assert_eq!(imported.input[1..], entry.size);
        let shapes: Vec<_> = imported.outputs.iter().map(|o| o.shape.clone()).collect();
        let network = Network::new(imported.graph, &Device::Cpu).expect("a network");
        let dims = (entry.pictures, 3, entry.size[0], entry.size[1]);
        let input = numbers(&folder.join(&entry.input));
        let input = Tensor::from_vec(input, dims, &Device::Cpu).expect("an input");
        let outputs = network.forward(&input).expect("outputs");
        assert_eq!(outputs.len(), entry.outputs.len());
        let mut worst = 0f32;
        for ((output, shape), want) in outputs.iter().zip(&shapes).zip(&entry.outputs) {
            let file = entry.file.display();
            assert_eq!(*shape, want.shape, "{file} {}", want.name);
            let got: Vec<f32> = output.flatten_all().and_then(|x| x.to_vec1()).expect("numbers");
            let wanted = numbers(&folder.join(&want.values));
            assert_eq!(got.len(), wanted.len());
            // Relative to the output's own length, picture by picture, but to 1 where that is
            // less: a detector that sees no face says 1e-7 everywhere, and rounding is all of it.
            let each = got.len() / entry.pictures;
            for (got, wanted) in got.chunks(each).zip(wanted.chunks(each)) {
                let square = |v: f32| f64::from(v) * f64::from(v);
                let off: f64 = got.iter().zip(wanted).map(|(g, w)| square(g - w)).sum();
                let norm: f64 = wanted.iter().map(|w| square(*w)).sum();
                let relative = (off / norm.max(1.0)).sqrt() as f32;
                assert!(relative < 1e-4, "{file} {}: {relative}", want.name);
                worst = worst.max(relative);
            }
        }
        println!("{}: relative L2 error at most {worst:.1e}", entry.file.display());
    }
}
