//! Neural networks: one description, two ways to run it.
//!
//! A [`GraphBuilder`] describes a network in the terms of its paper. The result, a [`Graph`], is
//! plain data. A [`Network`] runs it: on any device with candle's operations (the reference, and
//! what a GPU uses), or on a CPU with this crate's own fused kernels.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use facesearch_nn::{Conv2d, GraphBuilder, Network};
//!
//! let mut g = GraphBuilder::new();
//! let x = g.input(3);
//! let y = g.conv(x, Conv2d::new([4, 3, 3, 3], vec![0.1; 4 * 3 * 3 * 3]).padding(1))?;
//! let y = g.relu(y);
//! let network = Network::new(g.finish(&[y])?, &Device::Cpu)?;
//!
//! let images = Tensor::ones((2, 3, 5, 7), candle_core::DType::F32, &Device::Cpu)?;
//! let outputs = network.forward(&images)?;
//! assert_eq!(outputs[0].dims(), [2, 4, 5, 7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod fast;
mod graph;
mod plain;
mod shape;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};

pub use builder::GraphBuilder;
pub use graph::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, LocallyConnected, Node, NodeId, Op, Pool,
    PoolKind, Window,
};
pub use shape::Shape;
pub(crate) use shape::slide;

use crate::kernels::Level;
use fast::Fast;
use plain::Plain;

/// The time of a layer, with what is fused into it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTime {
    /// The kind of layer, how it is run, and the sizes of its input and output.
    pub name: String,
    /// The time for all images together, in the fastest of the runs.
    pub time: std::time::Duration,
    /// How many images.
    pub images: usize,
    /// What it multiplies.
    pub precision: Precision,
    /// Multiplications with addition for an image by the layer's definition, without those with
    /// padding.
    pub defined: u64,
    /// Multiplications with addition for an image as they are carried out. Winograd's algorithm has
    /// fewer; its transforms are not counted.
    pub done: u64,
    /// Bytes of packed weights. They are read at least once for the images that pass together.
    pub weight_bytes: usize,
    /// Bytes of values read and written for an image.
    pub value_bytes: usize,
}

/// The numbers that convolutions multiply on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit integers, summed in 32 bits. For each layer an image has one scale; weights have one
    /// scale for each output channel. No calibration is needed. Depthwise, grouped, dense and
    /// locally connected layers, and convolutions with a few output pixels, stay in `f32`. The
    /// output for an image does not depend on the other images of its batch.
    Int16,
}

impl Precision {
    /// Its name in indexes and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int16 => "int16",
        }
    }

    /// The precision of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::F32, Self::Int16].into_iter().find(|precision| precision.name() == name)
    }
}

/// Why a network cannot be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum NetworkError {
    /// The description contradicts itself, or the input does not fit it.
    #[error("layer {layer} ({kind}) of the network does not fit: {what}")]
    Shape { layer: usize, kind: &'static str, what: String },
    /// The input tensor has the wrong rank, number type or number of channels.
    #[error("the network takes (batch, {channels}, height, width) of f32 or u8, not {got}")]
    Input { channels: usize, got: String },
    /// A weight is infinite or NaN.
    #[error(
        "layer {layer} ({kind}) of the network has a weight that is no finite number; its file is \
         damaged, fetch it again"
    )]
    NotFinite { layer: usize, kind: &'static str },
    #[error("the network cannot run on its device")]
    Candle(#[from] candle_core::Error),
}

/// A network with its weights on a device, ready to run.
///
/// Cheap to share between threads; [`forward`](Self::forward) takes `&self`.
#[derive(Debug)]
pub struct Network {
    graph: Graph,
    device: Device,
    executor: Executor,
}

/// How a graph is run.
#[derive(Debug)]
enum Executor {
    Plain(Plain),
    Fast(Fast),
}

impl Network {
    /// The fastest way to run `graph` on `device`.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Candle`] where the weights cannot be brought to the device.
    pub fn new(graph: Graph, device: &Device) -> Result<Self, NetworkError> {
        Self::with_precision(graph, device, Precision::F32)
    }

    /// As [`new`](Self::new), with this precision on a CPU. Other devices always use `f32`.
    ///
    /// # Errors
    ///
    /// As [`Network::new`].
    pub fn with_precision(
        graph: Graph,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, NetworkError> {
        if device.is_cpu() {
            return Ok(Self::fast(graph, Level::best(), precision));
        }
        Self::reference(graph, device)
    }

    fn fast(graph: Graph, level: Level, precision: Precision) -> Self {
        let executor = Executor::Fast(Fast::new(&graph, level, precision));
        Self { graph, device: Device::Cpu, executor }
    }

    /// Runs `graph` with candle's operations. Slow on a CPU, but every layer is a few readable
    /// lines. The fast kernels are tested against it.
    ///
    /// # Errors
    ///
    /// As [`Network::new`].
    pub fn reference(graph: Graph, device: &Device) -> Result<Self, NetworkError> {
        let executor = Executor::Plain(Plain::new(&graph, device)?);
        Ok(Self { graph, device: device.clone(), executor })
    }

    /// The graph that this network runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Prepares for inputs of `height x width`. Otherwise the first such input waits for that.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where the layers do not allow that size.
    pub fn prepare(&self, height: usize, width: usize) -> Result<(), NetworkError> {
        match &self.executor {
            Executor::Plain(_) => self.graph.shapes(height, width).map(drop),
            Executor::Fast(fast) => fast.prepare(height, width),
        }
    }

    /// The time of each layer on the calling thread alone. `input` is as for
    /// [`forward`](Self::forward); it is run `runs` times. Empty where the network does not run
    /// with this crate's own kernels.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn profile(&self, input: &Tensor, runs: usize) -> Result<Vec<LayerTime>, NetworkError> {
        let input = self.checked(input)?;
        match &self.executor {
            Executor::Plain(_) => Ok(Vec::new()),
            Executor::Fast(fast) => fast.profile(&input, runs),
        }
    }

    /// Runs the network.
    ///
    /// - **Input:** `(batch, channels, height, width)`, `f32` or `u8`, at any strides. Bytes in
    ///   rows of `r g b` need no copying, only `permute((0, 3, 1, 2))`. The batch may be any size
    ///   from 1, height and width whatever the layers allow.
    /// - **Output:** one `(batch, channels, height, width)` `f32` tensor for each output of the
    ///   graph, in its order. A vector is `(batch, n, 1, 1)`. On a CPU, row `i` depends on image
    ///   `i` alone, bit for bit.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Input`] or [`NetworkError::Shape`] where the input does not fit, and
    /// [`NetworkError::Candle`] where the device failed.
    pub fn forward(&self, input: &Tensor) -> Result<Vec<Tensor>, NetworkError> {
        let input = self.checked(input)?;
        match &self.executor {
            Executor::Plain(plain) => plain.forward(&self.graph, &input),
            Executor::Fast(fast) => fast.forward(&input),
        }
    }

    /// Checks the input and brings it to the network's device.
    fn checked(&self, input: &Tensor) -> Result<Tensor, NetworkError> {
        let channels = self.graph.input_channels();
        let fits = input.rank() == 4
            && input.dim(0)? > 0
            && input.dim(1)? == channels
            && matches!(input.dtype(), candle_core::DType::F32 | candle_core::DType::U8);
        if !fits {
            let got = format!("{:?} of {:?}", input.dims(), input.dtype());
            return Err(NetworkError::Input { channels, got });
        }
        let (_, _, height, width) = input.dims4()?;
        self.graph.shapes(height, width)?;
        Ok(input.to_device(&self.device)?)
    }
}
