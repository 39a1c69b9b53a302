//! Convolution with a part of the multiplications.
//!
//! - **Paper:** Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016,
//!   <https://arxiv.org/abs/1509.09308>: F(4x4, 3x3) and F(2x2, 3x3), and likewise F(3x3, 4x4) and F(3x3, 3x3). With
//!   the first, a 6x6 piece of the input is transformed, multiplied number by number with the transformed kernel, and
//!   transformed back to 4x4 outputs: 36 multiplications per channel pair instead of 144.
//! - **Shape:** over all pieces the multiplications are as many matrix products as a piece has numbers, one for each
//!   place in a piece; those run in the register tile.
//! - **Which:** a transformed kernel has 36 or 16 numbers instead of 9. On a small map they are used
//!   so few times that reading them takes longer than multiplying, hence the smaller form there. How windows
//!   larger than 3x3 come down to such pieces is said at [`Form`].
//! - **Trap:** planes at a distance that is a multiple of 4096 bytes fall into the same few
//!   cache sets, which costs a third of the speed; hence the gap between planes.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

mod form;
mod weights;

#[cfg(test)]
mod tests;

pub(crate) use form::Form;
use form::{from_planes, gain, into_planes};
pub(crate) use weights::TransformWeights;

use super::short::{Short, ShortProduct, integers, integers_mut, short_len};
use super::tile::{Epilogue, Line, Panel, Product, Row, Runs, To};
use super::{Kernel, Simd};
use crate::layers::{Map, both};

/// Numbers left free between planes.
const GAP: usize = 16;
/// Numbers of scratch that one block of pieces should fit in: most of a level-2 cache.
const BLOCK: usize = 168 * 1024;
/// Pieces done together at least, cache or not: each block reads all weights, which with many channels are
/// more than its scratch.
const FEWEST: usize = 48;

/// Rows that fill the largest tiles, whether of 6 rows or of 12.
const WHOLE_TILES: usize = 12;

/// A convolution of stride 1.
pub(crate) struct Winograd<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    pub(crate) form: Form,
    /// How many rows of the whole output lie above this one's first.
    pub(crate) top: usize,
    /// Rows above and columns on the left that count as zeros; what lies below and on the right of
    /// the input does anyway. The border is not read.
    pub(crate) padding: [usize; 2],
    /// For each plane the same panels, one plane's weights after the other's.
    pub(crate) panels: &'a [Panel],
    pub(crate) weights: &'a [f32],
    pub(crate) scratch: &'a mut [f32],
    /// As many threads may share the planes, which pays where weights are many and pieces few: each
    /// then reads a part of the weights, not all of them.
    pub(crate) threads: usize,
    pub(crate) epilogue: Epilogue<'a>,
    /// Where the weights are integers, as the transformed inputs are then.
    pub(crate) short: Option<Short<'a>>,
}

/// How the scratch is laid out for a convolution between so many channels.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Pieces of output done together, and those of input that they are made of.
    pieces: usize,
    input_pieces: usize,
    /// How many pieces lie in one line of the output, and of the input.
    across: [usize; 2],
    /// How many numbers of the inputs lie in the place of a float.
    held: usize,
    /// From one piece to the next, in a plane of inputs and in one of outputs.
    input_row: usize,
    output_row: usize,
}

impl Layout {
    /// For an output of this size. Every row is padded to whole vectors of any kind, but where several pieces
    /// are read as one run.
    fn new(form: Form, inputs: usize, outputs: usize, size: [usize; 2], short: bool) -> Self {
        let input_row = if form.parts() > 1 { inputs } else { inputs.next_multiple_of(16) };
        let output_row = outputs.next_multiple_of(16);
        let held = if short { 2 } else { 1 };
        let fit = BLOCK / (form.planes() * (input_row.div_ceil(held) + output_row));
        let [down, across] = size.map(|len| len.div_ceil(form.tile()));
        let more = form.parts() - 1;
        let (pieces, input_pieces) = if more == 0 {
            let pieces = (fit / WHOLE_TILES * WHOLE_TILES).max(FEWEST);
            (pieces, pieces)
        } else {
            let lines = (fit / across).clamp(1, down);
            (lines * across, (lines + more) * (across + more))
        };
        let across = [across, across + more];
        Self { pieces, input_pieces, across, held, input_row, output_row }
    }

