//! dlib's face recognition network: a residual network of 29 convolutions.
//!
//! - **Source:** Davis King, *High Quality Face Recognition with Deep Metric Learning*, 2017,
//!   <http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html>; a smaller version
//!   of ResNet-34 (He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016,
//!   <https://arxiv.org/abs/1512.03385>). 99.38 % on LFW; public domain.
//! - **Input:** RGB chips of 150x150, cut by [`dlib_chip`](crate::dlib_chip) with a padding of
//!   0.25; the network subtracts the mean colour and divides by 256 itself.
//! - **Output:** 128 numbers compared by plain L2, norm about 1.4. The author's own radius for
//!   "the same person" is 0.6.
//! - **Weights:** `dlib_face_recognition_resnet_model_v1.dat`, 22,466,066 bytes, 5.6 million
//!   parameters.
//! - **Trap:** a convolution of stride 2 has no padding, and a sum of values of different sizes
//!   keeps the larger of each dimension: the shortcut has half the channels of the block it is
//!   added to, and at the two last halvings a larger map.

use std::path::Path;

use candle_core::{Device, Tensor};
use facesearch_core::{Chip, Embedder, Embedding, Metric, VisionError};
use facesearch_nn::dlib::{InputRecord, Step, read_metric_network};
use facesearch_nn::{Graph, Network, NodeId, Precision, map_file, unpack};

use super::dlib_layers::{BuildError, DlibLayers};
use super::registry::{RecogniserModel, Recognition, RecognitionNetwork};
use crate::align::{Aligner, DlibAligner, PointAligner, SquareInBox, Stacked};
use crate::landmarks::ShapePredictor5;

const NAME: &str = "dlib";
const SIDE: u32 = 150;
const DIM: usize = 128;

/// The model as the catalogue knows it. The network sees four views of a face: two ways to cut the
/// chip, each also in the mirror (`docs/alignment.md`). It needs dlib's predictor of five points.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let (network, predictor) = (source.file(NAME, 0)?, source.needed(NAME, 0)?);
        let (predictor, network) = rayon::join(
            || ShapePredictor5::open(predictor),
            || DlibResNet::open_at(network, source.device, source.precision),
        );
        let (predictor, network) = (predictor?, network?);
        let aligner = Stacked::new(vec![
            Box::new(DlibAligner::new(predictor, SquareInBox::MTCNN)),
            Box::new(PointAligner::MTCNN),
        ]);
        let recognition = Recognition {
            network: Box::new(network),
            preprocessing: aligner.name().to_owned(),
            aligner: Box::new(aligner),
            mirrored: false,
            metric: source.metric.unwrap_or(Metric::L2),
            chip_size: None,
        };
        Ok(recognition.mirrored())
    },
};

/// dlib's face recognition network.
#[derive(Debug)]
pub struct DlibResNet {
    network: Network,
}

impl DlibResNet {
    /// The network from the file of its weights, which is mapped, not read.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and where the file cannot be read.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self, VisionError> {
        Self::open_at(path, device, Precision::F32)
    }

    /// The same with numbers of another precision.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_at(
        path: impl AsRef<Path>,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, VisionError> {
        Self::build(&map_file(path.as_ref()).map_err(broken)?, device, precision)
    }

    /// The network from the bytes of `dlib_face_recognition_resnet_model_v1.dat`, or of the same
    /// compressed by bzip2.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not that file's, or the device refuses them.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self, VisionError> {
        Self::build(bytes, device, Precision::F32)
    }

    fn build(bytes: &[u8], device: &Device, precision: Precision) -> Result<Self, VisionError> {
        let graph = Self::graph(bytes)?;
        let network = Network::with_precision(graph, device, precision).map_err(broken)?;
        network.prepare(SIDE as usize, SIDE as usize).map_err(broken)?;
        Ok(Self { network })
    }

    /// The description of the network, for other executors than [`Embedder::embed`].
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not those of the weights.
    pub fn graph(bytes: &[u8]) -> Result<Graph, VisionError> {
        let bytes = unpack(bytes).map_err(broken)?;
        let (input, records) = read_metric_network(&bytes, &steps()).map_err(broken)?;
        Layers { dlib: DlibLayers::new(records) }.network(&input).map_err(broken)
    }
}

