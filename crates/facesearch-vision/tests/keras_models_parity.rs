//! Networks of Keras files against Keras: weights that Keras saved, outputs that Keras computed.
//!
//! `models/reference/keras_models_reference.py` writes those of VGG-Face and DeepID,
//! `models/reference/deepface_models_reference.py` those of the networks that deepface's own code
//! builds; set `FACESEARCH_REFERENCE` to their folder.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use facesearch_core::VisionError;
use facesearch_nn::{Graph, Network, Weights, read_keras};
use facesearch_vision::{ArcFace, DeepId, FaceNet, GhostFaceNet, OpenFace, VggFace};

#[derive(serde::Deserialize)]
struct Facts {
    images: usize,
    size: [usize; 2],
    dimension: usize,
    parameters: usize,
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("numbers of the reference");
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Length of the difference, relative to the length of what is wanted.
fn relative(got: &[f32], wanted: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v) * f64::from(v);
    let off: f64 = got.iter().zip(wanted).map(|(g, w)| square(g - w)).sum();
    let norm: f64 = wanted.iter().map(|w| square(*w)).sum();
    (off / norm).sqrt()
}

fn check(name: &str, parameters: usize, graph: impl Fn(Weights) -> Result<Graph, VisionError>) {
    let folder = std::env::var_os("FACESEARCH_REFERENCE").expect("FACESEARCH_REFERENCE is set");
    let folder = PathBuf::from(folder);
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    let json = std::fs::read(file("json")).expect("its facts in FACESEARCH_REFERENCE");
    let facts: Facts = serde_json::from_slice(&json).expect("as the script writes it");
    let weights = read_keras(&file("h5"), &[]).expect("weights");
    let read: usize = weights.values().map(|array| array.values.len()).sum();
    assert_eq!([read, facts.parameters], [parameters; 2]);

    let graph = graph(Weights::Read(weights)).expect("a graph");
    let network = Network::new(graph, &Device::Cpu).expect("a network");
    let [h, w] = facts.size;
    // Keras has the colours of a pixel together.
    let input =
        Tensor::from_vec(numbers(&file("input.f32")), (facts.images, h, w, 3), &Device::Cpu)
            .and_then(|x| x.permute((0, 3, 1, 2))?.contiguous())
            .expect("pictures");
    let run = |x: &Tensor| -> Vec<Vec<f32>> {
        let output = network.forward(x).expect("outputs").remove(0);
        output.flatten_from(1).and_then(|x| x.to_vec2()).expect("vectors")
    };
    let together = run(&input);
    let wanted = numbers(&file("output.f32"));
    assert_eq!(wanted.len(), facts.images * facts.dimension);
    // Were all pictures much the same to the network, agreement would say little.
    let unlike = relative(&wanted[..facts.dimension], &wanted[facts.dimension..]);
    assert!(unlike > 0.01, "two pictures are {unlike} apart");
    for (i, wanted) in wanted.chunks(facts.dimension).enumerate() {
        let alone = run(&input.narrow(0, i, 1).expect("a picture"));
        let apart = relative(&alone[0], &together[i]);
        assert!(apart < 1e-6, "picture {i} depends on its batch: {apart}");
        let off = relative(&together[i], wanted);
        assert!(off < 1e-4, "picture {i}: {off}");
        println!("{name}, picture {i}: relative L2 error {off:.1e}");
    }
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_vgg_face() {
    check("vgg-face", 145_002_878, VggFace::graph);
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_deepid() {
    check("deepid", 395_080, DeepId::graph);
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_facenet_128() {
    check("facenet-128", 22_808_144, |weights| FaceNet::Small.graph(weights));
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_facenet_512() {
    check("facenet-512", 23_497_424, |weights| FaceNet::Large.graph(weights));
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_openface() {
    check("openface", 3_743_280, OpenFace::graph);
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_arcface() {
    check("arcface", 34_165_184, ArcFace::graph);
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_keras_ghostfacenet() {
    check("ghostfacenet", 4_088_812, GhostFaceNet::graph);
}
