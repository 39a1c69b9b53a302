//! Every layer of the fast executor against the same layer with candle's operations, with each kind
//! of vector that this CPU has.

use candle_core::{DType, Device, Tensor};
use facesearch_cpu::KernelLevel;
use proptest::prelude::*;

use crate::kernels::Level;
use crate::network::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, LocallyConnected, Network,
    NodeId, Pool, PoolKind, Precision, Shape, Window,
};

const LEVELS: [KernelLevel; 3] = [KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512];

/// Numbers in `[-1, 1)` that look random, the same for the same seed.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest error against candle, relative to the largest number. The transforms of Winograd
/// round more coarsely than the definition: the property tests have shown 2.3e-5. A wrong index or
/// weight makes errors as large as the numbers.
const TOLERANCE: f32 = 1e-4;

/// The largest error with integers. An input of a transform of 6x6 numbers is rounded to one of
/// 16,383 steps of a hundred times the largest number.
const INT16_TOLERANCE: f32 = 2e-2;

/// Runs both executors on random numbers and compares all outputs, relative to the largest.
fn check(graph: Graph, batch: usize, height: usize, width: usize) {
    check_at(Precision::F32, &graph, batch, [height, width]);
    check_at(Precision::Int16, &graph, batch, [height, width]);
}

fn check_at(precision: Precision, graph: &Graph, batch: usize, [height, width]: [usize; 2]) {
    let tolerance = if precision == Precision::F32 { TOLERANCE } else { INT16_TOLERANCE };
    let dims = (batch, graph.input_channels(), height, width);
    let x = numbers(batch * graph.input_channels() * height * width, 99);
    let x = Tensor::from_vec(x, dims, &Device::Cpu).unwrap();
    let want = Network::reference(graph.clone(), &Device::Cpu).unwrap().forward(&x).unwrap();
    for level in LEVELS {
        let network = Network::fast(graph.clone(), Level::at_most(level), precision);
        // Twice, because the second run reuses the memory of the first.
        network.forward(&x).unwrap();
        let got = network.forward(&x).unwrap();
        assert_eq!(got.len(), want.len());
        for (output, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_eq!(got.dims(), want.dims(), "output {output} at {level:?}");
            let (got, want) = (flat(got), flat(want));
            let scale = want.iter().fold(1f32, |largest, x| largest.max(x.abs()));
            for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                let off = (g - w).abs() / scale;
                assert!(
                    off <= tolerance,
                    "output {output} at {level:?} {precision:?}, {i}: {g}, not {w}"
                );
            }
        }
        // Each image alone must give the same bits as in the batch.
        for image in 0..batch {
            let alone = network.forward(&x.narrow(0, image, 1).unwrap()).unwrap();
            for (alone, got) in alone.iter().zip(&got) {
                let row = got.narrow(0, image, 1).unwrap();
                assert_eq!(flat(alone), flat(&row), "image {image} alone at {level:?}");
            }
        }
    }
}

/// A graph of one input and the layers that `layers` adds.
fn graph(channels: usize, layers: impl FnOnce(&mut GraphBuilder, NodeId) -> NodeId) -> Graph {
    let mut g = GraphBuilder::new();
    let x = g.input(channels);
    let y = layers(&mut g, x);
    g.finish(&[y]).unwrap()
}

/// A convolution with weights of the size of a trained network's: sums are as large as the inputs.
fn conv(shape: [usize; 4], seed: u64) -> Conv2d {
    let n: usize = shape.iter().product();
    let scale = (3.0 * shape[0] as f32 / n as f32).sqrt();
    let weights: Vec<f32> = numbers(n, seed).iter().map(|w| w * scale).collect();
    Conv2d::new(shape, weights).bias(numbers(shape[0], seed + 1))
}

