//! The description of a network: a list of layers, each naming the layers it reads.
//!
//! It is plain data, so that model code can build it, an importer of another format can produce it,
//! and an executor can rewrite it. Layers are in the order of execution: a layer reads only layers
//! before it. Every value is `(channels, height, width)` for each image of a batch. A vector is
//! `(n, 1, 1)`.

use std::fmt;
use std::sync::Arc;

use super::shape::Shape;

/// A layer of a graph, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

impl NodeId {
    /// Its place in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// One layer and what it reads.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// The layers it reads, in the order the operation expects.
    pub inputs: Vec<NodeId>,
}

/// A network. Made by a [`GraphBuilder`](super::GraphBuilder), which checks it.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) outputs: Vec<NodeId>,
    pub(super) input_channels: usize,
}

impl Graph {
    /// The layers, in the order of execution.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The layers whose values are the network's outputs, in order.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// How many channels the input has.
    pub fn input_channels(&self) -> usize {
        self.input_channels
    }
}

/// A window that slides over a map. Of each pair, the first is vertical, the second horizontal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the kernel.
    pub size: [usize; 2],
    /// Rows and columns from one place to the next.
    pub stride: [usize; 2],
    /// Rows and columns added around the map: top, left, bottom, right.
    pub padding: [usize; 4],
    /// The distance between the rows and columns that it reads; 1 for an ordinary window.
    pub dilation: [usize; 2],
}

impl Window {
    /// A `height x width` window, stride 1, no padding.
    pub fn new(height: usize, width: usize) -> Self {
        Self { size: [height, width], stride: [1; 2], padding: [0; 4], dilation: [1; 2] }
    }
}

/// A convolution. As in all frameworks it is a cross-correlation: the kernel is not flipped.
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// `[out, in / groups, height, width]`, row-major.
    pub weight: Arc<[f32]>,
    /// Channels of the output.
    pub out_channels: usize,
    /// Channels that each output channel reads: those of the input, divided by the groups.
    pub group_channels: usize,
    /// One number for each output channel.
    pub bias: Option<Arc<[f32]>>,
    /// How the kernel slides. The padding is zeros.
    pub window: Window,
    /// Into how many separate convolutions the channels are divided.
    pub groups: usize,
}

impl Conv2d {
    /// A convolution with the weights `[out, in / groups, height, width]`, row-major; stride 1, no
    /// padding, no bias, one group. Panics if the weights are not that many: a bug in the model.
    pub fn new(shape: [usize; 4], weight: impl Into<Arc<[f32]>>) -> Self {
        let weight = weight.into();
        let [out_channels, group_channels, height, width] = shape;
        assert_eq!(weight.len(), shape.iter().product::<usize>(), "weights do not fit the shape");
        let window = Window::new(height, width);
        Self { weight, out_channels, group_channels, bias: None, window, groups: 1 }
    }

    /// With one bias for each output channel. Panics if they are not that many.
    pub fn bias(mut self, bias: impl Into<Arc<[f32]>>) -> Self {
        let bias = bias.into();
        assert_eq!(bias.len(), self.out_channels, "one bias for each output channel");
        self.bias = Some(bias);
        self
    }

    /// With the same stride down and across.
    pub fn stride(mut self, stride: usize) -> Self {
        self.window.stride = [stride; 2];
        self
    }

    /// With the same zero padding on all four sides.
    pub fn padding(mut self, padding: usize) -> Self {
        self.window.padding = [padding; 4];
        self
    }

    /// With this window. Panics unless its size is that of the kernel.
    pub fn window(mut self, window: Window) -> Self {
        assert_eq!(window.size, self.window.size, "the window must be as large as the kernel");
        self.window = window;
        self
    }

    /// With the channels divided into `groups`. With as many groups as channels, it is a depthwise
    /// convolution.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }
}

/// A convolution with its own kernel at every output pixel.
#[derive(Debug, Clone)]
pub struct LocallyConnected {
    /// `[out height * out width, window height * window width * in, out]`, row-major, as in Keras.
    /// The middle axis runs over the window's rows, then its columns, then channels.
    pub weight: Arc<[f32]>,
    /// `[out height, out width, out]`, row-major.
    pub bias: Option<Arc<[f32]>>,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows and columns of the output. Only inputs that lead to this size can be run.
    pub out_size: [usize; 2],
    /// How the kernel slides. It must have no padding.
    pub window: Window,
}

/// `y = W x + b` on a vector.
#[derive(Debug, Clone)]
pub struct Dense {
    /// `[out, in]`, row-major.
    pub weight: Arc<[f32]>,
    /// Length of the input.
    pub in_features: usize,
    /// Length of the output.
    pub out_features: usize,
    /// One number for each output.
    pub bias: Option<Arc<[f32]>>,
}

impl Dense {
    /// A dense layer with the weights `[out, in]`, row-major, no bias. Panics if the weights are
    /// not that many.
    pub fn new(out_features: usize, in_features: usize, weight: impl Into<Arc<[f32]>>) -> Self {
        let weight = weight.into();
        assert_eq!(weight.len(), out_features * in_features, "weights do not fit the shape");
        Self { weight, in_features, out_features, bias: None }
    }

    /// With one bias for each output. Panics if they are not that many.
    pub fn bias(mut self, bias: impl Into<Arc<[f32]>>) -> Self {
        let bias = bias.into();
        assert_eq!(bias.len(), self.out_features, "one bias for each output");
        self.bias = Some(bias);
        self
    }
}

