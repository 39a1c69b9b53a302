//! 3x3 convolution of stride 1 with a quarter of the multiplications.
//!
//! - **Paper:** Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016,
//!   <https://arxiv.org/abs/1509.09308>: F(4x4, 3x3) and F(2x2, 3x3). With the larger, a 6x6 piece
//!   of the input is transformed, multiplied number by number with the transformed kernel, and
//!   transformed back to 4x4 outputs: 36 multiplications per channel pair instead of 144. With the
//!   smaller it is 16 instead of 36.
//! - **Shape:** over all pieces the multiplications are 36 or 16 matrix products, one for each
//!   place in a piece; those run in the register tile.
//! - **Which:** a transformed kernel has 36 or 16 numbers instead of 9. On a small map they are used
//!   so few times that reading them takes longer than multiplying, hence the smaller form there.
//! - **Trap:** planes at a distance that is a multiple of 4096 bytes fall into the same few
//!   cache sets, which costs a third of the speed; hence the gap between planes.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

#[cfg(test)]
mod tests;

use super::short::{Short, ShortProduct, integers, integers_mut, short_len};
use super::tile::{Epilogue, Panel, Product, Row, Rows, Runs};
use super::{Kernel, Simd};
use crate::layers::{Map, both};

/// Which of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Pieces of 2x2 output pixels.
    Two,
    /// Pieces of 4x4 output pixels.
    Four,
}

impl Form {
    /// Output pixels of a piece, down and across.
    pub(crate) const fn tile(self) -> usize {
        match self {
            Form::Two => 2,
            Form::Four => 4,
        }
    }

    /// Numbers in a piece, each of which has a plane.
    pub(crate) const fn planes(self) -> usize {
        (self.tile() + 2) * (self.tile() + 2)
    }

    /// How many times larger than the largest number of a piece those of each of its places may become
    /// by the transform: the sums of the sizes in the rows of `Bᵀ`, one for down and one for across.
    pub(crate) fn gain(self, plane: usize) -> f32 {
        let one = |place| match self {
            Form::Two => 2.0,
            Form::Four => GAINS[usize::from(INNER[place])],
        };
        let piece = self.tile() + 2;
        one(plane / piece) * one(plane % piece)
    }
}

/// The sums of the sizes in the rows of `Bᵀ` of the larger form, and which rows have the second.
const GAINS: [f32; 2] = [10.0, 6.0];
const INNER: [bool; 6] = [false, false, false, true, true, false];

/// Numbers left free between planes.
const GAP: usize = 16;
/// Numbers of scratch that one block of pieces should fit in: most of a level-2 cache.
const BLOCK: usize = 168 * 1024;
/// Pieces done together at least, cache or not: each block reads all weights, which with many channels are
/// more than its scratch.
const FEWEST: usize = 48;

/// Rows that fill the largest tiles, whether of 6 rows or of 12.
const WHOLE_TILES: usize = 12;

/// A 3x3 convolution of stride 1.
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
    /// Pieces done together.
    pieces: usize,
    /// How many numbers of the inputs lie in the place of a float.
    held: usize,
    /// From one piece to the next, in a plane of inputs and in one of outputs.
    input_row: usize,
    output_row: usize,
}

impl Layout {
    /// Every row is padded to whole vectors of any kind.
    fn new(form: Form, inputs: usize, outputs: usize, short: bool) -> Self {
        let (input_row, output_row) = (inputs.next_multiple_of(16), outputs.next_multiple_of(16));
        let held = if short { 2 } else { 1 };
        let fit = BLOCK / (form.planes() * (input_row / held + output_row));
        Self { pieces: (fit / WHOLE_TILES * WHOLE_TILES).max(FEWEST), held, input_row, output_row }
    }

    /// In floats, as all planes are counted.
    fn input_plane(&self) -> usize {
        self.pieces * self.input_row / self.held + GAP
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
        Layout::new(form, inputs, outputs, short).pieces / pieces.max(1)
    }

    /// How many numbers of scratch it needs.
    pub(crate) fn scratch(form: Form, inputs: usize, outputs: usize, short: bool) -> usize {
        let layout = Layout::new(form, inputs, outputs, short);
        form.planes() * (layout.input_plane() + layout.output_plane())
    }

