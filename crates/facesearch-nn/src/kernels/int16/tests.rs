//! The tile of integers, with each kind of vector, against sums in a plain loop.

use facesearch_cpu::KernelLevel;

use super::quantise::{AbsMax, MAX_INPUT, MAX_INPUT_INT, MAX_WEIGHT_SUM, MIN_INPUT};
use super::*;
use crate::kernels::tile::{Line, Row, split_panels};
use crate::kernels::{Kernel, Level, launch};

const LEVELS: [KernelLevel; 3] = [KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512];

/// Rows of two runs of `run` integers.
struct Case {
    run: usize,
    count: usize,
    channels: usize,
    input: Vec<i16>,
    /// `(channel, number of a row)`.
    weights: Vec<f32>,
}

impl Case {
    fn new(run: usize, count: usize, channels: usize) -> Self {
        let number = |i: usize, seed: usize| ((i * 7919 + seed) % 201) as i32 - 100;
        // Two runs are four integers apart, rows follow one another. One integer more may be read.
        let len = count * (2 * run + 4) + 1;
        let input = (0..len).map(|i| number(i, 3) as i16).collect();
        let weights = (0..channels * 2 * run).map(|i| number(i, 17) as f32).collect();
        Self { run, count, channels, input, weights }
    }

    /// The outputs at a level, row by row.
    fn run_at(&self, level: KernelLevel) -> Vec<f32> {
        let (level, stride) = (Level::at_most(level), self.channels.next_multiple_of(64));
        let mut output = vec![0.0; self.count * stride];
        launch(level, Run { case: self, level, output: &mut output });
        output.chunks_exact(stride).flat_map(|row| row[..self.channels].to_vec()).collect()
    }

    fn expected(&self) -> Vec<i64> {
        let (run, row) = (self.run, 2 * self.run + 4);
        let sum = |r: usize, c: usize| -> i64 {
            let at = |k: usize| r * row + if k < run { k } else { k + 4 };
            let product =
                |k: usize| i64::from(self.input[at(k)]) * self.weights[c * 2 * run + k] as i64;
            (0..2 * run).map(product).sum()
        };
        (0..self.count).flat_map(|r| (0..self.channels).map(move |c| sum(r, c))).collect()
    }
}

struct Run<'a> {
    case: &'a Case,
    level: Level,
    output: &'a mut [f32],
}

impl Kernel for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { case, level, output } = self;
        let (run, row) = (case.run, 2 * case.run + 4);
        let (panels, _) = split_panels(level, 0, case.channels, 2 * run, 0);
        let stride = case.channels.next_multiple_of(64);
        let line =
            Line { first: Row::default(), step: Row { input: row, output: stride, residual: 0 } };
        for panel in &panels {
            let lanes = panel.vectors * S::LANES;
            let mut floats = vec![0.0; 2 * run * lanes];
            for (k, floats) in floats.chunks_exact_mut(lanes).enumerate() {
                for (lane, w) in floats.iter_mut().enumerate().take(panel.channels) {
                    *w = case.weights[(panel.first + lane) * 2 * run + k];
                }
            }
            let mut weights = vec![0i16; quantised_len(2, run, lanes)];
            let mut scales = vec![0.0; lanes];
            quantise_weights(&floats, run, lanes, &mut weights, &mut scales);
            // SAFETY: `run` is called below `launch` only. The input holds every row and one
            // integer more, the weights and scales are the panel's, and each row of the output has
            // room for all vectors of the panels, as `stride` is a multiple of the widest panel.
            unsafe {
                S::multiply_int16(Int16Product {
                    input: case.input.as_ptr(),
                    count: case.count,
                    runs: Runs { starts: &[0, run + 4], run },
                    weights: weights.as_ptr(),
                    scales: scales.as_ptr(),
                    dequantise: 1.0,
                    panel,
                    output: output.as_mut_ptr(),
                    to: Destination::Plane(line),
                });
            }
        }
    }
}

