//! Squared L2 distance, and products, with AVX2 and FMA.

use std::arch::x86_64::*;

use super::{LANES, ROWS};

/// # Safety
///
/// The CPU must have AVX2 and FMA, and `a` and `b` must have the same length.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    let whole = a.len() - a.len() % 16;
    let mut sums = [_mm256_setzero_ps(); 2];
    for i in (0..whole).step_by(16) {
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `i + 16 <= whole <= a.len() == b.len()` and `j < 2`, so the eight numbers
            // from `i + 8 * j` lie in both slices; `loadu` asks for no alignment.
            let (x, y) = unsafe {
                (
                    _mm256_loadu_ps(a.as_ptr().add(i + 8 * j)),
                    _mm256_loadu_ps(b.as_ptr().add(i + 8 * j)),
                )
            };
            let d = _mm256_sub_ps(x, y);
            *sum = _mm256_fmadd_ps(d, d, *sum);
        }
    }
    let mut lanes = [0.0f32; 8];
    // SAFETY: `lanes` holds exactly the eight numbers that are written.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(sums[0], sums[1])) };
    let rest: f32 = a[whole..].iter().zip(&b[whole..]).map(|(x, y)| (x - y) * (x - y)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// # Safety
///
/// The CPU must have AVX2.
// Without FMA, whose results differ in the last digit.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    super::portable_squared_distance(a, b)
}

/// # Safety
///
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn products(panel: &[f32], rows: &[f32], sums: &mut [[f32; LANES]; ROWS]) {
    super::portable_products::<true>(panel, rows, sums);
}
