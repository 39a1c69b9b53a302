//! Distances between byte codes, at the speed of the CPU they run on.
//!
//! Codes are compared as whole numbers, so every kernel gives the same result to the last bit, and
//! a graph built on one machine is the graph built on any other.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod sketch;
#[cfg(test)]
mod tests;

use facesearch_cpu::{KernelLevel, kernel_level};

pub(crate) use sketch::{MAX_LINES, OF_LINE, SketchProbe, TOGETHER, block_len, estimate};

/// The bytes of a code are a multiple of this: a cache line.
pub(crate) const LINE: usize = 64;

/// Wide and narrow numbers of a code come in groups of so many bytes.
pub(crate) const GROUP: usize = 16;

/// A step of a narrow number is worth so many of a wide one, as a power of two.
pub(crate) const NARROW_SHIFT: u32 = 2;

/// Codes up to this length are compared whole: early abandoning would cost more than it saves.
const WHOLE: usize = 2 * LINE;

/// So many numbers of a code, and distances fit 32 bits: `(383 * 383) * MAX_NUMBERS < 2^31`.
pub(crate) const MAX_NUMBERS: usize = 14_592;

/// Stands for a distance beyond the bound.
pub(crate) const TOO_FAR: u32 = u32::MAX;

/// What the bytes of a code are: first `wide` numbers of a byte each, `0..=255`; then numbers of
/// half a byte, `0..=15`, each of which stands for four times as much. Of a [`GROUP`] of bytes the
/// low halves come first, then the high ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    wide: usize,
    stride: usize,
}

impl Shape {
    /// `None` unless `stride` is a positive multiple of [`LINE`], `wide` a multiple of [`GROUP`] no
    /// greater, and the numbers no more than [`MAX_NUMBERS`].
    pub(crate) fn new(wide: usize, stride: usize) -> Option<Self> {
        let sound = stride > 0
            && stride.is_multiple_of(LINE)
            && wide.is_multiple_of(GROUP)
            && wide <= stride
            && stride <= MAX_NUMBERS
            && 2 * stride - wide <= MAX_NUMBERS;
        sound.then_some(Self { wide, stride })
    }

    /// Bytes of a code.
    #[inline(always)]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Numbers of a byte.
    #[inline(always)]
    pub(crate) fn wide(&self) -> usize {
        self.wide
    }

    /// Numbers of a code, wide ones first.
    #[inline(always)]
    pub(crate) fn numbers(&self) -> usize {
        self.wide + 2 * (self.stride - self.wide)
    }

    /// The byte of a narrow number, and how far it is shifted there.
    pub(crate) fn place(&self, number: usize) -> (usize, u32) {
        let narrow = number - self.wide;
        let byte = self.wide + narrow / (2 * GROUP) * GROUP + narrow % GROUP;
        (byte, if narrow % (2 * GROUP) < GROUP { 0 } else { 4 })
    }

    /// The numbers of a code in wide steps, in order.
    pub(crate) fn decode<'a>(&self, code: &'a [u8]) -> impl Iterator<Item = i16> + use<'a> {
        let (wide, narrow) = code.split_at(self.wide);
        let halves = |group: &[u8]| {
            let mut numbers = [0; 2 * GROUP];
            for (i, byte) in group.iter().enumerate() {
                numbers[i] = i16::from(byte & 15) << NARROW_SHIFT;
                numbers[GROUP + i] = i16::from(byte >> 4) << NARROW_SHIFT;
            }
            numbers
        };
        wide.iter().map(|byte| i16::from(*byte)).chain(narrow.chunks(GROUP).flat_map(halves))
    }
}

/// Codes of one shape, one after another.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a> {
    bytes: &'a [u8],
    shape: Shape,
}

impl<'a> Codes<'a> {
    /// Panics where the bytes are not whole codes.
    pub(crate) fn new(bytes: &'a [u8], shape: Shape) -> Self {
        assert!(bytes.len().is_multiple_of(shape.stride), "codes do not fill their bytes");
        Self { bytes, shape }
    }

