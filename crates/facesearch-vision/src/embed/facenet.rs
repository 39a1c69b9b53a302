//! FaceNet on Inception-ResNet-v1, as deepface and as facenet-pytorch have it.
//!
//! - **Papers:** Schroff et al., *FaceNet: A Unified Embedding for Face Recognition and
//!   Clustering*, CVPR 2015, <https://arxiv.org/abs/1503.03832>; the network is Szegedy et al.,
//!   *Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning*, AAAI
//!   2017, <https://arxiv.org/abs/1602.07261>, trained by D. Sandberg with a softmax loss.
//! - **Input:** 160x160. With deepface's weights the face's box with black bars; blue, green, red,
//!   `x / 255`, as deepface feeds it and measured its thresholds. With facenet-pytorch's the box
//!   stretched to that size; red, green, blue, `(x - 127.5) / 128`.
//! - **Output:** 128 or 512 numbers, compared at unit length. deepface's thresholds are 0.80, L2,
//!   for 128 numbers (cosine 0.40), and 1.04 for 512 (cosine 0.30); facenet-pytorch states none.
//! - **Weights:** deepface's `facenet_weights.h5` (22,808,144 numbers) and `facenet512_weights.h5`
//!   (23,497,424), from D. Sandberg's, MIT; facenet-pytorch's state dicts
//!   `20180402-114759-vggface2.pt` (99.65 % on LFW by its author) and
//!   `20180408-102900-casia-webface.pt`, MIT. The last layer of those, `logits`, is a classifier
//!   and is not read.
//! - **Trap:** normalisation's epsilon is 0.001, a hundred times the usual; the last block of
//!   eight is neither scaled nor followed by a ReLU; and the two frameworks' weights want other
//!   chips, so that a file's content decides how it is fed.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{
    Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, NodeId, Pool, Weights, Window,
};

use self::names::{Block, Layout};
use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::{RecogniserModel, RecogniserSource, Recognition};
use crate::align::{Aligner, BoxAligner};
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

mod names;

const SIDE: u32 = 160;
const EPSILON: f32 = 0.001;

/// The model of 128 numbers as the catalogue knows it.
pub(super) const SMALL: RecogniserModel =
    RecogniserModel { name: FaceNet::Small.name(), open: |source| FaceNet::Small.open(source) };

/// The same of 512 numbers.
pub(super) const LARGE: RecogniserModel =
    RecogniserModel { name: FaceNet::Large.name(), open: |source| FaceNet::Large.open(source) };

/// FaceNet, with the weights of deepface or of facenet-pytorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceNet {
    /// 128 numbers.
    Small,
    /// 512 numbers.
    Large,
}

