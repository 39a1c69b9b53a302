//! The DeepFace network against Keras: weights that Keras saved, outputs that Keras computed.
//!
//! `models/reference/deepface_reference.py` writes both; set `FACESEARCH_REFERENCE` to its folder.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, Tensor};
use facesearch_nn::{MappedWeights, Network, Weights, read_keras, write_safetensors};
use facesearch_vision::DeepFace;

#[derive(serde::Deserialize)]
struct Facts {
    images: usize,
    dimension: usize,
    parameters: usize,
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("numbers of the reference");
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn embeddings(network: &Network, input: &Tensor) -> Vec<Vec<f32>> {
    let output = network.forward(input).expect("outputs").remove(0);
    output.flatten_from(1).and_then(|x| x.to_vec2()).expect("vectors")
}

/// Length of the difference, relative to the length of what is wanted.
fn relative(got: &[f32], wanted: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v) * f64::from(v);
    let off: f64 = got.iter().zip(wanted).map(|(g, w)| square(g - w)).sum();
    let norm: f64 = wanted.iter().map(|w| square(*w)).sum();
    (off / norm).sqrt()
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras() {
    let folder = std::env::var_os("FACESEARCH_REFERENCE").expect("FACESEARCH_REFERENCE is set");
    let folder = PathBuf::from(folder);
    let json = std::fs::read(folder.join("deepface.json")).expect("deepface.json");
    let facts: Facts = serde_json::from_slice(&json).expect("as the script writes it");
    assert_eq!(facts.parameters, 137_774_071, "the published number, with the classifier");

    let start = Instant::now();
    let read = read_keras(&folder.join("deepface.h5"), &DeepFace::UNUSED_LAYERS).expect("weights");
    println!("read from .h5 in {:.2?}", start.elapsed());
    let classifier = (4096 + 1) * 8631;
    let parameters: usize = read.values().map(|array| array.values.len()).sum();
    assert_eq!(parameters + classifier, facts.parameters);

    let cache = tempfile::tempdir().expect("a folder");
    let path = cache.path().join("deepface.safetensors");
    write_safetensors(&read, &path).expect("a cache file");
    drop(read);
    let start = Instant::now();
    let mapped = Weights::Mapped(MappedWeights::open(&path).expect("the cache file"));
    let graph = DeepFace::graph(mapped).expect("a graph");
    println!("described from the cache in {:.2?}", start.elapsed());
    let network = Network::new(graph, &Device::Cpu).expect("a network");
    println!("ready after {:.2?}", start.elapsed());

    // Keras has the colours of a pixel together.
    let input = numbers(&folder.join("deepface.input.f32"));
    let input = Tensor::from_vec(input, (facts.images, 152, 152, 3), &Device::Cpu)
        .and_then(|x| x.permute((0, 3, 1, 2))?.contiguous())
        .expect("pictures");
    let wanted = numbers(&folder.join("deepface.output.f32"));
    let together = embeddings(&network, &input);
    let start = Instant::now();
    for (i, wanted) in wanted.chunks(facts.dimension).enumerate() {
        let alone = embeddings(&network, &input.narrow(0, i, 1).expect("a picture"));
        let apart = relative(&alone[0], &together[i]);
        assert!(apart < 1e-6, "picture {i} depends on its batch: {apart}");
        let relative = relative(&together[i], wanted);
        assert!(relative < 1e-4, "picture {i}: {relative}");
        println!("picture {i}: relative L2 error {relative:.1e}");
    }
    println!("{:.1?} for a picture alone", start.elapsed() / facts.images as u32);
}
