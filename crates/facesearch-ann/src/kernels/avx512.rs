//! Distances of byte codes with AVX-512 BW.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{Codes, LANES, LINE, ROWS, TOO_FAR, WHOLE, prefetch};

/// The first lines of every code are looked at first; what may still be near is then finished, its
/// memory asked for meanwhile.
///
/// # Safety
///
/// The CPU must have AVX-512 F and BW; `probe` must be as long as a code, a multiple of [`LINE`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn measure(
    probe: &[i16],
    codes: Codes,
    nodes: &[u32],
    bound: u32,
    out: &mut Vec<u32>,
) {
    let start = out.len();
    let first = probe.len().min(WHOLE);
    out.extend(nodes.iter().map(|node| {
        // SAFETY: both are at least `first` long.
        let sum = unsafe { lines(probe, codes.get(*node), 0..first) };
        if sum <= bound { sum } else { TOO_FAR }
    }));
    if first == probe.len() {
        return;
    }
    for (node, _) in nodes.iter().zip(&out[start..]).filter(|(_, sum)| **sum != TOO_FAR) {
        prefetch(&codes.get(*node)[WHOLE..]);
    }
    for at in (WHOLE..probe.len()).step_by(LINE) {
        for (node, sum) in nodes.iter().zip(&mut out[start..]) {
            if *sum != TOO_FAR {
                // SAFETY: `at` is a multiple of the line below the length of both.
                let more = *sum + unsafe { lines(probe, codes.get(*node), at..at + LINE) };
                *sum = if more <= bound { more } else { TOO_FAR };
            }
        }
    }
}

/// The squared distance of some lines.
///
/// # Safety
///
/// The CPU must have AVX-512 F and BW; `range` must be of whole lines inside both slices.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn lines(probe: &[i16], code: &[u8], range: Range<usize>) -> u32 {
    let mut sums = [_mm512_setzero_si512(); 2];
    for at in range.step_by(LINE) {
        for (half, sum) in sums.iter_mut().enumerate() {
            let at = at + 32 * half;
            // SAFETY: `at + 32` is within a line of the range, which is inside both slices: 32
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
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) as u32
}

/// # Safety
///
/// The CPU must have AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn products(panel: &[f32], rows: &[f32], sums: &mut [[f32; LANES]; ROWS]) {
    super::portable::products::<true>(panel, rows, sums);
}

/// # Safety
///
/// The CPU must have AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn turn(vector: &[f32], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    super::portable::turn(vector, centre, basis, turned);
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
