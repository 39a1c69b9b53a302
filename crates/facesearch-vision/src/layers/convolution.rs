//! Convolutions and dense layers: folded, packed once for each way they are run, and run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernels::{
    Depthwise, Direct, Epilogue, Level, MOST_WINOGRAD_CHANNELS, PLANES, Panel, Residual, SLACK,
    Squash, TILE, Winograd, align, launch, pack_panels, transform_weights,
};

use crate::layers::{Aligned, Map};
use crate::network::{Activation, Conv2d, Dense, FlattenOrder, Window, slide};

/// Fewer channels than this, in or out, do not repay the transforms of [`Winograd`].
const LEAST_WINOGRAD_CHANNELS: usize = 16;

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
    packed: Mutex<HashMap<Method, Arc<Packed>>>,
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
    Winograd,
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
    weights: Aligned,
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
}

impl Convolution {
    pub(crate) fn new(
        weights: Weights,
        affine: Option<(Vec<f32>, Vec<f32>)>,
        activation: Option<Activation>,
        level: Level,
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
        Self { weights, scale, bias: padded, activation, slope, level, packed: Mutex::default() }
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

    /// What follows its sums.
    pub(crate) fn activation(&self) -> Option<&Activation> {
        self.activation.as_ref()
    }

    /// Chooses how to run on an input of this size, and packs the weights for it if nobody has.
    pub(crate) fn prepare(&self, input: [usize; 3], output: [usize; 2]) -> Prepared {
        let [channels, height, width] = input;
        let (method, window) = match &self.weights {
            Weights::Whole(..) => (Method::Whole { height, width }, Window::new(height, width)),
            Weights::Kernel(conv) => (choose(conv, input, output), conv.window),
        };
        let border = match method {
            Method::Winograd | Method::Whole { .. } => [0; 4],
            Method::Depthwise => {
                let (rows, columns) = ([0, window.size[0]], [0, window.size[1]]);
                border(&window, rows, columns, [height, width], output)
            }
            Method::Direct { rows, columns } => {
                border(&window, rows, columns, [height, width], output)
            }
        };
        let scratch = match method {
            Method::Winograd => Winograd::scratch(channels, self.bias.len() - SLACK),
            _ => 0,
        };
        let mut all = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = all.entry(method).or_insert_with(|| Arc::new(self.pack(method, channels)));
        Prepared { packed: packed.clone(), method, window, border, scratch }
    }

    fn pack(&self, method: Method, channels: usize) -> Packed {
        let mut weights = Vec::new();
        let mut panels = Vec::new();
        let scaled = |o: usize, w: f32| self.scale.as_ref().map_or(w, |scale| scale[o] * w);
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
                let (out, row) = (dense.out_features, dense.in_features);
                let weight = |o: usize, k: usize| scaled(o, dense.weight[o * row + place(k)]);
                let all = pack_panels(self.level, 0, out, row, &mut weights, weight);
                panels.extend(all.into_iter().map(|panel| (0, panel)));
            }
            (Weights::Kernel(conv), Method::Direct { rows, columns }) => {
                let [height, width] = conv.window.size;
                let (inputs, outputs) = (conv.group_channels, conv.out_channels / conv.groups);
                let taps = columns[1] - columns[0];
                let row = (rows[1] - rows[0]) * taps * inputs;
                let weight = |o: usize, k: usize| {
                    let (c, x, y) = (k % inputs, k / inputs % taps, k / inputs / taps);
                    let (y, x) = (y + rows[0], x + columns[0]);
                    scaled(o, conv.weight[((o * inputs + c) * height + y) * width + x])
                };
                for group in 0..conv.groups {
                    let first = group * outputs;
                    let all = pack_panels(self.level, first, outputs, row, &mut weights, weight);
                    panels.extend(all.into_iter().map(|panel| (group * inputs, panel)));
                }
            }
            (Weights::Kernel(conv), Method::Winograd) => {
                let (inputs, outputs) = (conv.group_channels, conv.out_channels);
                let planes: Vec<[f32; PLANES]> =
                    conv.weight.chunks_exact(9).map(transform_weights).collect();
                for plane in 0..PLANES {
                    let weight = |o: usize, k: usize| {
                        let transformed: &[f32; PLANES] = &planes[o * inputs + k];
                        scaled(o, transformed[plane])
                    };
                    let all = pack_panels(self.level, 0, outputs, inputs, &mut weights, weight);
                    if plane == 0 {
                        panels.extend(all.into_iter().map(|panel| (0, panel)));
                    }
                }
            }
            (Weights::Kernel(conv), _) => {
                let taps = conv.window.size[0] * conv.window.size[1];
                for tap in 0..taps {
                    let channel = |o: usize| scaled(o, conv.weight[o * taps + tap]);
                    weights.extend((0..conv.out_channels).map(channel));
                }
                weights.extend([0.0; SLACK]);
            }
            (Weights::Whole(..), _) => unreachable!("a dense layer is run in one way only"),
        }
        let ungrouped = panels.iter().map(|(_, panel)| *panel).collect();
        Packed { panels, ungrouped, weights: align(&weights) }
    }

    /// Runs on `images` images.
    pub(crate) fn run(
        &self,
        prepared: &Prepared,
        images: usize,
        (input, input_map): (&[f32], Map),
        (output, output_map): (&mut [f32], Map),
        residual: Option<Residual<'_>>,
        squash: bool,
        scratch: &mut [f32],
    ) {
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
        match prepared.method {
            Method::Winograd => launch(
                self.level,
                Winograd {
                    input,
                    input_map,
                    output,
                    output_map,
                    images,
                    padding: [window.padding[0], window.padding[1]],
                    panels: &packed.ungrouped,
                    weights,
                    scratch,
                    epilogue,
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
                    window,
                    weights,
                    epilogue,
                },
            ),
            Method::Direct { .. } | Method::Whole { .. } => {
                let reading = self.reading(prepared, &input_map);
                let [down, across] = window.stride;
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
                        origin: reading.origin,
                        down: down * input_map.row_stride(),
                        across: across * input_map.channels,
                        panels: &packed.panels,
                        weights,
                        epilogue,
                    },
                );
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

struct Reading {
    starts: Vec<usize>,
    run: usize,
    origin: usize,
}

fn choose(conv: &Conv2d, [channels, height, width]: [usize; 3], output: [usize; 2]) -> Method {
    let window = &conv.window;
    let plain = window.size == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
    let fewest = channels.min(conv.out_channels);
    // A map of two rows or columns would leave most of each piece unused.
    let large = output.iter().all(|len| *len > TILE / 2);
    let most = channels.max(conv.out_channels);
    let fits = fewest >= LEAST_WINOGRAD_CHANNELS && most <= MOST_WINOGRAD_CHANNELS;
    if conv.groups > 1 && conv.groups == channels && conv.out_channels == channels {
        return Method::Depthwise;
    }
    if plain && large && fits && conv.groups == 1 {
        return Method::Winograd;
    }
    Method::Direct {
        rows: useful(window, 0, height, output[0]),
        columns: useful(window, 1, width, output[1]),
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
