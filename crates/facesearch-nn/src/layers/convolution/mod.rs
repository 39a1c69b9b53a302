//! Convolutions and dense layers: folded, packed once for each way they are run, and run.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernels::{
    Depthwise, Direct, Epilogue, Factor, Form, LONGEST_ROW, Level, MOST_WINOGRAD_CHANNELS, Panel,
    Residual, SLACK, Short, Shorten, Source, Squash, TransformWeights, Winograd, factor_of,
    fill_panels, integers_mut, launch, short_len, shorten_weights, split_panels,
};

use crate::layers::{Aligned, Map, both};
use crate::network::{Activation, Conv2d, Dense, FlattenOrder, Precision, Window, slide};

/// Fewer channels than this, in or out, do not repay the transforms of [`Winograd`].
const LEAST_WINOGRAD_CHANNELS: usize = 16;

/// Up to so many rows and columns of output the smaller form of [`Winograd`] is used.
const SMALL: usize = 4;

/// Nor do fewer numbers of the input than this for each output, where a window is larger than 3x3.
const LEAST_WINOGRAD_ROW: usize = 12;

/// Fewer output pixels than this do not repay the rounding of the input to integers, nor that a batch's
/// images then read the weights one after the other.
const LEAST_SHORT_PLACES: usize = 16;

/// Multiplications that are worth another thread that is awake: what handing them over costs is less
/// than what a hundred thousand of them do.
const LEAST_BAND: usize = 150_000;

/// Where the weights come from.
#[derive(Debug)]
pub(crate) enum Weights {
    /// A convolution's.
    Kernel(Conv2d),
    /// A dense layer's, which reads a map flattened in this order.
    Whole(Dense, FlattenOrder),
}

/// A convolution or dense layer with what follows it: a factor and a summand for each channel, a
/// sum with another value, an activation.
#[derive(Debug)]
pub(crate) struct Convolution {
    weights: Weights,
    /// One factor for each output channel.
    scale: Option<Vec<f32>>,
    /// One summand for each output channel, then `SLACK` zeros.
    bias: Vec<f32>,
    activation: Option<Activation>,
    /// The slopes of the activation, if it has any, one for each channel, then `SLACK` zeros.
    slope: Vec<f32>,
    level: Level,
    precision: Precision,
    packed: Mutex<HashMap<(Method, bool), Arc<Packed>>>,
}

/// How a convolution is run on a map of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    /// By the definition, with the window's rows and columns between these bounds; the others
    /// would see nothing but padding.
    Direct {
        rows: [usize; 2],
        columns: [usize; 2],
    },
    Winograd(Form),
    Depthwise,
    /// The window is the whole map, of this size.
    Whole {
        height: usize,
        width: usize,
    },
}

/// Weights as a kernel wants them.
#[derive(Debug)]
struct Packed {
    /// For each panel how far into a pixel its group's channels begin.
    panels: Vec<(usize, Panel)>,
    /// The same panels for [`Winograd`], which knows no groups.
    ungrouped: Vec<Panel>,
    /// Floats, or pairs of integers in their place.
    weights: Aligned,
    /// Of integers: for each lane of the panels, plane by plane, what sums are multiplied with.
    scales: Vec<f32>,
}

impl Packed {
    fn new(panels: Vec<(usize, Panel)>, weights: Aligned) -> Self {
        let ungrouped = panels.iter().map(|(_, panel)| *panel).collect();
        Self { panels, ungrouped, weights, scales: Vec::new() }
    }

    /// The same with integers: rows are of runs of `run` numbers, and a plane's sums, where there are
    /// planes, are multiplied with its gain, too.
    fn shortened(self, level: Level, run: usize, gains: &[f32]) -> Self {
        let lanes_of = |panel: &Panel| panel.vectors * level.lanes();
        let lanes: usize = self.ungrouped.iter().map(lanes_of).sum();
        let row = self.weights.len() / gains.len() / lanes.max(1);
        let words = |panel: &Panel| short_len(row / run, run, lanes_of(panel)) / 2;
        let plane: usize = self.ungrouped.iter().map(words).sum();
        let mut weights = Aligned::zeros(gains.len() * plane);
        let mut scales = vec![0.0; gains.len() * lanes];
        let planes = self.weights.chunks_exact(row * lanes).zip(gains);
        let into = weights.chunks_exact_mut(plane).zip(scales.chunks_exact_mut(lanes));
        for ((from, gain), (to, scales)) in planes.zip(into) {
            let mut start = 0;
            for panel in &self.ungrouped {
                let from = &from[panel.start..][..row * lanes_of(panel)];
                let to = integers_mut(&mut to[start..start + words(panel)]);
                let scales = &mut scales[panel.first..][..lanes_of(panel)];
                shorten_weights(from, run, lanes_of(panel), to, scales);
                scales.iter_mut().for_each(|scale| *scale *= gain);
                start += words(panel);
            }
        }
        let mut start = 0;
        let moved = |(group, panel): &(usize, Panel)| {
            let moved = Panel { start, ..*panel };
            start += words(panel);
            (*group, moved)
        };
        let panels = self.panels.iter().map(moved).collect();
        Self { scales, ..Self::new(panels, weights) }
    }
}

