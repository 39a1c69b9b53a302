//! The register tile of 16-bit integers: twice as many multiplications per step as with `f32`.
//!
//! - **Quantisation:** a number is an integer times a scale. Each image has one scale for each
//!   layer, so that its largest number becomes 16,383. Each output channel has one scale
//!   for its weights, so that no sum of products leaves 32 bits.
//! - **Exact sums:** integer sums do not depend on their order, so all kinds of vectors give the
//!   same bits. Only the quantisation rounds, once for each number.
//! - **Layout:** one instruction multiplies and adds two neighbouring numbers of a row, so weights
//!   are stored in pairs. A run of odd length ends with a weight of zero, which multiplies whatever
//!   integer follows the run.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

mod quantise;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use super::Simd;
use super::limits::PEAK_SUMS;
use super::tile::{
    CacheLines, Destination, MapRows, Panel, Prefetch, RowPlaces, Runs, TileRows, finish, next_tile,
};
pub(crate) use quantise::{
    InputScale, MAX_INT16_ROW, Quantise, as_int16, as_int16_mut, input_scale, quantise_weights,
    quantised_len,
};

/// The scales of a product of integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantised<'a> {
    /// One for each lane of the panels, in their order; with planes, for each lane of each plane.
    pub(crate) weight_scales: &'a [f32],
    /// One for each image.
    pub(crate) input_scales: &'a [InputScale],
}

/// Rows of integers and the panel that multiplies them. The fields are those of
/// [`Product`](super::tile::Product); runs and rows are counted in integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Int16Product<'a> {
    pub(super) input: *const i16,
    pub(super) count: usize,
    pub(super) runs: Runs<'a>,
    pub(super) weights: *const i16,
    /// The scale of the weights of each lane of the panel.
    pub(super) scales: *const f32,
    /// The scale of the input.
    pub(super) dequantise: f32,
    pub(super) panel: &'a Panel,
    pub(super) output: *mut f32,
    pub(super) to: Destination<'a>,
}

/// An instruction that adds the products of pairs.
pub(super) trait Dot {
    type S: Simd;

    /// [`Simd::add_products`].
    unsafe fn add_products(
        sums: <Self::S as Simd>::I,
        a: <Self::S as Simd>::I,
        b: <Self::S as Simd>::I,
    ) -> <Self::S as Simd>::I;
}

/// The instructions of [`Simd::add_products`].
pub(super) struct Plain<S>(PhantomData<S>);

impl<S: Simd> Dot for Plain<S> {
    type S = S;

    #[inline(always)]
    unsafe fn add_products(sums: S::I, a: S::I, b: S::I) -> S::I {
        // SAFETY: what the caller promises.
        unsafe { S::add_products(sums, a, b) }
    }
}

/// Multiplies rows with a panel of `NR` vectors; the body of [`Simd::multiply_int16`].
///
/// # Safety
///
/// As for [`tile::multiply`](super::tile::multiply). Of every run an even number of integers must
/// be readable, and `scales` must hold a number for every lane of the panel.
#[inline(always)]
pub(super) unsafe fn multiply<D: Dot, const NR: usize>(product: Int16Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe {
        match product.to {
            Destination::Plane(line) => tiles::<D, NR>(&product, line),
            Destination::Map(rows, epilogue) => {
                tiles::<D, NR>(&product, MapRows(rows.clone(), epilogue))
            }
        }
    }
}

/// All tiles of a product.
///
/// # Safety
///
/// As for [`multiply`].
#[inline(always)]
unsafe fn tiles<D: Dot, const NR: usize>(product: &Int16Product<'_>, rows: impl TileRows) {
    let mut rows = rows;
    let Int16Product { weights, runs, .. } = *product;
    let pairs = runs.starts.len() * runs.run.div_ceil(2);
    let mut prefetch = Prefetch::new(weights.cast(), pairs * NR * <D::S as Simd>::LANES);
    macro_rules! sweep {
        ($vectors:literal, $max:expr, [$($rows:literal)*]) => {{
            let mut left = product.count;
            while left > 0 {
                let size = next_tile(left, $max);
                let lines = prefetch.take(pairs);
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
    match NR {
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
    product: &Int16Product<'_>,
    rows: &mut impl TileRows,
    lines: CacheLines,
) {
    let Int16Product { input, runs, scales, dequantise, panel, output, .. } = *product;
    let lanes = <D::S as Simd>::LANES;
    let at = rows.take::<MR>();
    let epilogue = rows.epilogue();
    let mut from = [input; MR];
    for m in 0..MR {
        // SAFETY: the caller promises that the row begins inside the input.
        from[m] = unsafe { input.add(at.row(m).input) };
    }
    let (mut weights, mut lines) = (product.weights, lines);
    // SAFETY: the caller promises the instructions, an even number of integers of each run, a pair
    // of weights in each lane for each of their pairs, the scales, and the bias as far as `finish`
    // needs.
    unsafe {
        let mut sums = [[D::S::zero_sums(); NR]; MR];
        for &start in runs.starts {
            for k in (start..start + runs.run).step_by(2) {
                let mut w = [D::S::zero_sums(); NR];
                for n in 0..NR {
                    w[n] = D::S::load_pairs(weights.add(2 * n * lanes));
                }
                weights = weights.add(2 * NR * lanes);
                lines.prefetch::<D::S>();
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
            let scale = D::S::mul(D::S::load(scales.add(n * lanes)), D::S::splat(dequantise));
            let bias = match epilogue {
                Some(epilogue) => D::S::load(epilogue.bias.as_ptr().add(panel.first + n * lanes)),
                None => zero,
            };
            for m in 0..MR {
                values[m][n] = D::S::fma(D::S::to_f32(sums[m][n]), scale, bias);
            }
        }
        finish::<D::S, MR, NR>(values, at, panel, output, epilogue);
    }
}

/// Multiplies in registers alone, to measure the peak: `steps * PEAK_SUMS * LANES` pairs.
///
/// # Safety
///
/// The CPU must have the instructions of `D` and its vectors.
#[inline(always)]
pub(super) unsafe fn peak<D: Dot>(steps: usize) {
    let pairs = std::hint::black_box([1i16, 0, 3, 5]);
    // SAFETY: the caller promises the instructions; the pointers are those of two integers each.
    unsafe {
        let (x, y) = (D::S::splat_pair(pairs.as_ptr()), D::S::splat_pair(pairs.as_ptr().add(2)));
        let mut sums = [y; PEAK_SUMS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = D::add_products(y, *sum, x);
            }
        }
        let mut total = D::S::splat(0.0);
        for sum in sums {
            total = D::S::add(total, D::S::to_f32(sum));
        }
        let mut first = [0.0; 16];
        D::S::store(first.as_mut_ptr(), total);
        std::hint::black_box(first);
    }
}
