//! MobileFaceNet, a million numbers that come close to networks of a hundred million.
//!
//! - **Paper:** S. Chen et al., *MobileFaceNets: Efficient CNNs for Accurate Real-Time Face
//!   Verification on Mobile Devices*, CCBR 2018, <https://arxiv.org/abs/1804.07573>.
//! - **Input:** chips cut by five points. bubbliiiing's weights take 112x112
//!   ([`Template::ARCFACE`](crate::Template::ARCFACE)), red first, `x / 127.5 - 1`; Xiaoccer's
//!   96x112 ([`Template::SPHEREFACE`](crate::Template::SPHEREFACE)), red first,
//!   `(x - 127.5) / 128`.
//! - **Output:** 128 numbers, compared by their angle: cosine.
//! - **Weights:** PyTorch state dicts, `arcface_mobilefacenet.pth` of bubbliiiing and `068.ckpt` of
//!   Xiaoccer, both trained on CASIA-WebFace. A third one, foamliu's, comes as ONNX
//!   and needs no code: its entry in the catalogue says how it is used.
//! - **Trap:** one network, and no two authors call its layers alike; the last convolution has a
//!   window as large as the map, which is 7 by 7 for the one and 7 rows by 6 columns for the other.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{Conv2d, FlattenOrder, Graph, GraphBuilder, NodeId, Weights, Window};

use super::network_embedder::{BuildError, NetworkEmbedder, Recogniser, broken};
use super::registry::{RecogniserModel, RecogniserSource, Recognition};
use crate::align::Template;
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

const DIM: usize = 128;
/// Of PyTorch's batch normalisation.
const EPSILON: f32 = 1e-5;

/// bubbliiiing's weights as the catalogue knows them.
pub(super) const BUBBLIIIING: RecogniserModel = RecogniserModel {
    name: MobileFaceNet::Bubbliiiing.name(),
    open: |source| MobileFaceNet::Bubbliiiing.open(source, Template::ARCFACE),
};

/// Xiaoccer's.
pub(super) const XIAOCCER: RecogniserModel = RecogniserModel {
    name: MobileFaceNet::Xiaoccer.name(),
    open: |source| MobileFaceNet::Xiaoccer.open(source, Template::SPHEREFACE),
};

/// Whose weights, and so whose names and input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MobileFaceNet {
    /// <https://github.com/bubbliiiing/arcface-pytorch>
    Bubbliiiing,
    /// <https://github.com/Xiaoccer/MobileFaceNet_Pytorch>
    Xiaoccer,
}

/// The names of a block's three convolutions with what follows each.
type BlockNames = [Names; 3];

/// The names of a convolution, its normalisation and its activation.
struct Names {
    conv: String,
    norm: String,
    /// `None` where nothing follows.
    activation: Option<String>,
}

/// Output channels, channels inside, and stride of each block; where the stride is 1 the input is
/// added.
const BLOCKS: [(usize, usize, usize); 15] = [
    (64, 128, 2),
    (64, 128, 1),
    (64, 128, 1),
    (64, 128, 1),
    (64, 128, 1),
    (128, 256, 2),
    (128, 256, 1),
    (128, 256, 1),
    (128, 256, 1),
    (128, 256, 1),
    (128, 256, 1),
    (128, 256, 1),
    (128, 512, 2),
    (128, 256, 1),
    (128, 256, 1),
];

