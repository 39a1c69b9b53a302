//! SFace against onnxruntime: an ONNX file like the published one, and onnxruntime's outputs.
//!
//! `models/reference/sface_reference.py` writes both; set `FACESEARCH_REFERENCE` to its folder.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::path::PathBuf;

use candle_core::{Device, Tensor};
use facesearch_nn::Op;
use facesearch_vision::SFace;

fn numbers(path: PathBuf) -> Vec<f32> {
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

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn embeddings_equal_those_of_onnxruntime() {
    let folder = std::env::var_os("FACESEARCH_REFERENCE").expect("FACESEARCH_REFERENCE is set");
    let folder = PathBuf::from(folder);
    let bytes = std::fs::read(folder.join("sface.onnx")).expect("sface.onnx");
    // The published file has 38,696,353 bytes; the names of its layers are a little longer.
    assert!(bytes.len().abs_diff(38_696_353) < 2_000, "{} bytes", bytes.len());
    let embedder = SFace::from_bytes(&bytes, &Device::Cpu).expect("a network");
    let weights: usize = embedder
        .network()
        .graph()
        .nodes()
        .iter()
        .map(|node| match &node.op {
            Op::Conv2d(conv) => conv.weight.len(),
            Op::Dense(dense) => dense.weight.len(),
            _ => 0,
        })
        .sum();
    println!("{weights} numbers in kernels");

    let input = numbers(folder.join("sface.input.f32"));
    let input = Tensor::from_vec(input, (8, 3, 112, 112), &Device::Cpu).expect("pictures");
    let run = |x: &Tensor| -> Vec<Vec<f32>> {
        let output = embedder.network().forward(x).expect("outputs").remove(0);
        output.flatten_from(1).and_then(|x| x.to_vec2()).expect("vectors")
    };
    let together = run(&input);
    let wanted = numbers(folder.join("sface.output.f32"));
    let unlike = relative(&wanted[..128], &wanted[128..256]);
    assert!(unlike > 0.01, "two pictures are {unlike} apart");
    for (i, wanted) in wanted.chunks(128).enumerate() {
        let alone = run(&input.narrow(0, i, 1).expect("a picture"));
        let apart = relative(&alone[0], &together[i]);
        assert!(apart < 1e-6, "picture {i} depends on its batch: {apart}");
        let off = relative(&together[i], wanted);
        assert!(off < 1e-4, "picture {i}: {off}");
        println!("picture {i}: relative L2 error {off:.1e}");
    }
}
