//! Convolutions and dense layers.
//!
//! A [`Convolution`] holds a layer's weights and what follows them: a factor and a summand for each
//! channel, a residual, an activation. For each size of input, [`prepare`](Convolution::prepare)
//! chooses a [`Method`] and packs the weights for it; [`run`](Convolution::run) then shares the
//! images, the rows or the channels among threads and launches the kernels.

mod channels;
mod int16;
mod method;
mod pack;
mod run;
mod space_to_depth;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernels::{Form, Level, SLACK, WinogradLayout};
use crate::layers::Map;
use crate::network::{Activation, Conv2d, Dense, FlattenOrder, Precision, Window, slide};
use method::{Method, border, choose};
use pack::Packed;
pub(crate) use run::Io;

/// The weights of a layer, as the graph has them.
#[derive(Debug)]
pub(crate) enum Weights {
    Conv(Conv2d),
    /// A dense layer, which reads a map that is flattened in this order.
    Dense(Dense, FlattenOrder),
}

/// A convolution or dense layer with what follows it.
#[derive(Debug)]
pub(crate) struct Convolution {
    weights: Weights,
    /// A factor for each output channel.
    scale: Option<Vec<f32>>,
    /// A summand for each output channel, then `SLACK` zeros.
    bias: Vec<f32>,
    activation: Option<Activation>,
    /// The slopes of the activation, if it has any: one for each channel, then `SLACK` zeros.
    slope: Vec<f32>,
    level: Level,
    precision: Precision,
    /// The packed weights for each method, with whether they are integers.
    packed: Mutex<HashMap<(Method, bool), Arc<Packed>>>,
}

/// A convolution ready for inputs of one size.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    packed: Arc<Packed>,
    method: Method,
    window: Window,
    /// Rows above, columns to the left, rows below and columns to the right of the input that it
    /// reads.
    pub(crate) border: [usize; 4],
    /// Numbers of scratch that a thread needs.
    pub(crate) scratch: usize,
    /// How many images share one reading of the weights if they are run together.
    pub(crate) images_together: usize,
    /// Whether it multiplies integers.
    int16: bool,
}

impl Prepared {
    /// What it multiplies.
    pub(crate) fn precision(&self) -> Precision {
        if self.int16 { Precision::Int16 } else { Precision::F32 }
    }

    /// How many weights it reads, in the size of floats.
    pub(crate) fn weights(&self) -> usize {
        self.packed.weights.len()
    }

    /// Whether the input goes through space-to-depth first.
    fn needs_space_to_depth(&self) -> bool {
        matches!(self.method, Method::Winograd(Form::SpaceToDepth))
    }

    /// Whether each weight is used for one place only. Then threads share the channels of several
    /// images, not the images.
    pub(crate) fn reads_weights_once(&self) -> bool {
        matches!(self.method, Method::Dense { .. })
    }

    /// Rows and columns of output that are computed together.
    fn tile(&self) -> usize {
        match self.method {
            Method::Winograd(form) => form.output_tile(),
            _ => 1,
        }
    }
}

impl Convolution {
    /// A layer whose sums are multiplied and added to by `affine`, channel by channel, and then go
    /// through `activation`.
    pub(crate) fn new(
        weights: Weights,
        affine: Option<(Vec<f32>, Vec<f32>)>,
        activation: Option<Activation>,
        (level, precision): (Level, Precision),
    ) -> Self {
        let (out, bias) = match &weights {
            Weights::Conv(conv) => (conv.out_channels, &conv.bias),
            Weights::Dense(dense, _) => (dense.out_features, &dense.bias),
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

    /// Whether this activation can be part of a convolution.
    pub(crate) fn can_fuse(activation: &Activation) -> bool {
        !matches!(activation, Activation::Sigmoid | Activation::Exp)
    }

    /// The activation that follows the sums.
    pub(crate) fn activation(&self) -> Option<&Activation> {
        self.activation.as_ref()
    }

    fn out_channels(&self) -> usize {
        self.bias.len() - SLACK
    }

    /// The size of the output for an input of this size, before a residual is added.
    pub(crate) fn output(&self, input: &Map) -> Map {
        let size = match &self.weights {
            Weights::Dense(..) => Some((1, 1)),
            Weights::Conv(conv) => slide(input.height, input.width, &conv.window, false),
        };
        let (height, width) = size.expect("the graph's shapes have been computed before");
        Map { channels: self.out_channels(), height, width, border: [0; 4] }
    }

    /// Chooses a method for an input of this size (channels, rows, columns) and an output of this
    /// size (rows, columns). Packs the weights for it unless they are packed already.
    pub(crate) fn prepare(&self, input: [usize; 3], output: [usize; 2]) -> Prepared {
        let [channels, height, width] = input;
        let (method, window) = match &self.weights {
            Weights::Dense(..) => (Method::Dense { height, width }, Window::new(height, width)),
            Weights::Conv(conv) => (choose(conv, self.precision, input, output), conv.window),
        };
        let border = match method {
            Method::Winograd(_) | Method::Dense { .. } => [0; 4],
            Method::Depthwise => {
                let (rows, columns) = ([0, window.size[0]], [0, window.size[1]]);
                border(&window, rows, columns, [height, width], output)
            }
            Method::Direct { rows, columns } => {
                border(&window, rows, columns, [height, width], output)
            }
        };
        let int16 = self.uses_int16(method, channels, output[0] * output[1]);
        let (scratch, images_together) = match method {
            Method::Winograd(form) => {
                let inputs = if form == Form::SpaceToDepth { 4 * channels } else { channels };
                let channels = [inputs, self.out_channels()];
                let layout = WinogradLayout::new(form, channels, output, int16);
                (layout.scratch_len(), layout.images_per_block().max(1))
            }
            _ => (0, 1),
        };
        let mut cache = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = cache.entry((method, int16)).or_insert_with(|| {
            let packed = self.pack(method, channels);
            Arc::new(if int16 { self.quantise(packed, method, channels) } else { packed })
        });
        let packed = packed.clone();
        Prepared { packed, method, window, border, scratch, images_together, int16 }
    }
}
