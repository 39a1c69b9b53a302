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

/// Resizes a region to `size` and appends the rows `rows` of the result to `out`.
///
/// - **Output:** for each pixel `r g b`, brought from `0..=255` to `(v - 127.5) / 128`, which is what MTCNN's
///   networks were trained on.
pub(super) fn resize_rows(
    photo: &Photo,
    region: &Region,
    size: Size,
    rows: Range<usize>,
    out: &mut Vec<f32>,
) {
    let stride = photo.width() as usize * 3;
    let columns = region.x.start * 3..region.x.end * 3;
    let mut sums = vec![0u32; columns.len()];
    let spans: Vec<Range<usize>> =
        (0..size.width).map(|x| window(x, region.x.len(), size.width)).collect();
    out.reserve(rows.len() * size.width * 3);
    for row in rows {
        let span = window(row, region.y.len(), size.height);
        let top = (region.y.start + span.start) * stride;
        let lines = photo.rgb()[top..].chunks(stride).take(span.len());
        sum_rows(lines.map(|line| &line[columns.clone()]), &mut sums);
        for columns in &spans {
            let scale = 1.0 / (span.len() * columns.len()) as f32;
            let mut pixel = [0u32; 3];
            for rgb in sums[columns.start * 3..columns.end * 3].chunks_exact(3) {
                for (sum, value) in pixel.iter_mut().zip(rgb) {
                    *sum += value;
                }
            }
            out.extend(pixel.map(|sum| (sum as f32 * scale - 127.5) * 0.007_812_5));
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
