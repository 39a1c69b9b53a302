//! Products of a probe with sketches: two bits a number, sixteen vectors at a time.
//!
//! A block holds [`TOGETHER`] sketches: for every sixteen of their numbers a line, in which four
//! bytes belong to each vector; bits `2 p` and `2 p + 1` of byte `j` of them are number `4 p + j`.
//! After the lines come sixteen `f32` squared lengths and sixteen `f32` weights. So a lane of a
//! register is a vector, and no sum is ever taken across lanes.
//!
//! The products are whole numbers, and what follows is rounded step by step, so every kernel gives
//! the same bits.

use facesearch_cpu::{KernelLevel, kernel_level};

use super::LINE;

/// Sketches of a block.
pub(crate) const TOGETHER: usize = 16;

/// Numbers of each sketch that share a line.
pub(crate) const OF_LINE: usize = 16;

/// At most so many lines: sums of two products of bytes fit 16 bits for eight lines at a time, and
/// all products together are whole numbers that an `f32` holds.
pub(crate) const MAX_LINES: usize = 64;

/// A probe as sketches are compared with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SketchProbe {
    /// [`OF_LINE`] numbers for each line, `-127..=127`.
    pub(crate) numbers: Vec<i8>,
    /// What the product with a sketch of all middles would be.
    pub(crate) middle: f32,
    /// What one of the numbers is worth.
    pub(crate) scale: f32,
}

/// Bytes of a block with so many lines.
pub(crate) fn block_len(lines: usize) -> usize {
    lines * LINE + 8 * TOGETHER
}

/// Estimates the squared distance of each sketch of `blocks` from the probe, without the probe's
/// squared norm, and writes it to `out`. Panics if the lengths do not fit.
pub(crate) fn estimate(probe: &SketchProbe, blocks: &[u8], out: &mut [f32]) {
    let lines = probe.numbers.len() / OF_LINE;
    assert!(lines <= MAX_LINES && probe.numbers.len() == lines * OF_LINE, "no whole lines");
    assert_eq!(blocks.len() * TOGETHER, out.len() * block_len(lines), "no whole blocks");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        KernelLevel::Avx512 if has_vnni() => {
            // SAFETY: the CPU has the instructions, and the lengths were established above.
            return unsafe { x86::estimate_vnni(probe, blocks, out) };
        }
        KernelLevel::Avx512 | KernelLevel::Avx2 => {
            // SAFETY: as above; every CPU of either level has AVX2.
            return unsafe { x86::estimate_avx2(probe, blocks, out) };
        }
        KernelLevel::Portable => {}
    }
    estimate_portable(probe, blocks, out);
}

#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512vnni")
}

