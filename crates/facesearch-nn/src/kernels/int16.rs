//! The register tile of 16-bit integers: twice as many multiplications a step as with `f32`.
//!
//! Numbers are integers times a scale: those of an image by one scale, so that the largest is
//! [`MOST`]; the weights by one for each output channel, so that no sum of products leaves 32 bits.
//! Then sums are exact, in any order, and what is rounded is each number once: all kinds of vectors
//! give the same bits. Two neighbouring numbers of a row are multiplied and added in one instruction,
//! so weights lie in pairs. A run of an odd number of numbers ends with a weight of zero, and whatever
//! integer lies behind it.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use super::tile::{Ahead, Lines, MapSums, Panel, Places, Runs, Sums, To, finish, next_tile};
use super::{Kernel, Level, Simd};

/// The largest integer that a number of an image becomes, but for rounding.
pub(crate) const MOST: f32 = 16_383.0;

/// The most that the sizes of the weights of one sum may come to.
const MOST_WEIGHTS: f64 = 131_000.0;

// A sum of some of the products of a row, in any order, is at most the sum of all their sizes, which is
// at most the largest integer of the image times the sum of the sizes of the weights. Rounding to `f32`
// may carry a number a few millionths beyond `MOST`, hence one integer more.
const _: () = assert!((MOST as i64 + 1) * MOST_WEIGHTS as i64 <= i32::MAX as i64);

/// Rows of more numbers than this would leave too little of [`MOST_WEIGHTS`] to each weight.
pub(crate) const LONGEST_ROW: usize = 8192;

/// An image with a larger number counts as one with an infinite one: the transforms of a piece make
/// numbers a hundred times as large, which must be `f32`, too.
const LARGEST: f32 = 1e36;

/// An image whose numbers are all smaller counts as one of zeros, as its scale could not be inverted.
const SMALLEST: f32 = 1e-30;

/// Integers in the memory of floats, which is aligned and kept for both.
pub(crate) fn integers(words: &[f32]) -> &[i16] {
    // SAFETY: two integers are as large as a float and need less alignment, and any bits are integers.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), 2 * words.len()) }
}

/// The same to be written.
pub(crate) fn integers_mut(words: &mut [f32]) -> &mut [i16] {
    // SAFETY: as for `integers`; any bits are floats, too, and `words` is borrowed mutably for as long.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 2 * words.len()) }
}

/// Turns one panel's weights, `rows` of `run * lanes` numbers, into pairs of integers, and says what
/// each lane's sums are to be multiplied with. `to` is as long as `short_len` says, in integers.
///
/// The sizes of a lane's integers come to [`MOST_WEIGHTS`] at most. Sums of a lane of which a weight is no
/// finite number are to be multiplied with NaN.
pub(crate) fn shorten_weights(
    from: &[f32],
    run: usize,
    lanes: usize,
    to: &mut [i16],
    scales: &mut [f32],
) {
    let numbers = from.len() / lanes;
    let (mut most, mut sum) = (vec![0f64; lanes], vec![0f64; lanes]);
    for row in from.chunks_exact(lanes) {
        for ((most, sum), w) in most.iter_mut().zip(&mut sum).zip(row) {
            *most = most.max(f64::from(w.abs()));
            *sum += f64::from(w.abs());
        }
    }
    // Rounding makes each weight larger by a half at most.
    let room = MOST_WEIGHTS - numbers as f64 / 2.0;
    let mut steps = vec![0f64; lanes];
    for (lane, (step, scale)) in steps.iter_mut().zip(scales).enumerate() {
        if !sum[lane].is_finite() {
            *scale = f32::NAN;
        } else if sum[lane] == 0.0 {
            *scale = 0.0;
        } else {
            *step = (f64::from(i16::MAX) / most[lane]).min(room / sum[lane]);
            *scale = (1.0 / *step) as f32;
        }
    }
    let pairs = from.chunks_exact(run * lanes).flat_map(|run| run.chunks(2 * lanes));
    for (pair, to) in pairs.zip(to.chunks_exact_mut(2 * lanes)) {
        let (first, second) = pair.split_at(lanes);
        for (lane, to) in to.chunks_exact_mut(2).enumerate() {
            // Without a step even what is no number becomes zero.
            let whole = |w: f32| (f64::from(w) * steps[lane]).round() as i16;
            to[0] = whole(first[lane]);
            to[1] = second.get(lane).map_or(0, |w| whole(*w));
        }
    }
}

/// The size of the largest of some numbers; NaN where one of them is not finite.
pub(crate) struct Largest<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) found: &'a mut f32,
}

