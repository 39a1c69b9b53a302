//! Neural networks: one description, two ways to run it.
//!
//! A model file describes its network in the paper's terms with a [`GraphBuilder`]; the result, a
//! [`Graph`], is plain data. A [`Network`] runs it: as ordinary candle operations on any device
//! (the reference, and what a GPU uses), or on a CPU through kernels of our own that fold, fuse
//! and vectorise the same description.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use facesearch_vision::{Conv2d, GraphBuilder, Network};
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
        if device.is_cpu() {
            return Ok(Self::fast(graph, Level::best()));
        }
        Self::reference(graph, device)
    }

    fn fast(graph: Graph, level: Level) -> Self {
        let executor = Executor::Fast(Fast::new(&graph, level));
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
        let input = input.to_device(&self.device)?;
        match &self.executor {
            Executor::Plain(plain) => plain.forward(&self.graph, &input),
            Executor::Fast(fast) => fast.forward(&input),
        }
    }
}
