//! From `f32` to 16-bit integers: the weights once, the numbers of an image for each layer.

use crate::kernels::{Kernel, Level, Simd, launch};

/// The integer that the largest number of an image becomes, up to rounding.
pub(super) const MAX_INPUT_INT: f32 = 16_383.0;

/// The largest sum of the absolute integer weights of one output channel.
pub(super) const MAX_WEIGHT_SUM: f64 = 131_000.0;

// A sum of products of a row, in any order, is at most the largest integer of the image times the
// sum of the absolute weights. This product must fit into 32 bits. Rounding to `f32` can carry a
// number a few millionths beyond `MAX_INPUT_INT`, hence the one.
const _: () = assert!((MAX_INPUT_INT as i64 + 1) * MAX_WEIGHT_SUM as i64 <= i32::MAX as i64);

/// The longest row. A longer one would leave too little of [`MAX_WEIGHT_SUM`] to each weight.
pub(crate) const MAX_INT16_ROW: usize = 8192;

/// An image with a larger number is treated like one with an infinite number. The transform of a
/// Winograd tile makes numbers a hundred times as large, and these must fit into `f32` too.
pub(super) const MAX_INPUT: f32 = 1e36;

/// An image whose numbers are all smaller is treated as zeros, as its scale could not be inverted.
pub(super) const MIN_INPUT: f32 = 1e-30;

/// Views floats as twice as many integers. Buffers are allocated as floats and used for both.
pub(crate) fn as_int16(words: &[f32]) -> &[i16] {
    // SAFETY: two integers have the size of a float and need less alignment, and any bits are
    // integers.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), 2 * words.len()) }
}

/// [`as_int16`], mutable.
pub(crate) fn as_int16_mut(words: &mut [f32]) -> &mut [i16] {
    // SAFETY: as for `as_int16`. Any bits are floats too, and `words` stays borrowed mutably for as
    // long as the integers are.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 2 * words.len()) }
}

/// How many integers the packed weights of a panel have: its rows have `runs` runs of `run`
/// numbers, each padded to an even length, and its vectors `lanes` lanes.
pub(crate) fn quantised_len(runs: usize, run: usize, lanes: usize) -> usize {
    runs * run.next_multiple_of(2) * lanes
}

/// Quantises the weights of one panel.
///
/// - **Input:** `from` holds rows of `lanes` weights, one row for each number of a row of the
///   input; each `run` of them are a run of the input.
/// - **Output:** `to` gets pairs of integers, [`quantised_len`] of them. `scales` gets for each
///   lane the factor that turns its integer sums back into sums of the weights.
///
/// The absolute integers of a lane sum to [`MAX_WEIGHT_SUM`] at most. A lane with a weight that is
/// not finite gets a scale of NaN.
pub(crate) fn quantise_weights(
    from: &[f32],
    run: usize,
    lanes: usize,
    to: &mut [i16],
    scales: &mut [f32],
) {
    let numbers = from.len() / lanes;
    let (mut max, mut sum) = (vec![0f64; lanes], vec![0f64; lanes]);
    for row in from.chunks_exact(lanes) {
        for ((max, sum), w) in max.iter_mut().zip(&mut sum).zip(row) {
            *max = max.max(f64::from(w.abs()));
            *sum += f64::from(w.abs());
        }
    }
    // Rounding makes each weight larger by a half at most.
    let room = MAX_WEIGHT_SUM - numbers as f64 / 2.0;
    let mut factors = vec![0f64; lanes];
    for (lane, (factor, scale)) in factors.iter_mut().zip(scales).enumerate() {
        if !sum[lane].is_finite() {
            *scale = f32::NAN;
        } else if sum[lane] == 0.0 {
            *scale = 0.0;
        } else {
            *factor = (f64::from(i16::MAX) / max[lane]).min(room / sum[lane]);
            *scale = (1.0 / *factor) as f32;
        }
    }
    let pairs = from.chunks_exact(run * lanes).flat_map(|run| run.chunks(2 * lanes));
    for (pair, to) in pairs.zip(to.chunks_exact_mut(2 * lanes)) {
        let (first, second) = pair.split_at(lanes);
        for (lane, to) in to.chunks_exact_mut(2).enumerate() {
            // Where the factor is 0, NaN and infinity become 0 too.
            let quantise = |w: f32| (f64::from(w) * factors[lane]).round() as i16;
            to[0] = quantise(first[lane]);
            to[1] = second.get(lane).map_or(0, |w| quantise(*w));
        }
    }
}

