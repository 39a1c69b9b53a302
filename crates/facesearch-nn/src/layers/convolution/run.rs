//! Runs a prepared convolution: shares images, rows or channels among threads, and launches the
//! kernels.

use super::channels::{ChannelShare, for_each_share};
use super::method::Method;
use super::space_to_depth::{deep_map, space_to_depth};
use super::{Convolution, Prepared, Weights};
use crate::kernels::{
    Depthwise, Direct, Epilogue, FusedActivation, InputScale, Panel, Quantise, Quantised, Residual,
    Winograd, WinogradLayout, as_int16_mut, input_scale, launch,
};
use crate::layers::{Aligned, Map, join};
use crate::network::Activation;

/// A thread that is awake gets at least this many multiplications. Handing them over costs less
/// than a hundred thousand of them.
const MIN_BAND: usize = 150_000;

/// What a convolution reads and writes.
pub(crate) struct Io<'a> {
    pub(crate) images: usize,
    pub(crate) input: (&'a [f32], Map),
    pub(crate) output: (&'a mut [f32], Map),
    pub(crate) residual: Option<Residual<'a>>,
    /// [`Prepared::scratch`] numbers for each thread.
    pub(crate) scratch: &'a mut [f32],
    /// Memory for inputs as integers or after space-to-depth.
    pub(crate) spare: &'a mut Aligned,
}

impl<'a> Io<'a> {
    /// The first `images` images with `scratch` numbers of the scratch, and the others. These get
    /// `spare`.
    fn split(self, images: usize, scratch: usize, spare: &'a mut Aligned) -> (Self, Self) {
        let ((input, input_map), (output, output_map)) = (self.input, self.output);
        let (input, rest_input) = input.split_at(images * input_map.image_stride());
        let (output, rest_output) = output.split_at_mut(images * output_map.image_stride());
        let (scratch, rest_scratch) = self.scratch.split_at_mut(scratch);
        let residual = self.residual.map(|r| {
            let (data, rest) = r.data.split_at(images * r.map.image_stride());
            (Residual { data, ..r }, Residual { data: rest, ..r })
        });
        let (residual, rest_residual) = residual.unzip();
        let first = Io {
            images,
            input: (input, input_map),
            output: (output, output_map),
            residual,
            scratch,
            spare: self.spare,
        };
        let rest = Io {
            images: self.images - images,
            input: (rest_input, input_map),
            output: (rest_output, output_map),
            residual: rest_residual,
            scratch: rest_scratch,
            spare,
        };
        (first, rest)
    }
}

impl Convolution {
    /// Runs on up to `threads` threads. Each does some of the images, or of a single image a band
    /// of rows. `activate` says whether the activation is applied.
    pub(crate) fn run(&self, prepared: &Prepared, io: Io<'_>, activate: bool, threads: usize) {
        let activation = match &self.activation {
            Some(Activation::Relu) if activate => FusedActivation::Relu,
            Some(Activation::PRelu(_) | Activation::LeakyRelu(_)) if activate => {
                FusedActivation::Slope(&self.slope)
            }
            Some(Activation::Clip(low, high)) if activate => FusedActivation::Clip(*low, *high),
            _ => FusedActivation::None,
        };
        Runner { convolution: self, prepared, activation }.run(io, threads);
    }
}

/// A convolution that runs.
#[derive(Clone, Copy)]
struct Runner<'a> {
    convolution: &'a Convolution,
    prepared: &'a Prepared,
    activation: FusedActivation<'a>,
}

