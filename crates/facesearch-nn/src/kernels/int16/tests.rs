//! The tile of integers, at each kind of vector, against sums in a plain loop.

use facesearch_cpu::KernelLevel;

use super::super::tile::{Line, Row, split_panels};
use super::super::{Kernel, Level, launch};
use super::*;

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
        // Two runs lie four integers apart, rows after one another; one integer more may be read.
        let len = count * (2 * run + 4) + 1;
        let input = (0..len).map(|i| number(i, 3) as i16).collect();
        let weights = (0..channels * 2 * run).map(|i| number(i, 17) as f32).collect();
        Self { run, count, channels, input, weights }
    }

    /// What comes of it at a level, row by row.
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
            let mut weights = vec![0i16; short_len(2, run, lanes)];
            let mut scales = vec![0.0; lanes];
            shorten_weights(&floats, run, lanes, &mut weights, &mut scales);
            // SAFETY: `run` is called below `launch` only; the input holds every row and an integer
            // more, weights and scales are the panel's, and each row of the output has room for all
            // panels' vectors, as `stride` is a multiple of the widest panel.
            unsafe {
                S::multiply_short(ShortProduct {
                    input: case.input.as_ptr(),
                    count: case.count,
                    runs: Runs { starts: &[0, run + 4], run },
                    weights: weights.as_ptr(),
                    scales: scales.as_ptr(),
                    grow: 1.0,
                    panel,
                    output: output.as_mut_ptr(),
                    to: To::Plane(line),
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
            let most = expected.iter().map(|sum| sum.abs()).max().unwrap_or(0).max(1000) as f32;
            for (got, want) in case.run_at(level).iter().zip(&expected) {
                // Weights have at least 131,000 / 64 / 100 steps.
                assert!((got - *want as f32).abs() <= 0.01 * most, "{got}, not {want}");
            }
        }
    }
}

/// The same with each weight rounded, which leaves nothing else to be rounded but the sums.
#[test]
fn sums_of_integers_are_exact_up_to_the_longest_row() {
    for (run, channels) in
        [(1, 3), (7, 33), (33, 20), (LONGEST_ROW / 2, 6), (LONGEST_ROW / 2 - 1, 5)]
    {
        let mut case = Case::new(run, 3, channels);
        // Channels of equal weights, of a large one among small ones, of ones that round up, and of all sizes.
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
        // The largest numbers there are, with the signs of a channel's weights: the largest sums.
        for (r, row) in case.input.chunks_exact_mut(2 * run + 4).enumerate() {
            for k in 0..2 * run {
                let sign = case.weights[r * 2 * run + k].signum();
                row[if k < run { k } else { k + 4 }] = sign as i16 * MOST as i16;
            }
        }
        let mut expected = Vec::new();
        for r in 0..case.count {
            for weights in case.weights.chunks_exact(2 * run) {
                // A panel of one lane: pairs are just neighbours.
                let (mut whole, mut scale) = (vec![0i16; short_len(2, run, 1)], [0.0]);
                shorten_weights(weights, run, 1, &mut whole, &mut scale);
                let sizes: i64 = whole.iter().map(|w| i64::from(*w).abs()).sum();
                assert!(sizes <= MOST_WEIGHTS as i64 && sizes > MOST_WEIGHTS as i64 / 50);
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
fn weights_that_are_no_numbers_or_nearly_none() {
    let with = |odd: f32| {
        let (mut whole, mut scale) = ([1i16; 4], [7.0]);
        shorten_weights(&[1.0, odd, -0.5, 0.25], 4, 1, &mut whole, &mut scale);
        (whole, scale[0])
    };
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(with(odd).0, [0; 4]);
        assert!(with(odd).1.is_nan());
    }
    let (mut whole, mut scale) = ([1i16; 4], [7.0]);
    shorten_weights(&[0.0; 3], 3, 1, &mut whole, &mut scale);
    assert_eq!((whole, scale), ([0; 4], [0.0]));
    // The smallest numbers there are, and the largest, leave 32 bits no more than others.
    for size in [f32::from_bits(1), 1e-38, f32::MAX] {
        let mut whole = [0i16; 1000];
        shorten_weights(&[size; 1000], 1000, 1, &mut whole, &mut scale);
        let sizes: i64 = whole.iter().map(|w| i64::from(*w).abs()).sum();
        assert!(sizes > 100_000 && sizes <= MOST_WEIGHTS as i64, "{size}: {sizes}");
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
            launch(level, Shorten { numbers: &numbers, shrink: 3.0, to: &mut whole });
            for (x, whole) in numbers.iter().zip(&whole) {
                assert_eq!(f32::from(*whole), (x * 3.0).round_ties_even());
            }
            assert_eq!(whole[len], 7, "nothing is written beyond");
            let largest = |numbers: &[f32]| {
                let mut found = -1.0;
                launch(level, Largest { numbers, found: &mut found });
                found
            };
            let want = numbers.iter().fold(0f32, |most, x| most.max(x.abs()));
            assert_eq!(largest(&numbers), want);
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, len / 2, len.saturating_sub(1)] {
                    if let Some(x) = numbers.get_mut(at) {
                        let was = std::mem::replace(x, odd);
                        assert!(largest(&numbers).is_nan(), "{odd} at {at} of {len}");
                        numbers[at] = was;
                    }
                }
            }
        }
    }
}

#[test]
fn an_image_of_zeros_or_of_no_numbers_has_a_factor() {
    for (largest, shrink, grow) in [(0.0, 0.0, 0.0), (1e-40, 0.0, 0.0), (MOST, 1.0, 1.0)] {
        let factor = Factor::of(largest);
        assert_eq!((factor.shrink, factor.grow), (shrink, grow));
    }
    for largest in [SMALLEST, 1.0, LARGEST] {
        let factor = Factor::of(largest);
        // Behind the transform of a piece, too, a hundred times as large.
        let most = largest * 100.0 * (factor.shrink / 100.0);
        assert!((most - MOST).abs() < 0.1 && factor.grow > 0.0);
    }
    for largest in [f32::NAN, f32::INFINITY, 2.0 * LARGEST] {
        assert!(Factor::of(largest).grow.is_nan());
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
        (0..short_len(2, 21, 48)).map(|i| (i * 31 % 4001) as i16 - 2000).collect();
    let scales = [1.0; 48];
    let of = |multiply: unsafe fn(ShortProduct<'_>)| {
        let mut output = vec![0f32; 13 * 48];
        // SAFETY: the instructions have been found; the rows lie in the input with an integer more behind
        // the last, weights and scales are those of three vectors, and so is a row of the output.
        unsafe {
            multiply(ShortProduct {
                input: case.input.as_ptr(),
                count: 13,
                runs: Runs { starts: &[0, 25], run: 21 },
                weights: weights.as_ptr(),
                scales: scales.as_ptr(),
                grow: 1.0,
                panel: &panel,
                output: output.as_mut_ptr(),
                to: To::Plane(line),
            });
        }
        output
    };
    use super::super::avx512::{multiply_short, multiply_short_vnni};
    assert_eq!(of(multiply_short), of(multiply_short_vnni));
}