impl Embedder for DlibResNet {
    fn name(&self) -> &str {
        NAME
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn metric(&self) -> Metric {
        Metric::L2
    }

    fn batch_size(&self) -> usize {
        32
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        if chips.is_empty() {
            return Ok(Vec::new());
        }
        let pixels = chips_tensor(chips, self.network.device()).map_err(broken)?;
        let outputs = self.network.forward(&pixels).map_err(broken)?;
        let vectors = outputs[0].flatten_from(1).and_then(|x| x.to_vec2()).map_err(broken)?;
        Ok(vectors.into_iter().map(|v| Embedding::new(v, Metric::L2).ok()).collect())
    }
}

impl RecognitionNetwork for DlibResNet {
    fn network(&self) -> &Network {
        &self.network
    }

    fn input_size(&self) -> [u32; 2] {
        [SIDE; 2]
    }
}

/// `(chips, 3, 150, 150)` bytes, a view of rows of `r g b`.
fn chips_tensor(chips: &[Chip], device: &Device) -> candle_core::Result<Tensor> {
    let side = SIDE as usize;
    let mut bytes = Vec::with_capacity(chips.len() * side * side * 3);
    for chip in chips {
        if (chip.width(), chip.height()) != (SIDE, SIDE) {
            candle_core::bail!("a chip must be {SIDE}x{SIDE}, not {chip:?}")
        }
        bytes.extend_from_slice(chip.rgb());
    }
    Tensor::from_vec(bytes, (chips.len(), side, side, 3), device)?.permute((0, 3, 1, 2))
}

fn broken(source: impl Into<facesearch_core::BoxError>) -> VisionError {
    VisionError::Model { model: NAME.into(), source: source.into() }
}

/// How many residual units each stage has after the halving that begins it; the first, which has
/// 32 channels, begins without one.
const STAGES: [usize; 5] = [3, 3, 2, 2, 0];

/// The nesting of dlib's type, from the output inwards.
fn steps() -> Vec<Step> {
    use Step::{Layer as L, Mark as M};
    let residual = [L, L, L, L, L, L, L, M];
    let halving = [L, L, L, M, M, L, L, L, L, L, M];
    let mut steps = vec![L, L];
    for (stage, units) in STAGES.iter().enumerate().rev() {
        (0..*units).for_each(|_| steps.extend(residual));
        if stage > 0 {
            steps.extend(halving);
        }
    }
    steps.extend([L, L, L, L]);
    steps
}

struct Layers {
    dlib: DlibLayers,
}

impl Layers {
    fn network(mut self, input: &InputRecord) -> Result<Graph, BuildError> {
        let x = self.dlib.input(input)?;
        let x = self.convolution(x)?;
        let x = self.dlib.relu(x)?;
        let mut x = self.dlib.pool(x)?;
        for (stage, units) in STAGES.iter().enumerate() {
            if stage > 0 {
                x = self.halving(x)?;
            }
            for _ in 0..*units {
                x = self.residual(x)?;
            }
        }
        let x = self.dlib.pool(x)?;
        let x = self.dlib.dense(x)?;
        self.dlib.finish(x)
    }

    /// `relu(block(x) + x)`, the size unchanged.
    fn residual(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let y = self.block(x)?;
        self.dlib.add(y, x)
    }

    /// `relu(block(x) + mean of 2x2(x))`: half the size, twice the channels.
    fn halving(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let y = self.block(x)?;
        let shortcut = self.dlib.pool(x)?;
        self.dlib.add(y, shortcut)
    }

    fn block(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let x = self.convolution(x)?;
        let x = self.dlib.relu(x)?;
        self.convolution(x)
    }

    /// A convolution and the affine layer that always follows.
    fn convolution(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let y = self.dlib.convolution(x)?;
        self.dlib.affine(y)
    }
}