/// A convolution ready for a map of one size.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    packed: Arc<Packed>,
    pub(crate) method: Method,
    window: Window,
    /// Rows above, columns on the left, rows below and columns on the right of the input that it
    /// reads.
    pub(crate) border: [usize; 4],
    /// Numbers of scratch it needs.
    pub(crate) scratch: usize,
    /// How many images share one reading of the weights, if they come together.
    pub(crate) together: usize,
    /// Whether it multiplies integers.
    short: bool,
}

impl Prepared {
    /// What it multiplies.
    pub(crate) fn precision(&self) -> Precision {
        if self.short { Precision::Int16 } else { Precision::F32 }
    }

    /// How many weights it reads.
    pub(crate) fn weights(&self) -> usize {
        self.packed.weights.len()
    }

    /// Whether the four pixels of every two rows and columns are laid side by side first.
    fn is_halved(&self) -> bool {
        matches!(self.method, Method::Winograd(Form::Halved))
    }

    /// Whether each weight is for one place only, so that of several images the channels are shared, not they.
    pub(crate) fn reads_weights_once(&self) -> bool {
        matches!(self.method, Method::Whole { .. })
    }

    /// Output pixels done together, down and across.
    fn unit(&self) -> usize {
        match self.method {
            Method::Winograd(form) => form.tile(),
            _ => 1,
        }
    }
}

impl Convolution {
    pub(crate) fn new(
        weights: Weights,
        affine: Option<(Vec<f32>, Vec<f32>)>,
        activation: Option<Activation>,
        (level, precision): (Level, Precision),
    ) -> Self {
        let (out, bias) = match &weights {
            Weights::Kernel(conv) => (conv.out_channels, &conv.bias),
            Weights::Whole(dense, _) => (dense.out_features, &dense.bias),
        };
        let mut padded = vec![0.0; out + SLACK];
        if let Some(bias) = bias {
            padded[..out].copy_from_slice(bias);
        }
        let scale = affine.map(|(scale, shift)| {
            for ((bias, scale), shift) in padded.iter_mut().zip(&scale).zip(&shift) {
                *bias = *bias * scale + shift;
            }
            scale
        });
        let slope = match &activation {
            Some(Activation::PRelu(slope)) => slope.iter().copied().chain([0.0; SLACK]).collect(),
            Some(Activation::LeakyRelu(slope)) => vec![*slope; out + SLACK],
            _ => Vec::new(),
        };
        let (bias, packed) = (padded, Mutex::default());
        Self { weights, scale, bias, activation, slope, level, precision, packed }
    }

    /// Whether an activation can be part of a convolution.
    pub(crate) fn takes(activation: &Activation) -> bool {
        !matches!(activation, Activation::Sigmoid | Activation::Exp)
    }

    /// What its products make of a map of this size, before anything is added.
    pub(crate) fn output(&self, input: &Map) -> Map {
        let (channels, size) = match &self.weights {
            Weights::Whole(dense, _) => (dense.out_features, Some((1, 1))),
            Weights::Kernel(conv) => {
                (conv.out_channels, slide(input.height, input.width, &conv.window, false))
            }
        };
        let (height, width) = size.expect("the graph's shapes have been computed before");
        Map { channels, height, width, border: [0; 4] }
    }

