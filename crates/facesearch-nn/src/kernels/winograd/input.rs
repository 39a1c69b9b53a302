//! From tiles of the input to planes.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

use super::form::{gain, transform_input_1d};
use super::{MAX_WINOGRAD_CHANNELS, Winograd, WinogradLayout};
use crate::kernels::Simd;
use crate::kernels::int16::as_int16_mut;

/// A pixel outside the map.
static ZEROS: [f32; MAX_WINOGRAD_CHANNELS] = [0.0; MAX_WINOGRAD_CHANNELS];

/// Where the transformed numbers of a tile go. Places are counted in integers where these are
/// stored.
#[derive(Clone, Copy)]
struct TileDestination<'a, const IN_TILE: usize> {
    /// The place of the tile in the first plane.
    to: *mut f32,
    /// From a plane to the next.
    plane: usize,
    /// For integers: the factor of each place of the tile.
    factors: &'a [[f32; IN_TILE]; IN_TILE],
}

impl<const IN_TILE: usize> TileDestination<'_, IN_TILE> {
    /// `Bᵀ d B` of the vector of channels from `channel` on.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions. `load` must be able to load the vector of the pixel in
    /// each row and column of the tile. At `to`, and at each multiple of `plane` from there, must
    /// be room for the channels as far as this vector reaches, once for each place of a tile.
    #[inline(always)]
    unsafe fn transform<S: Simd, const INT16: bool>(
        self,
        channel: usize,
        load: impl Fn(usize, usize) -> S::V,
    ) {
        // SAFETY: what the caller promises.
        unsafe {
            let mut rows = [[S::splat(0.0); IN_TILE]; IN_TILE];
            for j in 0..IN_TILE {
                let mut d = rows[j];
                for i in 0..IN_TILE {
                    d[i] = load(j, i);
                }
                rows[j] = transform_input_1d::<S, IN_TILE>(d);
            }
            for i in 0..IN_TILE {
                let mut column = rows[0];
                for j in 0..IN_TILE {
                    column[j] = rows[j][i];
                }
                let column = transform_input_1d::<S, IN_TILE>(column);
                for j in 0..IN_TILE {
                    let at = channel + (j * IN_TILE + i) * self.plane;
                    if INT16 {
                        let v = S::mul(column[j], S::splat(self.factors[j][i]));
                        S::store_int16(self.to.cast::<i16>().add(at), v);
                    } else {
                        S::store(self.to.add(at), column[j]);
                    }
                }
            }
        }
    }
}

impl Winograd<'_> {
    /// Transforms one tile of the input into the planes.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, the place must be in an
    /// image, and `tile` must be below the number of tiles of the layout.
    #[inline(always)]
    pub(super) unsafe fn transform_input<S: Simd, const IN_TILE: usize, const INT16: bool>(
        &self,
        (image, y, x): (usize, usize, usize),
        tile: usize,
        layout: &WinogradLayout,
        planes: &mut [f32],
    ) {
        let map = &self.input_map;
        // The rows or columns of the tile that lie in the map; the others are zeros.
        let inside = |at: usize, padding: usize, len: usize| {
            let (start, end) = (padding.saturating_sub(at), (len + padding).saturating_sub(at));
            (start.min(IN_TILE), end.min(IN_TILE))
        };
        let y = y + self.top;
        let (top, bottom) = inside(y, self.padding[0], map.height);
        let (left, right) = inside(x, self.padding[1], map.width);
        let to = if INT16 {
            as_int16_mut(planes)[tile * layout.input_stride..].as_mut_ptr().cast()
        } else {
            planes[tile * layout.input_stride..].as_mut_ptr()
        };
        let mut factors = [[1.0; IN_TILE]; IN_TILE];
        if let Some(quantised) = &self.quantised {
            let quantise = quantised.input_scales[image].quantise;
            for (j, row) in factors.iter_mut().enumerate() {
                for (i, factor) in row.iter_mut().enumerate() {
                    *factor = quantise / (gain::<IN_TILE>(j) * gain::<IN_TILE>(i));
                }
            }
        }
        let plane = layout.input_plane() * layout.per_float;
        let destination = TileDestination { to, plane, factors: &factors };
        let channels = map.channels;
        let input = &self.input[image * map.image_stride()..];
        if (top, left, bottom, right) == (0, 0, IN_TILE, IN_TILE) {
            let first = map.offset(y - self.padding[0], x - self.padding[1]);
            let (row, padded) = (map.row_stride(), channels.next_multiple_of(S::LANES));
            // Whole vectors of each pixel. What follows its channels is transformed with them and
            // never multiplied.
            if let Some(pixels) = input[first..].get(..(IN_TILE - 1) * (row + channels) + padded) {
                for channel in (0..channels).step_by(S::LANES) {
                    // SAFETY: the caller promises the instructions. The slice holds the tile from
                    // its first pixel to the last vector of its last pixel. A stored vector ends at
                    // most 15 numbers beyond its tile: in a tile that is written later or not read,
                    // or in the gap after the last tile.
                    unsafe {
                        let at = |j, i| pixels.as_ptr().add(j * row + i * channels + channel);
                        destination.transform::<S, INT16>(channel, |j, i| S::load(at(j, i)));
                    }
                }
                return;
            }
        }
        let mut pixels = [[ZEROS.as_ptr(); IN_TILE]; IN_TILE];
        for j in top..bottom {
            for i in left..right {
                let at = map.offset(y + j - self.padding[0], x + i - self.padding[1]);
                pixels[j][i] = input[at..][..channels].as_ptr();
            }
        }
        for channel in (0..channels).step_by(S::LANES) {
            // SAFETY: as above. The slice of each pixel has the map's channels, and there are zeros
            // for as many.
            unsafe {
                let left = channels - channel;
                destination.transform::<S, INT16>(channel, |j, i| {
                    S::load_up_to(pixels[j][i].add(channel), left)
                });
            }
        }
    }
}