impl MobileFaceNet {
    const fn name(self) -> &'static str {
        match self {
            Self::Bubbliiiing => "mobilefacenet-bubbliiiing",
            Self::Xiaoccer => "mobilefacenet-xiaoccer",
        }
    }

    fn open(
        self,
        source: &RecogniserSource<'_>,
        template: Template,
    ) -> Result<Recognition, VisionError> {
        let embedder = self.embedder(source.weights(self.name(), &[])?, source.device)?;
        source.recognition(embedder, Box::new(template))
    }

    /// The embedder with the weights of a PyTorch file.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape, or the device refuses
    /// them.
    pub fn embedder(
        self,
        weights: Weights,
        device: &Device,
    ) -> Result<NetworkEmbedder, VisionError> {
        let (size, normalisation) = match self {
            Self::Bubbliiiing => ([112, 112], Normalisation::Facenet2018),
            Self::Xiaoccer => ([96, 112], Normalisation::ArcFace),
        };
        let input = ChipInput { size, colours: ColourOrder::Rgb, normalisation };
        let recogniser = Recogniser { name: self.name().to_owned(), input, metric: Metric::Cosine };
        NetworkEmbedder::new(recogniser, self.graph(weights)?, device)
    }

    /// The description of the network, for numbers in the order and scale of its input.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where an array is missing or of another shape.
    pub fn graph(self, weights: Weights) -> Result<Graph, VisionError> {
        let layers = Layers { whose: self, g: GraphBuilder::new(), weights };
        layers.network().map_err(|error| broken(self.name(), error))
    }

    /// What the first convolution, the depthwise one after it, the last wide one, the one over the
    /// whole map and the one that makes the embedding are called.
    fn ends(self) -> [Names; 5] {
        let plain = |name: &str, prelu| Names {
            conv: format!("{name}.conv"),
            norm: format!("{name}.bn"),
            activation: bool::then(prelu, || format!("{name}.prelu")),
        };
        match self {
            Self::Bubbliiiing => {
                let last = |conv: &str, norm: &str, prelu: Option<&str>| Names {
                    conv: format!("arcface.{conv}"),
                    norm: format!("arcface.{norm}"),
                    activation: prelu.map(|name| format!("arcface.{name}")),
                };
                [
                    plain("arcface.conv1", true),
                    plain("arcface.conv2_dw", true),
                    last("sep", "sep_bn", Some("prelu")),
                    last("GDC_dw", "GDC_bn", None),
                    last("features", "last_bn", None),
                ]
            }
            Self::Xiaoccer => [
                ("conv1", true),
                ("dw_conv1", true),
                ("conv2", true),
                ("linear7", false),
                ("linear1", false),
            ]
            .map(|(name, prelu)| plain(&format!("net_state_dict.{name}"), prelu)),
        }
    }

    fn block(self, i: usize) -> BlockNames {
        match self {
            Self::Bubbliiiing => {
                let block = match i {
                    0 => "conv_23".to_owned(),
                    1..=4 => format!("conv_3.model.{}", i - 1),
                    5 => "conv_34".to_owned(),
                    6..=11 => format!("conv_4.model.{}", i - 6),
                    12 => "conv_45".to_owned(),
                    _ => format!("conv_5.model.{}", i - 13),
                };
                [("conv", true), ("conv_dw", true), ("project", false)].map(|(part, prelu)| {
                    let name = format!("arcface.{block}.{part}");
                    Names {
                        conv: format!("{name}.conv"),
                        norm: format!("{name}.bn"),
                        activation: prelu.then(|| format!("{name}.prelu")),
                    }
                })
            }
            Self::Xiaoccer => [0, 3, 6].map(|at| {
                let name = |at: usize| format!("net_state_dict.blocks.{i}.conv.{at}");
                Names {
                    conv: name(at),
                    norm: name(at + 1),
                    activation: (at < 6).then(|| name(at + 2)),
                }
            }),
        }
    }
}

struct Layers {
    whose: MobileFaceNet,
    g: GraphBuilder,
    weights: Weights,
}

impl Layers {
    fn network(mut self) -> Result<Graph, BuildError> {
        let [first, depthwise, wide, whole, last] = self.whose.ends();
        let three = |stride| Window { stride: [stride; 2], padding: [1; 4], ..Window::new(3, 3) };
        let x = self.g.input(3);
        let x = self.step(x, &first, [64, 3], three(2))?;
        let mut x = self.step(x, &depthwise, [64, 1], three(1))?;
        let mut channels = 64;
        for (i, (to, inside, stride)) in BLOCKS.into_iter().enumerate() {
            let [expand, depthwise, project] = self.whose.block(i);
            let y = self.step(x, &expand, [inside, channels], Window::new(1, 1))?;
            let y = self.step(y, &depthwise, [inside, 1], three(stride))?;
            let y = self.step(y, &project, [to, inside], Window::new(1, 1))?;
            x = if stride == 1 { self.g.add(y, x) } else { y };
            channels = to;
        }
        let x = self.step(x, &wide, [512, channels], Window::new(1, 1))?;
        let columns = if self.whose == MobileFaceNet::Xiaoccer { 6 } else { 7 };
        let x = self.step(x, &whole, [512, 1], Window::new(7, columns))?;
        let x = self.step(x, &last, [DIM, 512], Window::new(1, 1))?;
        let x = self.g.flatten(x, FlattenOrder::ChannelsRowsColumns);
        Ok(self.g.finish(&[x])?)
    }

    /// Convolution, normalisation, and a PReLU where one follows. With one channel a group it is
    /// depthwise.
    fn step(
        &mut self,
        x: NodeId,
        names: &Names,
        [to, of_group]: [usize; 2],
        window: Window,
    ) -> Result<NodeId, BuildError> {
        let [height, width] = window.size;
        let shape = [to, of_group, height, width];
        let weight = self.weights.take(&format!("{}.weight", names.conv), &shape)?;
        let groups = if of_group == 1 { to } else { 1 };
        let conv = Conv2d::new(shape, weight).window(window).groups(groups);
        let x = self.g.conv(x, conv)?;
        let mut part = |part: &str| self.weights.take(&format!("{}.{part}", names.norm), &[to]);
        let (gamma, beta) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let x = self.g.batch_norm(x, [&gamma, &beta, &mean, &variance], EPSILON)?;
        match &names.activation {
            None => Ok(x),
            Some(name) => {
                let slopes = self.weights.take(&format!("{name}.weight"), &[to])?;
                Ok(self.g.prelu(x, slopes)?)
            }
        }
    }
}