    /// What it does on maps of these sizes, for people; how many multiplications with addition that is
    /// by the definition, those with padding left out, and as they are done; and how many packed
    /// weights it reads.
    pub(crate) fn work(
        &self,
        prepared: &Prepared,
        input: &Map,
        output: &Map,
    ) -> (String, u64, u64, usize) {
        let weights = prepared.packed.weights.len();
        let (window, kernels) = match &self.weights {
            Weights::Kernel(conv) => (conv.window, conv.out_channels * conv.group_channels),
            Weights::Whole(dense, _) => {
                (prepared.window, dense.weight.len() / (input.height * input.width))
            }
        };
        let [height, width] = window.size;
        let places = (output.height * output.width) as u64;
        let touching = |axis| {
            let (input, output) =
                [(input.height, output.height), (input.width, output.width)][axis];
            taps_that_touch(&window, axis, input, output)
        };
        let defined = touching(0) * touching(1) * kernels as u64;
        let (how, done) = match prepared.method {
            Method::Winograd(form) => {
                let pieces =
                    output.height.div_ceil(form.tile()) * output.width.div_ceil(form.tile());
                let each = (form.planes() * form.row(input.channels) * output.channels) as u64;
                (format!("Winograd {0}x{0}", form.tile()), pieces as u64 * each)
            }
            Method::Direct { rows, columns } => {
                let taps = (rows[1] - rows[0]) * (columns[1] - columns[0]);
                ("direct".to_owned(), places * (taps * kernels) as u64)
            }
            Method::Depthwise => {
                ("depthwise".to_owned(), places * (height * width * kernels) as u64)
            }
            Method::Whole { .. } => ("dense".to_owned(), defined),
        };
        let short = if prepared.short { " int16" } else { "" };
        (format!("{height}x{width} {how}{short}"), defined, done, weights)
    }

    /// What follows its sums.
    pub(crate) fn activation(&self) -> Option<&Activation> {
        self.activation.as_ref()
    }

    /// Chooses how to run on an input of this size, and packs the weights for it if nobody has.
    pub(crate) fn prepare(&self, input: [usize; 3], output: [usize; 2]) -> Prepared {
        let [channels, height, width] = input;
        let (method, window) = match &self.weights {
            Weights::Whole(..) => (Method::Whole { height, width }, Window::new(height, width)),
            Weights::Kernel(conv) => (choose(conv, self.precision, input, output), conv.window),
        };
        let border = match method {
            Method::Winograd(_) | Method::Whole { .. } => [0; 4],
            Method::Depthwise => {
                let (rows, columns) = ([0, window.size[0]], [0, window.size[1]]);
                border(&window, rows, columns, [height, width], output)
            }
            Method::Direct { rows, columns } => {
                border(&window, rows, columns, [height, width], output)
            }
        };
        let short = self.is_short(method, channels, output[0] * output[1]);
        let (scratch, together) = match method {
            Method::Winograd(form) => {
                let outputs = self.bias.len() - SLACK;
                let inputs = if form == Form::Halved { 4 * channels } else { channels };
                let together = Winograd::images_in_one_block(form, inputs, outputs, output, short);
                (Winograd::scratch(form, inputs, outputs, output, short), together.max(1))
            }
            _ => (0, 1),
        };
        let mut all = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = all.entry((method, short)).or_insert_with(|| {
            let packed = self.pack(method, channels);
            Arc::new(if short { self.shorten(packed, method, channels) } else { packed })
        });
        Prepared { packed: packed.clone(), method, window, border, scratch, together, short }
    }

    /// Whether it multiplies integers when it is run in this way.
    fn is_short(&self, method: Method, channels: usize, places: usize) -> bool {
        let row = match (&self.weights, method) {
            (_, Method::Winograd(form)) => form.row(channels),
            (Weights::Kernel(conv), Method::Direct { rows, columns }) if conv.groups == 1 => {
                if places < LEAST_SHORT_PLACES {
                    return false;
                }
                (rows[1] - rows[0]) * (columns[1] - columns[0]) * channels
            }
            _ => return false,
        };
        self.precision == Precision::Int16 && row <= LONGEST_ROW
    }

    fn shorten(&self, packed: Packed, method: Method, channels: usize) -> Packed {
        match (&self.weights, method) {
            (_, Method::Winograd(form)) => {
                let gains: Vec<f32> = (0..form.planes()).map(|plane| form.gain(plane)).collect();
                packed.shortened(self.level, form.row(channels) / form.parts(), &gains)
            }
            (Weights::Kernel(conv), Method::Direct { columns, .. }) => {
                let together = conv.window.dilation[1] == 1;
                let taps = if together { columns[1] - columns[0] } else { 1 };
                packed.shortened(self.level, taps * channels, &[1.0])
            }
            _ => packed,
        }
    }