    /// In floats, as all planes are counted.
    fn input_plane(&self) -> usize {
        (self.input_pieces * self.input_row).div_ceil(self.held) + GAP
    }

    fn output_plane(&self) -> usize {
        self.pieces * self.output_row + GAP
    }
}

impl Winograd<'_> {
    /// Of how many images of this size all pieces can be done together; 0 if not even one's.
    pub(crate) fn images_in_one_block(
        form: Form,
        inputs: usize,
        outputs: usize,
        size: [usize; 2],
        short: bool,
    ) -> usize {
        let pieces: usize = size.iter().map(|len| len.div_ceil(form.tile())).product();
        Layout::new(form, inputs, outputs, size, short).pieces / pieces.max(1)
    }

    /// How many numbers of scratch it needs for an output of this size.
    pub(crate) fn scratch(
        form: Form,
        inputs: usize,
        outputs: usize,
        size: [usize; 2],
        short: bool,
    ) -> usize {
        let layout = Layout::new(form, inputs, outputs, size, short);
        form.planes() * (layout.input_plane() + layout.output_plane())
    }

    fn check(&self) {
        let (i, o) = (&self.input_map, &self.output_map);
        assert!(self.images * i.image_stride() <= self.input.len(), "a whole input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        let size = [o.height, o.width];
        let scratch = Self::scratch(self.form, i.channels, o.channels, size, self.short.is_some());
        assert!(self.scratch.len() >= scratch, "enough scratch");
        let covered: usize = self.panels.iter().map(|panel| panel.channels).sum();
        let in_order = self
            .panels
            .iter()
            .try_fold(0, |end, panel| (panel.first == end).then_some(end + panel.channels));
        assert!(i.channels <= MOST_WINOGRAD_CHANNELS, "enough zeros to stand for a pixel");
        assert!(covered == o.channels && in_order.is_some(), "panels of all the channels");
        if let Some(short) = &self.short {
            assert_eq!(short.factors.len(), self.images, "a factor for each image");
        }
        self.epilogue.check(o.channels);
        if let Some(r) = &self.epilogue.residual {
            assert_eq!((r.map.height, r.map.width), (o.height, o.width), "a residual that fits");
            assert!(self.images * r.map.image_stride() <= r.data.len(), "a whole residual");
        }
    }
}

impl Kernel for Winograd<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.check();
        // SAFETY: `run` is called below `launch` only, and `check` has passed.
        unsafe {
            match self.form {
                Form::Two => self.sweep_any::<S, 2, 4>(),
                Form::Four => self.sweep_any::<S, 4, 6>(),
                Form::Halved => self.sweep_any::<S, 3, 6>(),
                Form::Parts(_) => self.sweep_any::<S, 3, 5>(),
            }
        }
    }
}

/// More channels than this, in or out, are not for [`Winograd`].
pub(crate) const MOST_WINOGRAD_CHANNELS: usize = 2048;

/// The products of all pieces of a block, plane by plane.
#[derive(Clone, Copy)]
struct Planes<'a> {
    panels: &'a [Panel],
    layout: Layout,
    /// Lines of pieces of the output, and in each how many; from one line to the next; how each piece is read.
    lines: usize,
    count: usize,
    line: Row,
    runs: Runs<'a>,
    /// Weights of a plane, in floats.
    plane_weights: usize,
    /// Those of the first plane and the ones after it, where the numbers are integers, and how many
    /// a plane has.
    scales: Option<&'a [f32]>,
    plane_scales: usize,
}

