//! GhostFaceNet V1: half of each layer's channels are cheap copies of the other half.
//!
//! - **Paper:** Alansari et al., *GhostFaceNets: Lightweight Face Recognition Model From Cheap
//!   Operations*, IEEE Access 2023, <https://doi.org/10.1109/ACCESS.2023.3266068>; ghost modules
//!   are of Han et al., *GhostNet*, CVPR 2020, <https://arxiv.org/abs/1911.11907>.
//! - **Input:** 112x112, the face's box with black bars; blue, green, red, `x / 255`, as deepface
//!   feeds it and measured its threshold.
//! - **Output:** 512 numbers, compared by their angle. deepface's threshold is cosine 0.65, or
//!   1.10, L2 at unit length.
//! - **Weights:** `ghostfacenet_v1.h5` of deepface, which is the authors'
//!   `GhostFaceNet_W1.3_S1_ArcFace.h5` (MIT), 17 MB: 4,088,812 numbers.
//! - **Trap:** most layers have no names but numbers, which count each kind of layer by itself and
//!   may begin anywhere; they are taken in the order of their numbers. Keras pads unevenly where a
//!   window takes every second place. The gate's sigmoid is a ramp, `x / 5 + 1 / 2` between 0
//!   and 1.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{Activation, Graph, NodeId, Weights, Window};

use super::keras_layers::{KerasLayers, Norm, in_order, same};
use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::BoxAligner;

const NAME: &str = "ghostfacenet";
const SIDE: u32 = 112;
const DIM: usize = 512;
const NORM: Norm = Norm { epsilon: 0.001, has_scale: true };

/// Channels of the first layer and of the last convolution of the blocks.
const FIRST: usize = 20;
const LAST: usize = 664;

/// One bottleneck: size of its depthwise windows, channels inside and out, channels of its gate's
/// narrow layer (0: no gate), and whether it halves the map.
struct Bottleneck(usize, usize, usize, usize, bool);

const BOTTLENECKS: [Bottleneck; 16] = [
    Bottleneck(3, 20, 20, 0, false),
    Bottleneck(3, 64, 32, 0, true),
    Bottleneck(3, 92, 32, 0, false),
    Bottleneck(5, 92, 52, 24, true),
    Bottleneck(5, 156, 52, 40, false),
    Bottleneck(3, 312, 104, 0, true),
    Bottleneck(3, 260, 104, 0, false),
    Bottleneck(3, 240, 104, 0, false),
    Bottleneck(3, 240, 104, 0, false),
    Bottleneck(3, 624, 144, 156, false),
    Bottleneck(3, 872, 144, 220, false),
    Bottleneck(5, 872, 208, 220, true),
    Bottleneck(5, 1248, 208, 0, false),
    Bottleneck(5, 1248, 208, 312, false),
    Bottleneck(5, 1248, 208, 0, false),
    Bottleneck(5, 664, 208, 168, false),
];

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = GhostFaceNet::embedder(source.weights(NAME, &[])?, source.device)?;
        source.recognition(embedder, Box::new(BoxAligner::padded(SIDE, SIDE)))
    },
};

/// The GhostFaceNet network.
#[derive(Debug)]
pub struct GhostFaceNet;

impl GhostFaceNet {
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
        Layers::new(weights).network().map_err(|error| broken(NAME, error))
    }
}

/// Names of unnamed layers, in order.
struct Names {
    kind: &'static str,
    names: std::vec::IntoIter<String>,
}

impl Names {
    /// Of the layers among `arrays` that have one called `part`, those that `named` are not.
    fn new(arrays: &[String], kind: &'static str, part: &str, named: &[&str]) -> Self {
        let mut names = in_order(arrays, part);
        names.retain(|name| !named.contains(&name.as_str()));
        Self { kind, names: names.into_iter() }
    }

    /// The next one. Past the end it is a name that no file has, so that the message says what is
    /// missing.
    fn next(&mut self) -> String {
        self.names.next().unwrap_or_else(|| format!("a further {}", self.kind))
    }
}

struct Layers {
    keras: KerasLayers,
    convolutions: Names,
    depthwise: Names,
    norms: Names,
    slopes: Names,
}

impl Layers {
    fn new(weights: Weights) -> Self {
        let arrays = weights.names();
        let of = |kind, part, named: &[&str]| Names::new(&arrays, kind, part, named);
        Self {
            convolutions: of("convolution", "kernel", &["GDC_conv"]),
            depthwise: of("depthwise convolution", "depthwise_kernel", &["GDC_dw"]),
            norms: of("normalisation", "gamma", &["GDC_batchnorm", "pre_embedding"]),
            slopes: of("PReLU", "alpha", &[]),
            keras: KerasLayers::new(weights),
        }
    }