fn activation(kind: usize, channels: usize) -> Option<Activation> {
    match kind {
        0 => None,
        1 => Some(Activation::Relu),
        // Slopes above one too: for them, `max(x, slope * x)` would be wrong.
        2 => Some(Activation::PRelu(numbers(channels, 5).iter().map(|s| s * 2.0).collect())),
        3 => Some(Activation::LeakyRelu(0.1)),
        4 => Some(Activation::Clip(-0.5, 0.75)),
        _ => Some(Activation::Sigmoid),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_convolution(
        (inputs, outputs) in (1usize..40, 1usize..80),
        size in (1usize..6, 1usize..6),
        stride in (1usize..4, 1usize..4),
        padding in proptest::array::uniform4(0usize..3),
        dilation in 1usize..3,
        (height, width) in (11usize..20, 11usize..20),
        (batch, kind) in (1usize..4, 0usize..6),
    ) {
        let window = Window {
            size: [size.0, size.1],
            stride: [stride.0, stride.1],
            padding,
            dilation: [dilation; 2],
        };
        let layer = conv([outputs, inputs, size.0, size.1], 1).window(window);
        let graph = graph(inputs, |g, x| {
            let y = g.conv(x, layer).unwrap();
            activation(kind, outputs).map_or(y, |a| g.activation(y, a))
        });
        check(graph, batch, height, width);
    }

    #[test]
    fn a_three_by_three_convolution_of_any_size(
        (inputs, outputs) in (14usize..70, 14usize..140),
        padding in proptest::array::uniform4(0usize..3),
        (height, width) in (3usize..24, 3usize..24),
        (batch, kind) in (1usize..5, 0usize..6),
    ) {
        let window = Window { padding, ..Window::new(3, 3) };
        let layer = conv([outputs, inputs, 3, 3], 1).window(window);
        let graph = graph(inputs, |g, x| {
            let y = g.conv(x, layer).unwrap();
            activation(kind, outputs).map_or(y, |a| g.activation(y, a))
        });
        check(graph, batch, height, width);
    }

    #[test]
    fn a_large_window_on_a_map_of_any_size(
        (inputs, outputs) in (1usize..20, 14usize..70),
        (size, halves) in (5usize..13, any::<bool>()),
        padding in proptest::array::uniform4(0usize..4),
        (height, width) in (15usize..44, 15usize..44),
        (batch, kind) in (1usize..4, 0usize..6),
    ) {
        let stride = [if halves { 2 } else { 1 }; 2];
        let window = Window { padding, stride, ..Window::new(size, size) };
        let layer = conv([outputs, inputs, size, size], 1).window(window);
        let graph = graph(inputs, |g, x| {
            let y = g.conv(x, layer).unwrap();
            activation(kind, outputs).map_or(y, |a| g.activation(y, a))
        });
        check(graph, batch, height, width);
    }

    #[test]
    fn a_residual_block_whose_shortcut_is_smaller_or_larger(
        (inputs, outputs) in (1usize..40, 1usize..80),
        (stride, padding, pool) in (1usize..3, 0usize..2, 1usize..4),
        side in 4usize..14,
        batch in 1usize..4,
    ) {
        let graph = graph(inputs, |g, x| {
            let y = g.conv(x, conv([outputs, inputs, 3, 3], 1).stride(stride)).unwrap();
            let y = g.relu(y);
            let y = g.conv(y, conv([outputs, outputs, 3, 3], 3).padding(1 + padding)).unwrap();
            let y = g.affine(y, numbers(outputs, 6), numbers(outputs, 7)).unwrap();
            let shortcut = g.pool(x, Pool::average(pool, stride));
            let sum = g.add(y, shortcut);
            g.relu(sum)
        });
        check(graph, batch, side, side + 1);
    }

    #[test]
    fn grouped_and_depthwise_convolutions(
        (groups, per_group, times) in (1usize..40, 1usize..4, 1usize..3),
        (stride, padding) in (1usize..3, 0usize..3),
        (height, width) in (5usize..14, 5usize..14),
        (batch, kind) in (1usize..4, 0usize..6),
    ) {
        let (inputs, outputs) = (groups * per_group, groups * per_group * times);
        let layer = conv([outputs, per_group, 3, 3], 1);
        let graph = graph(inputs, |g, x| {
            let y = g.conv(x, layer.groups(groups).stride(stride).padding(padding)).unwrap();
            activation(kind, outputs).map_or(y, |a| g.activation(y, a))
        });
        check(graph, batch, height, width);
    }

    #[test]
    fn pools_of_every_kind(
        channels in 1usize..40,
        size in 1usize..5,
        stride in 1usize..4,
        padding in proptest::array::uniform4(0usize..2),
        (kind, ceil) in (0usize..3, any::<bool>()),
        (height, width) in (5usize..14, 5usize..14),
        batch in 1usize..4,
    ) {
        // A window wholly in the padding has no largest number.
        prop_assume!(size > 1);
        let kinds = [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding];
        let window = Window { stride: [stride; 2], padding, ..Window::new(size, size) };
        let pool = Pool { kind: kinds[kind], window, ceil };
        check(graph(channels, |g, x| g.pool(x, pool)), batch, height, width);
    }

    #[test]
    fn powers_and_zeros_around_a_map(
        channels in 1usize..40,
        exponent in prop::sample::select(vec![0.5f32, -0.5, -0.75, 2.0, 1.3]),
        padding in proptest::array::uniform4(0usize..3),
        (height, width) in (1usize..9, 1usize..9),
        batch in 1usize..4,
    ) {
        let graph = graph(channels, |g, x| {
            let squares = g.multiply(x, x);
            let positive = g.affine(squares, vec![1.0; channels], vec![0.1; channels]).unwrap();
            let powers = g.power(positive, exponent);
            let y = g.multiply(powers, x);
            g.pad(y, padding)
        });
        check(graph, batch, height, width);
    }

    #[test]
    fn dense_layers_behind_a_map_flattened_in_any_order(
        (channels, height, width) in (1usize..20, 1usize..7, 1usize..7),
        (outputs, order, kind) in (1usize..80, 0usize..3, 0usize..6),
        batch in 1usize..20,
    ) {
        let order = [
            FlattenOrder::ChannelsRowsColumns,
            FlattenOrder::RowsColumnsChannels,
            FlattenOrder::ColumnsRowsChannels,
        ][order];
        let features = channels * height * width;
        let dense = Dense::new(outputs, features, numbers(outputs * features, 1))
            .bias(numbers(outputs, 2));
        let graph = graph(channels, |g, x| {
            let y = g.flatten(x, order);
            let y = g.dense(y, dense).unwrap();
            activation(kind, outputs).map_or(y, |a| g.activation(y, a))
        });
        check(graph, batch, height, width);
    }

    #[test]
    fn locally_connected_layers(
        (inputs, outputs) in (1usize..20, 1usize..40),
        (size, stride, dilation) in (1usize..4, 1usize..3, 1usize..3),
        (rows, columns) in (1usize..4, 1usize..4),
        (batch, kind) in (1usize..9, 0usize..6),
    ) {
        let reach = |places: usize| (places - 1) * stride + (size - 1) * dilation + 1;
        let window = Window {
            stride: [stride; 2],
            dilation: [dilation; 2],
            ..Window::new(size, size)
        };
        let places = rows * columns;
        let layer = LocallyConnected {
            weight: numbers(places * size * size * inputs * outputs, 1).into(),
            bias: Some(numbers(places * outputs, 2).into()),
            in_channels: inputs,
            out_channels: outputs,
            out_size: [rows, columns],
            window,
        };
        let graph = graph(inputs, |g, x| {
            let y = g.locally_connected(x, layer).unwrap();
            activation(kind, outputs).map_or(y, |a| g.activation(y, a))
        });
        check(graph, batch, reach(rows), reach(columns));
    }

    #[test]
    fn layers_that_only_move_numbers(
        (channels, start, factor) in (3usize..20, 0usize..2, 1usize..4),
        (height, width) in (1usize..9, 1usize..9),
        batch in 1usize..4,
    ) {
        let mut g = GraphBuilder::new();
        let x = g.input(channels);
        let x = g.affine(x, numbers(channels, 1), numbers(channels, 2)).unwrap();
        let part = g.slice(x, start, channels - start - 1).unwrap();
        let both = g.concat(&[part, x, part]);
        let large = g.upsample(both, factor);
        let mean = g.global_average(large);
        let scaled = g.multiply(mean, large);
        let soft = g.softmax(scaled);
        let flat = g.flatten(x, FlattenOrder::ColumnsRowsChannels);
        let permuted = g.permute(x, [2, 0, 1], width).unwrap();
        let permuted = g.activation(permuted, Activation::Exp);
        let reshaped = g.reshape(permuted, Shape::new(height, width, channels));
        let padded = g.conv(soft, conv([5, 3 * channels - 2 * start - 2, 3, 3], 3).padding(2));
        let outputs = [permuted, reshaped, large, scaled, soft, flat, padded.unwrap(), part];
        let graph = g.finish(&outputs).unwrap();
        check(graph, batch, height, width);
    }
}

#[test]
fn a_large_batch_and_many_sizes_through_one_network() {
    let graph = graph(3, |g, x| {
        let y = g.conv(x, conv([10, 3, 3, 3], 1)).unwrap();
        let y = g.prelu(y, numbers(10, 2)).unwrap();
        let y = g.pool(y, Pool::max(2, 2).ceil());
        let y = g.conv(y, conv([16, 10, 3, 3], 3)).unwrap();
        let y = g.conv(y, conv([32, 16, 3, 3], 4)).unwrap();
        let y = g.conv(y, conv([2, 32, 1, 1], 5)).unwrap();
        g.softmax(y)
    });
    let network = Network::new(graph.clone(), &Device::Cpu).unwrap();
    let reference = Network::reference(graph, &Device::Cpu).unwrap();
    for (batch, height, width) in
        [(1, 12, 12), (50, 13, 40), (3, 99, 17), (50, 13, 40), (1, 12, 12)]
    {
        let x = numbers(batch * 3 * height * width, 7);
        let x = Tensor::from_vec(x, (batch, 3, height, width), &Device::Cpu).unwrap();
        let (got, want) = (network.forward(&x).unwrap(), reference.forward(&x).unwrap());
        assert_eq!(got[0].dims(), want[0].dims());
        for (g, w) in flat(&got[0]).iter().zip(flat(&want[0])) {
            assert!((g - w).abs() < 1e-5, "{g}, not {w}");
        }
    }
}

#[test]
fn any_strides_of_the_input_are_read() {
    let graph = graph(3, |g, x| g.conv(x, conv([4, 3, 1, 1], 1)).unwrap());
    let reference = Network::reference(graph.clone(), &Device::Cpu).unwrap();
    let network = Network::new(graph, &Device::Cpu).unwrap();
    let bytes: Vec<u8> = (0..2 * 9 * 8 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let rgb = Tensor::from_vec(bytes, (2, 9, 8, 3), &Device::Cpu).unwrap();
    let pixels = rgb.permute((0, 3, 1, 2)).unwrap();
    let cut = pixels.narrow(2, 2, 5).unwrap().narrow(3, 1, 6).unwrap();
    for x in [
        pixels.clone(),
        cut.clone(),
        cut.transpose(2, 3).unwrap(),
        cut.to_dtype(DType::F32).unwrap(),
        pixels.contiguous().unwrap(),
        rgb.to_dtype(DType::F32).unwrap().permute((0, 3, 1, 2)).unwrap(),
    ] {
        let (got, want) = (network.forward(&x).unwrap(), reference.forward(&x).unwrap());
        for (g, w) in flat(&got[0]).iter().zip(flat(&want[0])) {
            assert!((g - w).abs() < 1e-3, "{g}, not {w}");
        }
    }
}

#[test]
fn an_image_alone_is_shared_by_threads() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    for (height, width) in [(37, 41), (30, 30), (9, 50)] {
        let graph = graph(20, |g, x| {
            let x = g.conv(x, conv([40, 20, 3, 3], 1).padding(1)).unwrap();
            let x = g.relu(x);
            let y = g.conv(x, conv([40, 40, 3, 3], 2).padding(1)).unwrap();
            let y = g.add(y, x);
            let y = g.conv(y, conv([40, 40, 5, 5], 6).padding(2)).unwrap();
            let y = g.add(y, x);
            let y = g.conv(y, conv([40, 1, 3, 3], 3).groups(40).padding(1)).unwrap();
            let strided = g.conv(y, conv([32, 40, 7, 7], 5).stride(2).padding(3)).unwrap();
            let y = g.upsample(strided, 2);
            let y = g.conv(y, conv([40, 32, 1, 1], 7)).unwrap();
            g.conv(y, conv([100, 40, 5, 5], 4).stride(2)).unwrap()
        });
        pool.install(|| check(graph, 1, height, width));
    }
}

/// So many weights that each thread reads a part of them.
#[test]
fn images_of_a_network_of_many_weights_are_shared_by_threads() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    let (side, inputs, outputs) = (26, 16, 24);
    let places = side * side;
    let layer = LocallyConnected {
        weight: numbers(places * 25 * inputs * outputs, 1).into(),
        bias: Some(numbers(places * outputs, 2).into()),
        in_channels: inputs,
        out_channels: outputs,
        out_size: [side; 2],
        window: Window::new(5, 5),
    };
    let features = side * side * outputs;
    let dense = Dense::new(130, features, numbers(130 * features, 3)).bias(numbers(130, 4));
    let heavy = graph(8, |g, x| {
        let x = g.conv(x, conv([inputs, 8, 9, 9], 5).padding(4)).unwrap();
        let x = g.upsample(x, 2);
        let x = g.conv(x, conv([inputs, inputs, 7, 7], 7).stride(2).padding(3)).unwrap();
        let x = g.locally_connected(x, layer).unwrap();
        let x = g.relu(x);
        let pooled = g.pool(x, Pool::max(2, 2));
        let y = g.conv(pooled, conv([outputs, outputs, 3, 3], 6).padding(1)).unwrap();
        let y = g.add(y, pooled);
        let y = g.upsample(y, 2);
        let flat = g.flatten(y, FlattenOrder::RowsColumnsChannels);
        g.dense(flat, dense).unwrap()
    });
    for batch in [1, 3, 17] {
        pool.install(|| check(heavy.clone(), batch, side + 4, side + 4));
    }
}

