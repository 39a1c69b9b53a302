//! Squared L2 distance, and products, with AVX-512.

use std::arch::x86_64::*;

use super::{LANES, ROWS};

/// # Safety
///
/// The CPU must have AVX-512 F, and `a` and `b` must have the same length.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len();
    let whole = len - len % 64;
    let mut sums = [_mm512_setzero_ps(); 4];
    for i in (0..whole).step_by(64) {
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `i + 64 <= whole <= len`, the length of both slices, and `j < 4`, so the
            // sixteen numbers from `i + 16 * j` lie in both; `loadu` asks for no alignment.
            let (x, y) = unsafe {
                (
                    _mm512_loadu_ps(a.as_ptr().add(i + 16 * j)),
                    _mm512_loadu_ps(b.as_ptr().add(i + 16 * j)),
                )
            };
            let d = _mm512_sub_ps(x, y);
            *sum = _mm512_fmadd_ps(d, d, *sum);
        }
    }
    for i in (whole..len).step_by(16) {
        let mask = if len - i >= 16 { u16::MAX } else { (1u16 << (len - i)) - 1 };
        // SAFETY: the mask has a bit only for numbers before `len`, and masked-off lanes of a
        // `maskz` load are not read.
        let (x, y) = unsafe {
            (
                _mm512_maskz_loadu_ps(mask, a.as_ptr().add(i)),
                _mm512_maskz_loadu_ps(mask, b.as_ptr().add(i)),
            )
        };
        let d = _mm512_sub_ps(x, y);
        sums[0] = _mm512_fmadd_ps(d, d, sums[0]);
    }
    let pairs = (_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
    _mm512_reduce_add_ps(_mm512_add_ps(pairs.0, pairs.1))
}

/// # Safety
///
/// The CPU must have AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn products(panel: &[f32], rows: &[f32], sums: &mut [[f32; LANES]; ROWS]) {
    super::portable_products::<true>(panel, rows, sums);
}
