//! The three networks of MTCNN, each a small stack of convolutions.
//!
//! Layers and their names are those of the weights (facenet-pytorch 2.6.0, converted from the
//! authors' own). The dense layers read the map column by column, because the authors' framework
//! kept it so.

use candle_core::Device;
use facesearch_nn::{
    Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, Network, NetworkError, NodeId, Pool,
    StateDict, WeightsError, read_torch, take_array,
};

/// Why a network of MTCNN cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// P-Net: a map of face probabilities (2 channels, the second is "face") and of box corrections
/// (4), one place for each 12x12 square, two pixels apart.
pub(super) fn proposal(weights: &[u8], device: &Device) -> Result<Network, NetError> {
    let mut net = Layers::read(weights)?;
    let x = net.graph.input(3);
    let x = net.conv(x, 1, [10, 3, 3, 3])?;
    let x = net.graph.pool(x, Pool::max(2, 2).ceil());
    let x = net.conv(x, 2, [16, 10, 3, 3])?;
    let x = net.conv(x, 3, [32, 16, 3, 3])?;
    let face = net.plain_conv(x, "conv4_1", [2, 32, 1, 1])?;
    let face = net.graph.softmax(face);
    let shift = net.plain_conv(x, "conv4_2", [4, 32, 1, 1])?;
    net.finish(&[face, shift], device)
}

/// R-Net: of a 24x24 crop, the probabilities (2) and the corrections (4).
pub(super) fn refinement(weights: &[u8], device: &Device) -> Result<Network, NetError> {
    let mut net = Layers::read(weights)?;
    let x = net.graph.input(3);
    let x = net.conv(x, 1, [28, 3, 3, 3])?;
    let x = net.graph.pool(x, Pool::max(3, 2).ceil());
    let x = net.conv(x, 2, [48, 28, 3, 3])?;
    let x = net.graph.pool(x, Pool::max(3, 2).ceil());
    let x = net.conv(x, 3, [64, 48, 2, 2])?;
    let x = net.graph.flatten(x, FlattenOrder::ColumnsRowsChannels);
    let x = net.dense(x, "dense4", [128, 576])?;
    let x = net.prelu(x, 4, 128)?;
    let face = net.dense(x, "dense5_1", [2, 128])?;
    let face = net.graph.softmax(face);
    let shift = net.dense(x, "dense5_2", [4, 128])?;
    net.finish(&[face, shift], device)
}

/// O-Net: of a 48x48 crop, the probabilities (2), the corrections (4) and the points (five x, then
/// five y).
pub(super) fn output(weights: &[u8], device: &Device) -> Result<Network, NetError> {
    let mut net = Layers::read(weights)?;
    let x = net.graph.input(3);
    let x = net.conv(x, 1, [32, 3, 3, 3])?;
    let x = net.graph.pool(x, Pool::max(3, 2).ceil());
    let x = net.conv(x, 2, [64, 32, 3, 3])?;
    let x = net.graph.pool(x, Pool::max(3, 2).ceil());
    let x = net.conv(x, 3, [64, 64, 3, 3])?;
    let x = net.graph.pool(x, Pool::max(2, 2).ceil());
    let x = net.conv(x, 4, [128, 64, 2, 2])?;
    let x = net.graph.flatten(x, FlattenOrder::ColumnsRowsChannels);
    let x = net.dense(x, "dense5", [256, 1152])?;
    let x = net.prelu(x, 5, 256)?;
    let face = net.dense(x, "dense6_1", [2, 256])?;
    let face = net.graph.softmax(face);
    let shift = net.dense(x, "dense6_2", [4, 256])?;
    let points = net.dense(x, "dense6_3", [10, 256])?;
    net.finish(&[face, shift, points], device)
}

/// A network being written down, with the weights that it still needs.
struct Layers {
    weights: StateDict,
    graph: GraphBuilder,
}

impl Layers {
    fn read(weights: &[u8]) -> Result<Self, NetError> {
        Ok(Self { weights: read_torch(weights)?, graph: GraphBuilder::new() })
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        take_array(&mut self.weights, name, shape)
    }

    /// Convolution `number`, with its own PReLU.
    fn conv(&mut self, x: NodeId, number: usize, shape: [usize; 4]) -> Result<NodeId, NetError> {
        let x = self.plain_conv(x, &format!("conv{number}"), shape)?;
        self.prelu(x, number, shape[0])
    }

    fn plain_conv(&mut self, x: NodeId, name: &str, shape: [usize; 4]) -> Result<NodeId, NetError> {
        let weight = self.take(&format!("{name}.weight"), &shape)?;
        let bias = self.take(&format!("{name}.bias"), &shape[..1])?;
        Ok(self.graph.conv(x, Conv2d::new(shape, weight).bias(bias))?)
    }

    fn prelu(&mut self, x: NodeId, number: usize, channels: usize) -> Result<NodeId, NetError> {
        let slopes = self.take(&format!("prelu{number}.weight"), &[channels])?;
        Ok(self.graph.prelu(x, slopes)?)
    }

    fn dense(&mut self, x: NodeId, name: &str, shape: [usize; 2]) -> Result<NodeId, NetError> {
        let weight = self.take(&format!("{name}.weight"), &shape)?;
        let bias = self.take(&format!("{name}.bias"), &shape[..1])?;
        Ok(self.graph.dense(x, Dense::new(shape[0], shape[1], weight).bias(bias))?)
    }

    fn finish(self, outputs: &[NodeId], device: &Device) -> Result<Network, NetError> {
        let graph: Graph = self.graph.finish(outputs)?;
        Ok(Network::new(graph, device)?)
    }
}
