//! Winograd convolution: fewer multiplications than by the definition.
//!
//! - **Paper:** Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016,
//!   <https://arxiv.org/abs/1509.09308>: F(4x4, 3x3) and F(2x2, 3x3). F(3x3, 4x4) and F(3x3, 3x3)
//!   are made in the same way.
//! - **Idea:** with F(4x4, 3x3), a tile of 6x6 inputs is transformed, multiplied number by number
//!   with the transformed kernel, and transformed back to a tile of 4x4 outputs. That takes 36
//!   multiplications per pair of channels instead of 144.
//! - **Planes:** each place in an input tile has a plane, which holds the transformed numbers of
//!   all tiles at that place. So all multiplications are one matrix product per plane, which the
//!   register tile computes.
//! - **Which form:** a transformed kernel has 36 or 16 numbers instead of 9. On a small map they
//!   are used so few times that reading them takes longer than multiplying, so the smaller form is
//!   faster there. [`Form`] says how larger windows are handled.
//! - **Trap:** planes at a distance that is a multiple of 4096 bytes compete for the same few cache
//!   sets, which costs a third of the speed. Hence the gap between planes.

mod form;
mod input;
mod layout;
mod output;
mod planes;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use form::Form;
pub(crate) use layout::WinogradLayout;
pub(crate) use weights::TransformWeights;

use super::int16::{Quantised, as_int16_mut, quantised_len};
use super::tile::{Epilogue, Panel, Row, Runs};
use super::{Kernel, Simd};
use crate::layers::Map;
use layout::REGISTER_ROWS;
use planes::Planes;

/// The most channels, in or out, that [`Winograd`] can do.
pub(crate) const MAX_WINOGRAD_CHANNELS: usize = 2048;

/// A convolution of stride 1.
pub(crate) struct Winograd<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    pub(crate) form: Form,
    /// How many rows of the whole output are above the first row of `output`.
    pub(crate) top: usize,
    /// Rows above and columns to the left of the input that count as zeros. What is below and to
    /// the right of the input counts as zeros anyway. The map's border is not read.
    pub(crate) padding: [usize; 2],
    /// The panels of one plane. All planes have the same.
    pub(crate) panels: &'a [Panel],
    /// The weights of one plane after those of the other.
    pub(crate) weights: &'a [f32],
    pub(crate) scratch: &'a mut [f32],
    /// How many threads may share the planes. That pays where weights are many and tiles few: each
    /// thread then reads a part of the weights instead of all of them.
    pub(crate) threads: usize,
    pub(crate) epilogue: Epilogue<'a>,
    /// Where the weights and the transformed inputs are integers.
    pub(crate) quantised: Option<Quantised<'a>>,
}

impl Kernel for Winograd<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.check();
        // SAFETY: `run` is called below `launch` only, and `check` has passed.
        unsafe {
            match self.form {
                Form::F2x2 => self.run_form::<S, 2, 4>(),
                Form::F4x4 => self.run_form::<S, 4, 6>(),
                Form::SpaceToDepth => self.run_form::<S, 3, 6>(),
                Form::Parts(_) => self.run_form::<S, 3, 5>(),
            }
        }
    }
}

