//! FaceNet on Inception-ResNet-v1, as facenet-pytorch has it.
//!
//! - **Papers:** Schroff et al., *FaceNet: A Unified Embedding for Face Recognition and
//!   Clustering*, CVPR 2015, <https://arxiv.org/abs/1503.03832>; the network is Szegedy et al.,
//!   *Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning*, AAAI
//!   2017, <https://arxiv.org/abs/1602.07261>, trained by D. Sandberg with a softmax loss.
//! - **Input:** 160x160, the detector's box brought to that size; red, green, blue,
//!   `(x - 127.5) / 128`.
//! - **Output:** 512 numbers, compared at unit length. deepface's threshold for its 512 numbers is
//!   1.04, L2; facenet-pytorch states none.
//! - **Weights:** the state dicts `20180402-114759-vggface2.pt` (99.65 % on LFW by its author) and
//!   `20180408-102900-casia-webface.pt` of facenet-pytorch, MIT. Their last layer, `logits`, is a
//!   classifier and is not read.
//! - **Trap:** normalisation's epsilon is 0.001, a hundred times the usual; and the last block of
//!   eight is neither scaled nor followed by a ReLU.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};

use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use crate::network::{Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, NodeId, Pool, Window};
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};
use crate::weights::Weights;

const NAME: &str = "facenet-512";
const SIDE: u32 = 160;
const DIM: usize = 512;
const EPSILON: f32 = 0.001;

/// FaceNet, 512 numbers, with the weights of facenet-pytorch.
#[derive(Debug)]
pub struct FaceNet;

impl FaceNet {
    /// The embedder with weights as [`read_torch`](crate::read_torch) names them.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape, or the device refuses
    /// them.
    pub fn embedder(weights: Weights, device: &Device) -> Result<NetworkEmbedder, VisionError> {
        let input = ChipInput {
            size: [SIDE; 2],
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::ArcFace,
        };
        let recogniser = Recogniser { name: NAME.to_owned(), input, metric: Metric::NormalisedL2 };
        NetworkEmbedder::new(recogniser, Self::graph(weights)?, device)
    }

    /// The description of the network, for numbers in the order and scale of its input. The
    /// embedding is not yet scaled to unit length.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape.
    pub fn graph(weights: Weights) -> Result<Graph, VisionError> {
        Layers { g: GraphBuilder::new(), weights }.network().map_err(|error| broken(NAME, error))
    }
}

/// A convolution: channels in and out, rows and columns of its window. Where it has padding, it is
/// as much as keeps the map's size.
#[derive(Clone, Copy)]
struct Step {
    channels: [usize; 2],
    size: [usize; 2],
    stride: usize,
    padded: bool,
}

/// One place to the next, of a size given.
const fn step(from: usize, to: usize, size: [usize; 2]) -> Step {
    Step { channels: [from, to], size, stride: 1, padded: true }
}

impl Step {
    const fn unpadded(self, stride: usize) -> Self {
        Self { stride, padded: false, ..self }
    }
}