impl FaceNet {
    /// Its name in the catalogue.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "facenet-128",
            Self::Large => "facenet-512",
        }
    }

    /// How many numbers its embeddings have.
    pub fn dim(self) -> usize {
        match self {
            Self::Small => 128,
            Self::Large => 512,
        }
    }

    fn open(self, source: &RecogniserSource<'_>) -> Result<Recognition, VisionError> {
        let weights = source.weights(self.name(), &[])?;
        let (embedder, aligner) = self.embedder(weights, source.device)?;
        source.recognition(embedder, aligner)
    }

    /// The embedder, with weights as [`read_keras`](facesearch_nn::read_keras) or as
    /// [`read_torch`](facesearch_nn::read_torch) names them, and what cuts the chips that those
    /// weights want.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape, or the device refuses
    /// them.
    pub fn embedder(
        self,
        weights: Weights,
        device: &Device,
    ) -> Result<(NetworkEmbedder, Box<dyn Aligner>), VisionError> {
        let layout = Layout::of(&weights);
        let (colours, normalisation, aligner) = match layout {
            Layout::Keras => {
                (ColourOrder::Bgr, Normalisation::Base, BoxAligner::padded(SIDE, SIDE))
            }
            Layout::Torch => {
                (ColourOrder::Rgb, Normalisation::ArcFace, BoxAligner::stretched(SIDE, SIDE))
            }
        };
        let input = ChipInput { size: [SIDE; 2], colours, normalisation };
        let name = self.name().to_owned();
        let recogniser = Recogniser { name, input, metric: Metric::NormalisedL2 };
        let embedder = NetworkEmbedder::new(recogniser, self.graph(weights)?, device)?;
        Ok((embedder, Box::new(aligner)))
    }

    /// The description of the network, for numbers in the order and scale of its input. The
    /// embedding is not yet scaled to unit length.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape.
    pub fn graph(self, weights: Weights) -> Result<Graph, VisionError> {
        let layout = Layout::of(&weights);
        let layers = Layers { g: GraphBuilder::new(), weights, layout, dim: self.dim() };
        layers.network().map_err(|error| broken(self.name(), error))
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
    layout: Layout,
    dim: usize,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let x = self.g.input(3);
        let x = self.first(x, "1a", step(3, 32, [3, 3]).unpadded(2))?;
        let x = self.first(x, "2a", step(32, 32, [3, 3]).unpadded(1))?;
        let x = self.first(x, "2b", step(32, 64, [3, 3]))?;
        let x = self.g.pool(x, Pool::max(3, 2));
        let x = self.first(x, "3b", step(64, 80, [1, 1]))?;
        let x = self.first(x, "4a", step(80, 192, [3, 3]).unpadded(1))?;
        let mut x = self.first(x, "4b", step(192, 256, [3, 3]).unpadded(2))?;
        for i in 0..5 {
            x = self.block_35(x, &Block::of_35(i))?;
        }
        x = self.mixed_6a(x)?;
        for i in 0..10 {
            x = self.block_17(x, &Block::of_17(i))?;
        }
        x = self.mixed_7a(x)?;
        for i in 0..5 {
            x = self.block_8(x, &Block::of_8(i), 0.2)?;
            x = self.g.relu(x);
        }
        x = self.block_8(x, &Block::last(), 1.0)?;
        let x = self.g.global_average(x);
        let x = self.g.flatten(x, FlattenOrder::ChannelsRowsColumns);
        let [dense, norm] = self.layout.last_layers();
        let weight = self.weights.take(&self.layout.kernel(dense), &[self.dim, 1792])?;
        let x = self.g.dense(x, Dense::new(self.dim, 1792, weight))?;
        let x = self.norm(x, norm, self.dim)?;
        Ok(self.g.finish(&[x])?)
    }

    fn block_35(&mut self, x: NodeId, block: &Block) -> Result<NodeId, BuildError> {
        let one = step(256, 32, [1, 1]);
        let three = step(32, 32, [3, 3]);
        let first = self.branch(x, block, 0, &[one])?;
        let second = self.branch(x, block, 1, &[one, three])?;
        let third = self.branch(x, block, 2, &[one, three, three])?;
        let sum = self.residual(x, block, &[first, second, third], [96, 256], 0.17)?;
        Ok(self.g.relu(sum))
    }

    fn block_17(&mut self, x: NodeId, block: &Block) -> Result<NodeId, BuildError> {
        let one = step(896, 128, [1, 1]);
        let first = self.branch(x, block, 0, &[one])?;
        let steps = [one, step(128, 128, [1, 7]), step(128, 128, [7, 1])];
        let second = self.branch(x, block, 1, &steps)?;
        let sum = self.residual(x, block, &[first, second], [256, 896], 0.1)?;
        Ok(self.g.relu(sum))
    }

    fn block_8(&mut self, x: NodeId, block: &Block, scale: f32) -> Result<NodeId, BuildError> {
        let one = step(1792, 192, [1, 1]);
        let first = self.branch(x, block, 0, &[one])?;
        let steps = [one, step(192, 192, [1, 3]), step(192, 192, [3, 1])];
        let second = self.branch(x, block, 1, &steps)?;
        self.residual(x, block, &[first, second], [384, 1792], scale)
    }

    fn mixed_6a(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let block = Block::mixed("6a");
        let halving = step(256, 384, [3, 3]).unpadded(2);
        let first = self.branch(x, &block, 0, &[halving])?;
        let steps =
            [step(256, 192, [1, 1]), step(192, 192, [3, 3]), step(192, 256, [3, 3]).unpadded(2)];
        let second = self.branch(x, &block, 1, &steps)?;
        let third = self.g.pool(x, Pool::max(3, 2));
        Ok(self.g.concat(&[first, second, third]))
    }

    fn mixed_7a(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let block = Block::mixed("7a");
        let one = step(896, 256, [1, 1]);
        let halving = |to| step(256, to, [3, 3]).unpadded(2);
        let first = self.branch(x, &block, 0, &[one, halving(384)])?;
        let second = self.branch(x, &block, 1, &[one, halving(256)])?;
        let steps = [one, step(256, 256, [3, 3]), halving(256)];
        let third = self.branch(x, &block, 2, &steps)?;
        let fourth = self.g.pool(x, Pool::max(3, 2));
        Ok(self.g.concat(&[first, second, third, fourth]))
    }

    /// `x + scale * convolution of the branches`, `[in, out]` channels.
    fn residual(
        &mut self,
        x: NodeId,
        block: &Block,
        branches: &[NodeId],
        [from, to]: [usize; 2],
        scale: f32,
    ) -> Result<NodeId, BuildError> {
        let y = self.g.concat(branches);
        let name = self.layout.projection(block);
        let weight = self.weights.take(&self.layout.kernel(&name), &[to, from, 1, 1])?;
        let bias = self.weights.take(&format!("{name}.bias"), &[to])?;
        let y = self.g.conv(y, Conv2d::new([to, from, 1, 1], weight).bias(bias))?;
        let y = match scale {
            1.0 => y,
            scale => self.g.affine(y, vec![scale; to], vec![0.0; to])?,
        };
        Ok(self.g.add(y, x))
    }

    /// One of the convolutions before the blocks.
    fn first(&mut self, x: NodeId, place: &str, step: Step) -> Result<NodeId, BuildError> {
        let name = self.layout.first(place, step.size[0]);
        self.basic(x, &name, step)
    }

    fn branch(
        &mut self,
        x: NodeId,
        block: &Block,
        branch: usize,
        steps: &[Step],
    ) -> Result<NodeId, BuildError> {
        let mut x = x;
        for (i, step) in steps.iter().enumerate() {
            let name = self.layout.branch(block, branch, (i, steps.len()), step);
            x = self.basic(x, &name, *step)?;
        }
        Ok(x)
    }

    /// Convolution, normalisation, ReLU.
    fn basic(&mut self, x: NodeId, name: &str, step: Step) -> Result<NodeId, BuildError> {
        let ([from, to], [h, w]) = (step.channels, step.size);
        let kernel = self.layout.basic_kernel(name);
        let weight = self.weights.take(&kernel, &[to, from, h, w])?;
        let (y, x_padding) = if step.padded { (h / 2, w / 2) } else { (0, 0) };
        let window = Window {
            stride: [step.stride; 2],
            padding: [y, x_padding, y, x_padding],
            ..Window::new(h, w)
        };
        let x = self.g.conv(x, Conv2d::new([to, from, h, w], weight).window(window))?;
        let norm = self.layout.basic_norm(name);
        let x = self.norm(x, &norm, to)?;
        Ok(self.g.relu(x))
    }

    fn norm(&mut self, x: NodeId, name: &str, channels: usize) -> Result<NodeId, BuildError> {
        let mut part = |part: &str| self.weights.take(&format!("{name}.{part}"), &[channels]);
        let [gamma, beta, mean, variance] = match self.layout {
            Layout::Torch => {
                [part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?]
            }
            // Trained without factors.
            Layout::Keras => [
                vec![1.0; channels].into(),
                part("beta")?,
                part("moving_mean")?,
                part("moving_variance")?,
            ],
        };
        Ok(self.g.batch_norm(x, [&gamma, &beta, &mean, &variance], EPSILON)?)
    }
}
