//! How the scratch memory of a Winograd convolution is laid out.

use super::Form;

/// Numbers left free between planes.
const GAP: usize = 16;

/// The scratch of one block of tiles should fit into this many numbers: most of a level-2 cache.
const MAX_BLOCK: usize = 168 * 1024;

/// The fewest tiles in a block, even if they do not fit into the cache. Each block reads all
/// weights, and with many channels these are more than its scratch.
const MIN_TILES: usize = 48;

/// A multiple of the rows of the largest register tiles, which have 6 or 12.
pub(super) const REGISTER_ROWS: usize = 12;

/// The planes of transformed inputs, then the planes of products, for one block of tiles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WinogradLayout {
    form: Form,
    /// The output's size in tiles, down and across.
    size: [usize; 2],
    /// Output tiles of a block.
    pub(super) tiles: usize,
    /// Input tiles that they are made of.
    input_tiles: usize,
    /// How many tiles a line has, of the output and of the input.
    pub(super) across: [usize; 2],
    /// How many numbers of the inputs take the place of a float: 2 where they are integers.
    pub(super) per_float: usize,
    /// From a tile to the next, in a plane of inputs and in a plane of products.
    pub(super) input_stride: usize,
    pub(super) output_stride: usize,
}

impl WinogradLayout {
    /// The layout for a number of channels in and out, and for an output of `size` rows and
    /// columns. `int16` says whether integers are multiplied.
    ///
    /// The channels of a tile are padded to whole vectors of any kind, except where several tiles
    /// are read as one run.
    pub(crate) fn new(
        form: Form,
        [inputs, outputs]: [usize; 2],
        size: [usize; 2],
        int16: bool,
    ) -> Self {
        let input_stride = if form.parts() > 1 { inputs } else { inputs.next_multiple_of(16) };
        let output_stride = outputs.next_multiple_of(16);
        let per_float = if int16 { 2 } else { 1 };
        let tile = form.planes() * (input_stride.div_ceil(per_float) + output_stride);
        let fit = MAX_BLOCK / tile;
        let size = size.map(|len| len.div_ceil(form.output_tile()));
        let [down, across] = size;
        let extra = form.parts() - 1;
        let (tiles, input_tiles) = if extra == 0 {
            let tiles = (fit / REGISTER_ROWS * REGISTER_ROWS).max(MIN_TILES);
            (tiles, tiles)
        } else {
            let lines = (fit / across).clamp(1, down);
            (lines * across, (lines + extra) * (across + extra))
        };
        let across = [across, across + extra];
        Self { form, size, tiles, input_tiles, across, per_float, input_stride, output_stride }
    }

    /// The size of a plane of inputs, in floats.
    pub(super) fn input_plane(&self) -> usize {
        (self.input_tiles * self.input_stride).div_ceil(self.per_float) + GAP
    }

    /// The size of a plane of products.
    pub(super) fn output_plane(&self) -> usize {
        self.tiles * self.output_stride + GAP
    }

    /// The size of the whole scratch, in floats.
    pub(crate) fn scratch_len(&self) -> usize {
        self.form.planes() * (self.input_plane() + self.output_plane())
    }

    /// How many whole images a block can hold; 0 where it cannot hold one.
    pub(crate) fn images_per_block(&self) -> usize {
        let tiles: usize = self.size.iter().product();
        self.tiles / tiles.max(1)
    }
}
