//! FaceNet against facenet-pytorch, with weights and inputs that a formula gives.
//!
//! `models/reference/facenet_reference.py` has the same formula and wrote `tests/golden/facenet.*`:
//! the arrays' names and sizes as PyTorch has them, and PyTorch's outputs. (Files that PyTorch
//! itself wrote are read by the tests of `weights/torch`.)

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use candle_core::{Device, Tensor};
use facesearch_nn::{StateDict, WeightArray, write_safetensors};
use facesearch_vision::{RecogniserModel, RecogniserSource};

const SHAPES: &str = include_str!("golden/facenet.shapes");
const WANTED: &[u8] = include_bytes!("golden/facenet.f32");

/// Number `i` of array `key`, in `[0, 1)`: SplitMix64 of a counter, its upper 24 bits.
fn uniform(key: u64, i: u64) -> f64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let z = ((key << 32) + i).wrapping_mul(STEP).wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
}

/// The array on this line: a name and sizes.
fn array(key: usize, line: &str) -> (String, WeightArray) {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a name").to_owned();
    let shape: Vec<usize> = words.map(|size| size.parse().expect("a size")).collect();
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let is_near_one = name.ends_with("running_var") || name.ends_with("bn.weight");
    let value = |i: usize| {
        let u = uniform(key as u64, i as u64);
        (match shape.len() {
            1 if is_near_one => 0.7 + 0.6 * u,
            1 => (u - 0.5) * 0.6,
            _ => (u - 0.5) * (24.0 / fan_in).sqrt(),
        }) as f32
    };
    let values = (0..shape.iter().product()).map(value).collect();
    (name, WeightArray { shape, values })
}

/// Eight by eight patches of colour.
fn picture(n: usize) -> impl Iterator<Item = f32> {
    let patch = move |at: usize| (uniform(1000 + n as u64, at as u64) * 2.0 - 1.0) as f32;
    let place = move |c: usize, y: usize, x: usize| (c * 8 + y / 20) * 8 + x / 20;
    let all = (0..3 * 160 * 160).map(move |i| place(i / 25_600, i / 160 % 160, i % 160));
    all.map(patch)
}

/// Length of the difference, relative to the length of what is wanted.
fn relative(got: &[f32], wanted: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v) * f64::from(v);
    let off: f64 = got.iter().zip(wanted).map(|(g, w)| square(g - w)).sum();
    let norm: f64 = wanted.iter().map(|w| square(*w)).sum();
    (off / norm).sqrt()
}

fn unit(v: &[f32]) -> Vec<f32> {
    let norm = v.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    v.iter().map(|v| (f64::from(*v) / norm) as f32).collect()
}

#[test]
fn embeddings_equal_those_of_facenet_pytorch() {
    let weights: StateDict =
        SHAPES.lines().enumerate().map(|(key, line)| array(key, line)).collect();
    let trained = weights.iter().filter(|(name, _)| !name.contains("running_"));
    let parameters: usize = trained.map(|(_, array)| array.values.len()).sum();
    assert_eq!(parameters, 23_482_624, "the published network without its classifier");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("facenet.safetensors");
    write_safetensors(&weights, &path).expect("a file");
    let model = RecogniserModel::named("facenet-512").expect("a name that is known");
    let opened = model.open(&RecogniserSource::new(&[path], &Device::Cpu)).expect("a network");
    assert_eq!(opened.aligner.name(), "box-stretched-160x160", "as facenet-pytorch cuts chips");
    assert_eq!(opened.preprocessing, "box-stretched-160x160, 160x160-rgb-arcface");
    let network = opened.network.network();
    let input: Vec<f32> = (0..8).flat_map(picture).collect();
    let input = Tensor::from_vec(input, (8, 3, 160, 160), &Device::Cpu).expect("pictures");
    let run = |x: &Tensor| -> Vec<Vec<f32>> {
        let output = network.forward(x).expect("outputs").remove(0);
        let vectors: Vec<Vec<f32>> =
            output.flatten_from(1).and_then(|x| x.to_vec2()).expect("vectors");
        // As PyTorch's network does itself.
        vectors.iter().map(|v| unit(v)).collect()
    };
    let together = run(&input);
    let wanted: Vec<f32> = WANTED.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let wanted: Vec<&[f32]> = wanted.chunks(512).collect();
    assert_eq!(wanted.len(), 8);
    let unlike = relative(wanted[0], wanted[1]);
    assert!(unlike > 0.01, "two pictures are {unlike} apart");
    for (i, wanted) in wanted.iter().enumerate() {
        let alone = run(&input.narrow(0, i, 1).expect("a picture"));
        let apart = relative(&alone[0], &together[i]);
        assert!(apart < 1e-6, "picture {i} depends on its batch: {apart}");
        let off = relative(&together[i], wanted);
        assert!(off < 1e-4, "picture {i}: {off}");
        println!("picture {i}: relative L2 error {off:.1e}");
    }
}
