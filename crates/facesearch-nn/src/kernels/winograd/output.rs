//! From planes of products to tiles of the output.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

use super::form::transform_output_1d;
use super::{Winograd, WinogradLayout};
use crate::kernels::Simd;
use crate::layers::Map;

impl Winograd<'_> {
    /// Transforms one tile of the planes of products into the output.
    ///
    /// # Safety
    ///
    /// As for [`transform_input`](Self::transform_input).
    #[inline(always)]
    pub(super) unsafe fn transform_output<S: Simd, const OUT_TILE: usize, const IN_TILE: usize>(
        &mut self,
        (image, y, x): (usize, usize, usize),
        tile: usize,
        layout: &WinogradLayout,
        planes: &[f32],
    ) {
        let map = self.output_map;
        let (rows, columns) = (OUT_TILE.min(map.height - y), OUT_TILE.min(map.width - x));
        let origin = image * map.image_stride() + map.offset(y, x);
        // 1 for floats: a multiplication by 1 does not round.
        let dequantise =
            self.quantised.map_or(1.0, |quantised| quantised.input_scales[image].dequantise);
        let added = self.epilogue.residual.map(|r| {
            let at = image * r.map.image_stride() + r.map.offset(y, x);
            (r.data.as_ptr().wrapping_add(at), r.map)
        });
        let output = self.output.as_mut_ptr().wrapping_add(origin);
        let (down, across) = (map.row_stride(), map.channels);
        let mut kept = [[[0.0f32; 16]; OUT_TILE]; OUT_TILE];
        for channel in (0..map.channels).step_by(S::LANES) {
            let lanes = map.channels - channel;
            let all_lanes = added.is_none_or(|(_, r)| r.channels >= channel + S::LANES);
            let is_whole =
                rows == OUT_TILE && columns == OUT_TILE && lanes >= S::LANES && all_lanes;
            // SAFETY: the channels of a tile are padded to whole vectors, so each load stays in the
            // plane. The bias reaches `SLACK` numbers beyond the channels. Of the output and the
            // residual only pixels inside the map, and of these only their channels, are touched.
            unsafe {
                let from = planes.as_ptr().add(tile * layout.output_stride + channel);
                let (zero, dequantise) = (S::splat(0.0), S::splat(dequantise));
                let t = transform_rows::<S, OUT_TILE, IN_TILE>(from, layout.output_plane());
                let bias = S::load(self.epilogue.bias.as_ptr().add(channel));
                for i in 0..OUT_TILE {
                    let mut column = [zero; IN_TILE];
                    for j in 0..IN_TILE {
                        column[j] = t[j][i];
                    }
                    let column = transform_output_1d::<S, OUT_TILE, IN_TILE>(column);
                    let mut sums = [[zero]; OUT_TILE];
                    for j in 0..OUT_TILE {
                        sums[j] = [S::fma(column[j], dequantise, bias)];
                    }
                    if !is_whole {
                        for j in 0..OUT_TILE {
                            S::store(kept[j][i].as_mut_ptr(), sums[j][0]);
                        }
                        continue;
                    }
                    if let Some((data, r)) = &added {
                        for j in 0..OUT_TILE {
                            let at = j * r.row_stride() + i * r.channels + channel;
                            sums[j] = [S::add(sums[j][0], S::load(data.add(at)))];
                        }
                    }
                    self.epilogue.activate_all::<S, OUT_TILE, 1>(&mut sums, channel);
                    for j in 0..OUT_TILE {
                        S::store(output.add(j * down + i * across + channel), sums[j][0]);
                    }
                }
                if !is_whole {
                    self.store_kept::<S, OUT_TILE>(&kept, (rows, columns), added, output, channel);
                }
            }
        }
    }

    /// Finishes one vector of each of the first `rows` by `columns` pixels of a tile, from the sums
    /// in `kept`: row, column, lane. `output` is the tile's first pixel, and `added` that of the
    /// residual.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions. These pixels must be inside the map of the output and
    /// inside that of the residual, and `channel` must be one of the output's.
    #[inline(always)]
    unsafe fn store_kept<S: Simd, const OUT_TILE: usize>(
        &self,
        kept: &[[[f32; 16]; OUT_TILE]; OUT_TILE],
        (rows, columns): (usize, usize),
        added: Option<(*const f32, Map)>,
        output: *mut f32,
        channel: usize,
    ) {
        let map = self.output_map;
        let (down, across, lanes) = (map.row_stride(), map.channels, map.channels - channel);
        // SAFETY: what the caller promises; only channels that a pixel has are touched.
        unsafe {
            for (j, row) in kept.iter().enumerate().take(rows) {
                for (i, sums) in row.iter().enumerate().take(columns) {
                    let sums = S::load(sums.as_ptr());
                    let added = added.map(|(data, r)| {
                        let at = j * r.row_stride() + i * r.channels + channel;
                        let has = r.channels.saturating_sub(channel).min(lanes);
                        (data.wrapping_add(at), has)
                    });
                    let to = output.add(j * down + i * across + channel);
                    self.store_partial::<S>(sums, added, channel, (to, lanes));
                }
            }
        }
    }

    /// Finishes one vector of an output pixel, of which only `lanes` channels exist and of whose
    /// residual only `has`.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions. As many numbers must be writable and readable, and
    /// `channel` must be one of the output's.
    #[inline(always)]
    unsafe fn store_partial<S: Simd>(
        &self,
        sums: S::V,
        added: Option<(*const f32, usize)>,
        channel: usize,
        (to, lanes): (*mut f32, usize),
    ) {
        // SAFETY: what the caller promises.
        unsafe {
            let mut v = sums;
            if let Some((data, has)) = added {
                v = S::add(v, S::load_up_to(data, has));
            }
            v = self.epilogue.activate::<S>(v, channel);
            S::store_up_to(to, v, lanes);
        }
    }
}

/// Transforms the rows of one tile, a vector of channels at each place. `from` is the vector of the
/// first place; that of the next is `plane` numbers on.
///
/// # Safety
///
/// The CPU must have `S`'s instructions, and the vectors of all `IN_TILE` by `IN_TILE` places must
/// be readable.
#[inline(always)]
unsafe fn transform_rows<S: Simd, const OUT_TILE: usize, const IN_TILE: usize>(
    from: *const f32,
    plane: usize,
) -> [[S::V; OUT_TILE]; IN_TILE] {
    // SAFETY: what the caller promises.
    unsafe {
        let zero = S::splat(0.0);
        let mut t = [[zero; OUT_TILE]; IN_TILE];
        for j in 0..IN_TILE {
            let mut m = [zero; IN_TILE];
            for i in 0..IN_TILE {
                m[i] = S::load(from.add((j * IN_TILE + i) * plane));
            }
            t[j] = transform_output_1d::<S, OUT_TILE, IN_TILE>(m);
        }
        t
    }
}
