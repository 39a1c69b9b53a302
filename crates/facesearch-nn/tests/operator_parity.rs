//! Small ONNX files, one operator each in its odd forms, against onnxruntime.
//!
//! `models/reference/operator_reference.py` writes the files and what onnxruntime says of them, and
//! knows for each whether it can be read here; set `FACESEARCH_REFERENCE` to the folder that holds
//! its `operators`.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use facesearch_nn::{Network, import_onnx};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    input: Vec<usize>,
    output: Vec<usize>,
    /// Largest error, as a part of the largest number.
    tolerance: f32,
    /// The operator that the error must name, where the case cannot be read here.
    refused_for: Option<String>,
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).expect("numbers of the reference");
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// What is wrong with a case; nothing where its outputs are onnxruntime's, or where it is refused
/// with the operator's name and meant to be.
fn complaint(folder: &Path, case: &Case) -> Option<String> {
    let file = |ending: &str| folder.join(format!("{}.{ending}", case.name));
    let bytes = fs::read(file("onnx")).expect("a file of the reference");
    let imported = match import_onnx(&bytes, None) {
        Ok(_) if case.refused_for.is_some() => {
            return Some("read, though it is not expected to be".into());
        }
        Ok(imported) => imported,
        Err(error) => {
            let error = error.to_string();
            let named = case.refused_for.as_ref().is_some_and(|name| error.contains(name));
            return (!named).then_some(error);
        }
    };
    let [c, h, w] = imported.input;
    let shape = imported.outputs[0].shape.clone();
    if shape != case.output[1..] {
        return Some(format!("shape {shape:?}, not {:?}", &case.output[1..]));
    }
    let x = numbers(&file("in"));
    let x = Tensor::from_vec(x, case.input.as_slice(), &Device::Cpu).expect("an input");
    let x = match case.input[1..] == [c, h, w] {
        true => x,
        false => x.permute((0, 3, 1, 2)).expect("channels first"),
    };
    let want = numbers(&file("out"));
    let fast = Network::new(imported.graph.clone(), &Device::Cpu).expect("a network");
    let plain = Network::reference(imported.graph, &Device::Cpu).expect("a network");
    for (network, how) in [(fast, "fast"), (plain, "plain")] {
        // Two of them: what a network makes of one may not depend on the other.
        let two = Tensor::cat(&[&(&x * 0.5).expect("an input"), &x], 0).expect("two inputs");
        let output = match network.forward(&two) {
            Ok(mut outputs) => outputs.remove(0),
            Err(error) => return Some(format!("{how}: {error}")),
        };
        let got = output.narrow(0, 1, 1).and_then(|x| x.flatten_all()?.to_vec1::<f32>());
        let got = got.expect("numbers");
        let largest = want.iter().fold(1f32, |most, v| most.max(v.abs()));
        let off = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0f32, f32::max);
        let same = got.len() == want.len() && got.iter().all(|v| v.is_finite());
        if !same || off > case.tolerance * largest {
            return Some(format!("{how}: {off} off, of {largest}"));
        }
    }
    None
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn operators_do_what_onnxruntime_does_or_are_named() {
    let folder = std::env::var_os("FACESEARCH_REFERENCE").expect("FACESEARCH_REFERENCE is set");
    let folder = PathBuf::from(folder).join("operators");
    let json = fs::read(folder.join("cases.json")).expect("operators/cases.json");
    let cases: Vec<Case> = serde_json::from_slice(&json).expect("as the script writes it");
    let complaints: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, complaint(&folder, case)?)))
        .collect();
    let refused = cases.iter().filter(|case| case.refused_for.is_some()).count();
    println!("{} cases, of which {refused} are refused", cases.len());
    assert!(cases.len() > 200 && complaints.is_empty(), "{}", complaints.join("\n"));
}
