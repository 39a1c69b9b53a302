//! The reference executor against sums written out, and the checks of the builder.

use candle_core::{Device, Tensor};

use super::*;

/// Numbers that look random, the same each time.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn run(graph: Graph, dims: [usize; 4], input: Vec<f32>) -> Tensor {
    let x = Tensor::from_vec(input, &dims, &Device::Cpu).unwrap();
    Network::reference(graph, &Device::Cpu).unwrap().forward(&x).unwrap().remove(0)
}

fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_profile_has_every_layer_and_what_it_multiplies() {
    let mut g = GraphBuilder::new();
    let x = g.input(16);
    let conv = Conv2d::new([32, 16, 3, 3], numbers(32 * 16 * 9, 1)).padding(1);
    let y = g.conv(x, conv).unwrap();
    let y = g.relu(y);
    let y = g.pool(y, Pool::max(2, 2));
    let network = Network::new(g.finish(&[y]).unwrap(), &Device::Cpu).unwrap();
    network.prepare(8, 12).unwrap();
    let x = Tensor::zeros((3, 16, 8, 12), candle_core::DType::F32, &Device::Cpu).unwrap();
    let layers = network.profile(&x, 2).unwrap();
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    let convolution = "3x3 Winograd 4x4, 16x8x12 to 32x8x12";
    assert_eq!(names, ["input, 16x8x12", convolution, "pool, 32x8x12 to 32x4x6"]);
    // The outermost of a window's three rows and columns lie in the padding once at each edge.
    assert_eq!(layers[1].defined, (3 * 8 - 2) * (3 * 12 - 2) * 16 * 32);
    assert_eq!(layers[1].done, 2 * 3 * 36 * 16 * 32);
    assert!(layers.iter().all(|layer| layer.images == 3 && !layer.time.is_zero()));
}

