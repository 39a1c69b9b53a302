//! DeepFace: convolutions, then layers with a kernel of their own at every place of the face.
//!
//! - **Paper:** Taigman et al., *DeepFace: Closing the Gap to Human-Level Performance in Face
//!   Verification*, CVPR 2014, <https://doi.org/10.1109/CVPR.2014.220>. The authors never published
//!   weights; those people use were trained by S. Ghosh on VGGFace2,
//!   <https://github.com/swghosh/DeepFace>.
//! - **Input:** 152x152, the face's box brought to that size with black bars; blue, green, red,
//!   `x / 255`, as deepface feeds it.
//! - **Output:** the 4096 numbers of F7, none negative; compared by L2 at unit length. The
//!   article's threshold is 0.55, deepface's later one 0.64.
//! - **Weights:** `VGGFace2_DeepFace_weights_val-0.9034.h5`, 551 MB: 137,774,071 numbers with the
//!   classifier F8 over 8,631 people, which is not read.
//! - **Trap:** C1 has no padding, M2 has: 142 becomes 71, one more column on the right and row
//!   below. F7 reads the map pixel by pixel.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{
    Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, LocallyConnected, NodeId, Pool, Weights,
    Window,
};

use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::BoxAligner;

const NAME: &str = "deepface";
const SIDE: u32 = 152;
const DIM: usize = 4096;

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder =
            DeepFace::embedder(source.weights(NAME, &DeepFace::UNUSED_LAYERS)?, source.device)?;
        source.recognition(embedder, Box::new(BoxAligner::padded(SIDE, SIDE)))
    },
};

/// The DeepFace network.
#[derive(Debug)]
pub struct DeepFace;

impl DeepFace {
    /// Layers of the published file that are not read: the classifier.
    pub const UNUSED_LAYERS: [&str; 1] = ["F8"];

    /// The embedder with weights as [`read_keras`](facesearch_nn::read_keras) names them.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape, or the device refuses
    /// them.
    pub fn embedder(weights: Weights, device: &Device) -> Result<NetworkEmbedder, VisionError> {
        let recogniser = Recogniser::fed_as_by_deepface(NAME, [SIDE; 2], Metric::NormalisedL2);
        NetworkEmbedder::new(recogniser, Self::graph(weights)?, device)
    }

    /// The description of the network, for numbers in the order and scale of its input.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape.
    pub fn graph(weights: Weights) -> Result<Graph, VisionError> {
        Layers { g: GraphBuilder::new(), weights }.network().map_err(|error| broken(NAME, error))
    }
}

struct Layers {
    g: GraphBuilder,
    weights: Weights,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let x = self.g.input(3);
        let x = self.convolution(x, "C1", [32, 3, 11, 11])?;
        let same = Window { stride: [2; 2], padding: [0, 0, 1, 1], ..Window::new(3, 3) };
        let x = self.g.pool(x, Pool { window: same, ..Pool::max(3, 2) });
        let x = self.convolution(x, "C3", [16, 32, 9, 9])?;
        let x = self.locally_connected(x, "L4", 9, 1, 55)?;
        let x = self.locally_connected(x, "L5", 7, 2, 25)?;
        let x = self.locally_connected(x, "L6", 5, 1, 21)?;
        let x = self.g.flatten(x, FlattenOrder::RowsColumnsChannels);
        let weight = self.weights.take("F7.kernel", &[DIM, 21 * 21 * 16])?;
        let dense = Dense::new(DIM, 21 * 21 * 16, weight);
        let dense = dense.bias(self.weights.take("F7.bias", &[DIM])?);
        let x = self.g.dense(x, dense)?;
        let x = self.g.relu(x);
        Ok(self.g.finish(&[x])?)
    }

    fn convolution(
        &mut self,
        x: NodeId,
        name: &str,
        shape: [usize; 4],
    ) -> Result<NodeId, BuildError> {
        let weight = self.weights.take(&format!("{name}.kernel"), &shape)?;
        let bias = self.weights.take(&format!("{name}.bias"), &shape[..1])?;
        let x = self.g.conv(x, Conv2d::new(shape, weight).bias(bias))?;
        Ok(self.g.relu(x))
    }

    /// 16 channels to 16, a square window of `size` every `stride`, to a map of `side x side`.
    fn locally_connected(
        &mut self,
        x: NodeId,
        name: &str,
        size: usize,
        stride: usize,
        side: usize,
    ) -> Result<NodeId, BuildError> {
        let kernel = [side * side, size * size * 16, 16];
        let layer = LocallyConnected {
            weight: self.weights.take(&format!("{name}.kernel"), &kernel)?,
            bias: Some(self.weights.take(&format!("{name}.bias"), &[side, side, 16])?),
            in_channels: 16,
            out_channels: 16,
            out_size: [side; 2],
            window: Window { stride: [stride; 2], ..Window::new(size, size) },
        };
        let x = self.g.locally_connected(x, layer)?;
        Ok(self.g.relu(x))
    }
}