impl Kernel for Largest<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (mut sizes, mut odd) = ([0.0f32; 64], [0.0f32; 64]);
        let mut chunks = self.numbers.chunks_exact(4 * S::LANES);
        // SAFETY: `run` is called below `launch` only; each chunk is four vectors, and four vectors of
        // any kind fit into 64 numbers.
        unsafe {
            let zero = S::splat(0.0);
            let (mut most, mut none) = ([zero; 4], [zero; 4]);
            for chunk in &mut chunks {
                for n in 0..4 {
                    let v = S::load(chunk.as_ptr().add(n * S::LANES));
                    most[n] = S::max(most[n], S::max(v, S::sub(zero, v)));
                    // A maximum may pass over NaN; zero times what is not finite is NaN for good.
                    none[n] = S::fma(v, zero, none[n]);
                }
            }
            for n in 0..4 {
                S::store(sizes.as_mut_ptr().add(n * S::LANES), most[n]);
                S::store(odd.as_mut_ptr().add(n * S::LANES), none[n]);
            }
        }
        let rest = chunks.remainder();
        let largest = rest.iter().map(|x| x.abs()).chain(sizes).fold(0.0, f32::max);
        let finite = rest.iter().all(|x| x.is_finite()) && odd.iter().all(|x| !x.is_nan());
        *self.found = if finite { largest } else { f32::NAN };
    }
}

/// How an image's numbers become integers, and sums of their products numbers again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factor {
    /// What a number is multiplied with.
    pub(crate) shrink: f32,
    /// What undoes that.
    pub(crate) grow: f32,
}

impl Factor {
    /// For an image whose largest number is of this size. Where that is no number, or one beyond
    /// [`LARGEST`], every sum becomes NaN.
    pub(crate) fn of(largest: f32) -> Self {
        if largest.is_nan() || largest > LARGEST {
            return Self { shrink: 0.0, grow: f32::NAN };
        }
        if largest < SMALLEST {
            return Self { shrink: 0.0, grow: 0.0 };
        }
        Self { shrink: MOST / largest, grow: largest / MOST }
    }
}

/// Rounds the numbers of an image to integers.
pub(crate) struct Shorten<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) shrink: f32,
    /// As many, at least.
    pub(crate) to: &'a mut [i16],
}

impl Kernel for Shorten<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let to = &mut self.to[..self.numbers.len()];
        let whole = to.len() - to.len() % S::LANES;
        let mut last = [0i16; 16];
        // SAFETY: `run` is called below `launch` only; every whole vector lies in both slices, which
        // are equally long, and a vector of any kind fits into 16 integers.
        unsafe {
            let shrink = S::splat(self.shrink);
            for at in (0..whole).step_by(S::LANES) {
                let v = S::load(self.numbers.as_ptr().add(at));
                S::store_short(to.as_mut_ptr().add(at), S::mul(v, shrink));
            }
            if whole < to.len() {
                let v = S::load_first(self.numbers.as_ptr().add(whole), to.len() - whole);
                S::store_short(last.as_mut_ptr(), S::mul(v, shrink));
            }
        }
        let rest = to.len() - whole;
        to[whole..].copy_from_slice(&last[..rest]);
    }
}

/// The shape of packed weights: integers that a panel of rows of `runs` runs takes.
pub(crate) fn short_len(runs: usize, run: usize, lanes: usize) -> usize {
    runs * run.next_multiple_of(2) * lanes
}

/// Rows of integers and the panel they are multiplied with; the fields are those of
/// [`Product`](super::tile::Product), runs and rows counted in integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShortProduct<'a> {
    pub(super) input: *const i16,
    pub(super) count: usize,
    pub(super) runs: Runs<'a>,
    pub(super) weights: *const i16,
    /// For each lane of the panel what its sums are multiplied with, and with `grow`.
    pub(super) scales: *const f32,
    pub(super) grow: f32,
    pub(super) panel: &'a Panel,
    pub(super) output: *mut f32,
    pub(super) to: To<'a>,
}

/// A way to add the products of pairs.
pub(super) trait Dot {
    type S: Simd;

    /// [`Simd::add_products`].
    unsafe fn add_products(
        sums: <Self::S as Simd>::I,
        a: <Self::S as Simd>::I,
        b: <Self::S as Simd>::I,
    ) -> <Self::S as Simd>::I;
}

/// That of the vectors themselves.
pub(super) struct Plain<S>(PhantomData<S>);

impl<S: Simd> Dot for Plain<S> {
    type S = S;

    #[inline(always)]
    unsafe fn add_products(sums: S::I, a: S::I, b: S::I) -> S::I {
        // SAFETY: what the caller promises.
        unsafe { S::add_products(sums, a, b) }
    }
}

/// Multiplies rows with a panel; the body of [`Simd::multiply_short`].
///
/// # Safety
///
/// As for [`tile::multiply`](super::tile::multiply); of every run an even number of integers must be
/// readable, and `scales` must hold a number for every lane of the panel.
#[inline(always)]
pub(super) unsafe fn multiply<D: Dot>(product: ShortProduct<'_>) {
    // SAFETY: what the caller promises.
    unsafe {
        match product.to {
            To::Plane(line) => tiles::<D>(&product, line),
            To::Map(rows, epilogue) => tiles::<D>(&product, MapSums(rows.clone(), epilogue)),
        }
    }
}

