//! Distances of byte codes with AVX2.

use std::arch::x86_64::*;

use super::{Codes, LANES, LINE, ROWS, TOO_FAR};

/// # Safety
///
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn products(panel: &[f32], rows: &[f32], sums: &mut [[f32; LANES]; ROWS]) {
    super::portable::products::<true>(panel, rows, sums);
}

/// # Safety
///
/// The CPU must have AVX2; `probe` must be as long as a code, a multiple of [`LINE`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn measure(
    probe: &[i16],
    codes: Codes,
    nodes: &[u32],
    bound: u32,
    out: &mut Vec<u32>,
) {
    out.reserve(nodes.len());
    for node in nodes {
        let code = codes.get(*node);
        let mut sum = 0;
        for at in (0..probe.len()).step_by(LINE) {
            // SAFETY: both are a multiple of the line long, and `at` is one below that.
            sum += unsafe { line(probe, code, at) };
            if sum > bound {
                sum = TOO_FAR;
                break;
            }
        }
        out.push(sum);
    }
}

/// The squared distance of one line.
///
/// # Safety
///
/// The CPU must have AVX2; both slices must reach [`LINE`] beyond `start`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn line(probe: &[i16], code: &[u8], start: usize) -> u32 {
    let mut sum = _mm256_setzero_si256();
    for at in (start..start + LINE).step_by(16) {
        // SAFETY: `at + 16 <= start + LINE`, up to which the caller promises both to reach: 16
        // numbers of two bytes, and 16 bytes, are read; `loadu` asks for no alignment.
        let (p, c) = unsafe {
            (
                _mm256_loadu_si256(probe.as_ptr().add(at).cast()),
                _mm_loadu_si128(code.as_ptr().add(at).cast()),
            )
        };
        let d = _mm256_sub_epi16(p, _mm256_cvtepu8_epi16(c));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
    }
    add_up(sum)
}

/// # Safety
///
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn turn(vector: &[f32], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    super::portable::turn(vector, centre, basis, turned);
}

/// # Safety
///
/// The CPU must have AVX2; the codes must be equally long, a multiple of [`LINE`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn between(a: &[u8], b: &[u8]) -> u32 {
    let mut sum = _mm256_setzero_si256();
    for at in (0..a.len()).step_by(16) {
        // SAFETY: both are a multiple of 64 long and `at + 16` is at most that.
        let (x, y) = unsafe {
            (_mm_loadu_si128(a.as_ptr().add(at).cast()), _mm_loadu_si128(b.as_ptr().add(at).cast()))
        };
        let d = _mm256_sub_epi16(_mm256_cvtepu8_epi16(x), _mm256_cvtepu8_epi16(y));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
    }
    add_up(sum)
}

#[target_feature(enable = "avx2")]
fn add_up(sum: __m256i) -> u32 {
    let mut lanes = [0u32; 8];
    // SAFETY: `lanes` holds exactly the 32 bytes that are written.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    lanes.iter().sum()
}