    fn network(mut self) -> Result<Graph, BuildError> {
        let mut side = SIDE as usize;
        let x = self.keras.g.input(3);
        let x = self.convolution(x, [FIRST, 3], same(side, 3, 1))?;
        let x = self.norm(x, FIRST)?;
        let mut x = self.prelu(x, FIRST)?;
        let mut channels = FIRST;
        for bottleneck in &BOTTLENECKS {
            (x, side) = self.bottleneck(x, channels, side, bottleneck)?;
            channels = bottleneck.2;
        }
        let x = self.convolution(x, [LAST, channels], Window::new(1, 1))?;
        let x = self.norm(x, LAST)?;
        let x = self.prelu(x, LAST)?;
        let x = self.keras.depthwise(x, "GDC_dw", LAST, Window::new(side, side))?;
        let x = self.keras.norm(x, "GDC_batchnorm", LAST, NORM)?;
        let x = self.keras.convolution(x, "GDC_conv", [DIM, LAST, 1, 1], Window::new(1, 1))?;
        let x = self.keras.norm(x, "pre_embedding", DIM, NORM)?;
        self.keras.finish(x)
    }

    /// The sum of a shortcut and of two ghost modules with what is between them; and the side of
    /// its map.
    fn bottleneck(
        &mut self,
        x: NodeId,
        channels: usize,
        side: usize,
        Bottleneck(size, inner, out, gate, halves): &Bottleneck,
    ) -> Result<(NodeId, usize), BuildError> {
        let stride = if *halves { 2 } else { 1 };
        let small = side.div_ceil(stride);
        let mut y = self.ghost(x, [channels, *inner], side, true)?;
        if *halves {
            y = self.depthwise(y, *inner, same(side, *size, stride))?;
            y = self.norm(y, *inner)?;
        }
        if *gate > 0 {
            y = self.gated(y, [*inner, *gate])?;
        }
        let y = self.ghost(y, [*inner, *out], small, false)?;
        let shortcut = match *halves || channels != *out {
            true => {
                let x = self.depthwise(x, channels, same(side, *size, stride))?;
                let x = self.norm(x, channels)?;
                let x = self.convolution(x, [*out, channels], Window::new(1, 1))?;
                self.norm(x, *out)?
            }
            false => x,
        };
        Ok((self.keras.g.add(y, shortcut), small))
    }

    /// Half of the channels by a convolution, the other half from those, each by itself.
    fn ghost(
        &mut self,
        x: NodeId,
        [channels, out]: [usize; 2],
        side: usize,
        bends: bool,
    ) -> Result<NodeId, BuildError> {
        let half = out / 2;
        let x = self.convolution(x, [half, channels], Window::new(1, 1))?;
        let mut x = self.norm(x, half)?;
        if bends {
            x = self.prelu(x, half)?;
        }
        let y = self.depthwise(x, half, same(side, 3, 1))?;
        let mut y = self.norm(y, half)?;
        if bends {
            y = self.prelu(y, half)?;
        }
        Ok(self.keras.g.concat(&[x, y]))
    }

    /// Squeeze and excitation: each channel times a factor that all channels' means decide.
    fn gated(&mut self, x: NodeId, [channels, few]: [usize; 2]) -> Result<NodeId, BuildError> {
        let y = self.keras.g.global_average(x);
        let y = self.convolution(y, [few, channels], Window::new(1, 1))?;
        let y = self.prelu(y, few)?;
        let y = self.convolution(y, [channels, few], Window::new(1, 1))?;
        let g = &mut self.keras.g;
        let y = g.affine(y, vec![0.2; channels], vec![0.5; channels])?;
        let factors = g.activation(y, Activation::Clip(0.0, 1.0));
        Ok(g.multiply(x, factors))
    }

    fn convolution(
        &mut self,
        x: NodeId,
        [out, channels]: [usize; 2],
        window: Window,
    ) -> Result<NodeId, BuildError> {
        let [height, width] = window.size;
        let name = self.convolutions.next();
        self.keras.convolution(x, &name, [out, channels, height, width], window)
    }

    fn depthwise(
        &mut self,
        x: NodeId,
        channels: usize,
        window: Window,
    ) -> Result<NodeId, BuildError> {
        let name = self.depthwise.next();
        self.keras.depthwise(x, &name, channels, window)
    }

    fn norm(&mut self, x: NodeId, channels: usize) -> Result<NodeId, BuildError> {
        let name = self.norms.next();
        self.keras.norm(x, &name, channels, NORM)
    }

    fn prelu(&mut self, x: NodeId, channels: usize) -> Result<NodeId, BuildError> {
        let name = self.slopes.next();
        self.keras.prelu(x, &name, channels)
    }
}
