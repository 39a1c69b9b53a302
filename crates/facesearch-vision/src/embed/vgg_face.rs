//! VGG-Face: sixteen convolutions, the last three where others have dense layers.
//!
//! - **Paper:** Parkhi et al., *Deep Face Recognition*, BMVC 2015,
//!   <https://www.robots.ox.ac.uk/~vgg/publications/2015/Parkhi15/parkhi15.pdf>.
//! - **Input:** 224x224, the face's box with black bars; blue, green, red, `x / 255`, as deepface
//!   feeds it and measured its threshold.
//! - **Output:** the 4096 numbers of the last layer but one, after its ReLU, where deepface cuts;
//!   compared at unit length. deepface's threshold is 1.17, L2, or cosine 0.68.
//! - **Weights:** `vgg_face_weights.h5` of deepface, 580 MB: 145,002,878 numbers with the
//!   classifier over 2,622 people, which is not read. The authors' terms are CC BY-NC: not for
//!   commercial use.
//! - **Trap:** the layers have no names of their own but numbers, which may begin anywhere; they
//!   are taken in the order of their numbers. deepface's own cut was moved once: embeddings of
//!   versions before 0.0.87 have 2,622 numbers.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{FlattenOrder, Graph, NodeId, Pool, Weights, Window};

use super::keras_layers::{KerasLayers, in_order};
use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::BoxAligner;

const NAME: &str = "vgg-face";
const SIDE: u32 = 224;

/// Channels of the convolutions before each halving.
const STAGES: [&[usize]; 5] =
    [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = VggFace::embedder(source.weights(NAME, &[])?, source.device)?;
        source.recognition(embedder, Box::new(BoxAligner::padded(SIDE, SIDE)))
    },
};

/// The VGG-Face network.
#[derive(Debug)]
pub struct VggFace;

impl VggFace {
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
        let names = in_order(&weights.names(), "kernel");
        let layers = Layers { keras: KerasLayers::new(weights), names: names.into_iter() };
        layers.network().map_err(|error| broken(NAME, error))
    }
}

struct Layers {
    keras: KerasLayers,
    names: std::vec::IntoIter<String>,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let mut x = self.keras.g.input(3);
        let mut channels = 3;
        for stage in STAGES {
            for out in stage {
                x = self.convolution(x, [*out, channels, 3], 1)?;
                channels = *out;
            }
            x = self.keras.g.pool(x, Pool::max(2, 2));
        }
        let x = self.convolution(x, [4096, 512, 7], 0)?;
        let x = self.convolution(x, [4096, 4096, 1], 0)?;
        let x = self.keras.g.flatten(x, FlattenOrder::RowsColumnsChannels);
        self.keras.finish(x)
    }

    /// The next convolution, `[out, in, size]`, and a ReLU.
    fn convolution(
        &mut self,
        x: NodeId,
        [out, channels, size]: [usize; 3],
        padding: usize,
    ) -> Result<NodeId, BuildError> {
        let name = self.names.next().unwrap_or_else(|| "a further convolution".to_owned());
        let window = Window { padding: [padding; 4], ..Window::new(size, size) };
        let x = self.keras.convolution(x, &name, [out, channels, size, size], window)?;
        Ok(self.keras.g.relu(x))
    }
}
