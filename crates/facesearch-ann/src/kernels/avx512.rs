//! Distances of byte codes with AVX-512 BW.

use std::arch::x86_64::*;

use super::{Codes, LINE, prefetch};

/// How many codes ahead to fetch: enough to hide the memory, too few to crowd the cache.
const AHEAD: usize = 8;

/// # Safety
///
/// The CPU must have AVX-512 F and BW; `probe` must be as long as a code, a multiple of [`LINE`].
#[target_feature(enable = "avx512f,avx512bw")]
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
        let mut sums = [_mm512_setzero_si512(); 2];
        for at in (0..probe.len()).step_by(LINE) {
            for (half, sum) in sums.iter_mut().enumerate() {
                let at = at + 32 * half;
                // SAFETY: both are a multiple of 64 long, and `at + 32` is at most that: 32
                // numbers of two bytes, and 32 bytes, are read; `loadu` asks for no alignment.
                let (p, c) = unsafe {
                    (
                        _mm512_loadu_si512(probe.as_ptr().add(at).cast()),
                        _mm256_loadu_si256(code.as_ptr().add(at).cast()),
                    )
                };
                let d = _mm512_sub_epi16(p, _mm512_cvtepu8_epi16(c));
                *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(d, d));
            }
        }
        out.push(_mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) as u32);
    }
}

/// # Safety
///
/// The CPU must have AVX-512 F and BW; the codes must be equally long, a multiple of [`LINE`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn between(a: &[u8], b: &[u8]) -> u32 {
    let mut sums = [_mm512_setzero_si512(); 2];
    for at in (0..a.len()).step_by(LINE) {
        for (half, sum) in sums.iter_mut().enumerate() {
            let at = at + 32 * half;
            // SAFETY: both are a multiple of 64 long and `at + 32` is at most that.
            let (x, y) = unsafe {
                (
                    _mm256_loadu_si256(a.as_ptr().add(at).cast()),
                    _mm256_loadu_si256(b.as_ptr().add(at).cast()),
                )
            };
            let d = _mm512_sub_epi16(_mm512_cvtepu8_epi16(x), _mm512_cvtepu8_epi16(y));
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(d, d));
        }
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) as u32
}