#[test]
fn sums_of_products_are_those_of_a_plain_loop() {
    for level in LEVELS {
        for (run, count, channels) in
            [(1, 1, 1), (2, 7, 16), (7, 13, 17), (32, 12, 40), (21, 5, 64), (64, 3, 100)]
        {
            let case = Case::new(run, count, channels);
            let expected = case.expected();
            let largest = expected.iter().map(|sum| sum.abs()).max().unwrap_or(0).max(1000) as f32;
            for (got, want) in case.run_at(level).iter().zip(&expected) {
                // A weight has at least 131,000 / 64 / 100 steps.
                assert!((got - *want as f32).abs() <= 0.01 * largest, "{got}, not {want}");
            }
        }
    }
}

/// The same with the weights already rounded: then only the sums could be rounded.
#[test]
fn sums_of_integers_are_exact_up_to_the_longest_row() {
    for (run, channels) in
        [(1, 3), (7, 33), (33, 20), (MAX_INT16_ROW / 2, 6), (MAX_INT16_ROW / 2 - 1, 5)]
    {
        let mut case = Case::new(run, 3, channels);
        // Channels of equal weights, of one large weight among small ones, of weights that round
        // up, and of weights of all sizes.
        for (i, w) in case.weights.iter_mut().enumerate() {
            let (channel, k) = (i / (2 * run), i % (2 * run));
            let sign = if (k * 7919 + channel) % 3 == 0 { -1.0 } else { 1.0 };
            *w = sign
                * match channel % 4 {
                    0 => 1e-3,
                    1 => f32::from(k == run / 2) + 1e-6,
                    2 => 0.15 + 0.2 * (k % 2) as f32,
                    _ => ((k * 31 + 7) % 1000) as f32 * 1e20,
                };
        }
        // The largest inputs with the signs of a channel's weights make the largest sums.
        for (r, row) in case.input.chunks_exact_mut(2 * run + 4).enumerate() {
            for k in 0..2 * run {
                let sign = case.weights[r * 2 * run + k].signum();
                row[if k < run { k } else { k + 4 }] = sign as i16 * MAX_INPUT_INT as i16;
            }
        }
        let mut expected = Vec::new();
        for r in 0..case.count {
            for weights in case.weights.chunks_exact(2 * run) {
                // In a panel of one lane, pairs are neighbours.
                let (mut whole, mut scale) = (vec![0i16; quantised_len(2, run, 1)], [0.0]);
                quantise_weights(weights, run, 1, &mut whole, &mut scale);
                let sizes: i64 = whole.iter().map(|w| i64::from(*w).abs()).sum();
                assert!(sizes <= MAX_WEIGHT_SUM as i64 && sizes > MAX_WEIGHT_SUM as i64 / 50);
                let row = &case.input[r * (2 * run + 4)..];
                let odd = run.next_multiple_of(2);
                let product = |k: usize| {
                    let w = whole[if k < run { k } else { k - run + odd }];
                    i64::from(w) * i64::from(row[if k < run { k } else { k + 4 }])
                };
                let sum: i64 = (0..2 * run).map(product).sum();
                expected.push(i32::try_from(sum).expect("a sum of 32 bits") as f32 * scale[0]);
            }
        }
        for level in LEVELS {
            assert_eq!(case.run_at(level), expected, "{level:?}, runs of {run}");
        }
    }
}

#[test]
fn weights_that_are_not_finite_or_tiny_or_huge() {
    let quantised_with = |odd: f32| {
        let (mut whole, mut scale) = ([1i16; 4], [7.0]);
        quantise_weights(&[1.0, odd, -0.5, 0.25], 4, 1, &mut whole, &mut scale);
        (whole, scale[0])
    };
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(quantised_with(odd).0, [0; 4]);
        assert!(quantised_with(odd).1.is_nan());
    }
    let (mut whole, mut scale) = ([1i16; 4], [7.0]);
    quantise_weights(&[0.0; 3], 3, 1, &mut whole, &mut scale);
    assert_eq!((whole, scale), ([0; 4], [0.0]));
    // The smallest numbers and the largest do not leave 32 bits either.
    for size in [f32::from_bits(1), 1e-38, f32::MAX] {
        let mut whole = [0i16; 1000];
        quantise_weights(&[size; 1000], 1000, 1, &mut whole, &mut scale);
        let sizes: i64 = whole.iter().map(|w| i64::from(*w).abs()).sum();
        assert!(sizes > 100_000 && sizes <= MAX_WEIGHT_SUM as i64, "{size}: {sizes}");
    }
}