/// Finds the largest absolute value; NaN where one of the numbers is not finite.
pub(super) struct AbsMax<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) found: &'a mut f32,
}

impl Kernel for AbsMax<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (mut sizes, mut nans) = ([0.0f32; 64], [0.0f32; 64]);
        let mut chunks = self.numbers.chunks_exact(4 * S::LANES);
        // SAFETY: `run` is called below `launch` only. Each chunk is four vectors, and four vectors
        // of any kind fit into 64 numbers.
        unsafe {
            let zero = S::splat(0.0);
            let (mut max, mut nan) = ([zero; 4], [zero; 4]);
            for chunk in &mut chunks {
                for n in 0..4 {
                    let v = S::load(chunk.as_ptr().add(n * S::LANES));
                    max[n] = S::max(max[n], S::max(v, S::sub(zero, v)));
                    // A maximum may ignore NaN. Zero times a number that is not finite is NaN, and
                    // stays NaN whatever is added.
                    nan[n] = S::fma(v, zero, nan[n]);
                }
            }
            for n in 0..4 {
                S::store(sizes.as_mut_ptr().add(n * S::LANES), max[n]);
                S::store(nans.as_mut_ptr().add(n * S::LANES), nan[n]);
            }
        }
        let rest = chunks.remainder();
        let largest = rest.iter().map(|x| x.abs()).chain(sizes).fold(0.0, f32::max);
        let finite = rest.iter().all(|x| x.is_finite()) && nans.iter().all(|x| !x.is_nan());
        *self.found = if finite { largest } else { f32::NAN };
    }
}

/// The scale of one image's numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputScale {
    /// A number times this is its integer, before rounding.
    pub(crate) quantise: f32,
    /// An integer times this is its number.
    pub(crate) dequantise: f32,
}

impl InputScale {
    /// The scale for an image whose largest absolute number is `largest`. Where that is NaN or
    /// above [`MAX_INPUT`], every sum becomes NaN.
    pub(super) fn for_largest(largest: f32) -> Self {
        if largest.is_nan() || largest > MAX_INPUT {
            return Self { quantise: 0.0, dequantise: f32::NAN };
        }
        if largest < MIN_INPUT {
            return Self { quantise: 0.0, dequantise: 0.0 };
        }
        Self { quantise: MAX_INPUT_INT / largest, dequantise: largest / MAX_INPUT_INT }
    }
}

/// The scale of an image with these numbers.
pub(crate) fn input_scale(level: Level, numbers: &[f32]) -> InputScale {
    let mut largest = 0.0;
    launch(level, AbsMax { numbers, found: &mut largest });
    InputScale::for_largest(largest)
}

/// Rounds the numbers of an image to integers.
pub(crate) struct Quantise<'a> {
    pub(crate) numbers: &'a [f32],
    /// [`InputScale::quantise`].
    pub(crate) factor: f32,
    /// At least as many as there are numbers.
    pub(crate) to: &'a mut [i16],
}

impl Kernel for Quantise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let to = &mut self.to[..self.numbers.len()];
        let whole = to.len() - to.len() % S::LANES;
        let mut last = [0i16; 16];
        // SAFETY: `run` is called below `launch` only. Every whole vector lies in both slices,
        // which have the same length, and a vector of any kind fits into 16 integers.
        unsafe {
            let factor = S::splat(self.factor);
            for at in (0..whole).step_by(S::LANES) {
                let v = S::load(self.numbers.as_ptr().add(at));
                S::store_int16(to.as_mut_ptr().add(at), S::mul(v, factor));
            }
            if whole < to.len() {
                let v = S::load_first(self.numbers.as_ptr().add(whole), to.len() - whole);
                S::store_int16(last.as_mut_ptr(), S::mul(v, factor));
            }
        }
        let rest = to.len() - whole;
        to[whole..].copy_from_slice(&last[..rest]);
    }
}
