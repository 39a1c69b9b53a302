//! Distances of byte codes with AVX-512 BW.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{Codes, GROUP, LINE, Shape, TOO_FAR, WHOLE, avx2, prefetch};

/// The first lines of every code are looked at first; what may still be near is then finished, its
/// memory asked for meanwhile.
///
/// # Safety
///
/// The CPU must have AVX-512 F and BW; `probe` must have the numbers of a code.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn measure(
    probe: &[i16],
    codes: Codes,
    nodes: &[u32],
    bound: u32,
    out: &mut Vec<u32>,
) {
    let (start, shape) = (out.len(), codes.shape());
    let first = shape.stride().min(WHOLE);
    out.extend(nodes.iter().map(|node| {
        // SAFETY: a code has at least `first` bytes, whole lines; the probe is as promised.
        let sum = unsafe { lines(shape, probe, codes.get(*node), 0..first) };
        if sum <= bound { sum } else { TOO_FAR }
    }));
    if first == shape.stride() {
        return;
    }
    for (node, _) in nodes.iter().zip(&out[start..]).filter(|(_, sum)| **sum != TOO_FAR) {
        prefetch(&codes.get(*node)[WHOLE..]);
    }
    for at in (WHOLE..shape.stride()).step_by(LINE) {
        for (node, sum) in nodes.iter().zip(&mut out[start..]) {
            if *sum != TOO_FAR {
                // SAFETY: a stride is of whole lines, and `at` is the start of one.
                let more = *sum + unsafe { lines(shape, probe, codes.get(*node), at..at + LINE) };
                *sum = if more <= bound { more } else { TOO_FAR };
            }
        }
    }
}

/// The squared distance of some lines.
///
/// # Safety
///
/// The CPU must have AVX-512 F and BW; `range` must be of whole lines inside `code`, which must be
/// of `shape`; `probe` must have its numbers.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn lines(shape: Shape, probe: &[i16], code: &[u8], range: Range<usize>) -> u32 {
    let wide = shape.wide();
    let (mut sum, mut rest) = (_mm512_setzero_si512(), _mm256_setzero_si256());
    let (mut at, end) = (range.start, range.end.min(wide));
    while at + 2 * GROUP <= end {
        // SAFETY: `at + 32 <= wide`, up to which both slices reach: 32 numbers of two bytes, and 32
        // bytes, are read; `loadu` asks for no alignment, here and below.
        let (p, c) = unsafe {
            (
                _mm512_loadu_si512(probe.as_ptr().add(at).cast()),
                _mm256_loadu_si256(code.as_ptr().add(at).cast()),
            )
        };
        let d = _mm512_sub_epi16(p, _mm512_cvtepu8_epi16(c));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(d, d));
        at += 2 * GROUP;
    }
    if at < end {
        // SAFETY: `wide` and the range are multiples of 16, so there are 16 more of both.
        let (p, c) = unsafe {
            (
                _mm256_loadu_si256(probe.as_ptr().add(at).cast()),
                _mm_loadu_si128(code.as_ptr().add(at).cast()),
            )
        };
        rest = avx2::add_square(rest, _mm256_sub_epi16(p, _mm256_cvtepu8_epi16(c)));
    }
    for at in (range.start.max(wide)..range.end).step_by(GROUP) {
        let first = wide + 2 * (at - wide);
        // SAFETY: the group at `at` has 16 bytes and the 32 numbers from `first` on.
        let (low, high, c) = unsafe {
            (
                _mm256_loadu_si256(probe.as_ptr().add(first).cast()),
                _mm256_loadu_si256(probe.as_ptr().add(first + GROUP).cast()),
                _mm_loadu_si128(code.as_ptr().add(at).cast()),
            )
        };
        let [c_low, c_high] = avx2::halves(_mm256_cvtepu8_epi16(c));
        rest = avx2::add_square(rest, _mm256_sub_epi16(low, c_low));
        rest = avx2::add_square(rest, _mm256_sub_epi16(high, c_high));
    }
    add_up(sum, rest)
}

/// The horizontal sum of both registers: 16 and 8 lanes of 32 bits.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn add_up(sum: __m512i, rest: __m256i) -> u32 {
    let halves = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
    let all = _mm256_add_epi32(halves, rest);
    let four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b01>(two))) as u32
}

/// # Safety
///
/// The CPU must have AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn turn(vectors: &[&[f32]], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    super::portable::turn(vectors, centre, basis, turned);
}

/// # Safety
///
/// The CPU must have AVX-512 F and BW; both codes must be of `shape`.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn between(shape: Shape, a: &[u8], b: &[u8]) -> u32 {
    let wide = shape.wide();
    let (mut sum, mut rest) = (_mm512_setzero_si512(), _mm256_setzero_si256());
    let mut at = 0;
    while at + 2 * GROUP <= wide {
        // SAFETY: both have more bytes than `wide`; `loadu` asks for no alignment, here and below.
        let (x, y) = unsafe {
            (
                _mm256_loadu_si256(a.as_ptr().add(at).cast()),
                _mm256_loadu_si256(b.as_ptr().add(at).cast()),
            )
        };
        let d = _mm512_sub_epi16(_mm512_cvtepu8_epi16(x), _mm512_cvtepu8_epi16(y));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(d, d));
        at += 2 * GROUP;
    }
    while at < shape.stride() {
        // SAFETY: a stride is a multiple of 16, and so is `at`.
        let (x, y) = unsafe {
            (_mm_loadu_si128(a.as_ptr().add(at).cast()), _mm_loadu_si128(b.as_ptr().add(at).cast()))
        };
        let (x, y) = (_mm256_cvtepu8_epi16(x), _mm256_cvtepu8_epi16(y));
        if at < wide {
            rest = avx2::add_square(rest, _mm256_sub_epi16(x, y));
        } else {
            let ([x_low, x_high], [y_low, y_high]) = (avx2::halves(x), avx2::halves(y));
            rest = avx2::add_square(rest, _mm256_sub_epi16(x_low, y_low));
            rest = avx2::add_square(rest, _mm256_sub_epi16(x_high, y_high));
        }
        at += GROUP;
    }
    add_up(sum, rest)
}