#[test]
fn numbers_are_rounded_to_even_and_the_largest_is_found() {
    for level in LEVELS.map(Level::at_most) {
        for len in 0..150 {
            // Multiples of a half, so that ties are frequent.
            let mut numbers: Vec<f32> =
                (0..len).map(|i| ((i * 37) % 101) as f32 / 2.0 - 20.0).collect();
            let mut whole = vec![7i16; len + 1];
            launch(level, Quantise { numbers: &numbers, factor: 3.0, to: &mut whole });
            for (x, whole) in numbers.iter().zip(&whole) {
                assert_eq!(f32::from(*whole), (x * 3.0).round_ties_even());
            }
            assert_eq!(whole[len], 7, "nothing is written after the last number");
            let abs_max = |numbers: &[f32]| {
                let mut found = -1.0;
                launch(level, AbsMax { numbers, found: &mut found });
                found
            };
            let want = numbers.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            assert_eq!(abs_max(&numbers), want);
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, len / 2, len.saturating_sub(1)] {
                    if let Some(x) = numbers.get_mut(at) {
                        let was = std::mem::replace(x, odd);
                        assert!(abs_max(&numbers).is_nan(), "{odd} at {at} of {len}");
                        numbers[at] = was;
                    }
                }
            }
        }
    }
}

#[test]
fn an_image_of_zeros_or_with_nan_has_a_scale() {
    for (largest, quantise, dequantise) in
        [(0.0, 0.0, 0.0), (1e-40, 0.0, 0.0), (MAX_INPUT_INT, 1.0, 1.0)]
    {
        let scale = InputScale::for_largest(largest);
        assert_eq!((scale.quantise, scale.dequantise), (quantise, dequantise));
    }
    for largest in [MIN_INPUT, 1.0, MAX_INPUT] {
        let scale = InputScale::for_largest(largest);
        // The transform of a tile makes numbers up to a hundred times as large.
        let int = largest * 100.0 * (scale.quantise / 100.0);
        assert!((int - MAX_INPUT_INT).abs() < 0.1 && scale.dequantise > 0.0);
    }
    for largest in [f32::NAN, f32::INFINITY, 2.0 * MAX_INPUT] {
        assert!(InputScale::for_largest(largest).dequantise.is_nan());
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn one_instruction_sums_like_two() {
    if !is_x86_feature_detected!("avx512vnni") || Level::best().lanes() < 16 {
        return;
    }
    let case = Case::new(21, 13, 48);
    let line = Line { first: Row::default(), step: Row { input: 46, output: 48, residual: 0 } };
    let panel = Panel { first: 0, channels: 48, vectors: 3, start: 0 };
    let weights: Vec<i16> =
        (0..quantised_len(2, 21, 48)).map(|i| (i * 31 % 4001) as i16 - 2000).collect();
    let scales = [1.0; 48];
    let output_of = |multiply: unsafe fn(Int16Product<'_>)| {
        let mut output = vec![0f32; 13 * 48];
        // SAFETY: the CPU has the instructions, see above. The rows lie in the input with one
        // integer more after the last. The weights, the scales and a row of the output are those of
        // three vectors.
        unsafe {
            multiply(Int16Product {
                input: case.input.as_ptr(),
                count: 13,
                runs: Runs { starts: &[0, 25], run: 21 },
                weights: weights.as_ptr(),
                scales: scales.as_ptr(),
                dequantise: 1.0,
                panel: &panel,
                output: output.as_mut_ptr(),
                to: Destination::Plane(line),
            });
        }
        output
    };
    use crate::kernels::avx512::{multiply_int16, multiply_int16_vnni};
    assert_eq!(output_of(multiply_int16::<3>), output_of(multiply_int16_vnni::<3>));
}