impl Runner<'_> {
    fn run(self, io: Io<'_>, threads: usize) {
        let map = &io.output.1;
        let prepared = self.prepared;
        let pixels = io.images * map.height * map.width;
        let products = pixels * prepared.weights() / prepared.tile().pow(2);
        let scratch_per_thread = io.scratch.len() / threads.max(1);
        let threads = threads.min(products / MIN_BAND).max(1);
        if io.images > 1 && threads > 1 && !prepared.reads_weights_once() {
            let first_threads = threads / 2;
            let images = (io.images * first_threads / threads).max(1);
            let mut spare = Aligned::default();
            let (first, rest) = io.split(images, scratch_per_thread * first_threads, &mut spare);
            join(|| self.run(first, first_threads), || self.run(rest, threads - first_threads));
        } else if prepared.int16 && !matches!(prepared.method, Method::Winograd(_)) {
            self.run_quantised_images(io, threads);
        } else {
            self.run_images(io, threads);
        }
    }

    /// Floats, or a Winograd convolution, which quantises what it transforms.
    fn run_images(self, io: Io<'_>, threads: usize) {
        let Io { images, input: (input, input_map), output: (output, output_map), .. } = io;
        let (residual, scratch, spare) = (io.residual, io.scratch, io.spare);
        let stride = input_map.image_stride();
        let scales: Vec<InputScale> = match self.prepared.int16 {
            true => {
                let images = input.chunks_exact(stride).take(images);
                images.map(|numbers| input_scale(self.convolution.level, numbers)).collect()
            }
            false => Vec::new(),
        };
        let (input, input_map) = if self.prepared.needs_space_to_depth() {
            let deep = deep_map(&input_map, &output_map);
            let deep_stride = deep.image_stride();
            spare.grow(images * deep_stride);
            let pairs = input.chunks_exact(stride).zip(spare.chunks_exact_mut(deep_stride));
            for (image, to) in pairs.take(images) {
                space_to_depth((image, &input_map), (to, &deep), &self.prepared.window);
            }
            (&**spare, deep)
        } else {
            (input, input_map)
        };
        let input_scales = &scales;
        let top = 0;
        let band =
            Band { input, input_map, output, output_map, top, residual, scratch, input_scales };
        self.run_bands(images, band, threads);
    }

    /// Integers by the definition, image by image: a register tile with rows of several images
    /// would need several scales.
    fn run_quantised_images(self, io: Io<'_>, threads: usize) {
        let Io { images, input: (input, input_map), output: (output, output_map), .. } = io;
        let (scratch, spare) = (io.scratch, io.spare);
        let (stride, output_stride) = (input_map.image_stride(), output_map.image_stride());
        let level = self.convolution.level;
        spare.grow(stride.div_ceil(2) + 1);
        let inputs = input.chunks_exact(stride).zip(output.chunks_exact_mut(output_stride));
        for (image, (numbers, output)) in inputs.take(images).enumerate() {
            let scale = input_scale(level, numbers);
            let to = as_int16_mut(spare);
            launch(level, Quantise { numbers, factor: scale.quantise, to });
            let residual = io.residual.map(|residual| {
                let stride = residual.map.image_stride();
                Residual { data: &residual.data[image * stride..][..stride], ..residual }
            });
            let (input, scratch, input_scales) = (&**spare, &mut *scratch, &[scale]);
            let top = 0;
            let band =
                Band { input, input_map, output, output_map, top, residual, scratch, input_scales };
            self.run_bands(1, band, threads);
        }
    }

    /// Cuts the output into bands of rows, one for each thread, unless the threads share planes or
    /// channels.
    fn run_bands(self, images: usize, band: Band<'_>, threads: usize) {
        let shares_planes = match self.prepared.method {
            Method::Winograd(form) => {
                let channels = [band.input_map.channels, band.output_map.channels];
                let size = [band.output_map.height, band.output_map.width];
                let layout = WinogradLayout::new(form, channels, size, self.prepared.int16);
                layout.images_per_block() > 0
            }
            _ => false,
        };
        let tile = self.prepared.tile();
        let tiles = band.output_map.height.div_ceil(tile);
        if threads <= 1 || shares_planes || tiles == 1 {
            return self.run_band(images, band, threads);
        }
        let threads = threads.min(tiles);
        let first_threads = threads / 2;
        let row = tiles * first_threads / threads * tile;
        let (above, below) = band.cut(row, self.prepared.scratch * first_threads);
        join(
            || self.run_bands(images, above, first_threads),
            || self.run_bands(images, below, threads - first_threads),
        );
    }

    /// Launches the kernel of the method. `threads` threads may share the planes of a Winograd
    /// convolution, or the channels of single pixels.
    fn run_band(self, images: usize, band: Band<'_>, threads: usize) {
        let packed = &self.prepared.packed;
        let level = self.convolution.level;
        let epilogue = self.epilogue(band.residual);
        let (weights, window) = (&*packed.weights, self.prepared.window);
        match self.prepared.method {
            Method::Winograd(form) => {
                let padding = match self.prepared.needs_space_to_depth() {
                    true => [0; 2],
                    false => [window.padding[0], window.padding[1]],
                };
                let quantised = self.quantised(band.input_scales);
                let Band { input, input_map, output, output_map, top, scratch, .. } = band;
                let panels = &packed.ungrouped;
                launch(
                    level,
                    Winograd {
                        input,
                        input_map,
                        output,
                        output_map,
                        images,
                        form,
                        top,
                        padding,
                        panels,
                        weights,
                        scratch,
                        threads,
                        epilogue,
                        quantised,
                    },
                );
            }
            Method::Depthwise => {
                let Band { input, input_map, output, output_map, top, .. } = band;
                launch(
                    level,
                    Depthwise {
                        input,
                        input_map,
                        output,
                        output_map,
                        images,
                        top,
                        window,
                        weights,
                        epilogue,
                    },
                );
            }
            Method::Direct { .. } | Method::Dense { .. } => self.run_direct(images, band, threads),
        }
    }

    fn run_direct(self, images: usize, band: Band<'_>, threads: usize) {
        let epilogue = self.epilogue(band.residual);
        let quantised = self.quantised(band.input_scales);
        let Band { input, input_map, output, output_map, top, residual, .. } = band;
        let packed = &self.prepared.packed;
        let InputRuns { starts, run, origin } = self.input_runs(&input_map);
        let [down, across] = self.prepared.window.stride;
        let down = down * input_map.row_stride();
        let (weights, starts) = (&*packed.weights, &starts);
        let launch_direct = |output: &mut [f32],
                             output_map: Map,
                             panels: &[(usize, Panel)],
                             epilogue: Epilogue<'_>| {
            launch(
                self.convolution.level,
                Direct {
                    input,
                    input_map,
                    output,
                    output_map,
                    images,
                    starts,
                    run,
                    origin: origin + top * down,
                    down,
                    across: across * input_map.channels,
                    panels,
                    weights,
                    epilogue,
                    quantised,
                },
            );
        };
        let panels = &packed.panels;
        // Integers are excluded, because their scales would have to be shared out too. They are
        // never used for single pixels.
        let are_pixels = output_map.height * output_map.width == 1
            && !self.prepared.int16
            && output_map.border == [0; 4]
            && residual.is_none();
        if threads == 1 || panels.len() == 1 || !are_pixels {
            return launch_direct(output, output_map, panels, epilogue);
        }
        let mut shares: Vec<ChannelShare> = panels
            .chunks(panels.len().div_ceil(threads))
            .map(|panels| ChannelShare::new(panels, images))
            .collect();
        for_each_share(&mut shares, &|share: &mut ChannelShare| {
            let map = Map { channels: share.channels, ..output_map };
            let epilogue = epilogue.from(share.first);
            launch_direct(&mut share.output, map, &share.panels, epilogue);
        });
        for share in &shares {
            let pixels = output.chunks_exact_mut(output_map.channels);
            for (pixel, from) in pixels.zip(share.output.chunks_exact(share.channels)) {
                pixel[share.first..][..share.channels].copy_from_slice(from);
            }
        }
    }

    fn epilogue<'a>(&'a self, residual: Option<Residual<'a>>) -> Epilogue<'a> {
        Epilogue { bias: &self.convolution.bias, residual, activation: self.activation }
    }

    fn quantised<'a>(&'a self, input_scales: &'a [InputScale]) -> Option<Quantised<'a>> {
        let weight_scales = &self.prepared.packed.scales;
        self.prepared.int16.then_some(Quantised { weight_scales, input_scales })
    }

    /// Which numbers an output pixel reads.
    fn input_runs(&self, map: &Map) -> InputRuns {
        let window = &self.prepared.window;
        let (rows, columns, groups) = match (&self.convolution.weights, self.prepared.method) {
            (Weights::Conv(conv), Method::Direct { rows, columns }) => (rows, columns, conv.groups),
            _ => ([0, window.size[0]], [0, window.size[1]], 1),
        };
        let [dy, dx] = window.dilation;
        let (row, pixel) = (map.row_stride(), map.channels);
        let top = map.border[0] + rows[0] * dy - window.padding[0];
        let left = map.border[1] + columns[0] * dx - window.padding[1];
        let (height, width) = (rows[1] - rows[0], columns[1] - columns[0]);
        let contiguous = dx == 1 && groups == 1;
        let starts = (0..height)
            .flat_map(|y| {
                let taps = if contiguous { 1 } else { width };
                (0..taps).map(move |x| y * dy * row + x * dx * pixel)
            })
            .collect();
        let run = if contiguous { width * pixel } else { pixel / groups };
        InputRuns { starts, run, origin: top * row + left * pixel }
    }
}

