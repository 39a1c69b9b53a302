//! FaceNet against facenet-pytorch: weights that PyTorch saved, outputs that PyTorch computed.
//!
//! `models/reference/facenet_reference.py` writes both; set `FACESEARCH_REFERENCE` to its folder.
//! Without it the test says that it was skipped.

#![expect(clippy::print_stdout, reason = "a test says what it measured, or why it was skipped")]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use facesearch_vision::{FaceNet, Network, Weights, read_torch};

#[derive(serde::Deserialize)]
struct Facts {
    images: usize,
    parameters: usize,
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("numbers of the reference");
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn unit(v: &[f32]) -> Vec<f64> {
    let norm = v.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    v.iter().map(|v| f64::from(*v) / norm).collect()
}

#[test]
fn embeddings_equal_those_of_facenet_pytorch() {
    let folder = std::env::var_os("FACESEARCH_REFERENCE").map(PathBuf::from);
    let Some(folder) = folder.filter(|folder| folder.join("facenet.json").exists()) else {
        println!("skipped: FACESEARCH_REFERENCE names no folder with facenet.json");
        return;
    };
    let json = std::fs::read(folder.join("facenet.json")).expect("checked above");
    let facts: Facts = serde_json::from_slice(&json).expect("as the script writes it");
    let bytes = std::fs::read(folder.join("facenet.pt")).expect("weights");
    let weights = read_torch(&bytes).expect("a state dict");
    let trained = |name: &str| !name.contains("running_") && !name.contains("num_batches");
    let parameters: usize =
        weights.iter().filter(|(name, _)| trained(name)).map(|(_, a)| a.values.len()).sum();
    assert_eq!(parameters, facts.parameters);
    assert_eq!(parameters, 23_482_624, "the published network without its classifier");

    let graph = FaceNet::Large.graph(Weights::Read(weights)).expect("a graph");
    let network = Network::new(graph, &Device::Cpu).expect("a network");
    let input = numbers(&folder.join("facenet.input.f32"));
    let input = Tensor::from_vec(input, (facts.images, 3, 160, 160), &Device::Cpu).expect("input");
    let run = |x: &Tensor| -> Vec<Vec<f32>> {
        let output = network.forward(x).expect("outputs").remove(0);
        output.flatten_from(1).and_then(|x| x.to_vec2()).expect("vectors")
    };
    let together = run(&input);
    let wanted = numbers(&folder.join("facenet.output.f32"));
    for (i, wanted) in wanted.chunks(512).enumerate() {
        let alone = run(&input.narrow(0, i, 1).expect("a picture"));
        let distance = |a: &[f32], b: &[f32]| {
            let squares = unit(a).into_iter().zip(unit(b)).map(|(g, w)| (g - w).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let apart = distance(&alone[0], &together[i]);
        assert!(apart < 1e-6, "picture {i} depends on its batch: {apart}");
        let off = distance(&together[i], wanted);
        assert!(off < 1e-4, "picture {i}: {off}");
        println!("picture {i}: relative L2 error {off:.1e}");
    }
}