impl Planes<'_> {
    /// Multiplies `planes` planes, which as many as `threads` threads share.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `transformed` must hold that many planes of inputs,
    /// `weights` that many planes' weights in the order of the panels, and `products` must have room
    /// for as many planes of outputs; every piece of every line must be read and written inside a plane.
    unsafe fn multiply<S: Simd>(
        self,
        transformed: &[f32],
        weights: &[f32],
        products: &mut [f32],
        planes: usize,
        threads: usize,
    ) {
        let Self { panels, layout, count, runs, plane_weights, .. } = self;
        if threads > 1 && planes > 1 {
            let (some, others) = (threads / 2, threads - threads / 2);
            let here = (planes * some / threads).max(1);
            let there = planes - here;
            let (x, further_x) = transformed.split_at(here * layout.input_plane());
            let (w, further_w) = weights.split_at(here * plane_weights);
            let (to, further_to) = products.split_at_mut(here * layout.output_plane());
            let further_scales = self.scales.map(|scales| &scales[here * self.plane_scales..]);
            let further = Self { scales: further_scales, ..self };
            both(
                // SAFETY: what the caller promises, of the first planes.
                || unsafe { self.multiply::<S>(x, w, to, here, some) },
                // SAFETY: the same of the other planes.
                || unsafe {
                    further.multiply::<S>(further_x, further_w, further_to, there, others)
                },
            );
            return;
        }
        let row = runs.starts.len() * runs.run;
        let step = Row { input: layout.input_row, output: layout.output_row, residual: 0 };
        for plane in 0..planes {
            let mut weights = &weights[plane * plane_weights..][..plane_weights];
            let input = &transformed[plane * layout.input_plane()..][..layout.input_plane()];
            let output = &mut products[plane * layout.output_plane()..][..layout.output_plane()];
            for panel in panels {
                let lanes = panel.vectors * S::LANES;
                for line in 0..self.lines {
                    let (input_line, output_line) = (self.line.input, self.line.output);
                    let first =
                        Row { input: line * input_line, output: line * output_line, residual: 0 };
                    let to = To::Plane(Line { first, step });
                    let output = output.as_mut_ptr();
                    // SAFETY: the caller promises that each piece is read inside the plane and that there is
                    // room for its products, padded to whole vectors, and that `weights` begins with the panel's;
                    // of integers a row is padded to an even number, and the slice holds the panel's scales.
                    unsafe {
                        if let Some(scales) = self.scales {
                            let scales = &scales[plane * self.plane_scales + panel.first..];
                            S::multiply_short(ShortProduct {
                                input: integers(input).as_ptr(),
                                count,
                                runs,
                                weights: integers(weights).as_ptr(),
                                scales: scales[..lanes].as_ptr(),
                                grow: 1.0,
                                panel,
                                output,
                                to,
                            });
                        } else {
                            S::multiply(Product {
                                input: input.as_ptr(),
                                count,
                                runs,
                                weights: weights.as_ptr(),
                                panel,
                                output,
                                to,
                            });
                        }
                    }
                }
                let taken = match self.scales {
                    Some(_) => short_len(runs.starts.len(), runs.run, lanes) / 2,
                    None => row * lanes,
                };
                weights = &weights[taken..];
            }
        }
    }
}

/// What lies outside a map.
static ZEROS: [f32; MOST_WINOGRAD_CHANNELS] = [0.0; MOST_WINOGRAD_CHANNELS];

/// Where a piece of the input goes: the first plane's place for it, and how far the same place of the next plane
/// is; counted in integers where `SHORT`.
#[derive(Clone, Copy)]
struct Spread<'a, const PIECE: usize> {
    to: *mut f32,
    plane: usize,
    /// Of integers: what each place is multiplied with.
    shrink: &'a [[f32; PIECE]; PIECE],
}