    fn pack(&self, method: Method, channels: usize) -> Packed {
        let scale = self.scale.as_deref();
        match (&self.weights, method) {
            (Weights::Whole(dense, order), Method::Whole { height, width }) => {
                let place = |k: usize| {
                    let (c, x, y) = (k % channels, k / channels % width, k / channels / width);
                    match order {
                        FlattenOrder::ChannelsRowsColumns => (c * height + y) * width + x,
                        FlattenOrder::RowsColumnsChannels => k,
                        FlattenOrder::ColumnsRowsChannels => (x * height + y) * channels + c,
                    }
                };
                let output = dense.in_features;
                let places: Vec<usize> = (0..output).map(place).collect();
                let source = Source { weights: &dense.weight, output, places: &places, scale };
                self.pack_groups(&source, 1, 0)
            }
            (Weights::Kernel(conv), Method::Direct { rows, columns }) => {
                let [height, width] = conv.window.size;
                let (inputs, taps) = (conv.group_channels, columns[1] - columns[0]);
                let place = |k: usize| {
                    let (c, x, y) = (k % inputs, k / inputs % taps, k / inputs / taps);
                    (c * height + y + rows[0]) * width + x + columns[0]
                };
                let row = (rows[1] - rows[0]) * taps * inputs;
                let places: Vec<usize> = (0..row).map(place).collect();
                let output = inputs * height * width;
                let source = Source { weights: &conv.weight, output, places: &places, scale };
                self.pack_groups(&source, conv.groups, inputs)
            }
            (Weights::Kernel(conv), Method::Winograd(form)) => {
                let (inputs, kernels) = (form.row(conv.group_channels), &*windows(conv, form));
                let (panels, end) = split_panels(self.level, 0, conv.out_channels, inputs, 0);
                let mut weights = Aligned::zeros(form.planes() * end);
                let to = &mut weights;
                let transform =
                    TransformWeights { form, kernels, scale, inputs, panels: &panels, to };
                launch(self.level, transform);
                let panels = panels.into_iter().map(|panel| (0, panel)).collect();
                Packed::new(panels, weights)
            }
            (Weights::Kernel(conv), _) => {
                let taps = conv.window.size[0] * conv.window.size[1];
                let mut weights = Aligned::zeros(taps * conv.out_channels + SLACK);
                for (tap, to) in weights.chunks_exact_mut(conv.out_channels).take(taps).enumerate()
                {
                    for (o, to) in to.iter_mut().enumerate() {
                        *to = conv.weight[o * taps + tap] * scale.map_or(1.0, |scale| scale[o]);
                    }
                }
                Packed::new(Vec::new(), weights)
            }
            (Weights::Whole(..), _) => unreachable!("a dense layer is run in one way only"),
        }
    }

    /// Panels of each of `groups` groups of output channels, which read `inputs` channels each.
    fn pack_groups(&self, source: &Source<'_>, groups: usize, inputs: usize) -> Packed {
        let outputs = (self.bias.len() - SLACK) / groups;
        let (mut panels, mut end) = (Vec::new(), 0);
        for group in 0..groups {
            let row = source.places.len();
            let (some, e) = split_panels(self.level, group * outputs, outputs, row, end);
            panels.extend(some.into_iter().map(|panel| (group * inputs, panel)));
            end = e;
        }
        let mut packed = Packed::new(panels, Aligned::zeros(end));
        fill_panels(self.level, &packed.ungrouped, source, &mut packed.weights);
        packed
    }