struct Layers {
    g: GraphBuilder,
    weights: Weights,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let x = self.g.input(3);
        let x = self.basic(x, "conv2d_1a", step(3, 32, [3, 3]).unpadded(2))?;
        let x = self.basic(x, "conv2d_2a", step(32, 32, [3, 3]).unpadded(1))?;
        let x = self.basic(x, "conv2d_2b", step(32, 64, [3, 3]))?;
        let x = self.g.pool(x, Pool::max(3, 2));
        let x = self.basic(x, "conv2d_3b", step(64, 80, [1, 1]))?;
        let x = self.basic(x, "conv2d_4a", step(80, 192, [3, 3]).unpadded(1))?;
        let mut x = self.basic(x, "conv2d_4b", step(192, 256, [3, 3]).unpadded(2))?;
        for i in 0..5 {
            x = self.block_35(x, &format!("repeat_1.{i}"))?;
        }
        x = self.mixed_6a(x)?;
        for i in 0..10 {
            x = self.block_17(x, &format!("repeat_2.{i}"))?;
        }
        x = self.mixed_7a(x)?;
        for i in 0..5 {
            x = self.block_8(x, &format!("repeat_3.{i}"), 0.2)?;
            x = self.g.relu(x);
        }
        x = self.block_8(x, "block8", 1.0)?;
        let x = self.g.global_average(x);
        let x = self.g.flatten(x, FlattenOrder::ChannelsRowsColumns);
        let weight = self.weights.take("last_linear.weight", &[DIM, 1792])?;
        let x = self.g.dense(x, Dense::new(DIM, 1792, weight))?;
        let x = self.norm(x, "last_bn", DIM)?;
        Ok(self.g.finish(&[x])?)
    }

    fn block_35(&mut self, x: NodeId, name: &str) -> Result<NodeId, BuildError> {
        let one = step(256, 32, [1, 1]);
        let three = step(32, 32, [3, 3]);
        let first = self.basic(x, &format!("{name}.branch0"), one)?;
        let second = self.branch(x, &format!("{name}.branch1"), &[one, three])?;
        let third = self.branch(x, &format!("{name}.branch2"), &[one, three, three])?;
        let sum = self.residual(x, name, &[first, second, third], [96, 256], 0.17)?;
        Ok(self.g.relu(sum))
    }

    fn block_17(&mut self, x: NodeId, name: &str) -> Result<NodeId, BuildError> {
        let one = step(896, 128, [1, 1]);
        let first = self.basic(x, &format!("{name}.branch0"), one)?;
        let steps = [one, step(128, 128, [1, 7]), step(128, 128, [7, 1])];
        let second = self.branch(x, &format!("{name}.branch1"), &steps)?;
        let sum = self.residual(x, name, &[first, second], [256, 896], 0.1)?;
        Ok(self.g.relu(sum))
    }

    fn block_8(&mut self, x: NodeId, name: &str, scale: f32) -> Result<NodeId, BuildError> {
        let one = step(1792, 192, [1, 1]);
        let first = self.basic(x, &format!("{name}.branch0"), one)?;
        let steps = [one, step(192, 192, [1, 3]), step(192, 192, [3, 1])];
        let second = self.branch(x, &format!("{name}.branch1"), &steps)?;
        self.residual(x, name, &[first, second], [384, 1792], scale)
    }

    fn mixed_6a(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let halving = step(256, 384, [3, 3]).unpadded(2);
        let first = self.basic(x, "mixed_6a.branch0", halving)?;
        let steps =
            [step(256, 192, [1, 1]), step(192, 192, [3, 3]), step(192, 256, [3, 3]).unpadded(2)];
        let second = self.branch(x, "mixed_6a.branch1", &steps)?;
        let third = self.g.pool(x, Pool::max(3, 2));
        Ok(self.g.concat(&[first, second, third]))
    }

    fn mixed_7a(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let one = step(896, 256, [1, 1]);
        let halving = |to| step(256, to, [3, 3]).unpadded(2);
        let first = self.branch(x, "mixed_7a.branch0", &[one, halving(384)])?;
        let second = self.branch(x, "mixed_7a.branch1", &[one, halving(256)])?;
        let steps = [one, step(256, 256, [3, 3]), halving(256)];
        let third = self.branch(x, "mixed_7a.branch2", &steps)?;
        let fourth = self.g.pool(x, Pool::max(3, 2));
        Ok(self.g.concat(&[first, second, third, fourth]))
    }

    /// `x + scale * convolution of the branches`, `[in, out]` channels.
    fn residual(
        &mut self,
        x: NodeId,
        name: &str,
        branches: &[NodeId],
        [from, to]: [usize; 2],
        scale: f32,
    ) -> Result<NodeId, BuildError> {
        let y = self.g.concat(branches);
        let weight = self.weights.take(&format!("{name}.conv2d.weight"), &[to, from, 1, 1])?;
        let bias = self.weights.take(&format!("{name}.conv2d.bias"), &[to])?;
        let y = self.g.conv(y, Conv2d::new([to, from, 1, 1], weight).bias(bias))?;
        let y = match scale {
            1.0 => y,
            scale => self.g.affine(y, vec![scale; to], vec![0.0; to])?,
        };
        Ok(self.g.add(y, x))
    }

    fn branch(&mut self, x: NodeId, name: &str, steps: &[Step]) -> Result<NodeId, BuildError> {
        let mut x = x;
        for (i, step) in steps.iter().enumerate() {
            x = self.basic(x, &format!("{name}.{i}"), *step)?;
        }
        Ok(x)
    }

    /// Convolution, normalisation, ReLU.
    fn basic(&mut self, x: NodeId, name: &str, step: Step) -> Result<NodeId, BuildError> {
        let ([from, to], [h, w]) = (step.channels, step.size);
        let weight = self.weights.take(&format!("{name}.conv.weight"), &[to, from, h, w])?;
        let (y, x_padding) = if step.padded { (h / 2, w / 2) } else { (0, 0) };
        let window = Window {
            stride: [step.stride; 2],
            padding: [y, x_padding, y, x_padding],
            ..Window::new(h, w)
        };
        let x = self.g.conv(x, Conv2d::new([to, from, h, w], weight).window(window))?;
        let x = self.norm(x, &format!("{name}.bn"), to)?;
        Ok(self.g.relu(x))
    }

    fn norm(&mut self, x: NodeId, name: &str, channels: usize) -> Result<NodeId, BuildError> {
        let mut part = |part: &str| self.weights.take(&format!("{name}.{part}"), &[channels]);
        let (gamma, beta) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        Ok(self.g.batch_norm(x, [&gamma, &beta, &mean, &variance], EPSILON)?)
    }
}
