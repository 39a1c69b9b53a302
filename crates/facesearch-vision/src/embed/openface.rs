//! OpenFace's nn4.small2: a small inception network of the years before batch sizes were large.
//!
//! - **Papers:** Amos et al., *OpenFace: A general-purpose face recognition library with mobile
//!   applications*, CMU-CS-16-118, 2016, <https://elijah.cs.cmu.edu/DOCS/CMU-CS-16-118.pdf>; the
//!   network is a smaller NN4 of Schroff et al., *FaceNet*, CVPR 2015,
//!   <https://arxiv.org/abs/1503.03832>.
//! - **Input:** 96x96, the face's box with black bars; blue, green, red, `x / 255`, as deepface
//!   feeds it and measured its threshold.
//! - **Output:** 128 numbers of unit length, which the network itself sees to. deepface's threshold
//!   is 0.55, L2, or cosine 0.10.
//! - **Weights:** `openface_weights.h5` of deepface, 15 MB: 3,743,280 numbers. The authors' code
//!   and weights are Apache-2.0.
//! - **Trap:** response normalisation here sums eleven channels and does not divide by how many
//!   they are, as TensorFlow defines it; Torch, in which the network was trained, divides. The
//!   pools called L2 are roots of sums of nine squares, not of their mean.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{Activation, Conv2d, Graph, NodeId, Pool, Weights, Window};

use super::keras_layers::{KerasLayers, Norm};
use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::BoxAligner;

const NAME: &str = "openface";
const SIDE: u32 = 96;
const DIM: usize = 128;
const NORM: Norm = Norm { epsilon: 1e-5, has_scale: true };

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = OpenFace::embedder(source.weights(NAME, &[])?, source.device)?;
        source.recognition(embedder, Box::new(BoxAligner::padded(SIDE, SIDE)))
    },
};

/// The OpenFace network.
#[derive(Debug)]
pub struct OpenFace;

impl OpenFace {
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
        let layers = Layers { keras: KerasLayers::new(weights) };
        layers.network().map_err(|error| broken(NAME, error))
    }
}

/// The branch of an inception module that pools.
enum Pooling {
    /// The largest of 3x3 every second place.
    Max,
    /// The root of the sum of squares over 3x3, every third place.
    Squares,
}

/// An inception module: channels of its branches, each `[first convolution, second]`.
struct Module {
    name: &'static str,
    three: [usize; 2],
    five: Option<[usize; 2]>,
    pooling: Pooling,
    /// Channels of the convolution behind the pool, where there is one.
    pooled: Option<usize>,
    /// Rows and columns of zeros before and after that branch's map.
    margin: [usize; 2],
    /// Channels of the branch that is one convolution.
    one: Option<usize>,
    stride: usize,
}

impl Module {
    const fn new(name: &'static str, three: [usize; 2], pooling: Pooling) -> Self {
        let (five, pooled, one) = (None, None, None);
        Self { name, three, five, pooling, pooled, margin: [0; 2], one, stride: 1 }
    }
}

const MODULES: [Module; 7] = [
    Module {
        five: Some([16, 32]),
        pooled: Some(32),
        margin: [3, 4],
        one: Some(64),
        ..Module::new("3a", [96, 128], Pooling::Max)
    },
    Module {
        five: Some([32, 64]),
        pooled: Some(64),
        margin: [4, 4],
        one: Some(64),
        ..Module::new("3b", [96, 128], Pooling::Squares)
    },
    Module {
        five: Some([32, 64]),
        margin: [0, 1],
        stride: 2,
        ..Module::new("3c", [128, 256], Pooling::Max)
    },
    Module {
        five: Some([32, 64]),
        pooled: Some(128),
        margin: [2, 2],
        one: Some(256),
        ..Module::new("4a", [96, 192], Pooling::Squares)
    },
    Module {
        five: Some([64, 128]),
        margin: [0, 1],
        stride: 2,
        ..Module::new("4e", [160, 256], Pooling::Max)
    },
    Module {
        pooled: Some(96),
        margin: [1, 1],
        one: Some(256),
        ..Module::new("5a", [96, 384], Pooling::Squares)
    },
    Module {
        pooled: Some(96),
        margin: [1, 1],
        one: Some(256),
        ..Module::new("5b", [96, 384], Pooling::Max)
    },
];

