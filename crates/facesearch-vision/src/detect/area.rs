//! Shrinking and enlarging by averages, as PyTorch's `interpolate(mode="area")` does it.
//!
//! Output pixel `i` of `n` is the plain mean of the input pixels from `floor(i * len / n)` to
//! `ceil((i + 1) * len / n)`: whole pixels, all of one weight, so that neighbouring windows share a
//! pixel where the division is not even. This is not the exact area (a shared pixel counts fully
//! in both), but MTCNN's weights and thresholds are used with this resizing, and a detector's
//! boxes move when its input does.
//!
//! Rows are added up first, in the order of memory, because that is the larger part of the work and
//! vectorises; then each window's columns.

use std::ops::{AddAssign, Range};

use facesearch_core::Photo;
use facesearch_nn::{Level, Loops, vectorise};
use rayon::prelude::*;

/// A part of a photo, in whole pixels, inside it and not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) x: Range<usize>,
    pub(super) y: Range<usize>,
}

impl Region {
    /// The whole photo.
    pub(super) fn all(photo: &Photo) -> Self {
        Self { x: 0..photo.width() as usize, y: 0..photo.height() as usize }
    }
}

/// The size of a picture, rows first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) height: usize,
    pub(super) width: usize,
}

/// What becomes of a colour: `(v - shift) * factor`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaling {
    pub(super) shift: f32,
    pub(super) factor: f32,
}

impl Scaling {
    /// From `0..=255` to about `-1..=1`.
    pub(super) const SIGNED: Self = Self { shift: 127.5, factor: 0.007_812_5 };
    /// Left as it is.
    pub(super) const NONE: Self = Self { shift: 0.0, factor: 1.0 };
}

/// Resizes a region to `size` and writes the part `part` of the result, row by row, to `out`.
///
/// - **Output:** for each pixel `r g b`, scaled as the network was trained. Rows are shared out to
///   the cores that are free.
///
/// Panics where `out` is not three numbers for each pixel of the part.
pub(super) fn resize_part(
    photo: &Photo,
    region: &Region,
    size: Size,
    part: &Region,
    scaling: Scaling,
    out: &mut [f32],
) {
    let row = part.x.len() * 3;
    assert_eq!(out.len(), part.y.len() * row, "as many numbers as the part has");
    if out.is_empty() {
        return;
    }
    let spans: Vec<Range<usize>> =
        part.x.clone().map(|x| window(x, region.x.len(), size.width)).collect();
    let read = region.x.len() * 3 * region.y.len().div_ceil(size.height);
    let together = (BYTES_TOGETHER / read).max(1);
    out.par_chunks_mut(row * together).enumerate().for_each(|(i, out)| {
        let first = part.y.start + i * together;
        let means =
            Means { photo, region, height: size.height, spans: &spans, first, scaling, out };
        vectorise(Level::best(), means);
    });
}

/// Bytes of a photo that one core should read before it looks for other work.
const BYTES_TOGETHER: usize = 1 << 18;

/// The input pixels that output pixel `index` of `count` is the mean of.
fn window(index: usize, len: usize, count: usize) -> Range<usize> {
    index * len / count..((index + 1) * len).div_ceil(count)
}

/// Whole rows of a part. Plain Rust that the compiler makes vectors of.
struct Means<'a> {
    photo: &'a Photo,
    region: &'a Region,
    /// Rows of the whole result.
    height: usize,
    /// The columns of the region that each pixel of a row is a mean of.
    spans: &'a [Range<usize>],
    /// The row that `out` begins with.
    first: usize,
    scaling: Scaling,
    out: &'a mut [f32],
}

impl Loops for Means<'_> {
    #[inline(always)]
    fn run(self) {
        // So many bytes add up to a number of 16 bits, which takes half the time of one of 32.
        if self.region.y.len() / self.height + 2 <= usize::from(u16::MAX / 255) {
            self.run_with::<u16>();
        } else {
            self.run_with::<u32>();
        }
    }
}

impl Means<'_> {
    #[inline(always)]
    fn run_with<T: Copy + Default + From<u8> + AddAssign + Into<u32>>(self) {
        let Self { photo, region, height, spans, first, scaling, out } = self;
        let stride = photo.width() as usize * 3;
        let left = spans[0].start;
        let right = spans[spans.len() - 1].end;
        let bytes = (region.x.start + left) * 3..(region.x.start + right) * 3;
        let mut sums = vec![T::default(); bytes.len()];
        for (row, out) in (first..).zip(out.chunks_exact_mut(spans.len() * 3)) {
            let span = window(row, region.y.len(), height);
            let lines = photo.rgb()[(region.y.start + span.start) * stride..].chunks(stride);
            sums.fill(T::default());
            for line in lines.take(span.len()) {
                for (sum, value) in sums.iter_mut().zip(&line[bytes.clone()]) {
                    *sum += T::from(*value);
                }
            }
            for (columns, out) in spans.iter().zip(out.chunks_exact_mut(3)) {
                let scale = 1.0 / (span.len() * columns.len()) as f32;
                let mut pixel = [0u32; 3];
                let under = &sums[(columns.start - left) * 3..(columns.end - left) * 3];
                for rgb in under.chunks_exact(3) {
                    for (sum, value) in pixel.iter_mut().zip(rgb) {
                        *sum += (*value).into();
                    }
                }
                for (out, sum) in out.iter_mut().zip(pixel) {
                    *out = (sum as f32 * scale - scaling.shift) * scaling.factor;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