    /// Runs on `images` images, which as many as `bands` threads may share: each does some of them, or of a
    /// single one a band of rows. `scratch` is enough for each of them; `spare` is room for an input of
    /// integers, or one laid out anew.
    pub(crate) fn run(
        &self,
        prepared: &Prepared,
        images: usize,
        (input, input_map): (&[f32], Map),
        (output, output_map): (&mut [f32], Map),
        residual: Option<Residual<'_>>,
        squash: bool,
        (scratch, spare): (&mut [f32], &mut Aligned),
        bands: usize,
    ) {
        let stride = input_map.image_stride();
        let places = images * output_map.height * output_map.width;
        let products = places * prepared.packed.weights.len() / prepared.unit().pow(2);
        let room = scratch.len() / bands.max(1);
        let bands = bands.min(products / LEAST_BAND).max(1);
        if images > 1 && bands > 1 && !prepared.reads_weights_once() {
            let others = bands / 2;
            let some = (images * others / bands).max(1);
            let (input, further_input) = input.split_at(some * stride);
            let (output, further_output) = output.split_at_mut(some * output_map.image_stride());
            let (scratch, further_scratch) = scratch.split_at_mut(room * others);
            let residual = residual.map(|r| {
                let (here, there) = r.data.split_at(some * r.map.image_stride());
                (Residual { data: here, ..r }, Residual { data: there, ..r })
            });
            let (residual, further_residual) = residual.unzip();
            let further_spare = &mut Aligned::default();
            both(
                || {
                    let (x, to) = ((input, input_map), (output, output_map));
                    let room = (scratch, spare);
                    self.run(prepared, some, x, to, residual, squash, room, others);
                },
                || {
                    let (x, to) = ((further_input, input_map), (further_output, output_map));
                    let (room, rest) = ((further_scratch, further_spare), bands - others);
                    let images = images - some;
                    self.run(prepared, images, x, to, further_residual, squash, room, rest);
                },
            );
            return;
        }
        let factors: Vec<Factor> = match prepared.short {
            true => {
                let images = input.chunks_exact(stride).take(images);
                images.map(|numbers| factor_of(self.level, numbers)).collect()
            }
            false => Vec::new(),
        };
        if !prepared.short || matches!(prepared.method, Method::Winograd(_)) {
            let (input, input_map) = if prepared.is_halved() {
                let halved = halved_map(&input_map, &output_map);
                let each = halved.image_stride();
                spare.grow(images * each);
                let pairs = input.chunks_exact(stride).zip(spare.chunks_exact_mut(each));
                for (image, to) in pairs.take(images) {
                    halve((image, &input_map), (to, &halved), &prepared.window);
                }
                (&**spare, halved)
            } else {
                (input, input_map)
            };
            let part = Part {
                input,
                input_map,
                output,
                output_map,
                top: 0,
                residual,
                scratch,
                factors: &factors,
            };
            return self.run_bands(prepared, images, part, squash, bands);
        }
        // One by one: a tile of several images' rows would need several factors.
        spare.grow(stride.div_ceil(2) + 1);
        for (image, factor) in factors.iter().enumerate() {
            let numbers = &input[image * stride..][..stride];
            let to = integers_mut(spare);
            launch(self.level, Shorten { numbers, shrink: factor.shrink, to });
            let out = output_map.image_stride();
            let residual = residual.map(|residual| {
                let stride = residual.map.image_stride();
                Residual { data: &residual.data[image * stride..][..stride], ..residual }
            });
            let part = Part {
                input: spare,
                input_map,
                output: &mut output[image * out..][..out],
                output_map,
                top: 0,
                residual,
                scratch: &mut *scratch,
                factors: std::slice::from_ref(factor),
            };
            self.run_bands(prepared, 1, part, squash, bands);
        }
    }

    fn run_bands(
        &self,
        prepared: &Prepared,
        images: usize,
        part: Part<'_>,
        squash: bool,
        bands: usize,
    ) {
        let (size, inputs) = (&part.output_map, part.input_map.channels);
        let shares_planes = match prepared.method {
            Method::Winograd(form) => {
                let size = [size.height, size.width];
                let outputs = part.output_map.channels;
                Winograd::images_in_one_block(form, inputs, outputs, size, prepared.short) > 0
            }
            _ => false,
        };
        let unit = prepared.unit();
        let units = part.output_map.height.div_ceil(unit);
        if bands <= 1 || shares_planes || units == 1 {
            return self.run_part(prepared, images, part, squash, bands);
        }
        let bands = bands.min(units);
        let (above, below) =
            part.cut(units * (bands / 2) / bands * unit, prepared.scratch * (bands / 2));
        both(
            || self.run_bands(prepared, images, above, squash, bands / 2),
            || self.run_bands(prepared, images, below, squash, bands - bands / 2),
        );
    }

