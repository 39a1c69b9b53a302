//! Distances between byte codes, at the speed of the CPU they run on.
//!
//! Codes are compared as whole numbers, so every kernel gives the same result to the last bit, and a
//! graph built on one machine is the graph built on any other.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use facesearch_core::{KernelLevel, kernel_level};

/// Codes are padded with zeros to a multiple of this many bytes: a cache line.
pub(crate) const LINE: usize = 64;

/// Codes no longer than this are compared whole: giving one up early would cost more than it spares.
const WHOLE: usize = 2 * LINE;

/// The longest code whose distances fit 32 bits: `(383 * 383) * MAX_CODE < 2^31`.
pub(crate) const MAX_CODE: usize = 14_592;

/// Stands for a distance beyond the bound.
pub(crate) const TOO_FAR: u32 = u32::MAX;

/// Codes of equal length, one after another.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Codes<'a> {
    /// Panics unless `stride` is a positive multiple of [`LINE`] that divides the bytes.
    pub(crate) fn new(bytes: &'a [u8], stride: usize) -> Self {
        assert!(stride > 0 && stride.is_multiple_of(LINE) && stride <= MAX_CODE, "bad stride");
        assert!(bytes.len().is_multiple_of(stride), "codes do not fill their bytes");
        Self { bytes, stride }
    }

    /// One code. Panics where there is none.
    #[inline(always)]
    pub(crate) fn get(&self, node: u32) -> &'a [u8] {
        &self.bytes[node as usize * self.stride..][..self.stride]
    }

    /// The part of a code that is always looked at.
    #[inline(always)]
    pub(crate) fn first_lines(&self, node: u32) -> &'a [u8] {
        &self.get(node)[..self.stride.min(WHOLE)]
    }

    #[inline(always)]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}

/// Appends to `out` the squared distance of `probe` from each of `nodes`, in order; [`TOO_FAR`] for
/// those beyond `bound`, which are given up as soon as that is certain.
///
/// `probe` has one number in `-128..=383` for each byte of a code. Panics where a node has no code.
#[inline]
pub(crate) fn measure(probe: &[i16], codes: Codes, nodes: &[u32], bound: u32, out: &mut Vec<u32>) {
    assert_eq!(probe.len(), codes.stride(), "probe and codes differ in length");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions, and the
        // assertion above has established equal lengths; `Codes` has whole lines.
        KernelLevel::Avx512 => return unsafe { avx512::measure(probe, codes, nodes, bound, out) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::measure(probe, codes, nodes, bound, out) },
        KernelLevel::Portable => {}
    }
    portable::measure(probe, codes, nodes, bound, out);
}

/// The squared distance of two codes. Panics if their lengths differ.
#[inline]
pub(crate) fn between(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(a.len(), b.len(), "codes of different length");
    #[cfg(target_arch = "x86_64")]
    if a.len().is_multiple_of(LINE) {
        match kernel_level() {
            // SAFETY: `kernel_level` reports a level only where the CPU has its instructions; equal
            // lengths and whole lines were established above.
            KernelLevel::Avx512 => return unsafe { avx512::between(a, b) },
            // SAFETY: as above.
            KernelLevel::Avx2 => return unsafe { avx2::between(a, b) },
            KernelLevel::Portable => {}
        }
    }
    portable::between(a, b)
}

/// Turns `vector` about `centre`: adds to each number of `turned` the parts that `basis` has of each
/// dimension, in order of the dimensions, so that every level gives the same bits. Panics where the
/// lengths do not fit.
pub(crate) fn turn(vector: &[f32], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    assert_eq!(basis.len(), vector.len() * turned.len(), "a basis of another size");
    assert_eq!(vector.len(), centre.len(), "a centre of another length");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions.
        KernelLevel::Avx512 => return unsafe { avx512::turn(vector, centre, basis, turned) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::turn(vector, centre, basis, turned) },
        KernelLevel::Portable => {}
    }
    portable::turn(vector, centre, basis, turned);
}

/// Rows, and probes, that [`products`] multiplies at a time.
pub(crate) const ROWS: usize = 8;
pub(crate) const LANES: usize = 32;

/// The scalar products of [`ROWS`] rows with [`LANES`] probes; `panel` has the numbers of one dimension
/// of all probes after those of another. Levels differ in rounding. Panics where lengths do not fit.
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
    portable::products::<false>(panel, rows, sums);
}

/// Asks for the memory at `bytes` ahead of its use; a hint that changes nothing else.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let before = bytes.as_ptr() as usize % LINE;
        let first = bytes.as_ptr().wrapping_sub(before);
        for line in (0..before + bytes.len()).step_by(LINE) {
            // SAFETY: every x86-64 CPU has SSE, and a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