/// Several kinds of convolution that multiply integers, without an activation that would hide NaN.
fn int16_layers() -> Graph {
    graph(17, |g, x| {
        let x = g.conv(x, conv([32, 17, 3, 3], 1).padding(1)).unwrap();
        let y = g.conv(x, conv([33, 32, 3, 3], 2).stride(2)).unwrap();
        g.conv(y, conv([20, 33, 1, 1], 3)).unwrap()
    })
}

#[test]
fn int16_with_numbers_of_any_magnitude() {
    let numbers = numbers(17 * 13 * 13, 4);
    for level in LEVELS {
        let network = Network::fast(int16_layers(), Level::at_most(level), Precision::Int16);
        let reference = Network::reference(int16_layers(), &Device::Cpu).unwrap();
        for size in [0.0, 1e-35, 1e-20, 1.0, 1e20] {
            let x: Vec<f32> = numbers.iter().map(|x| x * size).collect();
            let x = Tensor::from_vec(x, (1, 17, 13, 13), &Device::Cpu).unwrap();
            let (got, want) = (network.forward(&x).unwrap(), reference.forward(&x).unwrap());
            let (got, want) = (flat(&got[0]), flat(&want[0]));
            let largest = want.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            for (g, w) in got.iter().zip(&want) {
                assert!(
                    (g - w).abs() <= INT16_TOLERANCE * largest,
                    "{size} at {level:?}: {g}, not {w}"
                );
            }
        }
    }
}

#[test]
fn int16_makes_an_image_with_nan_or_infinity_nan() {
    let image = 17 * 13 * 13;
    for level in LEVELS {
        let network = Network::fast(int16_layers(), Level::at_most(level), Precision::Int16);
        let run = |x: Vec<f32>| {
            let x = Tensor::from_vec(x, (3, 17, 13, 13), &Device::Cpu).unwrap();
            flat(&network.forward(&x).unwrap()[0])
        };
        let fine = run(numbers(3 * image, 4));
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38] {
            let mut x = numbers(3 * image, 4);
            x[image + 100] = odd;
            let got = run(x);
            let each = got.len() / 3;
            assert!(got[each..2 * each].iter().all(|x| x.is_nan()), "{odd} at {level:?}");
            assert_eq!(got[..each], fine[..each], "the image before");
            assert_eq!(got[2 * each..], fine[2 * each..], "the image after");
        }
    }
}