    fn check(&self) {
        let (i, o) = (&self.input_map, &self.output_map);
        assert!(self.images * i.image_stride() <= self.input.len(), "a whole input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        let scratch = Self::scratch(self.form, i.channels, o.channels, self.short.is_some());
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
                Form::Two if self.short.is_some() => self.sweep::<S, 2, 4, true>(),
                Form::Four if self.short.is_some() => self.sweep::<S, 4, 6, true>(),
                Form::Two => self.sweep::<S, 2, 4, false>(),
                Form::Four => self.sweep::<S, 4, 6, false>(),
            }
        }
    }
}

/// More channels than this, in or out, are not for [`Winograd`].
pub(crate) const MOST_WINOGRAD_CHANNELS: usize = 2048;

/// `Bᵀ d`: one row or column of a piece of the input.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
unsafe fn into_planes<S: Simd, const PIECE: usize>(d: [S::V; PIECE]) -> [S::V; PIECE] {
    let mut to = d;
    // SAFETY: the caller promises the instructions.
    unsafe {
        if PIECE == 4 {
            to[0] = S::sub(d[0], d[2]);
            to[1] = S::add(d[1], d[2]);
            to[2] = S::sub(d[2], d[1]);
            to[3] = S::sub(d[1], d[3]);
            return to;
        }
        let (two, four, five) = (S::splat(2.0), S::splat(4.0), S::splat(5.0));
        let minus = |a, b, c| S::sub(c, S::mul(a, b));
        let even = minus(four, d[2], d[4]);
        let odd = minus(four, d[1], d[3]);
        let outer = S::sub(d[4], d[2]);
        let inner = S::mul(two, S::sub(d[3], d[1]));
        to[0] = S::fma(four, d[0], minus(five, d[2], d[4]));
        to[1] = S::add(even, odd);
        to[2] = S::sub(even, odd);
        to[3] = S::add(outer, inner);
        to[4] = S::sub(outer, inner);
        to[5] = S::fma(four, d[1], minus(five, d[3], d[5]));
    }
    to
}

/// `Aᵀ m`: one row or column of a piece's products.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
unsafe fn from_planes<S: Simd, const TILE: usize, const PIECE: usize>(
    m: [S::V; PIECE],
) -> [S::V; TILE] {
    let mut to = [m[0]; TILE];
    // SAFETY: the caller promises the instructions.
    unsafe {
        let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        if TILE == 2 {
            to[0] = S::add(m[0], sum);
            to[1] = S::sub(difference, m[3]);
            return to;
        }
        let (two, four, eight) = (S::splat(2.0), S::splat(4.0), S::splat(8.0));
        let (wide_sum, wide_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        to[0] = S::add(m[0], S::add(sum, wide_sum));
        to[1] = S::fma(two, wide_difference, difference);
        to[2] = S::fma(four, wide_sum, sum);
        to[3] = S::add(m[5], S::fma(eight, wide_difference, difference));
    }
    to
}

/// The products of all pieces of a block, plane by plane.
#[derive(Clone, Copy)]
struct Planes<'a> {
    panels: &'a [Panel],
    layout: Layout,
    inputs: usize,
    /// Weights of a plane, in floats.
    plane_weights: usize,
    /// Those of the first plane and the ones after it, where the numbers are integers, and how many
    /// a plane has.
    scales: Option<&'a [f32]>,
    plane_scales: usize,
    /// Pieces in the block.
    count: usize,
}