impl Winograd<'_> {
    fn layout(&self) -> WinogradLayout {
        let (i, o) = (&self.input_map, &self.output_map);
        let channels = [i.channels, o.channels];
        WinogradLayout::new(self.form, channels, [o.height, o.width], self.quantised.is_some())
    }

    fn check(&self) {
        let (i, o) = (&self.input_map, &self.output_map);
        assert!(self.images * i.image_stride() <= self.input.len(), "a whole input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        assert!(self.scratch.len() >= self.layout().scratch_len(), "enough scratch");
        let covered: usize = self.panels.iter().map(|panel| panel.channels).sum();
        let in_order = self
            .panels
            .iter()
            .try_fold(0, |end, panel| (panel.first == end).then_some(end + panel.channels));
        assert!(i.channels <= MAX_WINOGRAD_CHANNELS, "enough zeros to stand for a pixel");
        assert!(covered == o.channels && in_order.is_some(), "panels of all the channels");
        if let Some(quantised) = &self.quantised {
            assert_eq!(quantised.input_scales.len(), self.images, "a scale for each image");
        }
        self.epilogue.check(o.channels);
        if let Some(r) = &self.epilogue.residual {
            assert_eq!((r.map.height, r.map.width), (o.height, o.width), "a residual that fits");
            assert!(self.images * r.map.image_stride() <= r.data.len(), "a whole residual");
        }
    }

    /// The whole convolution.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, and `OUT_TILE` and `IN_TILE`
    /// must be those of the form.
    #[inline(always)]
    unsafe fn run_form<S: Simd, const OUT_TILE: usize, const IN_TILE: usize>(self) {
        // SAFETY: what the caller promises.
        unsafe {
            match (self.form.parts() > 1, self.quantised.is_some()) {
                (false, false) => self.run_tiles::<S, OUT_TILE, IN_TILE, false>(),
                (false, true) => self.run_tiles::<S, OUT_TILE, IN_TILE, true>(),
                (true, false) => self.run_lines::<S, OUT_TILE, IN_TILE, false>(),
                (true, true) => self.run_lines::<S, OUT_TILE, IN_TILE, true>(),
            }
        }
    }

    /// The matrix products of a block of `lines` lines of `count` tiles. A tile is read as `runs`,
    /// and `line` leads from a line to the next.
    fn planes<'a, S: Simd>(
        &'a self,
        layout: WinogradLayout,
        (lines, count, line): (usize, usize, Row),
        runs: Runs<'a>,
    ) -> Planes<'a> {
        let lanes: usize = self.panels.iter().map(|panel| panel.vectors * S::LANES).sum();
        let parts = runs.starts.len();
        let plane_weights = match self.quantised {
            Some(_) => quantised_len(parts, runs.run, lanes) / 2,
            None => parts * runs.run * lanes,
        };
        let scales = self.quantised.map(|quantised| quantised.weight_scales);
        let planes = self.form.planes();
        assert!(scales.is_none_or(|s| s.len() >= planes * lanes), "scales for every plane");
        assert!(self.weights.len() >= planes * plane_weights, "weights for every plane");
        let (panels, plane_scales) = (self.panels, lanes);
        Planes { panels, layout, lines, count, line, runs, plane_weights, scales, plane_scales }
    }

    /// Forms of one part, whose tiles are independent. A block is as many tiles as fit into the
    /// cache, whatever images they belong to.
    ///
    /// # Safety
    ///
    /// As for [`run_form`](Self::run_form). The form must have one part, and `INT16` must say
    /// whether the weights are integers.
    #[inline(always)]
    unsafe fn run_tiles<S: Simd, const OUT_TILE: usize, const IN_TILE: usize, const INT16: bool>(
        mut self,
    ) {
        let planes = self.form.planes();
        let layout = self.layout();
        let down = self.output_map.height.div_ceil(OUT_TILE);
        let across = self.output_map.width.div_ceil(OUT_TILE);
        let tiles = self.images * down * across;
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(planes * layout.input_plane());
        let place = |tile: usize| {
            let (image, tile) = (tile / (down * across), tile % (down * across));
            (image, tile / across * OUT_TILE, tile % across * OUT_TILE)
        };
        let runs = Runs { starts: &[0], run: self.input_map.channels };
        // Blocks of nearly equal size: a small last block would read all weights for a few tiles.
        let blocks = tiles.div_ceil(layout.tiles).max(1);
        let block = tiles.div_ceil(blocks).next_multiple_of(REGISTER_ROWS).min(layout.tiles);
        for first in (0..tiles).step_by(block) {
            let count = block.min(tiles - first);
            for tile in 0..count {
                let place = place(first + tile);
                // SAFETY: the caller promises the instructions. `check` has found the input whole
                // and the scratch large enough, `place` gives a place in an image, and `tile` is
                // below `layout.tiles`.
                unsafe {
                    self.transform_input::<S, IN_TILE, INT16>(place, tile, &layout, transformed);
                }
            }
            let products_of_block = self.planes::<S>(layout, (1, count, Row::default()), runs);
            // SAFETY: the caller promises the instructions. The scratch has room for `count` tiles
            // in each plane, each of which is read by itself, and `planes` has found weights for
            // each plane.
            unsafe {
                products_of_block.multiply::<S>(
                    transformed,
                    self.weights,
                    products,
                    planes,
                    self.threads,
                );
            }
            for tile in 0..count {
                let place = place(first + tile);
                // SAFETY: as for the inputs.
                unsafe {
                    self.transform_output::<S, OUT_TILE, IN_TILE>(place, tile, &layout, products);
                }
            }
        }
    }

    /// Forms of several parts, where an output tile is made of several input tiles. A block is as
    /// many lines of tiles of one image as fit into the cache.
    ///
    /// # Safety
    ///
    /// As for [`run_tiles`](Self::run_tiles), for a form of several parts.
    #[inline(always)]
    unsafe fn run_lines<S: Simd, const OUT_TILE: usize, const IN_TILE: usize, const INT16: bool>(
        mut self,
    ) {
        let planes = self.form.planes();
        let layout = self.layout();
        let extra = self.form.parts() - 1;
        let [across, input_across] = layout.across;
        let down = self.output_map.height.div_ceil(OUT_TILE);
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(planes * layout.input_plane());
        let line = Row {
            input: input_across * layout.input_stride,
            output: across * layout.output_stride,
            residual: 0,
        };
        // Blocks of nearly equal size.
        let block = down.div_ceil(down.div_ceil(layout.tiles / across));
        let starts: Vec<usize> = (0..=extra).map(|part| part * line.input).collect();
        let runs = Runs { starts: &starts, run: (extra + 1) * self.input_map.channels };
        for image in 0..self.images {
            for first in (0..down).step_by(block) {
                let lines = block.min(down - first);
                // The last input lines of the block before are the first of this one.
                let kept = if first == 0 { 0 } else { extra };
                if kept > 0 {
                    let (from, len) = (block * line.input, kept * line.input);
                    move_to_front::<INT16>(transformed, layout.input_plane(), from..from + len);
                }
                // In this order, because the last vector of a tile may reach into the next tile.
                for y in kept..lines + extra {
                    for x in 0..input_across {
                        let place = (image, (first + y) * OUT_TILE, x * OUT_TILE);
                        let tile = y * input_across + x;
                        // SAFETY: the caller promises the instructions. `check` has found the input
                        // whole and the scratch large enough. Places outside the map are zeros, and
                        // `tile` is below `layout.input_tiles`.
                        unsafe {
                            self.transform_input::<S, IN_TILE, INT16>(
                                place,
                                tile,
                                &layout,
                                transformed,
                            );
                        }
                    }
                }
                let products_of_block = self.planes::<S>(layout, (lines, across, line), runs);
                // SAFETY: the caller promises the instructions. The last tile of the last line is
                // read up to its last part, which is the last input tile, and `planes` has found
                // weights for each plane.
                unsafe {
                    products_of_block.multiply::<S>(
                        transformed,
                        self.weights,
                        products,
                        planes,
                        self.threads,
                    );
                }
                for tile in 0..lines * across {
                    let (y, x) = (first + tile / across, tile % across);
                    let place = (image, y * OUT_TILE, x * OUT_TILE);
                    // SAFETY: as for the inputs; the place is one of an output pixel.
                    unsafe {
                        self.transform_output::<S, OUT_TILE, IN_TILE>(
                            place, tile, &layout, products,
                        );
                    }
                }
            }
        }
    }
}

/// Moves a range of numbers to the front of each plane of inputs.
fn move_to_front<const INT16: bool>(
    transformed: &mut [f32],
    plane_len: usize,
    numbers: std::ops::Range<usize>,
) {
    for plane in transformed.chunks_exact_mut(plane_len) {
        if INT16 {
            as_int16_mut(plane).copy_within(numbers.clone(), 0);
        } else {
            plane.copy_within(numbers.clone(), 0);
        }
    }
}