/// What a pool computes from the numbers under its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest. Padding is ignored.
    Max,
    /// The mean of those inside the map. Padding is ignored.
    Average,
    /// The mean over the whole window. Padding counts as zeros.
    AverageWithPadding,
}

/// A pooling layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// What it computes.
    pub kind: PoolKind,
    /// How the window slides.
    pub window: Window,
    /// Whether a last window that reaches beyond the edge counts too: PyTorch's `ceil_mode`. A
    /// window that lies wholly in the padding never counts.
    pub ceil: bool,
}

impl Pool {
    /// A max pool over `size x size` pixels, without padding.
    pub fn max(size: usize, stride: usize) -> Self {
        let window = Window { stride: [stride; 2], ..Window::new(size, size) };
        Self { kind: PoolKind::Max, window, ceil: false }
    }

    /// A mean over `size x size` pixels, without padding. Padding that is added later is ignored.
    pub fn average(size: usize, stride: usize) -> Self {
        Self { kind: PoolKind::Average, ..Self::max(size, stride) }
    }

    /// With windows that reach beyond the edge.
    pub fn ceil(mut self) -> Self {
        self.ceil = true;
        self
    }

    /// With the same padding on all four sides.
    pub fn padding(mut self, padding: usize) -> Self {
        self.window.padding = [padding; 4];
        self
    }
}

/// A function of each number by itself.
#[derive(Debug, Clone)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0) + slope * min(x, 0)`, a slope for each channel.
    PRelu(Arc<[f32]>),
    /// `max(x, 0) + slope * min(x, 0)`, one slope for all.
    LeakyRelu(f32),
    /// `x` clipped to two bounds (ReLU6: 0 and 6).
    Clip(f32, f32),
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `e` to the power of `x`.
    Exp,
}

/// The order in which a map becomes a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlattenOrder {
    /// Channel by channel, each row by row (PyTorch, dlib, ONNX).
    ChannelsRowsColumns,
    /// Pixel by pixel, row by row, the channels of a pixel together (Keras).
    RowsColumnsChannels,
    /// Pixel by pixel, column by column, the channels of a pixel together (MATLAB).
    ColumnsRowsChannels,
}

/// What a layer computes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Op {
    /// The network's input.
    Input {
        /// How many channels it has.
        channels: usize,
    },
    /// A convolution of one value.
    Conv2d(Conv2d),
    /// A convolution with its own kernel at every output pixel.
    LocallyConnected(LocallyConnected),
    /// `scale * x + shift`, with a pair for each channel. Also a batch normalisation with running
    /// statistics.
    Affine {
        /// One factor for each channel.
        scale: Arc<[f32]>,
        /// One summand for each channel.
        shift: Arc<[f32]>,
    },
    /// A function of each number.
    Activation(Activation),
    /// A pool over a sliding window.
    Pool(Pool),
    /// The mean of each channel over the whole map.
    GlobalAverage,
    /// Turns a map into a vector.
    Flatten(FlattenOrder),
    /// `W x + b` of a vector.
    Dense(Dense),
    /// The sum of two values. Where their sizes differ, the sum has the larger of each dimension,
    /// and the missing numbers of the smaller one count as zeros (dlib's `add_prev`).
    Add,
    /// The product of two values with the same number of channels. One of them may be a vector,
    /// which then scales the channels of the other.
    Multiply,
    /// The channels of several values of the same height and width, one value after the other.
    Concat,
    /// Some of the channels.
    Slice {
        /// The first of them.
        start: usize,
        /// How many.
        len: usize,
    },
    /// Every number repeated `factor x factor` times.
    Upsample {
        /// How many times down and across.
        factor: usize,
    },
    /// `exp(x) / sum(exp(x))` over the channels of each pixel.
    Softmax,
    /// Each number to this power. For a number below zero the result is NaN, unless the exponent is
    /// whole.
    Power(f32),
    /// The same numbers as a map of another size, in the order of channels, rows, columns.
    Reshape(Shape),
    /// Channels, rows and columns in another order.
    Permute {
        /// Axis `i` of the output is axis `order[i]` of the input, where 0 is channels, 1 rows
        /// and 2 columns.
        order: [usize; 3],
        /// Channels of the output.
        channels: usize,
    },
}

impl Op {
    /// The weights, in two lists at most.
    pub(super) fn weights(&self) -> [Option<&Arc<[f32]>>; 2] {
        match self {
            Self::Conv2d(conv) => [Some(&conv.weight), conv.bias.as_ref()],
            Self::LocallyConnected(layer) => [Some(&layer.weight), layer.bias.as_ref()],
            Self::Dense(dense) => [Some(&dense.weight), dense.bias.as_ref()],
            Self::Affine { scale, shift } => [Some(scale), Some(shift)],
            Self::Activation(Activation::PRelu(slope)) => [Some(slope), None],
            _ => [None, None],
        }
    }

    /// A short name for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Conv2d(_) => "convolution",
            Self::LocallyConnected(_) => "locally connected",
            Self::Affine { .. } => "affine",
            Self::Activation(_) => "activation",
            Self::Pool(_) => "pool",
            Self::GlobalAverage => "global average",
            Self::Flatten(_) => "flatten",
            Self::Dense(_) => "dense",
            Self::Add => "add",
            Self::Multiply => "multiply",
            Self::Concat => "concat",
            Self::Slice { .. } => "slice",
            Self::Upsample { .. } => "upsample",
            Self::Softmax => "softmax",
            Self::Power(_) => "power",
            Self::Reshape(_) => "reshape",
            Self::Permute { .. } => "permute",
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
