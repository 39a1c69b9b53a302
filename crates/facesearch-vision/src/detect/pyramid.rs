//! The sizes at which a photo is looked at, and the bands in which it is.

use std::ops::Range;

use super::area::Size;

/// Side of the square that P-Net looks at, in pixels of a level.
pub(super) const WINDOW: usize = 12;

/// Pixels from one of P-Net's squares to the next.
pub(super) const STRIDE: usize = 2;

/// Pixels of a level that go through P-Net at once. Bounds memory whatever the photo's size, and
/// keeps a band's activations in the cache.
const BAND_PIXELS: usize = 1 << 17;

/// One size of the photo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    /// Pixels of the level for one pixel of the photo.
    pub(super) scale: f64,
    pub(super) size: Size,
}

/// The levels of a photo: the first shows faces of `min_face` pixels as wide as P-Net's square,
/// each one is `factor` times the one before, the last is hardly larger than the square.
pub(super) fn levels(height: usize, width: usize, min_face: u32, factor: f64) -> Vec<Level> {
    let first = WINDOW as f64 / f64::from(min_face);
    let mut scale = first;
    let mut shorter = height.min(width) as f64 * first;
    let mut levels = Vec::new();
    while shorter >= WINDOW as f64 {
        let scaled = |side: usize| (side as f64 * scale + 1.0) as usize;
        levels.push(Level { scale, size: Size { height: scaled(height), width: scaled(width) } });
        scale *= factor;
        shorter *= factor;
    }
    levels
}

/// The rows of a level in bands, each with the first row of P-Net's answers that it gives.
///
/// Bands share ten rows, so that every square lies in one of them whole, and all but the last have
/// an even number, so that pooling meets the same pairs as in the undivided level: the answers
/// are the same bit for bit.
pub(super) fn bands(size: Size) -> impl Iterator<Item = (usize, Range<usize>)> {
    // A last square may hang over the edge by a row, since pooling rounds up.
    let answers = size.height.saturating_sub(WINDOW - 2).div_ceil(STRIDE);
    let step = (BAND_PIXELS / size.width / STRIDE).max(WINDOW);
    (0..answers).step_by(step).map(move |first| {
        let last = first + step;
        let end = if last >= answers { size.height } else { (last - 1) * STRIDE + WINDOW };
        (first, first * STRIDE..end)
    })
}

#[cfg(test)]
mod tests;