    /// One code. Panics where there is none.
    #[inline(always)]
    pub(crate) fn get(&self, node: u32) -> &'a [u8] {
        &self.bytes[node as usize * self.shape.stride..][..self.shape.stride]
    }

    /// The part of a code that is always looked at; `None` where there is no such code.
    #[inline(always)]
    pub(crate) fn first_lines(&self, node: u32) -> Option<&'a [u8]> {
        let start = node as usize * self.shape.stride;
        self.bytes.get(start..start + self.shape.stride.min(WHOLE))
    }

    /// Asks for a code ahead of its use, if it is there.
    #[inline(always)]
    pub(crate) fn prefetch(&self, node: u32) {
        let start = node as usize * self.shape.stride;
        if let Some(code) = self.bytes.get(start..start + self.shape.stride) {
            prefetch(code);
        }
    }

    #[inline(always)]
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }
}

/// Appends to `out` the squared distance of `probe` from each of `nodes`, in order; [`TOO_FAR`] for
/// those beyond `bound`, which are given up as soon as that is certain.
///
/// `probe` has one number in `-128..=383` for each number of a code. Panics where a node has no
/// code.
#[inline]
pub(crate) fn measure(probe: &[i16], codes: Codes, nodes: &[u32], bound: u32, out: &mut Vec<u32>) {
    assert_eq!(probe.len(), codes.shape.numbers(), "probe and codes differ in length");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions, and the
        // assertion above has established what they ask of the probe; `Codes` has whole codes.
        KernelLevel::Avx512 => return unsafe { avx512::measure(probe, codes, nodes, bound, out) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::measure(probe, codes, nodes, bound, out) },
        KernelLevel::Portable => {}
    }
    portable::measure(probe, codes, nodes, bound, out);
}

/// The squared distance of two codes. Panics unless both are of that shape.
#[inline]
pub(crate) fn between(shape: Shape, a: &[u8], b: &[u8]) -> u32 {
    assert!(a.len() == shape.stride && b.len() == shape.stride, "codes of another shape");
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions; the
        // lengths were established above.
        KernelLevel::Avx512 => return unsafe { avx512::between(shape, a, b) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::between(shape, a, b) },
        KernelLevel::Portable => {}
    }
    portable::between(shape, a, b)
}

/// Turns each of `vectors` about `centre`: adds to each of its numbers, which follow those of the
/// vector before in `turned`, the parts that `basis` has of each dimension, in order of the
/// dimensions, so that every level gives the same bits, and many vectors the same as one. A basis
/// of megabytes is read once for all. Panics where the lengths do not fit.
pub(crate) fn turn(vectors: &[&[f32]], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    assert!(
        turned.len().is_multiple_of(vectors.len().max(1)),
        "not as many numbers of each vector"
    );
    assert_eq!(basis.len() * vectors.len(), centre.len() * turned.len(), "a basis of another size");
    assert!(
        vectors.iter().all(|vector| vector.len() == centre.len()),
        "a vector of another length"
    );
    #[cfg(target_arch = "x86_64")]
    match kernel_level() {
        // SAFETY: `kernel_level` reports a level only where the CPU has its instructions.
        KernelLevel::Avx512 => return unsafe { avx512::turn(vectors, centre, basis, turned) },
        // SAFETY: as above.
        KernelLevel::Avx2 => return unsafe { avx2::turn(vectors, centre, basis, turned) },
        KernelLevel::Portable => {}
    }
    portable::turn(vectors, centre, basis, turned);
}

/// Prefetches the cache lines of `bytes` into the level-2 cache. A hint without other effects.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let before = bytes.as_ptr() as usize % LINE;
        let first = bytes.as_ptr().wrapping_sub(before);
        for line in (0..before + bytes.len()).step_by(LINE) {
            // SAFETY: every x86-64 CPU has SSE, and a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
