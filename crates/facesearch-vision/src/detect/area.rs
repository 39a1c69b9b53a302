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

use std::ops::Range;

use facesearch_core::Photo;

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

/// Resizes a region to `size` and appends the part `part` of the result, row by row, to `out`.
///
/// - **Output:** for each pixel `r g b`, scaled as the network was trained.
pub(super) fn resize_part(
    photo: &Photo,
    region: &Region,
    size: Size,
    part: &Region,
    scaling: Scaling,
    out: &mut Vec<f32>,
) {
    if part.x.is_empty() || part.y.is_empty() {
        return;
    }
    let stride = photo.width() as usize * 3;
    let spans: Vec<Range<usize>> =
        part.x.clone().map(|x| window(x, region.x.len(), size.width)).collect();
    let first = spans[0].start;
    let columns = region.x.start + first..region.x.start + spans[spans.len() - 1].end;
    let bytes = columns.start * 3..columns.end * 3;
    let mut sums = vec![0u32; bytes.len()];
    out.reserve(part.y.len() * part.x.len() * 3);
    for row in part.y.clone() {
        let span = window(row, region.y.len(), size.height);
        let top = (region.y.start + span.start) * stride;
        let lines = photo.rgb()[top..].chunks(stride).take(span.len());
        sum_rows(lines.map(|line| &line[bytes.clone()]), &mut sums);
        for columns in &spans {
            let scale = 1.0 / (span.len() * columns.len()) as f32;
            let mut pixel = [0u32; 3];
            for rgb in sums[(columns.start - first) * 3..(columns.end - first) * 3].chunks_exact(3)
            {
                for (sum, value) in pixel.iter_mut().zip(rgb) {
                    *sum += value;
                }
            }
            out.extend(pixel.map(|sum| (sum as f32 * scale - scaling.shift) * scaling.factor));
        }
    }
}

/// The input pixels that output pixel `index` of `count` is the mean of.
fn window(index: usize, len: usize, count: usize) -> Range<usize> {
    index * len / count..((index + 1) * len).div_ceil(count)
}

/// `sums[i]` becomes the sum of all lines' bytes `i`.
fn sum_rows<'a>(lines: impl Iterator<Item = &'a [u8]>, sums: &mut [u32]) {
    sums.fill(0);
    for line in lines {
        for (sum, value) in sums.iter_mut().zip(line) {
            *sum += u32::from(*value);
        }
    }
}

#[cfg(test)]
mod tests;