impl<const PIECE: usize> Spread<'_, PIECE> {
    /// `Bᵀ d B` of the vector of channels from `channel` on.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions; `load` must be able to load the vector of the pixel in each row and
    /// column of the piece; at `to` and at each multiple of `plane` from there must be room for
    /// the channels as far as this vector reaches, once for each of a piece's places.
    #[inline(always)]
    unsafe fn vector<S: Simd, const SHORT: bool>(
        self,
        channel: usize,
        load: impl Fn(usize, usize) -> S::V,
    ) {
        // SAFETY: what the caller promises.
        unsafe {
            let mut rows = [[S::splat(0.0); PIECE]; PIECE];
            for j in 0..PIECE {
                let mut d = rows[j];
                for i in 0..PIECE {
                    d[i] = load(j, i);
                }
                rows[j] = into_planes::<S, PIECE>(d);
            }
            for i in 0..PIECE {
                let mut column = rows[0];
                for j in 0..PIECE {
                    column[j] = rows[j][i];
                }
                let column = into_planes::<S, PIECE>(column);
                for j in 0..PIECE {
                    let at = channel + (j * PIECE + i) * self.plane;
                    if SHORT {
                        let v = S::mul(column[j], S::splat(self.shrink[j][i]));
                        S::store_short(self.to.cast::<i16>().add(at), v);
                    } else {
                        S::store(self.to.add(at), column[j]);
                    }
                }
            }
        }
    }
}

