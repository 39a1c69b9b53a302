//! Distances of byte codes with AVX2.

use std::arch::x86_64::*;

use super::{Codes, GROUP, LINE, NARROW_SHIFT, Shape, TOO_FAR};

/// # Safety
///
/// The CPU must have AVX2; `probe` must have the numbers of a code.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn measure(
    probe: &[i16],
    codes: Codes,
    nodes: &[u32],
    bound: u32,
    out: &mut Vec<u32>,
) {
    let shape = codes.shape();
    out.reserve(nodes.len());
    for node in nodes {
        let code = codes.get(*node);
        let mut sum = 0;
        for at in (0..shape.stride()).step_by(LINE) {
            // SAFETY: the code has whole lines, and `at` is the start of one; the probe is as
            // promised.
            sum += unsafe { line(shape, probe, code, at) };
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
/// The CPU must have AVX2; `code` must reach [`LINE`] beyond `start`, a multiple of it, and be of
/// `shape`; `probe` must have its numbers.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn line(shape: Shape, probe: &[i16], code: &[u8], start: usize) -> u32 {
    let wide = shape.wide();
    let mut sum = _mm256_setzero_si256();
    for at in (start..start + LINE).step_by(GROUP) {
        // SAFETY: `at + 16 <= start + LINE`, up to which the code reaches; `loadu` asks for no
        // alignment.
        let c = _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(code.as_ptr().add(at).cast()) });
        if at < wide {
            // SAFETY: `wide` is a multiple of 16, so that there are 16 numbers from `at` on.
            let p = unsafe { _mm256_loadu_si256(probe.as_ptr().add(at).cast()) };
            sum = add_square(sum, _mm256_sub_epi16(p, c));
        } else {
            let first = wide + 2 * (at - wide);
            // SAFETY: the group at `at` has the 32 numbers from `first` on.
            let (low, high) = unsafe {
                (
                    _mm256_loadu_si256(probe.as_ptr().add(first).cast()),
                    _mm256_loadu_si256(probe.as_ptr().add(first + GROUP).cast()),
                )
            };
            let [c_low, c_high] = halves(c);
            sum = add_square(sum, _mm256_sub_epi16(low, c_low));
            sum = add_square(sum, _mm256_sub_epi16(high, c_high));
        }
    }
    add_up(sum)
}

/// The low and the high halves of 16 bytes, each in a lane of its own, in wide steps.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn halves(bytes: __m256i) -> [__m256i; 2] {
    let mask = _mm256_set1_epi16(15 << NARROW_SHIFT);
    let shifted = _mm256_slli_epi16::<{ NARROW_SHIFT as i32 }>(bytes);
    let high = _mm256_srli_epi16::<{ 4 - NARROW_SHIFT as i32 }>(bytes);
    [_mm256_and_si256(shifted, mask), _mm256_and_si256(high, mask)]
}

/// Adds the squares of 16 differences to `sum`, two to each lane of 32 bits.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn add_square(sum: __m256i, d: __m256i) -> __m256i {
    _mm256_add_epi32(sum, _mm256_madd_epi16(d, d))
}

/// # Safety
///
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn turn(vectors: &[&[f32]], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    super::portable::turn(vectors, centre, basis, turned);
}

/// # Safety
///
/// The CPU must have AVX2; both codes must be of `shape`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn between(shape: Shape, a: &[u8], b: &[u8]) -> u32 {
    let mut sum = _mm256_setzero_si256();
    for at in (0..shape.stride()).step_by(GROUP) {
        // SAFETY: both have a stride's bytes, a multiple of 16, and `at + 16` is at most that.
        let (x, y) = unsafe {
            (_mm_loadu_si128(a.as_ptr().add(at).cast()), _mm_loadu_si128(b.as_ptr().add(at).cast()))
        };
        let (x, y) = (_mm256_cvtepu8_epi16(x), _mm256_cvtepu8_epi16(y));
        if at < shape.wide() {
            sum = add_square(sum, _mm256_sub_epi16(x, y));
        } else {
            for (x, y) in halves(x).into_iter().zip(halves(y)) {
                sum = add_square(sum, _mm256_sub_epi16(x, y));
            }
        }
    }
    add_up(sum)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn add_up(sum: __m256i) -> u32 {
    let mut lanes = [0u32; 8];
    // SAFETY: `lanes` holds exactly the 32 bytes that are written.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    lanes.iter().sum()
}