/// All tiles of a product.
///
/// # Safety
///
/// As for [`multiply`].
#[inline(always)]
unsafe fn tiles<D: Dot>(product: &ShortProduct<'_>, rows: impl Sums) {
    let mut rows = rows;
    let ShortProduct { weights, runs, .. } = *product;
    let pairs = runs.starts.len() * runs.run.div_ceil(2);
    let mut ahead =
        Ahead::new(weights.cast(), pairs * product.panel.vectors * <D::S as Simd>::LANES);
    macro_rules! sweep {
        ($vectors:literal, $most:expr, [$($rows:literal)*]) => {{
            let mut left = product.count;
            while left > 0 {
                let size = next_tile(left, $most);
                let lines = ahead.take(pairs);
                match size {
                    // SAFETY: what this function's caller promises.
                    $($rows => unsafe {
                        tile::<D, $rows, $vectors>(product, &mut rows, lines)
                    },)*
                    _ => unreachable!("next_tile returns only sizes that are listed"),
                }
                left -= size;
            }
        }};
    }
    let many = <D::S as Simd>::MANY_REGISTERS;
    match product.panel.vectors {
        1 => sweep!(1, if many { 12 } else { 8 }, [1 2 3 4 5 6 7 8 9 10 11 12]),
        2 => sweep!(2, if many { 12 } else { 6 }, [1 2 3 4 5 6 7 8 9 10 11 12]),
        3 => sweep!(3, 8, [1 2 3 4 5 6 7 8]),
        _ => sweep!(4, 6, [1 2 3 4 5 6]),
    }
}

/// One tile.
///
/// # Safety
///
/// As for [`multiply`], for the next `MR` rows.
#[inline(always)]
unsafe fn tile<D: Dot, const MR: usize, const NR: usize>(
    product: &ShortProduct<'_>,
    rows: &mut impl Sums,
    lines: Lines,
) {
    let ShortProduct { input, runs, scales, grow, panel, output, .. } = *product;
    let lanes = <D::S as Simd>::LANES;
    let at = rows.take::<MR>();
    let epilogue = rows.epilogue();
    let mut from = [input; MR];
    for m in 0..MR {
        // SAFETY: the caller promises that the row begins inside the input.
        from[m] = unsafe { input.add(at.row(m).input) };
    }
    let (mut weights, mut lines) = (product.weights, lines);
    // SAFETY: the caller promises the instructions, an even number of integers of each run, a pair of
    // weights in each lane for each of their pairs, the scales, and the bias as far as `finish` needs.
    unsafe {
        let mut sums = [[D::S::no_sums(); NR]; MR];
        for &start in runs.starts {
            for k in (start..start + runs.run).step_by(2) {
                let mut w = [D::S::no_sums(); NR];
                for n in 0..NR {
                    w[n] = D::S::load_pairs(weights.add(2 * n * lanes));
                }
                weights = weights.add(2 * NR * lanes);
                lines.ask::<D::S>();
                for m in 0..MR {
                    let x = D::S::splat_pair(from[m].add(k));
                    for n in 0..NR {
                        sums[m][n] = D::add_products(sums[m][n], x, w[n]);
                    }
                }
            }
        }
        let zero = D::S::splat(0.0);
        let mut values = [[zero; NR]; MR];
        for n in 0..NR {
            let scale = D::S::mul(D::S::load(scales.add(n * lanes)), D::S::splat(grow));
            let bias = match epilogue {
                Some(epilogue) => D::S::load(epilogue.bias.as_ptr().add(panel.first + n * lanes)),
                None => zero,
            };
            for m in 0..MR {
                values[m][n] = D::S::fma(D::S::floats(sums[m][n]), scale, bias);
            }
        }
        finish::<D::S, MR, NR>(values, at, panel, output, epilogue);
    }
}

/// What a kernel needs besides the weights where these are integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Short<'a> {
    /// For each lane of the panels, in their order (and of each plane), what its sums are multiplied with.
    pub(crate) scales: &'a [f32],
    /// One for each image.
    pub(crate) factors: &'a [Factor],
}

/// One image's factor.
pub(crate) fn factor_of(level: Level, numbers: &[f32]) -> Factor {
    let mut largest = 0.0;
    super::launch(level, Largest { numbers, found: &mut largest });
    Factor::of(largest)
}

/// Sums in registers at once while the most that a processor can do is measured: more than an addition takes
/// steps, fewer than there are registers.
pub(super) const SPUN: usize = 12;

/// Multiplies in registers alone: `steps * SPUN * LANES` pairs.
///
/// # Safety
///
/// The CPU must have the instructions of `D` and its vectors.
#[inline(always)]
pub(super) unsafe fn spin<D: Dot>(steps: usize) {
    let pairs = std::hint::black_box([1i16, 0, 3, 5]);
    // SAFETY: the caller promises the instructions; the pointers are those of two integers each.
    unsafe {
        let (x, y) = (D::S::splat_pair(pairs.as_ptr()), D::S::splat_pair(pairs.as_ptr().add(2)));
        let mut sums = [y; SPUN];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = D::add_products(y, *sum, x);
            }
        }
        let mut all = D::S::splat(0.0);
        for sum in sums {
            all = D::S::add(all, D::S::floats(sum));
        }
        let mut first = [0.0; 16];
        D::S::store(first.as_mut_ptr(), all);
        std::hint::black_box(first);
    }
}