/// The definition, which the other kernels are tested against.
fn estimate_portable(probe: &SketchProbe, blocks: &[u8], out: &mut [f32]) {
    let lines = probe.numbers.len() / OF_LINE;
    for (block, out) in blocks.chunks_exact(block_len(lines)).zip(out.chunks_exact_mut(TOGETHER)) {
        let mut sums = [0i32; TOGETHER];
        let rows = block.chunks_exact(LINE).zip(probe.numbers.chunks_exact(OF_LINE));
        for (line, numbers) in rows {
            for (sum, bytes) in sums.iter_mut().zip(line.chunks_exact(4)) {
                for (i, number) in numbers.iter().enumerate() {
                    *sum += i32::from(bytes[i % 4] >> (i / 4 * 2) & 3) * i32::from(*number);
                }
            }
        }
        let of_lane = |first: usize, lane: usize| {
            let at = lines * LINE + 4 * (first + lane);
            f32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"))
        };
        for (lane, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
            let product = (sum as f32 - probe.middle) * probe.scale;
            *out = of_lane(0, lane) - of_lane(TOGETHER, lane) * product;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LINE, OF_LINE, SketchProbe, TOGETHER, block_len};

    /// Lines whose sums fit 16 bits: each adds four products of `2 * 3 * 127` at most.
    const NARROW: usize = 8;

    /// # Safety
    ///
    /// The CPU must have AVX-512 F and VNNI; the probe must have whole lines, and `blocks` a block
    /// of as many for each [`TOGETHER`] of `out`.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn estimate_vnni(probe: &SketchProbe, blocks: &[u8], out: &mut [f32]) {
        let lines = probe.numbers.len() / OF_LINE;
        // Numbers stay where they are in their bytes, so that nothing is shifted before the sums
        // are: those of plane `p` are `4^p` times too large.
        let masks = [3, 3 << 2, 3 << 4, -64].map(|mask| _mm512_set1_epi8(mask));
        let middle = _mm512_set1_ps(probe.middle);
        let scale = _mm512_set1_ps(probe.scale);
        let all = blocks.chunks_exact(block_len(lines)).zip(out.chunks_exact_mut(TOGETHER));
        for (block, out) in all {
            let mut sums = [_mm512_setzero_si512(); 4];
            for (line, numbers) in block.chunks_exact(LINE).zip(probe.numbers.chunks_exact(OF_LINE))
            {
                // SAFETY: a line has the 64 bytes that are read; no alignment is asked for.
                let bytes = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
                for (mask, (sum, four)) in
                    masks.into_iter().zip(sums.iter_mut().zip(numbers.chunks_exact(4)))
                {
                    // SAFETY: `four` has four bytes; no alignment is asked for.
                    let four = unsafe { four.as_ptr().cast::<i32>().read_unaligned() };
                    let plane = _mm512_and_si512(bytes, mask);
                    *sum = _mm512_dpbusd_epi32(*sum, plane, _mm512_set1_epi32(four));
                }
            }
            let [a, b, c, d] = sums;
            let [b, c, d] =
                [_mm512_srai_epi32::<2>(b), _mm512_srai_epi32::<4>(c), _mm512_srai_epi32::<6>(d)];
            let sum = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
            let rest = &block[lines * LINE..];
            // SAFETY: after the lines a block has 128 bytes, two registers; `out` has 16 numbers.
            unsafe {
                let squares = _mm512_loadu_ps(rest.as_ptr().cast());
                let weights = _mm512_loadu_ps(rest[LINE..].as_ptr().cast());
                let product = _mm512_mul_ps(_mm512_sub_ps(_mm512_cvtepi32_ps(sum), middle), scale);
                let near = _mm512_sub_ps(squares, _mm512_mul_ps(weights, product));
                _mm512_storeu_ps(out.as_mut_ptr(), near);
            }
        }
    }

    /// # Safety
    ///
    /// The CPU must have AVX2; lengths as for [`estimate_vnni`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn estimate_avx2(probe: &SketchProbe, blocks: &[u8], out: &mut [f32]) {
        let lines = probe.numbers.len() / OF_LINE;
        let (mask, ones) = (_mm256_set1_epi8(3), _mm256_set1_epi16(1));
        let middle = _mm256_set1_ps(probe.middle);
        let scale = _mm256_set1_ps(probe.scale);
        let all = blocks.chunks_exact(block_len(lines)).zip(out.chunks_exact_mut(TOGETHER));
        for (block, out) in all {
            for (half, out) in out.chunks_exact_mut(TOGETHER / 2).enumerate() {
                let mut sum = _mm256_setzero_si256();
                let some = block[..lines * LINE].chunks(NARROW * LINE);
                for (lines, numbers) in some.zip(probe.numbers.chunks(NARROW * OF_LINE)) {
                    let mut narrow = _mm256_setzero_si256();
                    for (line, numbers) in
                        lines.chunks_exact(LINE).zip(numbers.chunks_exact(OF_LINE))
                    {
                        let bytes = &line[half * LINE / 2..];
                        // SAFETY: half a line has the 32 bytes that are read, at any alignment.
                        let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
                        let planes = [
                            bytes,
                            _mm256_srli_epi16::<2>(bytes),
                            _mm256_srli_epi16::<4>(bytes),
                            _mm256_srli_epi16::<6>(bytes),
                        ];
                        for (plane, four) in planes.into_iter().zip(numbers.chunks_exact(4)) {
                            // SAFETY: `four` has four bytes; no alignment is asked for.
                            let four = unsafe { four.as_ptr().cast::<i32>().read_unaligned() };
                            let plane = _mm256_and_si256(plane, mask);
                            let pairs = _mm256_maddubs_epi16(plane, _mm256_set1_epi32(four));
                            narrow = _mm256_add_epi16(narrow, pairs);
                        }
                    }
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, ones));
                }
                let rest = &block[lines * LINE + half * LINE / 2..];
                // SAFETY: of each 64 bytes after the lines half is read, and `out` has eight
                // numbers.
                unsafe {
                    let squares = _mm256_loadu_ps(rest.as_ptr().cast());
                    let weights = _mm256_loadu_ps(rest[LINE..].as_ptr().cast());
                    let product =
                        _mm256_mul_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(sum), middle), scale);
                    let near = _mm256_sub_ps(squares, _mm256_mul_ps(weights, product));
                    _mm256_storeu_ps(out.as_mut_ptr(), near);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn every_kernel_gives_the_portable_result(
            lines in prop_oneof![1usize..40, Just(MAX_LINES)],
            numbers in vec(prop_oneof![-127i8..=127, Just(-127), Just(127)], MAX_LINES * OF_LINE),
            bytes in vec(prop_oneof![any::<u8>(), Just(255)], 3 * MAX_LINES * LINE),
            floats in vec(-1e3f32..1e3, 3 * 2 * TOGETHER),
            middle in -1e4f32..1e4,
            scale in 0f32..1.0,
        ) {
            let numbers = numbers[..lines * OF_LINE].to_vec();
            let probe = SketchProbe { numbers, middle, scale };
            let mut blocks = Vec::new();
            for (bytes, floats) in
                bytes.chunks_exact(MAX_LINES * LINE).zip(floats.chunks_exact(2 * TOGETHER))
            {
                blocks.extend_from_slice(&bytes[..lines * LINE]);
                blocks.extend(floats.iter().flat_map(|x| x.to_le_bytes()));
            }
            let mut want = [0.0; 3 * TOGETHER];
            estimate_portable(&probe, &blocks, &mut want);
            let mut got = [1.0; 3 * TOGETHER];
            estimate(&probe, &blocks, &mut got);
            prop_assert_eq!(got, want);
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: AVX2 was just detected; three blocks of `lines` lines are there.
                    unsafe { x86::estimate_avx2(&probe, &blocks, &mut got) };
                    prop_assert_eq!(got, want);
                }
                if is_x86_feature_detected!("avx512vnni") {
                    // SAFETY: as above.
                    unsafe { x86::estimate_vnni(&probe, &blocks, &mut got) };
                    prop_assert_eq!(got, want);
                }
            }
        }
    }
}