impl Planes<'_> {
    /// Multiplies `planes` planes, which as many as `threads` threads share.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `transformed` must hold that many planes of inputs,
    /// `weights` that many planes' weights in the order of the panels, and `products` must have room
    /// for as many planes of outputs; `count` must be at most the layout's pieces.
    unsafe fn multiply<S: Simd>(
        self,
        transformed: &[f32],
        weights: &[f32],
        products: &mut [f32],
        planes: usize,
        threads: usize,
    ) {
        let Self { panels, layout, inputs, plane_weights, count, .. } = self;
        if threads > 1 && planes > 1 {
            let (here, there) = (planes / 2, planes - planes / 2);
            let (x, further_x) = transformed.split_at(here * layout.input_plane());
            let (w, further_w) = weights.split_at(here * plane_weights);
            let (to, further_to) = products.split_at_mut(here * layout.output_plane());
            let (some, others) = (threads / 2, threads - threads / 2);
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
        let step = Row { input: layout.input_row, output: layout.output_row, residual: 0 };
        let rows = Rows::line(Row::default(), step);
        for plane in 0..planes {
            let mut weights = &weights[plane * plane_weights..][..plane_weights];
            for panel in panels {
                if let Some(scales) = self.scales {
                    let lanes = panel.vectors * S::LANES;
                    let scales = &scales[plane * self.plane_scales + panel.first..][..lanes];
                    let len = short_len(1, inputs, lanes);
                    // SAFETY: as below; a row of integers is padded to an even number of them, the slice
                    // holds the panel's scales, and `weights` begins with the panel's pairs.
                    unsafe {
                        S::multiply_short(ShortProduct {
                            input: integers(&transformed[plane * layout.input_plane()..]).as_ptr(),
                            rows: &rows,
                            count,
                            runs: Runs { starts: &[0], run: inputs },
                            weights: integers(weights)[..len].as_ptr(),
                            scales: scales.as_ptr(),
                            grow: 1.0,
                            panel,
                            output: products[plane * layout.output_plane()..].as_mut_ptr(),
                            epilogue: None,
                        });
                    }
                    weights = &weights[len / 2..];
                    continue;
                }
                // SAFETY: the plane has `count` rows of `inputs` numbers, and as many rows of
                // products, each padded to whole vectors; `weights` begins with the panel's.
                unsafe {
                    S::multiply(Product {
                        input: transformed[plane * layout.input_plane()..].as_ptr(),
                        rows: &rows,
                        count,
                        runs: Runs { starts: &[0], run: inputs },
                        weights: weights.as_ptr(),
                        panel,
                        output: products[plane * layout.output_plane()..].as_mut_ptr(),
                        epilogue: None,
                    });
                }
                weights = &weights[inputs * panel.vectors * S::LANES..];
            }
        }
    }
}

/// What lies outside a map.
static ZEROS: [f32; MOST_WINOGRAD_CHANNELS] = [0.0; MOST_WINOGRAD_CHANNELS];

