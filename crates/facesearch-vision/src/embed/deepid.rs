//! DeepID: a small network whose last numbers come from two depths at once.
//!
//! - **Paper:** Sun et al., *Deep Learning Face Representation from Predicting 10,000 Classes*,
//!   CVPR 2014, <https://doi.org/10.1109/CVPR.2014.244>.
//! - **Input:** 47 wide, 55 high, the face's box with black bars; blue, green, red, `x / 255`, as
//!   deepface feeds it.
//! - **Output:** 160 numbers, none negative, compared at unit length. deepface's threshold is
//!   0.17, L2, or cosine 0.015.
//! - **Weights:** `deepid_keras_weights.h5` of deepface.
//! - **Trap:** two dense layers read two maps, and their results are added before the ReLU.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{Graph, NodeId, Pool, Weights, Window};

use super::keras_layers::KerasLayers;
use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::BoxAligner;

const NAME: &str = "deepid";
const DIM: usize = 160;

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = DeepId::embedder(source.weights(NAME, &[])?, source.device)?;
        source.recognition(embedder, Box::new(BoxAligner::padded(47, 55)))
    },
};

/// The DeepID network.
#[derive(Debug)]
pub struct DeepId;

impl DeepId {
    /// The embedder with weights as [`read_keras`](facesearch_nn::read_keras) names them.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape, or the device refuses
    /// them.
    pub fn embedder(weights: Weights, device: &Device) -> Result<NetworkEmbedder, VisionError> {
        let recogniser = Recogniser::fed_as_by_deepface(NAME, [47, 55], Metric::NormalisedL2);
        NetworkEmbedder::new(recogniser, Self::graph(weights)?, device)
    }

    /// The description of the network, for numbers in the order and scale of its input.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape.
    pub fn graph(weights: Weights) -> Result<Graph, VisionError> {
        let layers = Layers { keras: KerasLayers::new(weights) };
        layers.network().map_err(|error| broken(NAME, error))
    }
}

struct Layers {
    keras: KerasLayers,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let x = self.keras.g.input(3);
        let x = self.convolution(x, "Conv1", [20, 3, 4])?;
        let x = self.keras.g.pool(x, Pool::max(2, 2));
        let x = self.convolution(x, "Conv2", [40, 20, 3])?;
        let x = self.keras.g.pool(x, Pool::max(2, 2));
        let x = self.convolution(x, "Conv3", [60, 40, 3])?;
        let third = self.keras.g.pool(x, Pool::max(2, 2));
        let fourth = self.convolution(third, "Conv4", [80, 60, 2])?;
        let a = self.keras.dense(third, "fc11", [60 * 5 * 4, DIM])?;
        let b = self.keras.dense(fourth, "fc12", [80 * 4 * 3, DIM])?;
        let sum = self.keras.g.add(a, b);
        let x = self.keras.g.relu(sum);
        self.keras.finish(x)
    }

    /// A convolution `[out, in, size]` without padding, and a ReLU.
    fn convolution(
        &mut self,
        x: NodeId,
        name: &str,
        [out, channels, size]: [usize; 3],
    ) -> Result<NodeId, BuildError> {
        let window = Window::new(size, size);
        let x = self.keras.convolution(x, name, [out, channels, size, size], window)?;
        Ok(self.keras.g.relu(x))
    }
}