#[test]
fn a_grouped_strided_convolution_with_uneven_padding_is_its_definition() {
    let (h, w) = (5, 7);
    let window = Window { size: [3, 2], stride: [2, 3], padding: [1, 0, 2, 1], dilation: [1, 1] };
    let weight = numbers(4 * 2 * 3 * 2, 1);
    let bias = numbers(4, 2);
    let x = numbers(4 * h * w, 3);
    let mut g = GraphBuilder::new();
    let input = g.input(4);
    let conv =
        Conv2d::new([4, 2, 3, 2], weight.clone()).bias(bias.clone()).groups(2).window(window);
    let y = g.conv(input, conv).unwrap();
    let y = run(g.finish(&[y]).unwrap(), [1, 4, h, w], x.clone());
    let (oh, ow) = ((5 + 3 - 3) / 2 + 1, (7 + 1 - 2) / 3 + 1);
    assert_eq!(y.dims(), [1, 4, oh, ow]);
    let y = flat(&y);
    for o in 0..4 {
        for oy in 0..oh {
            for ox in 0..ow {
                let mut want = bias[o];
                for i in 0..2 {
                    for ky in 0..3 {
                        for kx in 0..2 {
                            let (iy, ix) = (oy * 2 + ky, ox * 3 + kx);
                            if iy >= 1 && iy - 1 < h && ix < w {
                                let channel = o / 2 * 2 + i;
                                want += weight[((o * 2 + i) * 3 + ky) * 2 + kx]
                                    * x[(channel * h + iy - 1) * w + ix];
                            }
                        }
                    }
                }
                let got = y[(o * oh + oy) * ow + ox];
                assert!((got - want).abs() < 1e-5, "at {o},{oy},{ox}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn a_pool_with_ceil_counts_the_window_that_hangs_over_the_edge() {
    let mut g = GraphBuilder::new();
    let x = g.input(1);
    let max = g.pool(x, Pool::max(2, 2).ceil());
    let mean = g.pool(x, Pool::average(2, 2).ceil());
    let graph = g.finish(&[max, mean]).unwrap();
    let x = Tensor::arange(-9f32, 0f32, &Device::Cpu).unwrap().reshape((1, 1, 3, 3)).unwrap();
    let outputs = Network::reference(graph, &Device::Cpu).unwrap().forward(&x).unwrap();
    assert_eq!(flat(&outputs[0]), [-5.0, -4.0, -2.0, -1.0]);
    assert_eq!(flat(&outputs[1]), [-7.0, -5.5, -2.5, -1.0]);
}

#[test]
fn a_sum_of_different_sizes_is_extended_by_zeros() {
    let mut g = GraphBuilder::new();
    let x = g.input(1);
    let small = g.pool(x, Pool::max(2, 1));
    let wide = g.concat(&[small, small]);
    let sum = g.add(wide, x);
    let y = run(g.finish(&[sum]).unwrap(), [1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(y.dims(), [1, 2, 2, 2]);
    assert_eq!(flat(&y), [5.0, 2.0, 3.0, 4.0, 4.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_weight_that_is_not_finite_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut g = GraphBuilder::new();
        let x = g.input(1);
        let y = g.conv(x, Conv2d::new([1, 1, 1, 2], vec![1.0, 2.0]).bias(vec![bad])).unwrap();
        let error = g.finish(&[y]).unwrap_err();
        assert!(matches!(error, NetworkError::NotFinite { layer: 1, .. }), "{error}");
    }
}

#[test]
fn a_map_is_padded_by_zeros_and_taken_to_a_power() {
    let mut g = GraphBuilder::new();
    let x = g.input(1);
    let roots = g.power(x, 0.5);
    let y = g.pad(roots, [1, 0, 0, 2]);
    let y = run(g.finish(&[y]).unwrap(), [1, 1, 1, 2], vec![4.0, 9.0]);
    assert_eq!(y.dims(), [1, 1, 2, 4]);
    assert_eq!(flat(&y), [0.0, 0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0]);
}

#[test]
fn a_map_is_flattened_in_each_order() {
    for (order, want) in [
        (FlattenOrder::ChannelsRowsColumns, [0., 1., 2., 3., 4., 5., 6., 7.]),
        (FlattenOrder::RowsColumnsChannels, [0., 4., 1., 5., 2., 6., 3., 7.]),
        (FlattenOrder::ColumnsRowsChannels, [0., 4., 2., 6., 1., 5., 3., 7.]),
    ] {
        let mut g = GraphBuilder::new();
        let x = g.input(2);
        let y = g.flatten(x, order);
        let y = run(g.finish(&[y]).unwrap(), [1, 2, 2, 2], (0..8).map(|i| i as f32).collect());
        assert_eq!(flat(&y), want, "{order:?}");
    }
}

#[test]
fn a_locally_connected_layer_with_one_kernel_everywhere_is_a_convolution() {
    let (c, o, h, w) = (3, 5, 6, 7);
    let kernel = numbers(o * c * 2 * 3, 4);
    let window = Window { stride: [2, 1], ..Window::new(2, 3) };
    let out_size = [3, 5];
    // Keras's order: [place][ky][kx][in][out].
    let mut weight = Vec::new();
    for _ in 0..out_size[0] * out_size[1] {
        for tap in 0..6 {
            for i in 0..c {
                (0..o).for_each(|o| weight.push(kernel[(o * c + i) * 6 + tap]));
            }
        }
    }
    let mut g = GraphBuilder::new();
    let x = g.input(c);
    let conv = g.conv(x, Conv2d::new([o, c, 2, 3], kernel).window(window)).unwrap();
    let layer = LocallyConnected {
        weight: weight.into(),
        bias: None,
        in_channels: c,
        out_channels: o,
        out_size,
        window,
    };
    let local = g.locally_connected(x, layer).unwrap();
    let graph = g.finish(&[conv, local]).unwrap();
    let x = Tensor::from_vec(numbers(2 * c * h * w, 5), (2, c, h, w), &Device::Cpu).unwrap();
    let outputs = Network::reference(graph, &Device::Cpu).unwrap().forward(&x).unwrap();
    assert_eq!(outputs[0].dims(), outputs[1].dims());
    for (a, b) in flat(&outputs[0]).iter().zip(flat(&outputs[1])) {
        assert!((a - b).abs() < 1e-5);
    }
}

#[test]
fn weights_for_other_channels_are_refused() {
    let mut g = GraphBuilder::new();
    let x = g.input(3);
    let error = g.conv(x, Conv2d::new([4, 2, 1, 1], vec![0.0; 8])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer 1 (convolution) of the network does not fit: it has weights for 2 channels, not 3"
    );
}

#[test]
fn an_image_too_small_for_the_layers_is_an_error() {
    let mut g = GraphBuilder::new();
    let x = g.input(1);
    let y = g.conv(x, Conv2d::new([1, 1, 3, 3], vec![1.0; 9])).unwrap();
    let network = Network::new(g.finish(&[y]).unwrap(), &Device::Cpu).unwrap();
    let x = Tensor::zeros((1, 1, 2, 9), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(matches!(network.forward(&x), Err(NetworkError::Shape { layer: 1, .. })));
}

#[test]
fn bytes_in_rows_of_rgb_are_taken_as_they_are() {
    let mut g = GraphBuilder::new();
    let x = g.input(3);
    let y = g.affine(x, vec![1.0, 2.0, 3.0], vec![0.5; 3]).unwrap();
    let network = Network::new(g.finish(&[y]).unwrap(), &Device::Cpu).unwrap();
    let rgb: Vec<u8> = (0..6).collect();
    let x = Tensor::from_vec(rgb, (1, 1, 2, 3), &Device::Cpu).unwrap();
    let x = x.permute((0, 3, 1, 2)).unwrap();
    let y = network.forward(&x).unwrap().remove(0);
    assert_eq!(flat(&y), [0.5, 3.5, 2.5, 8.5, 6.5, 15.5]);
}

#[test]
fn a_map_whose_axes_change_places_and_back_is_itself() {
    let mut g = GraphBuilder::new();
    let x = g.input(2);
    let rows_first = g.permute(x, [1, 2, 0], 3).unwrap();
    let back = g.permute(rows_first, [2, 0, 1], 2).unwrap();
    let flat_rows = g.reshape(rows_first, Shape::new(12, 2, 1));
    let keras = g.flatten(x, FlattenOrder::RowsColumnsChannels);
    let outputs = [rows_first, back, flat_rows, keras];
    let graph = g.finish(&outputs).unwrap();
    let input: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let x = Tensor::from_vec(input.clone(), (1, 2, 3, 4), &Device::Cpu).unwrap();
    let y = Network::reference(graph, &Device::Cpu).unwrap().forward(&x).unwrap();
    assert_eq!(y[0].dims(), [1, 3, 4, 2]);
    assert_eq!(flat(&y[1]), input);
    assert_eq!(y[2].dims(), [1, 12, 2, 1]);
    assert_eq!(flat(&y[2]), flat(&y[3]));
    assert_eq!(&flat(&y[2])[..4], [0.0, 12.0, 1.0, 13.0]);
}

#[test]
fn a_reshape_that_loses_numbers_is_an_error() {
    let mut g = GraphBuilder::new();
    let x = g.input(2);
    let y = g.reshape(x, Shape::new(2, 5, 2));
    let graph = g.finish(&[y]).unwrap();
    assert!(graph.shapes(5, 2).is_ok());
    assert!(matches!(graph.shapes(3, 3), Err(NetworkError::Shape { layer: 1, .. })));
}