    /// `threads` may share planes of [`Winograd`], or the channels of single pixels.
    fn run_part(
        &self,
        prepared: &Prepared,
        images: usize,
        part: Part<'_>,
        squash: bool,
        threads: usize,
    ) {
        let Part { input, input_map, output, output_map, top, residual, scratch, factors } = part;
        let squash = match &self.activation {
            Some(Activation::Relu) if squash => Squash::Relu,
            Some(Activation::PRelu(_) | Activation::LeakyRelu(_)) if squash => {
                Squash::Slope(&self.slope)
            }
            Some(Activation::Clip(low, high)) if squash => Squash::Clip(*low, *high),
            _ => Squash::None,
        };
        let epilogue = Epilogue { bias: &self.bias, residual, squash };
        let (packed, window) = (&prepared.packed, prepared.window);
        let weights = &*packed.weights;
        let short = prepared.short.then_some(Short { scales: &packed.scales, factors });
        match prepared.method {
            Method::Winograd(form) => launch(
                self.level,
                Winograd {
                    input,
                    input_map,
                    output,
                    output_map,
                    images,
                    form,
                    top,
                    padding: if prepared.is_halved() {
                        [0; 2]
                    } else {
                        [window.padding[0], window.padding[1]]
                    },
                    panels: &packed.ungrouped,
                    weights,
                    scratch,
                    threads,
                    epilogue,
                    short,
                },
            ),
            Method::Depthwise => launch(
                self.level,
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
            ),
            Method::Direct { .. } | Method::Whole { .. } => {
                let reading = self.reading(prepared, &input_map);
                let [down, across] = window.stride;
                let direct = |output: &mut [f32],
                              output_map: Map,
                              panels: &[(usize, Panel)],
                              epilogue: Epilogue<'_>| {
                    launch(
                        self.level,
                        Direct {
                            input,
                            input_map,
                            output,
                            output_map,
                            images,
                            starts: &reading.starts,
                            run: reading.run,
                            origin: reading.origin + top * down * input_map.row_stride(),
                            down: down * input_map.row_stride(),
                            across: across * input_map.channels,
                            panels,
                            weights,
                            epilogue,
                            short,
                        },
                    );
                };
                let panels = &packed.panels;
                // Of integers, whose scales would have to be shared, there never are single pixels.
                let are_pixels = output_map.height * output_map.width == 1
                    && !prepared.short
                    && output_map.border == [0; 4]
                    && residual.is_none();
                if threads == 1 || panels.len() == 1 || !are_pixels {
                    return direct(output, output_map, panels, epilogue);
                }
                // The channels of several pixels lie between one another, so each thread has its own.
                let mut shares: Vec<Share> = panels
                    .chunks(panels.len().div_ceil(threads))
                    .map(|panels| Share::new(panels, images))
                    .collect();
                share(&mut shares, &|share: &mut Share| {
                    let map = Map { channels: share.channels, ..output_map };
                    let epilogue = epilogue.from(share.first);
                    direct(&mut share.output, map, &share.panels, epilogue);
                });
                for share in &shares {
                    let pixels = output.chunks_exact_mut(output_map.channels);
                    for (pixel, from) in pixels.zip(share.output.chunks_exact(share.channels)) {
                        pixel[share.first..][..share.channels].copy_from_slice(from);
                    }
                }
            }
        }
    }

    /// Which runs of numbers an output pixel reads.
    fn reading(&self, prepared: &Prepared, map: &Map) -> Reading {
        let window = &prepared.window;
        let (rows, columns, groups) = match (&self.weights, prepared.method) {
            (Weights::Kernel(conv), Method::Direct { rows, columns }) => {
                (rows, columns, conv.groups)
            }
            _ => ([0, window.size[0]], [0, window.size[1]], 1),
        };
        let [dy, dx] = window.dilation;
        let (row, pixel) = (map.row_stride(), map.channels);
        let top = map.border[0] + rows[0] * dy - window.padding[0];
        let left = map.border[1] + columns[0] * dx - window.padding[1];
        let (height, width) = (rows[1] - rows[0], columns[1] - columns[0]);
        let together = dx == 1 && groups == 1;
        let starts = (0..height)
            .flat_map(|y| {
                let taps = if together { 1 } else { width };
                (0..taps).map(move |x| y * dy * row + x * dx * pixel)
            })
            .collect();
        let run = if together { width * pixel } else { pixel / groups };
        Reading { starts, run, origin: top * row + left * pixel }
    }
}

/// Some of the output channels of single pixels.
struct Share {
    first: usize,
    channels: usize,
    /// Counted from the first.
    panels: Vec<(usize, Panel)>,
    output: Vec<f32>,
}

impl Share {
    fn new(panels: &[(usize, Panel)], pixels: usize) -> Self {
        let first = panels[0].1.first;
        let channels = panels.iter().map(|(_, panel)| panel.channels).sum();
        let moved = |(group, panel): &(usize, Panel)| {
            (*group, Panel { first: panel.first - first, ..*panel })
        };
        let panels = panels.iter().map(moved).collect();
        Self { first, channels, panels, output: vec![0.0; pixels * channels] }
    }
}

