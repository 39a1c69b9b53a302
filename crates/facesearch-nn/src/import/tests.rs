//! Damaged files are errors, unknown operators are named, and small files written here check what
//! real ones do not use.

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use prost::Message;

use super::onnx::proto;
use super::*;
use crate::network::Network;
use crate::testing::shared;

fn tensor(name: &str, dims: &[i64], numbers: &[f32]) -> proto::Tensor {
    proto::Tensor {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: numbers.to_vec(),
        ..Default::default()
    }
}

fn whole_tensor(name: &str, numbers: &[i64]) -> proto::Tensor {
    proto::Tensor {
        name: name.into(),
        dims: vec![numbers.len() as i64],
        data_type: 7,
        int64_data: numbers.to_vec(),
        ..Default::default()
    }
}

fn value(name: &str, dims: &[i64]) -> proto::ValueInfo {
    let dim = dims.iter().map(|d| proto::Dimension { dim_value: *d }).collect();
    let tensor_type = Some(proto::TensorType { shape: Some(proto::Shape { dim }) });
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type }) }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> proto::Node {
    proto::Node {
        op_type: operator.into(),
        input: inputs.iter().map(|i| (*i).into()).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

fn with(mut node: proto::Node, name: &str, values: &[i64]) -> proto::Node {
    let (kind, i) = if values.len() == 1 { (2, values[0]) } else { (7, 0) };
    let ints = values.to_vec();
    node.attribute.push(proto::Attribute {
        name: name.into(),
        kind,
        i,
        ints,
        ..Default::default()
    });
    node
}

/// A file of version 13 with the input `x` and the output `y`.
fn file(dims: &[i64], node: Vec<proto::Node>, initializer: Vec<proto::Tensor>) -> Vec<u8> {
    let input = vec![value("x", dims)];
    let output = vec![value("y", &[])];
    let graph = Some(proto::Graph { node, initializer, input, output });
    let opset_import = vec![proto::OperatorSet { domain: String::new(), version: 13 }];
    proto::Model { graph, opset_import }.encode_to_vec()
}

fn run(bytes: &[u8], x: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let network = import_onnx(bytes, None).unwrap();
    let [c, h, w] = network.input;
    let x = Tensor::from_slice(x, (1, c, h, w), &Device::Cpu).unwrap();
    let y = Network::reference(network.graph, &Device::Cpu).unwrap().forward(&x).unwrap();
    (network.outputs[0].shape.clone(), y[0].flatten_all().unwrap().to_vec1().unwrap())
}

fn counting(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

#[test]
fn an_operator_that_is_not_known_is_named() {
    let bytes = file(&[1, 1, 2, 2], vec![node("Einsum", &["x"], "y")], vec![]);
    assert_eq!(
        import_onnx(&bytes, None).unwrap_err().to_string(),
        "the network uses the operator Einsum (at y), which is not known here"
    );
    let mut foreign = node("Conv", &["x"], "y");
    foreign.domain = "com.example".into();
    let error = import_onnx(&file(&[1, 1, 2, 2], vec![foreign], vec![]), None).unwrap_err();
    assert!(error.to_string().contains("com.example.Conv"), "{error}");
}

#[test]
fn a_size_left_open_must_be_said() {
    let bytes = file(&[-1, 3, -1, -1], vec![node("Relu", &["x"], "y")], vec![]);
    assert!(matches!(import_onnx(&bytes, None), Err(ImportError::Size { .. })));
    assert_eq!(import_onnx(&bytes, Some([4, 6])).unwrap().input, [3, 4, 6]);
}

#[test]
fn shapes_computed_at_run_time_are_constants_here() {
    // y = reshape(x, [shape(x)[0], -1, shape(x)[1]]) of the transposed image.
    let nodes = vec![
        with(node("Transpose", &["x"], "t"), "perm", &[0, 2, 3, 1]),
        node("Shape", &["x"], "s"),
        with(node("Gather", &["s", "zero"], "batch"), "axis", &[0]),
        with(node("Gather", &["s", "one"], "channels"), "axis", &[0]),
        with(node("Concat", &["batch", "open", "channels"], "wanted"), "axis", &[0]),
        node("Reshape", &["t", "wanted"], "y"),
    ];
    let constants =
        vec![whole_tensor("zero", &[0]), whole_tensor("one", &[1]), whole_tensor("open", &[-1])];
    let (shape, y) = run(&file(&[1, 2, 1, 5], nodes, constants), &counting(10));
    assert_eq!(shape, [5, 2]);
    assert_eq!(y, [0.0, 5.0, 1.0, 6.0, 2.0, 7.0, 3.0, 8.0, 4.0, 9.0]);
}

#[test]
fn constants_apply_along_the_axes_they_have() {
    let scaled = |dims: &[i64], numbers: &[f32]| {
        let nodes = vec![node("Mul", &["x", "c"], "y")];
        run(&file(&[1, 2, 1, 3], nodes, vec![tensor("c", dims, numbers)]), &[1.0; 6]).1
    };
    assert_eq!(scaled(&[], &[5.0]), [5.0; 6]);
    assert_eq!(scaled(&[3], &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(scaled(&[2, 1, 1], &[1.0, 2.0]), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(scaled(&[2, 1, 3], &counting(6)), counting(6));
}

#[test]
fn a_constant_less_a_value_and_quotients_are_as_written() {
    let apply = |operator: &str, inputs: &[&str]| {
        let nodes = vec![node(operator, inputs, "y")];
        run(&file(&[1, 1, 1, 2], nodes, vec![tensor("c", &[1], &[4.0])]), &[1.0, 2.0]).1
    };
    assert_eq!(apply("Sub", &["c", "x"]), [3.0, 2.0]);
    assert_eq!(apply("Sub", &["x", "c"]), [-3.0, -2.0]);
    assert_eq!(apply("Div", &["x", "c"]), [0.25, 0.5]);
    assert_eq!(apply("Sub", &["x", "x"]), [0.0, 0.0]);
}

#[test]
fn a_dense_layer_in_either_order_of_its_weights_is_the_same() {
    let flat = with(node("Flatten", &["x"], "f"), "axis", &[1]);
    let nodes = vec![flat.clone(), node("MatMul", &["f", "w"], "y")];
    let weights = tensor("w", &[3, 2], &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    let plain = run(&file(&[1, 3, 1, 1], nodes, vec![weights]), &[1.0, 1.0, 2.0]).1;
    assert_eq!(plain, [9.0, 90.0]);
    let product = with(node("Gemm", &["f", "w", "b"], "y"), "transB", &[1]);
    let weights = tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
    let constants = vec![weights, tensor("b", &[2], &[0.5, 0.25])];
    let file = file(&[1, 3, 1, 1], vec![flat, product], constants);
    assert_eq!(run(&file, &[1.0, 1.0, 2.0]).1, [9.5, 90.25]);
}

#[test]
fn an_image_with_its_channels_last_is_the_same_image() {
    // As TensorFlow's exporters do it: channels last outside, first inside.
    let nodes = vec![
        with(node("Transpose", &["x"], "t"), "perm", &[0, 3, 1, 2]),
        node("Relu", &["t"], "r"),
        with(node("Transpose", &["r"], "u"), "perm", &[0, 2, 3, 1]),
        with(node("Flatten", &["u"], "y"), "axis", &[1]),
    ];
    let bytes = file(&[1, 2, 2, 3], nodes, vec![]);
    let network = import_onnx(&bytes, None).unwrap();
    assert_eq!(network.input, [3, 2, 2]);
    assert!(!network.graph.nodes().iter().any(|n| n.op.kind() == "permute"));
    let (_, y) = run(&bytes, &counting(12));
    assert_eq!(y, [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]);
}

#[test]
fn parts_cut_and_joined_along_any_axis_stay_in_place() {
    let cut = |from: i64, to: i64, output: &str| {
        let constants = [format!("{output}a"), format!("{output}b")];
        let node = node("Slice", &["x", &constants[0], &constants[1], "axes"], output);
        (node, [whole_tensor(&constants[0], &[from]), whole_tensor(&constants[1], &[to])])
    };
    for axis in 1..4 {
        let (first, a) = cut(0, 1, "first");
        let (rest, b) = cut(1, i64::MAX, "rest");
        let joined = with(node("Concat", &["rest", "first"], "y"), "axis", &[axis]);
        let constants = a.into_iter().chain(b).chain([whole_tensor("axes", &[axis])]).collect();
        let bytes = file(&[1, 2, 3, 2], vec![first, rest, joined], constants);
        let (shape, y) = run(&bytes, &counting(12));
        assert_eq!(shape, [2, 3, 2]);
        let x = Tensor::arange(0f32, 12f32, &Device::Cpu).unwrap().reshape((2, 3, 2)).unwrap();
        let axis = axis as usize - 1;
        let n = x.dim(axis).unwrap();
        let (rest, first) = (x.narrow(axis, 1, n - 1).unwrap(), x.narrow(axis, 0, 1).unwrap());
        let want = Tensor::cat(&[rest, first], axis).unwrap();
        assert_eq!(y, want.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    }
}

#[test]
fn what_mixes_the_images_of_a_batch_is_refused() {
    let moved = with(node("Transpose", &["x"], "y"), "perm", &[1, 0, 2, 3]);
    let flat = with(node("Flatten", &["x"], "y"), "axis", &[0]);
    let rows = node("Reshape", &["x", "rows"], "y");
    for node in [moved, rows] {
        let constants = vec![whole_tensor("rows", &[-1, 2])];
        let error = import_onnx(&file(&[1, 2, 2, 2], vec![node], constants), None).unwrap_err();
        assert!(matches!(error, ImportError::Use { .. }), "{error}");
    }
    // The numbers of one image as one row are harmless, because the row is the image.
    assert!(import_onnx(&file(&[1, 2, 2, 2], vec![flat], vec![]), None).is_ok());
}

#[test]
fn constants_that_grow_without_end_are_refused() {
    let doubled = |from: &str, to: &str| with(node("Concat", &[from, from], to), "axis", &[0]);
    let names: Vec<String> = (0..64).map(|i| format!("c{i}")).collect();
    let mut nodes: Vec<_> = names.windows(2).map(|pair| doubled(&pair[0], &pair[1])).collect();
    nodes.push(node("Relu", &["x"], "y"));
    let bytes = file(&[1, 1, 2, 2], nodes, vec![tensor("c0", &[1], &[1.0])]);
    assert!(matches!(import_onnx(&bytes, None), Err(ImportError::Damaged { .. })));
}

/// Files that real programs wrote, with a second file where the format has one.
fn real_files() -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut files = Vec::new();
    for (first, second) in [
        ("mobilefacenet-foamliu/MobileFaceNet.onnx", None),
        ("yunet/yunet_n_dynamic.onnx", None),
        ("ultralight/version-RFB-320.onnx", None),
        (
            "openvino-landmarks-0009/landmarks-regression-retail-0009.xml",
            Some("openvino-landmarks-0009/landmarks-regression-retail-0009.bin"),
        ),
        (
            "openvino-reid0095/face-reidentification-retail-0095.xml",
            Some("openvino-reid0095/face-reidentification-retail-0095.bin"),
        ),
    ] {
        let read = |name: &str| std::fs::read(shared(&format!("models/{name}"))).unwrap();
        files.push((read(first), second.map(read)));
    }
    files
}

fn import(first: &[u8], second: Option<&[u8]>) -> Result<ImportedNetwork, ImportError> {
    match second {
        Some(second) => import_openvino(first, second, None),
        None => import_onnx(first, Some([96, 128])),
    }
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn real_files_cut_anywhere_are_errors() {
    for (first, second) in real_files() {
        let second = second.as_deref();
        for cut in (0..32).map(|i| first.len() * i / 32).chain([first.len() - 3]) {
            assert!(import(&first[..cut], second).is_err(), "cut at {cut} of {}", first.len());
        }
        if let Some(second) = second {
            assert!(import(&first, Some(&second[..second.len() - 2])).is_err());
        }
    }
}

/// A changed file may still be a network, though another one. No change may cause a panic, and a
/// network must fit its own input.
#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn real_files_with_flipped_bits_never_panic() {
    let files = real_files();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for (first, second) in files {
        // Most of an ONNX file is weights, where a flipped bit is only another number. The
        // structure is near both ends, so more bits are flipped there.
        let len = first.len();
        let place = prop_oneof![0..len.min(40_000), len.saturating_sub(40_000)..len, 0..len];
        let flips = proptest::collection::vec((place, 0u8..8), 1..6);
        let case = proptest::collection::vec(flips, 60);
        let cases = case.new_tree(&mut runner).unwrap().current();
        for flips in cases {
            let mut bytes = first.clone();
            for (at, bit) in flips {
                bytes[at] ^= 1 << bit;
            }
            if let Ok(network) = import(&bytes, second.as_deref()) {
                let [_, h, w] = network.input;
                assert!(network.graph.shapes(h, w).is_ok());
            }
        }
    }
}

#[test]
fn options_that_are_nonsense_are_errors() {
    let weight = || vec![tensor("w", &[1, 1, 3, 3], &[1.0; 9])];
    let conv = || node("Conv", &["x", "w"], "y");
    let nonsense: [(&str, Vec<i64>); 7] = [
        ("strides", vec![0, 1]),
        ("pads", vec![-1, 0, 0, 0]),
        ("pads", vec![1 << 40, 0, 0, 0]),
        ("dilations", vec![1 << 62, 1 << 62]),
        ("kernel_shape", vec![5, 5]),
        ("group", vec![0]),
        ("group", vec![-7]),
    ];
    for (name, values) in nonsense {
        let bytes = file(&[1, 1, 8, 8], vec![with(conv(), name, &values)], weight());
        assert!(import_onnx(&bytes, None).is_err(), "{name} {values:?}");
    }
    assert!(import_onnx(&file(&[1, 1, 8, 8], vec![conv()], weight()), None).is_ok());
    let huge = file(&[1, 1 << 40, 1 << 40, 8], vec![node("Relu", &["x"], "y")], vec![]);
    assert!(import_onnx(&huge, None).is_err());
}
