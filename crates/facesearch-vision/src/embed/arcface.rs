//! ArcFace on a residual network of 34 layers, as deepface has it.
//!
//! - **Paper:** Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*,
//!   CVPR 2019, <https://arxiv.org/abs/1801.07698>.
//! - **Input:** 112x112, the face's box with black bars; blue, green, red, `x / 255`, as deepface
//!   feeds it and measured its threshold.
//! - **Output:** 512 numbers, compared by their angle. deepface's threshold is cosine 0.68, or
//!   1.13, L2 at unit length.
//! - **Weights:** `arcface_weights.h5` of deepface, 137 MB: 34,165,184 numbers.
//! - **Trap:** the network was trained by others on red, green, blue, `(x - 127.5) / 128`, and
//!   chips cut by points ([`Template::ARCFACE`](crate::Template::ARCFACE)); deepface feeds it
//!   otherwise, and its threshold holds for that. Each block begins with a normalisation, whose
//!   summands the zeros around the map do not get.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{Graph, NodeId, Weights, Window};

use super::keras_layers::{KerasLayers, Norm, in_order};
use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::BoxAligner;

const NAME: &str = "arcface";
const SIDE: u32 = 112;
const DIM: usize = 512;
const NORM: Norm = Norm { epsilon: 2e-5, has_scale: true };

/// Channels and blocks of each stage; a stage halves the map.
const STAGES: [(usize, usize); 4] = [(64, 3), (128, 4), (256, 6), (512, 3)];

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = ArcFace::embedder(source.weights(NAME, &[])?, source.device)?;
        source.recognition(embedder, Box::new(BoxAligner::padded(SIDE, SIDE)))
    },
};

/// The ArcFace network.
#[derive(Debug)]
pub struct ArcFace;

impl ArcFace {
    /// The embedder with weights as [`read_keras`](facesearch_nn::read_keras) names them.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape, or the device refuses
    /// them.
    pub fn embedder(weights: Weights, device: &Device) -> Result<NetworkEmbedder, VisionError> {
        let recogniser = Recogniser::fed_as_by_deepface(NAME, [SIDE; 2], Metric::Cosine);
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
        let [first_norm, dense] = self.unnamed();
        let x = self.keras.g.input(3);
        let x = self.convolution(x, "conv1_conv", [64, 3, 3], 1)?;
        let x = self.keras.norm(x, "conv1_bn", 64, NORM)?;
        let mut x = self.keras.prelu(x, "conv1_prelu", 64)?;
        let mut channels = 64;
        for (stage, (out, blocks)) in STAGES.into_iter().enumerate() {
            for block in 1..=blocks {
                let name = format!("conv{}_block{block}", stage + 2);
                x = self.block(x, &name, [channels, out], block == 1)?;
                channels = out;
            }
        }
        let x = self.keras.norm(x, &first_norm, channels, NORM)?;
        let x = self.keras.dense(x, &dense, [7 * 7 * channels, DIM])?;
        let x = self.keras.norm(x, "embedding", DIM, NORM)?;
        self.keras.finish(x)
    }

    /// The two layers behind the blocks that have no names but what Keras calls them.
    fn unnamed(&self) -> [String; 2] {
        let arrays = self.keras.weights.names();
        [("batch_normalization", "gamma"), ("dense", "kernel")].map(|(kind, part)| {
            let mut layers = in_order(&arrays, part).into_iter();
            layers.find(|name| name.starts_with(kind)).unwrap_or_else(|| kind.to_owned())
        })
    }

    /// A residual block. The first of a stage halves the map, its shortcut too.
    fn block(
        &mut self,
        x: NodeId,
        name: &str,
        [from, to]: [usize; 2],
        is_first: bool,
    ) -> Result<NodeId, BuildError> {
        let stride = if is_first { 2 } else { 1 };
        let shortcut = match is_first {
            true => {
                let y = self.convolution(x, &format!("{name}_0_conv"), [to, from, 1], stride)?;
                self.keras.norm(y, &format!("{name}_0_bn"), to, NORM)?
            }
            false => x,
        };
        let y = self.keras.norm(x, &format!("{name}_1_bn"), from, NORM)?;
        let y = self.convolution(y, &format!("{name}_1_conv"), [to, from, 3], 1)?;
        let y = self.keras.norm(y, &format!("{name}_2_bn"), to, NORM)?;
        let y = self.keras.prelu(y, &format!("{name}_1_prelu"), to)?;
        let y = self.convolution(y, &format!("{name}_2_conv"), [to, to, 3], stride)?;
        let y = self.keras.norm(y, &format!("{name}_3_bn"), to, NORM)?;
        Ok(self.keras.g.add(y, shortcut))
    }

    /// A convolution `[out, in, size]` that keeps the map's size but for its stride.
    fn convolution(
        &mut self,
        x: NodeId,
        name: &str,
        [out, channels, size]: [usize; 3],
        stride: usize,
    ) -> Result<NodeId, BuildError> {
        let padding = [size / 2; 4];
        let window = Window { stride: [stride; 2], padding, ..Window::new(size, size) };
        self.keras.convolution(x, name, [out, channels, size, size], window)
    }
}
