//! Squared L2 distances and products, at the speed of the CPU they run on.
//!
//! Every distance kernel sums squared *differences*: a vector is then at exactly 0 from itself,
//! which the expansion `|a|² + |b|² - 2ab` does not give.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod tests;

use facesearch_cpu::{KernelLevel, kernel_level};

/// The square of the distance of two vectors, in `f64`: what nearest neighbours are sorted by, so
/// that no order depends on the rounding of a sum. Panics if the lengths differ.
///
/// The same number on every CPU: products and sums are rounded one by one, in one order.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of different dimension");
    #[cfg(target_arch = "x86_64")]
    if kernel_level() >= KernelLevel::Avx2 {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions.
        return unsafe { avx2::squared_distance(a, b) };
    }
    portable_squared_distance(a, b)
}

/// Eight running sums, which the compiler makes a few instructions of.
#[inline(always)]
fn portable_squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let mut add = |a: &[f32], b: &[f32]| {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            let difference = f64::from(*x) - f64::from(*y);
            *sum += difference * difference;
        }
    };
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    a_chunks.iter().zip(b_chunks).for_each(|(a, b)| add(a, b));
    add(a_rest, b_rest);
    sums.iter().sum()
}

/// Squared L2 distance in `f32`, several times as fast as [`squared_distance`]. **Trap:** its last
/// digits differ from one CPU to another. Panics if the lengths differ.
pub fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of different dimension");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions, and the
        // assertion above has established equal lengths.
        KernelLevel::Avx512 => return unsafe { avx512::l2_squared(a, b) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::l2_squared(a, b) },
        KernelLevel::Portable => {}
    }
    portable(a, b)
}

/// Sixteen running sums, which any compiler turns into whatever vectors the CPU has.
fn portable(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_chunks, a_rest) = a.as_chunks::<16>();
    let (b_chunks, b_rest) = b.as_chunks::<16>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for i in 0..16 {
            let d = x[i] - y[i];
            sums[i] += d * d;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| (x - y) * (x - y)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Rows, and vectors of a panel, that [`products`] multiplies at a time.
pub(crate) const ROWS: usize = 8;
pub(crate) const LANES: usize = 32;

/// The scalar products of [`ROWS`] rows with the [`LANES`] vectors of a panel, which has the
/// numbers of one dimension of all vectors after those of another. Levels differ in rounding.
/// Panics where lengths do not fit.
#[inline]
pub(crate) fn products(panel: &[f32], rows: &[f32], sums: &mut [[f32; LANES]; ROWS]) {
    assert_eq!(panel.len() * ROWS, rows.len() * LANES, "rows and panel differ in dimension");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions.
        KernelLevel::Avx512 => return unsafe { avx512::products(panel, rows, sums) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::products(panel, rows, sums) },
        KernelLevel::Portable => {}
    }
    portable_products::<false>(panel, rows, sums);
}

/// Compiled for every level; `FUSED` where the instructions can multiply and add at once.
#[inline(always)]
fn portable_products<const FUSED: bool>(
    panel: &[f32],
    rows: &[f32],
    sums: &mut [[f32; LANES]; ROWS],
) {
    let dim = rows.len() / ROWS;
    let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &rows[r * dim..][..dim]);
    let mut all = [[0.0f32; LANES]; ROWS];
    for (d, lanes) in (0..dim).zip(panel.as_chunks::<LANES>().0) {
        for (sums, row) in all.iter_mut().zip(&rows) {
            let x = row[d];
            for (sum, p) in sums.iter_mut().zip(lanes) {
                *sum = if FUSED { x.mul_add(*p, *sum) } else { *sum + x * p };
            }
        }
    }
    *sums = all;
}