/// Does each on a thread of its own, if as many are free.
fn share(shares: &mut [Share], work: &(impl Fn(&mut Share) + Sync)) {
    match shares {
        [] => {}
        [one] => work(one),
        several => {
            let (some, others) = several.split_at_mut(several.len() / 2);
            both(|| share(some, work), || share(others, work));
        }
    }
}

/// What a convolution reads and writes, for some rows of the output.
struct Part<'a> {
    input: &'a [f32],
    input_map: Map,
    output: &'a mut [f32],
    output_map: Map,
    /// How many rows of the whole output lie above these.
    top: usize,
    residual: Option<Residual<'a>>,
    scratch: &'a mut [f32],
    /// Of integers: one for each image.
    factors: &'a [Factor],
}

impl<'a> Part<'a> {
    /// The parts above and below row `y` of one image, the first with so much of the scratch.
    fn cut(self, y: usize, scratch: usize) -> (Self, Self) {
        let (at, upper, lower) = self.output_map.cut(y);
        let (above, below) = self.output.split_at_mut(at);
        let (first, second) = self.scratch.split_at_mut(scratch);
        let (over, under) = self.residual.map(|residual| residual.cut(y)).unzip();
        let (input, input_map, top) = (self.input, self.input_map, self.top);
        let factors = self.factors;
        let part = |output, output_map, top, residual, scratch| Part {
            input,
            input_map,
            output,
            output_map,
            top,
            residual,
            scratch,
            factors,
        };
        (part(above, upper, top, over, first), part(below, lower, top + y, under, second))
    }
}

struct Reading {
    starts: Vec<usize>,
    run: usize,
    origin: usize,
}

fn choose(
    conv: &Conv2d,
    precision: Precision,
    [channels, height, width]: [usize; 3],
    output: [usize; 2],
) -> Method {
    if conv.groups > 1 && conv.groups == channels && conv.out_channels == channels {
        return Method::Depthwise;
    }
    if let Some(form) = winograd_form(conv, channels, output) {
        // Of integers the definition is as fast as so few channels' transforms, and exact.
        let row = conv.window.size[0] * conv.window.size[1] * channels;
        let is_short = precision == Precision::Int16 && row <= LONGEST_ROW;
        if form != Form::Halved || !is_short {
            return Method::Winograd(form);
        }
    }
    let window = &conv.window;
    Method::Direct {
        rows: useful(window, 0, height, output[0]),
        columns: useful(window, 1, width, output[1]),
    }
}

/// The form of [`Winograd`] that pays for such a window, if one does.
fn winograd_form(conv: &Conv2d, channels: usize, output: [usize; 2]) -> Option<Form> {
    let Window { size: [height, width], stride, dilation, .. } = conv.window;
    let outputs = conv.out_channels;
    let fits =
        channels.max(outputs) <= MOST_WINOGRAD_CHANNELS && outputs >= LEAST_WINOGRAD_CHANNELS;
    if height != width || dilation != [1, 1] || conv.groups > 1 || !fits {
        return None;
    }
    // A map that is hardly larger than a piece would leave most of each unused.
    let least = |len: usize| output.iter().all(|places| *places >= len);
    let is_small = output.iter().all(|places| *places <= SMALL);
    let form = match (height, stride) {
        (3, [1, 1]) if channels < LEAST_WINOGRAD_CHANNELS || !least(3) => return None,
        (3, [1, 1]) => {
            if is_small {
                Form::Two
            } else {
                Form::Four
            }
        }
        // Parts have several times as many weights as the window, which few pieces do not repay.
        (5..=12, [1, 1]) if least(12) => Form::Parts(height.div_ceil(3)),
        (7 | 8, [2, 2]) if least(6) && 4 * channels <= MOST_WINOGRAD_CHANNELS => Form::Halved,
        _ => return None,
    };
    (form.row(channels) >= LEAST_WINOGRAD_ROW).then_some(form)
}

