//! dlib's DenseNet recogniser against dlib itself, on the published file.
//!
//! `tests/golden/dlib_densenet.json` is what `models/reference/dlib_densenet_reference.cpp` prints.
//! The file is taken from the folder that `FACESEARCH_SHARED` names.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::path::PathBuf;

use candle_core::Device;
use facesearch_core::{Chip, Embedder};
use facesearch_nn::Op;
use facesearch_vision::DlibDenseNet;

const SIDE: u32 = 150;

/// The chips of the reference: ramps that wrap.
fn chip(n: u32) -> Chip {
    let byte =
        |x: u32, y: u32, c: u32| (x * (3 + n) + y * (7 + 2 * n) * (c + 1) + x * y / (5 + n)) as u8;
    let pixels = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| [0, 1, 2].map(|c| byte(x, y, c))));
    Chip::new(SIDE, SIDE, pixels.flatten().collect())
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>().sqrt()
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn embeddings_equal_those_of_dlib() {
    const FILE: &str = "models/dlib-densenet/face_recognition_densenet_model_v1.dat.bz2";
    let shared = std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED is set");
    let golden: Vec<Vec<f32>> =
        serde_json::from_str(include_str!("golden/dlib_densenet.json")).expect("lists of numbers");
    let bytes = std::fs::read(PathBuf::from(shared).join(FILE)).expect(FILE);
    let embedder = DlibDenseNet::from_bytes(&bytes, &Device::Cpu).expect("a network");
    let graph = embedder.network().graph();
    let convolutions = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv2d(_)));
    assert_eq!(convolutions.count(), 1 + 2 * (3 + 6 + 12 + 8) + 3);

    let chips: Vec<Chip> = (0..8).map(chip).collect();
    let together = embedder.embed(&chips).expect("embeddings");
    assert!(distance(&golden[0], &golden[1]) > 0.1, "the chips are much the same to dlib");
    for (i, wanted) in golden.iter().enumerate() {
        let got = together[i].as_ref().expect("an embedding");
        let alone = embedder.embed(&chips[i..=i]).expect("an embedding").remove(0);
        assert_eq!(alone.as_ref(), Some(got), "chip {i} depends on its batch");
        let norm = distance(wanted, &vec![0.0; wanted.len()]);
        let off = distance(got.as_slice(), wanted) / norm;
        assert!(off < 1e-4, "chip {i}: {off}");
        println!("chip {i}: relative L2 error {off:.1e}");
    }
}