struct Layers {
    keras: KerasLayers,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let x = self.keras.g.input(3);
        let x = self.convolution(x, ["conv1", "bn1"], [64, 3, 7], 2)?;
        let x = self.keras.g.pool(x, Pool::max(3, 2).padding(1));
        let x = self.response_norm(x, 64)?;
        let x = self.convolution(x, ["conv2", "bn2"], [64, 64, 1], 1)?;
        let x = self.convolution(x, ["conv3", "bn3"], [192, 64, 3], 1)?;
        let x = self.response_norm(x, 192)?;
        let mut x = self.keras.g.pool(x, Pool::max(3, 2).padding(1));
        let mut channels = 192;
        for module in &MODULES {
            (x, channels) = self.module(x, channels, module)?;
        }
        let x = self.keras.g.pool(x, Pool::average(3, 1));
        let x = self.keras.dense(x, "dense_layer", [channels, DIM])?;
        let x = self.unit_length(x)?;
        self.keras.finish(x)
    }

    /// The branches' channels one after the other, and how many they are.
    fn module(
        &mut self,
        x: NodeId,
        channels: usize,
        module: &Module,
    ) -> Result<(NodeId, usize), BuildError> {
        let name = format!("inception_{}", module.name);
        let mut branches =
            vec![self.two(x, &format!("{name}_3x3"), channels, 3, module.three, module.stride)?];
        let mut made = module.three[1];
        if let Some(five) = module.five {
            branches.push(self.two(x, &format!("{name}_5x5"), channels, 5, five, module.stride)?);
            made += five[1];
        }
        branches.push(self.pooled(x, &name, channels, module)?);
        made += module.pooled.unwrap_or(channels);
        if let Some(one) = module.one {
            let names = [format!("{name}_1x1_conv"), format!("{name}_1x1_bn")];
            branches.push(self.convolution(x, [&names[0], &names[1]], [one, channels, 1], 1)?);
            made += one;
        }
        Ok((self.keras.g.concat(&branches), made))
    }

    /// A convolution of single pixels, then one of `size x size`.
    fn two(
        &mut self,
        x: NodeId,
        name: &str,
        channels: usize,
        size: usize,
        [few, many]: [usize; 2],
        stride: usize,
    ) -> Result<NodeId, BuildError> {
        let names = |i| [format!("{name}_conv{i}"), format!("{name}_bn{i}")];
        let ([conv, norm], [next, next_norm]) = (names(1), names(2));
        let x = self.convolution(x, [&conv, &norm], [few, channels, 1], 1)?;
        self.convolution(x, [&next, &next_norm], [many, few, size], stride)
    }

    fn pooled(
        &mut self,
        x: NodeId,
        name: &str,
        channels: usize,
        module: &Module,
    ) -> Result<NodeId, BuildError> {
        let g = &mut self.keras.g;
        let mut x = match module.pooling {
            Pooling::Max => g.pool(x, Pool::max(3, 2)),
            Pooling::Squares => {
                let squares = g.multiply(x, x);
                let mean = g.pool(squares, Pool::average(3, 3));
                let sum = g.affine(mean, vec![9.0; channels], vec![0.0; channels])?;
                g.power(sum, 0.5)
            }
        };
        if let Some(pooled) = module.pooled {
            let names = [format!("{name}_pool_conv"), format!("{name}_pool_bn")];
            x = self.convolution(x, [&names[0], &names[1]], [pooled, channels, 1], 1)?;
        }
        let [before, after] = module.margin;
        Ok(self.keras.g.pad(x, [before, before, after, after]))
    }

    /// Convolution `[out, in, size]` that keeps the map's size but for its stride, normalisation,
    /// ReLU.
    fn convolution(
        &mut self,
        x: NodeId,
        [name, norm]: [&str; 2],
        [out, channels, size]: [usize; 3],
        stride: usize,
    ) -> Result<NodeId, BuildError> {
        let padding = [size / 2; 4];
        let window = Window { stride: [stride; 2], padding, ..Window::new(size, size) };
        let x = self.keras.convolution(x, name, [out, channels, size, size], window)?;
        let x = self.keras.norm(x, norm, out, NORM)?;
        Ok(self.keras.g.relu(x))
    }

    /// `x * (1 + 0.0001 * sum of squares)^-0.75`, the sum over a channel and five on each side.
    /// It is a convolution of the squares, whose kernel is a band along its diagonal.
    fn response_norm(&mut self, x: NodeId, channels: usize) -> Result<NodeId, BuildError> {
        const REACH: usize = 5;
        const ALPHA: f32 = 1e-4;
        let band = (0..channels * channels).map(|at| {
            let apart = (at / channels).abs_diff(at % channels);
            if apart <= REACH { ALPHA } else { 0.0 }
        });
        let band: Vec<f32> = band.collect();
        let g = &mut self.keras.g;
        let squares = g.multiply(x, x);
        let sums = Conv2d::new([channels, channels, 1, 1], band).bias(vec![1.0; channels]);
        let sums = g.conv(squares, sums)?;
        let factors = g.power(sums, -0.75);
        Ok(g.multiply(x, factors))
    }

    fn unit_length(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let g = &mut self.keras.g;
        let squares = g.multiply(x, x);
        let ones = Conv2d::new([DIM, DIM, 1, 1], vec![1.0; DIM * DIM]);
        let sum = g.conv(squares, ones)?;
        let sum = g.activation(sum, Activation::Clip(1e-12, f32::MAX));
        let factor = g.power(sum, -0.5);
        Ok(g.multiply(x, factor))
    }
}