/// The numbers that an output pixel reads: runs of `run` numbers.
struct InputRuns {
    /// Where each run begins, counted from the first.
    starts: Vec<usize>,
    run: usize,
    /// Where the first run of the first output pixel begins in an image.
    origin: usize,
}

/// What a thread reads and writes: some rows of the output.
struct Band<'a> {
    input: &'a [f32],
    input_map: Map,
    output: &'a mut [f32],
    output_map: Map,
    /// How many rows of the whole output are above these.
    top: usize,
    residual: Option<Residual<'a>>,
    scratch: &'a mut [f32],
    /// With integers: one for each image.
    input_scales: &'a [InputScale],
}

impl<'a> Band<'a> {
    /// The bands above and below row `y` of one image. The first gets `scratch` numbers of the
    /// scratch, the second the others.
    fn cut(self, y: usize, scratch: usize) -> (Self, Self) {
        let (at, upper, lower) = self.output_map.cut(y);
        let (output_above, output_below) = self.output.split_at_mut(at);
        let (scratch_above, scratch_below) = self.scratch.split_at_mut(scratch);
        let (residual_above, residual_below) = self.residual.map(|r| r.cut(y)).unzip();
        let Self { input, input_map, top, input_scales, .. } = self;
        let band = |output, output_map, top, residual, scratch| Band {
            input,
            input_map,
            output,
            output_map,
            top,
            residual,
            scratch,
            input_scales,
        };
        (
            band(output_above, upper, top, residual_above, scratch_above),
            band(output_below, lower, top + y, residual_below, scratch_below),
        )
    }
}
