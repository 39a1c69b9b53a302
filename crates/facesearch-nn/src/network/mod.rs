//! Neural networks: one description, two ways to run it.
//!
//! A model file describes its network in the paper's terms with a [`GraphBuilder`]; the result, a
//! [`Graph`], is plain data. A [`Network`] runs it: as ordinary candle operations on any device
//! (the reference, and what a GPU uses), or on a CPU through kernels of our own that fold, fuse
//! and vectorise the same description.
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
//! let photos = Tensor::ones((2, 3, 5, 7), candle_core::DType::F32, &Device::Cpu)?;
//! let outputs = network.forward(&photos)?;
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

/// What one stage of a network takes: a layer with what was made part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTime {
    /// What it does, in which way, and the sizes it reads and makes.
    pub name: String,
    /// What all images took together, in the fastest of the runs.
    pub time: std::time::Duration,
    /// How many images that were.
    pub images: usize,
    /// What it multiplies.
    pub precision: Precision,
    /// Multiplications with addition for an image, as the layer is defined; those with padding do not count.
    pub defined: u64,
    /// The same, as they are carried out (fewer by Winograd's algorithm; transforms are not counted).
    pub done: u64,
    /// Bytes of packed weights, which are read at least once for the images that pass together.
    pub weight_bytes: usize,
    /// Bytes of values read and written for an image.
    pub value_bytes: usize,
}

/// What the numbers are that convolutions multiply, on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit integers, summed in 32 bits: each image's numbers by one scale for each layer, weights by one
    /// for each output channel, without calibration. Depthwise, grouped, dense and locally connected layers,
    /// and convolutions onto a few pixels, stay in floats. What comes out for an image does not depend on
    /// the others.
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

    /// The one of this name.
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
    /// A weight is infinite or not a number.
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

/// The ways to run a graph.
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

    /// The same with numbers of this precision, where `device` is a CPU; others always use floats.
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

    /// `graph` as plain candle operations: slow on a CPU, but every layer is a few readable lines.
    /// What the fast kernels are tested against.
    ///
    /// # Errors
    ///
    /// As [`Network::new`].
    pub fn reference(graph: Graph, device: &Device) -> Result<Self, NetworkError> {
        let executor = Executor::Plain(Plain::new(&graph, device)?);
        Ok(Self { graph, device: device.clone(), executor })
    }

    /// The description this network was made from.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Gets ready for inputs of `height x width`, which the first of them would otherwise wait for.
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

    /// What each stage takes, on the calling thread alone; `input` is as for
    /// [`forward`](Self::forward), `runs` how often it is run. Empty where the network does not run on a
    /// CPU through kernels of our own.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn profile(&self, input: &Tensor, runs: usize) -> Result<Vec<LayerTime>, NetworkError> {
        let input = self.fitting(input)?;
        match &self.executor {
            Executor::Plain(_) => Ok(Vec::new()),
            Executor::Fast(fast) => fast.profile(&input, runs),
        }
    }

    /// Runs the network.
    ///
    /// - **Input:** `(batch, channels, height, width)`, `f32` or `u8`, any strides: bytes in rows
    ///   of `r g b` need no copying, only `permute((0, 3, 1, 2))`. Any batch from 1; any height
    ///   and width that the layers allow.
    /// - **Output:** one `(batch, channels, height, width)` `f32` tensor for each output of the
    ///   graph, in its order; a vector comes as `(batch, n, 1, 1)`. On a CPU row `i` depends on
    ///   photo `i` alone, bit for bit, whatever else is in the batch.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Input`] or [`NetworkError::Shape`] where the input does not fit, and
    /// [`NetworkError::Candle`] where the device failed.
    pub fn forward(&self, input: &Tensor) -> Result<Vec<Tensor>, NetworkError> {
        let input = self.fitting(input)?;
        match &self.executor {
            Executor::Plain(plain) => plain.forward(&self.graph, &input),
            Executor::Fast(fast) => fast.forward(&input),
        }
    }

    /// The input on the network's device, if it is one.
    fn fitting(&self, input: &Tensor) -> Result<Tensor, NetworkError> {
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