impl Winograd<'_> {
    /// The whole convolution.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, and `TILE` and `PIECE` must be
    /// those of the form.
    #[inline(always)]
    unsafe fn sweep_any<S: Simd, const TILE: usize, const PIECE: usize>(self) {
        // SAFETY: what the caller promises.
        unsafe {
            match (self.form.parts() > 1, self.short.is_some()) {
                (false, false) => self.sweep::<S, TILE, PIECE, false>(),
                (false, true) => self.sweep::<S, TILE, PIECE, true>(),
                (true, false) => self.sweep_lines::<S, TILE, PIECE, false>(),
                (true, true) => self.sweep_lines::<S, TILE, PIECE, true>(),
            }
        }
    }

    fn layout(&self) -> Layout {
        let (i, o) = (&self.input_map, &self.output_map);
        let size = [o.height, o.width];
        Layout::new(self.form, i.channels, o.channels, size, self.short.is_some())
    }

    /// The products of a block of `lines` lines of `count` pieces, which are read as `runs`.
    fn planes<'a, S: Simd>(
        &'a self,
        layout: Layout,
        (lines, count, line): (usize, usize, Row),
        runs: Runs<'a>,
    ) -> Planes<'a> {
        let lanes: usize = self.panels.iter().map(|panel| panel.vectors * S::LANES).sum();
        let parts = runs.starts.len();
        let plane_weights = match self.short {
            Some(_) => short_len(parts, runs.run, lanes) / 2,
            None => parts * runs.run * lanes,
        };
        let scales = self.short.map(|short| short.scales);
        let planes = self.form.planes();
        assert!(scales.is_none_or(|s| s.len() >= planes * lanes), "scales for every plane");
        assert!(self.weights.len() >= planes * plane_weights, "weights for every plane");
        let (panels, plane_scales) = (self.panels, lanes);
        Planes { panels, layout, lines, count, line, runs, plane_weights, scales, plane_scales }
    }

    /// Where pieces are independent: as many of them together as fit, of as many images as they are of.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, and `TILE` and `PIECE` must be
    /// those of the form, which has one part, and `SHORT` whether the weights are integers.
    #[inline(always)]
    unsafe fn sweep<S: Simd, const TILE: usize, const PIECE: usize, const SHORT: bool>(mut self) {
        let planes = self.form.planes();
        let layout = self.layout();
        let down = self.output_map.height.div_ceil(TILE);
        let across = self.output_map.width.div_ceil(TILE);
        let pieces = self.images * down * across;
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(planes * layout.input_plane());
        let place = |piece: usize| {
            let (image, piece) = (piece / (down * across), piece % (down * across));
            (image, piece / across * TILE, piece % across * TILE)
        };
        let runs = Runs { starts: &[0], run: self.input_map.channels };
        // Nearly equal blocks: a last one of a few pieces would read all weights for them.
        let blocks = pieces.div_ceil(layout.pieces).max(1);
        let block = pieces.div_ceil(blocks).next_multiple_of(WHOLE_TILES).min(layout.pieces);
        for first in (0..pieces).step_by(block) {
            let count = block.min(pieces - first);
            for piece in 0..count {
                let place = place(first + piece);
                // SAFETY: the caller promises the instructions; `check` has found the input whole
                // and the scratch large enough, `place` gives a place in an image, and `piece` is
                // below `layout.pieces`.
                unsafe {
                    self.transform_input::<S, PIECE, SHORT>(place, piece, &layout, transformed);
                }
            }
            let all = self.planes::<S>(layout, (1, count, Row::default()), runs);
            // SAFETY: the caller promises the instructions; the scratch has room for `count` pieces
            // in each plane, each of which is read by itself, and `planes` has found weights for each plane.
            unsafe {
                all.multiply::<S>(transformed, self.weights, products, planes, self.threads);
            }
            for piece in 0..count {
                let place = place(first + piece);
                // SAFETY: as for the inputs.
                unsafe {
                    self.transform_output::<S, TILE, PIECE>(place, piece, &layout, products);
                }
            }
        }
    }

    /// Where a piece of output is made of several of input: lines of pieces, as many together as fit.
    ///
    /// # Safety
    ///
    /// As for [`sweep`](Self::sweep), for a form of several parts.
    #[inline(always)]
    unsafe fn sweep_lines<S: Simd, const TILE: usize, const PIECE: usize, const SHORT: bool>(
        mut self,
    ) {
        let planes = self.form.planes();
        let layout = self.layout();
        let more = self.form.parts() - 1;
        let [across, input_across] = layout.across;
        let down = self.output_map.height.div_ceil(TILE);
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(planes * layout.input_plane());
        let line = Row {
            input: input_across * layout.input_row,
            output: across * layout.output_row,
            residual: 0,
        };
        // Nearly as many in each block.
        let most = down.div_ceil(down.div_ceil(layout.pieces / across));
        let starts: Vec<usize> = (0..=more).map(|part| part * line.input).collect();
        let runs = Runs { starts: &starts, run: (more + 1) * self.input_map.channels };
        for image in 0..self.images {
            for first in (0..down).step_by(most) {
                let lines = most.min(down - first);
                // The lines that the block before has transformed are the first of this one.
                let kept = if first == 0 { 0 } else { more };
                if kept > 0 {
                    for plane in 0..planes {
                        let plane = &mut transformed[plane * layout.input_plane()..]
                            [..layout.input_plane()];
                        let from = most * line.input;
                        let kept = kept * line.input;
                        if SHORT {
                            integers_mut(plane).copy_within(from..from + kept, 0);
                        } else {
                            plane.copy_within(from..from + kept, 0);
                        }
                    }
                }
                // In this order, as the last vector of a piece may reach into the next one.
                for y in kept..lines + more {
                    for x in 0..input_across {
                        let place = (image, (first + y) * TILE, x * TILE);
                        let piece = y * input_across + x;
                        // SAFETY: the caller promises the instructions; `check` has found the input whole
                        // and the scratch large enough; beyond the map there are zeros, and `piece` is
                        // below `layout.input_pieces`.
                        unsafe {
                            self.transform_input::<S, PIECE, SHORT>(
                                place,
                                piece,
                                &layout,
                                transformed,
                            );
                        }
                    }
                }
                let all = self.planes::<S>(layout, (lines, across, line), runs);
                // SAFETY: the caller promises the instructions; a piece in the last of `lines` lines and the last of
                // its line is read as far as the last part, which is the last of the input's pieces, and
                // `planes` has found weights for each plane.
                unsafe {
                    all.multiply::<S>(transformed, self.weights, products, planes, self.threads);
                }
                for piece in 0..lines * across {
                    let place = (image, (first + piece / across) * TILE, piece % across * TILE);
                    // SAFETY: as for the inputs; the place is one of an output pixel.
                    unsafe {
                        self.transform_output::<S, TILE, PIECE>(place, piece, &layout, products);
                    }
                }
            }
        }
    }

    /// Spreads one piece of the input over the planes.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, the place must be in an image, and
    /// `piece` below the layout's.
    #[inline(always)]
    unsafe fn transform_input<S: Simd, const PIECE: usize, const SHORT: bool>(
        &self,
        (image, y, x): (usize, usize, usize),
        piece: usize,
        layout: &Layout,
        planes: &mut [f32],
    ) {
        let map = &self.input_map;
        // The rows and columns of the piece that lie in the map; the others are zeros.
        let inside = |at: usize, padding: usize, len: usize| {
            (padding.saturating_sub(at).min(PIECE), (len + padding).saturating_sub(at).min(PIECE))
        };
        let y = y + self.top;
        let (top, bottom) = inside(y, self.padding[0], map.height);
        let (left, right) = inside(x, self.padding[1], map.width);
        let to = if SHORT {
            integers_mut(planes)[piece * layout.input_row..].as_mut_ptr().cast()
        } else {
            planes[piece * layout.input_row..].as_mut_ptr()
        };
        let mut shrink = [[1.0; PIECE]; PIECE];
        if let Some(short) = &self.short {
            let by = short.factors[image].shrink;
            for (j, row) in shrink.iter_mut().enumerate() {
                for (i, shrink) in row.iter_mut().enumerate() {
                    *shrink = by / (gain::<PIECE>(j) * gain::<PIECE>(i));
                }
            }
        }
        let plane = layout.input_plane() * layout.held;
        let spread = Spread { to, plane, shrink: &shrink };
        let channels = map.channels;
        let input = &self.input[image * map.image_stride()..];
        if (top, left, bottom, right) == (0, 0, PIECE, PIECE) {
            let first = map.offset(y - self.padding[0], x - self.padding[1]);
            let (row, all) = (map.row_stride(), channels.next_multiple_of(S::LANES));
            // Whole vectors of each pixel: what lies behind its channels is spread and never multiplied.
            if let Some(piece) = input[first..].get(..(PIECE - 1) * (row + channels) + all) {
                for channel in (0..channels).step_by(S::LANES) {
                    // SAFETY: the caller promises the instructions; the slice holds the piece from its first pixel
                    // to its last one's last vector. A vector stored ends at most 15 numbers beyond its piece, in one
                    // that is written later or not read, or in the gap after the last.
                    unsafe {
                        let at = |j, i| piece.as_ptr().add(j * row + i * channels + channel);
                        spread.vector::<S, SHORT>(channel, |j, i| S::load(at(j, i)));
                    }
                }
                return;
            }
        }
        let mut pixels = [[ZEROS.as_ptr(); PIECE]; PIECE];
        for j in top..bottom {
            for i in left..right {
                let at = map.offset(y + j - self.padding[0], x + i - self.padding[1]);
                pixels[j][i] = input[at..][..channels].as_ptr();
            }
        }
        for channel in (0..channels).step_by(S::LANES) {
            // SAFETY: as above; each pixel's slice has the map's channels, and there are zeros for as many.
            unsafe {
                let left = channels - channel;
                spread.vector::<S, SHORT>(channel, |j, i| {
                    S::load_up_to(pixels[j][i].add(channel), left)
                });
            }
        }
    }

    /// Gathers one piece of the output from the planes of products.
    ///
    /// # Safety
    ///
    /// As for [`transform_input`](Self::transform_input).
    #[inline(always)]
    unsafe fn transform_output<S: Simd, const TILE: usize, const PIECE: usize>(
        &mut self,
        (image, y, x): (usize, usize, usize),
        piece: usize,
        layout: &Layout,
        planes: &[f32],
    ) {
        let map = self.output_map;
        let (rows, columns) = (TILE.min(map.height - y), TILE.min(map.width - x));
        let origin = image * map.image_stride() + map.offset(y, x);
        // By one a number is multiplied without being rounded.
        let grow = self.short.map_or(1.0, |short| short.factors[image].grow);
        let added = self.epilogue.residual.map(|r| {
            let at = image * r.map.image_stride() + r.map.offset(y, x);
            (r.data.as_ptr().wrapping_add(at), r.map)
        });
        let output = self.output.as_mut_ptr().wrapping_add(origin);
        let (down, across) = (map.row_stride(), map.channels);
        let mut kept = [[[0.0f32; 16]; TILE]; TILE];
        for channel in (0..map.channels).step_by(S::LANES) {
            let lanes = map.channels - channel;
            let all_lanes = added.is_none_or(|(_, r)| r.channels >= channel + S::LANES);
            let is_whole = rows == TILE && columns == TILE && lanes >= S::LANES && all_lanes;
            // SAFETY: a plane's rows are padded to whole vectors, so each load stays in the plane;
            // the bias reaches `SLACK` beyond the channels; of the output and the residual only
            // pixels inside the map and the channels they have are touched.
            unsafe {
                let from = planes.as_ptr().add(piece * layout.output_row + channel);
                let (zero, grow) = (S::splat(0.0), S::splat(grow));
                let mut t = [[zero; TILE]; PIECE];
                for j in 0..PIECE {
                    let mut m = [zero; PIECE];
                    for i in 0..PIECE {
                        m[i] = S::load(from.add((j * PIECE + i) * layout.output_plane()));
                    }
                    t[j] = from_planes::<S, TILE, PIECE>(m);
                }
                let bias = S::load(self.epilogue.bias.as_ptr().add(channel));
                for i in 0..TILE {
                    let mut column = [zero; PIECE];
                    for j in 0..PIECE {
                        column[j] = t[j][i];
                    }
                    let column = from_planes::<S, TILE, PIECE>(column);
                    let mut sums = [[zero]; TILE];
                    for j in 0..TILE {
                        sums[j] = [S::fma(column[j], grow, bias)];
                    }
                    if !is_whole {
                        for j in 0..TILE {
                            S::store(kept[j][i].as_mut_ptr(), sums[j][0]);
                        }
                        continue;
                    }
                    if let Some((data, r)) = &added {
                        for j in 0..TILE {
                            let at = j * r.row_stride() + i * r.channels + channel;
                            sums[j] = [S::add(sums[j][0], S::load(data.add(at)))];
                        }
                    }
                    self.epilogue.squash_all::<S, TILE, 1>(&mut sums, channel);
                    for j in 0..TILE {
                        S::store(output.add(j * down + i * across + channel), sums[j][0]);
                    }
                }
                if is_whole {
                    continue;
                }
                for (j, kept) in kept.iter().enumerate().take(rows) {
                    for (i, kept) in kept.iter().enumerate().take(columns) {
                        let mut v = S::load(kept.as_ptr());
                        if let Some((data, r)) = &added {
                            let has = r.channels.saturating_sub(channel).min(lanes);
                            let at = j * r.row_stride() + i * r.channels + channel;
                            v = S::add(v, S::load_up_to(data.wrapping_add(at), has));
                        }
                        v = self.epilogue.squash::<S>(v, channel);
                        S::store_up_to(output.add(j * down + i * across + channel), v, lanes);
                    }
                }
            }
        }
    }
}