/// `Bᵀ d B` of one vector of channels of a piece, number by number to the planes: floats, or with `SHORT`
/// integers, `to` and `plane` counted in them, each number multiplied with the shrinkage of its place
/// (neither, one or both of its row and column being inner ones).
///
/// # Safety
///
/// The CPU must have `S`'s instructions, `load` must be able to read every pixel, and at `to` and
/// at each multiple of `plane` from there must be room for a vector.
#[inline(always)]
unsafe fn spread<S: Simd, const PIECE: usize, const SHORT: bool>(
    pixels: &[[*const f32; PIECE]; PIECE],
    load: impl Fn(*const f32) -> S::V,
    (to, channel): (*mut f32, usize),
    plane: usize,
    shrink: &[S::V; 3],
) {
    // SAFETY: what the caller promises.
    unsafe {
        let mut rows = [[S::splat(0.0); PIECE]; PIECE];
        for j in 0..PIECE {
            let mut d = rows[j];
            for i in 0..PIECE {
                d[i] = load(pixels[j][i]);
            }
            rows[j] = into_planes::<S, PIECE>(d);
        }
        for i in 0..PIECE {
            let mut column = rows[0];
            for j in 0..PIECE {
                column[j] = rows[j][i];
            }
            for (j, v) in into_planes::<S, PIECE>(column).into_iter().enumerate() {
                let at = channel + (j * PIECE + i) * plane;
                if SHORT {
                    let inner = |place: usize| PIECE == 6 && INNER[place];
                    let v = S::mul(v, shrink[usize::from(inner(i)) + usize::from(inner(j))]);
                    S::store_short(to.cast::<i16>().add(at), v);
                } else {
                    S::store(to.add(at), v);
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
    unsafe fn sweep<S: Simd, const TILE: usize, const PIECE: usize, const SHORT: bool>(mut self) {
        let planes = self.form.planes();
        let (inputs, outputs) = (self.input_map.channels, self.output_map.channels);
        let layout = Layout::new(self.form, inputs, outputs, SHORT);
        let lanes: usize = self.panels.iter().map(|panel| panel.vectors * S::LANES).sum();
        let plane_weights = if SHORT { short_len(1, inputs, lanes) / 2 } else { inputs * lanes };
        let scales = self.short.map(|short| short.scales);
        assert!(scales.is_none_or(|s| s.len() >= planes * lanes), "scales for every plane");
        assert!(self.weights.len() >= planes * plane_weights, "weights for every plane");
        let down = self.output_map.height.div_ceil(TILE);
        let across = self.output_map.width.div_ceil(TILE);
        let pieces = self.images * down * across;
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(planes * layout.input_plane());
        let place = |piece: usize| {
            let (image, piece) = (piece / (down * across), piece % (down * across));
            (image, piece / across * TILE, piece % across * TILE)
        };
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
            let (panels, plane_scales) = (self.panels, lanes);
            let all = Planes { panels, layout, inputs, plane_weights, scales, plane_scales, count };
            // SAFETY: the caller promises the instructions; the scratch has room for `count` pieces
            // in each plane, and `weights` for each plane the panels'.
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

    /// Spreads one piece of the input over the planes.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, the place must be one of an
    /// output pixel, and `piece` below the layout's.
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
        let mut pixels = [[ZEROS.as_ptr(); PIECE]; PIECE];
        for j in top..bottom {
            for i in left..right {
                let (y, x) = (y + j - self.padding[0], x + i - self.padding[1]);
                let at = image * map.image_stride() + map.offset(y, x);
                pixels[j][i] = self.input[at..].as_ptr();
            }
        }
        let to = if SHORT {
            integers_mut(planes)[piece * layout.input_row..].as_mut_ptr().cast()
        } else {
            planes[piece * layout.input_row..].as_mut_ptr()
        };
        let plane = layout.input_plane() * layout.held;
        let mut shrink = [1.0; 3];
        if let Some(short) = &self.short {
            let [outer, inner] = if PIECE == 6 { GAINS } else { [2.0; 2] };
            let by = short.factors[image].shrink;
            shrink = [by / (outer * outer), by / (outer * inner), by / (inner * inner)];
        }
        // SAFETY: the caller promises the instruction.
        let shrink = unsafe { [S::splat(shrink[0]), S::splat(shrink[1]), S::splat(shrink[2])] };
        let whole = map.channels - map.channels % S::LANES;
        for channel in (0..whole).step_by(S::LANES) {
            // SAFETY: every pixel, that of zeros too, has the map's channels, of which a whole
            // vector is left here. A plane has rows padded to whole vectors, so each store ends
            // before the next row's beginning or in the gap after the last.
            unsafe {
                let load = |pixel: *const f32| S::load(pixel.add(channel));
                spread::<S, PIECE, SHORT>(&pixels, load, (to, channel), plane, &shrink);
            }
        }
        if whole < map.channels {
            let lanes = map.channels - whole;
            // SAFETY: as above; of a pixel only the channels that it has are read.
            unsafe {
                let load = |pixel: *const f32| S::load_first(pixel.add(whole), lanes);
                spread::<S, PIECE, SHORT>(&pixels, load, (to, whole), plane, &shrink);
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
        for channel in (0..map.channels).step_by(S::LANES) {
            let lanes = map.channels - channel;
            // SAFETY: a plane's rows are padded to whole vectors, so each load stays in the plane;
            // the bias reaches `SLACK` beyond the channels; of the output and the residual only
            // pixels inside the map and the channels they have are touched.
            unsafe {
                let from = planes.as_ptr().add(piece * layout.output_row + channel);
                let (zero, grow) = (S::splat(0.0), S::splat(grow));
                let mut t = [[zero; TILE]; PIECE];
                for (j, t) in t.iter_mut().enumerate() {
                    let mut m = [zero; PIECE];
                    for (i, m) in m.iter_mut().enumerate() {
                        *m = S::load(from.add((j * PIECE + i) * layout.output_plane()));
                    }
                    *t = from_planes::<S, TILE, PIECE>(m);
                }
                let bias = S::load(self.epilogue.bias.as_ptr().add(channel));
                for i in 0..columns {
                    let mut column = [zero; PIECE];
                    for (j, v) in column.iter_mut().enumerate() {
                        *v = t[j][i];
                    }
                    let column = from_planes::<S, TILE, PIECE>(column);
                    for (j, v) in column.into_iter().enumerate().take(rows) {
                        let mut v = S::fma(v, grow, bias);
                        if let Some(r) = &self.epilogue.residual {
                            let has = r.map.channels.saturating_sub(channel).min(lanes);
                            if has > 0 {
                                let at = image * r.map.image_stride()
                                    + r.map.offset(y + j, x + i)
                                    + channel;
                                v = S::add(v, S::load_up_to(r.data.as_ptr().add(at), has));
                            }
                        }
                        v = self.epilogue.squash::<S>(v, channel);
                        let at = origin + j * map.row_stride() + i * map.channels + channel;
                        S::store_up_to(self.output.as_mut_ptr().add(at), v, lanes);
                    }
                }
            }
        }
    }
}

/// The transformed weights of a convolution, `G g Gᵀ` of each of its kernels.
pub(crate) struct TransformWeights<'a> {
    pub(crate) form: Form,
    /// `(out, in, 3, 3)`.
    pub(crate) kernels: &'a [f32],
    /// A factor for each output channel.
    pub(crate) scale: Option<&'a [f32]>,
    pub(crate) inputs: usize,
    pub(crate) panels: &'a [Panel],
    /// For each plane the panels one after the other.
    pub(crate) to: &'a mut [f32],
}

impl Kernel for TransformWeights<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes: usize = self.panels.iter().map(|panel| panel.vectors * S::LANES).sum();
        let plane = self.inputs * lanes;
        assert_eq!(self.to.len(), self.form.planes() * plane, "room for every plane");
        let mut taps = [[0f32; 16]; 9];
        for panel in self.panels {
            for vector in 0..panel.vectors {
                let first = panel.first + vector * S::LANES;
                let channels = S::LANES.min(panel.first + panel.channels - first);
                for input in 0..self.inputs {
                    for lane in 0..S::LANES {
                        let inside = lane < channels;
                        let scale =
                            self.scale.map_or(1.0, |s| if inside { s[first + lane] } else { 0.0 });
                        let at = ((first + lane) * self.inputs + input) * 9;
                        for (tap, to) in taps.iter_mut().enumerate() {
                            to[lane] = if inside { self.kernels[at + tap] * scale } else { 0.0 };
                        }
                    }
                    let at = panel.start + (input * panel.vectors + vector) * S::LANES;
                    assert!((self.form.planes() - 1) * plane + at + S::LANES <= self.to.len());
                    // SAFETY: `run` is called below `launch` only; there are 16 lanes of each tap,
                    // which is as many as any vector has, and the assertion above says that a vector
                    // at `at` in the last plane lies in `to`.
                    unsafe {
                        let to = self.to.as_mut_ptr().add(at);
                        match self.form {
                            Form::Two => transform_kernel::<S, 4>(&taps, to, plane),
                            Form::Four => transform_kernel::<S, 6>(&taps, to, plane),
                        }
                    }
                }
            }
        }
    }
}

/// `G g`: one row or column of a kernel.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
unsafe fn weight_planes<S: Simd, const PIECE: usize>(g: [S::V; 3]) -> [S::V; PIECE] {
    let mut to = [g[0]; PIECE];
    // SAFETY: the caller promises the instructions.
    unsafe {
        let outer = S::add(g[0], g[2]);
        if PIECE == 4 {
            let half = S::splat(0.5);
            to[1] = S::mul(half, S::add(outer, g[1]));
            to[2] = S::mul(half, S::sub(outer, g[1]));
            to[3] = g[2];
            return to;
        }
        let sixth = S::splat(-1.0 / 6.0);
        let far = S::fma(S::splat(1.0 / 24.0), g[0], S::mul(S::splat(1.0 / 6.0), g[2]));
        let near = S::mul(S::splat(1.0 / 12.0), g[1]);
        to[0] = S::mul(S::splat(0.25), g[0]);
        to[1] = S::mul(sixth, S::add(outer, g[1]));
        to[2] = S::mul(sixth, S::sub(outer, g[1]));
        to[3] = S::add(far, near);
        to[4] = S::sub(far, near);
        to[5] = g[2];
    }
    to
}

/// One vector of kernels, place by place to the planes.
///
/// # Safety
///
/// The CPU must have `S`'s instructions, and at `to` and at each multiple of `plane` from there
/// must be room for a vector, once for each of a piece's places.
#[inline(always)]
unsafe fn transform_kernel<S: Simd, const PIECE: usize>(
    taps: &[[f32; 16]; 9],
    to: *mut f32,
    plane: usize,
) {
    // SAFETY: what the caller promises; a vector has at most 16 lanes.
    unsafe {
        let load = |tap: usize| S::load(taps[tap].as_ptr());
        // Not `map`: a closure there is compiled without the instructions.
        let rows = [
            weight_planes::<S, PIECE>([load(0), load(1), load(2)]),
            weight_planes::<S, PIECE>([load(3), load(4), load(5)]),
            weight_planes::<S, PIECE>([load(6), load(7), load(8)]),
        ];
        for i in 0..PIECE {
            let column = weight_planes::<S, PIECE>([rows[0][i], rows[1][i], rows[2][i]]);
            for (j, v) in column.into_iter().enumerate() {
                S::store(to.add((j * PIECE + i) * plane), v);
            }
        }
    }
}
