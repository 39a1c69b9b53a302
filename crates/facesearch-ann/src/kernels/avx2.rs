//! Distances of byte codes with AVX2.

use std::arch::x86_64::*;

use super::{Codes, prefetch};

/// How many codes ahead to fetch.
const AHEAD: usize = 8;

/// # Safety
///
/// The CPU must have AVX2; `probe` must be as long as a code, a multiple of [`LINE`](super::LINE).
#[target_feature(enable = "avx2")]
pub(super) unsafe fn measure(probe: &[i16], codes: Codes, nodes: &[u32], out: &mut Vec<u32>) {
    out.reserve(nodes.len());
    for node in nodes.iter().take(AHEAD) {
        prefetch(codes.get(*node));
    }
    for (i, node) in nodes.iter().enumerate() {
        if let Some(next) = nodes.get(i + AHEAD) {
            prefetch(codes.get(*next));
        }
        let code = codes.get(*node);
        let mut sum = _mm256_setzero_si256();
        for at in (0..probe.len()).step_by(16) {
            // SAFETY: both are a multiple of 64 long and `at + 16` is at most that: 16 numbers of
            // two bytes, and 16 bytes, are read; `loadu` asks for no alignment.
            let (p, c) = unsafe {
                (
                    _mm256_loadu_si256(probe.as_ptr().add(at).cast()),
                    _mm_loadu_si128(code.as_ptr().add(at).cast()),
                )
            };
            let d = _mm256_sub_epi16(p, _mm256_cvtepu8_epi16(c));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
        }
        out.push(add_up(sum));
    }
}

/// # Safety
///
/// The CPU must have AVX2; the codes must be equally long, a multiple of [`LINE`](super::LINE).
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