/// A convolution's kernels, `(out, form.row(in), taps, taps)`: the parts of each, or what of it sees each of the four
/// pixels that become channels, with zeros beyond the window.
fn windows(conv: &Conv2d, form: Form) -> Cow<'_, [f32]> {
    let ([height, width], inputs, taps) = (conv.window.size, conv.group_channels, form.taps());
    // The row or column of the window of a tap of a part, or of one of the two rows or columns.
    let (groups, place): (usize, fn(usize, usize) -> usize) = match form {
        Form::Two | Form::Four => return Cow::Borrowed(&conv.weight),
        Form::Parts(parts) => (parts, |part, tap| part * 3 + tap),
        Form::Halved => (2, |second, tap| 2 * tap + second),
    };
    let mut all = vec![0.0; conv.out_channels * form.row(inputs) * taps * taps];
    for (i, to) in all.chunks_exact_mut(taps * taps).enumerate() {
        let (c, i) = (i % inputs, i / inputs);
        let (across, i) = (i % groups, i / groups);
        let (down, o) = (i % groups, i / groups);
        for (tap, to) in to.iter_mut().enumerate() {
            let (y, x) = (place(down, tap / taps), place(across, tap % taps));
            if y < height && x < width {
                *to = conv.weight[((o * inputs + c) * height + y) * width + x];
            }
        }
    }
    Cow::Owned(all)
}

/// The map in which a window of stride 2 becomes one of 4x4 and of stride 1.
fn halved_map(input: &Map, output: &Map) -> Map {
    let [height, width] = [output.height, output.width].map(|len| len + Form::Halved.taps() - 1);
    Map { channels: 4 * input.channels, height, width, border: [0; 4] }
}

/// Lays the four pixels of every two rows and columns side by side, with zeros where a window sees padding.
fn halve((from, map): (&[f32], &Map), (to, halved): (&mut [f32], &Map), window: &Window) {
    let [top, left] = [window.padding[0], window.padding[1]];
    let (channels, pair) = (map.channels, 2 * map.channels);
    for (y, line) in to.chunks_exact_mut(halved.row_stride()).enumerate() {
        for second in 0..2 {
            let pairs = line.chunks_exact_mut(2 * pair).map(|to| &mut to[second * pair..][..pair]);
            let y = (2 * y + second).wrapping_sub(top);
            if y >= map.height {
                pairs.for_each(|to| to.fill(0.0));
                continue;
            }
            let row = &from[map.offset(y, 0)..][..map.width * channels];
            for (x, to) in pairs.enumerate() {
                let x = (2 * x).wrapping_sub(left);
                if x < map.width && x + 1 < map.width {
                    let from = &row[x * channels..][..pair];
                    // Of known length, as mostly: no call for a few bytes.
                    match (<&mut [f32; 6]>::try_from(&mut *to), <&[f32; 6]>::try_from(from)) {
                        (Ok(to), Ok(from)) => *to = *from,
                        _ => to.copy_from_slice(from),
                    }
                    continue;
                }
                for (to, x) in to.chunks_exact_mut(channels).zip([x, x.wrapping_add(1)]) {
                    match row.get(x.saturating_mul(channels)..) {
                        Some(from) if x < map.width => to.copy_from_slice(&from[..channels]),
                        _ => to.fill(0.0),
                    }
                }
            }
        }
    }
}

/// The rows or columns of a window that see more than padding.
fn useful(window: &Window, axis: usize, len: usize, places: usize) -> [usize; 2] {
    let sees = |tap: usize| {
        (0..places).any(|place| {
            let at = place * window.stride[axis] + tap * window.dilation[axis];
            at >= window.padding[axis] && at - window.padding[axis] < len
        })
    };
    let first = (0..window.size[axis]).find(|tap| sees(*tap)).unwrap_or(0);
    let last = (0..window.size[axis]).rev().find(|tap| sees(*tap)).unwrap_or(0);
    [first, last + 1]
}

/// Over all places of a window, the rows or columns of it that see the map: the others would multiply
/// nothing but padding.
fn taps_that_touch(window: &Window, axis: usize, len: usize, places: usize) -> u64 {
    let touches = |place: usize| {
        let at = |tap: usize| place * window.stride[axis] + tap * window.dilation[axis];
        let inside = window.padding[axis]..window.padding[axis] + len;
        (0..window.size[axis]).filter(|tap| inside.contains(&at(*tap))).count() as u64
    };
    (0..places).map(touches).sum()
}

/// How far a window reaches beyond a map: above, left, below, right.
fn border(
    window: &Window,
    rows: [usize; 2],
    columns: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
) -> [usize; 4] {
    let before = |axis: usize, taps: [usize; 2]| {
        window.padding[axis].saturating_sub(taps[0] * window.dilation[axis])
    };
    let after = |axis: usize, taps: [usize; 2]| {
        let last = (output[axis] - 1) * window.stride[axis] + (taps[1] - 1) * window.dilation[axis];
        (last + 1).saturating_sub(window.padding[axis] + input[axis])
    };
    [before(0, rows), before(1, columns), after(0, rows), after(1, columns)]
}
