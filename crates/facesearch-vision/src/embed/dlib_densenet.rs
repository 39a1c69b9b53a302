//! dlib's DenseNet recogniser: every layer reads what all layers before it made.
//!
//! - **Papers:** Huang et al., *Densely Connected Convolutional Networks*, CVPR 2017,
//!   <https://arxiv.org/abs/1608.06993>; trained by Cydral Technology in the BAREL project
//!   (self-supervised with Zbontar et al.'s *Barlow Twins*, <https://arxiv.org/abs/2103.03230>,
//!   then dlib's metric loss), <https://github.com/Cydral/BAREL>.
//! - **Input:** RGB chips of 150x150, cut as for [`DlibResNet`](crate::DlibResNet); the network
//!   subtracts the mean colour and divides by 256 itself.
//! - **Output:** 128 numbers compared by plain L2. The authors' threshold is 0.55, with 96.1 % on
//!   LFW.
//! - **Weights:** `face_recognition_densenet_model_v1.dat`, 2,607,131 bytes, in `dlib-models`
//!   compressed by bzip2; CC0 there, MIT in the authors' repository.
//! - **Trap:** dlib's own Python class reads the residual network only, and says of this file that
//!   a version is unexpected. The file has batch normalisations where a network in use has factors
//!   and summands, and each repeated group as a network of its own, the last to run first.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::dlib::{InputRecord, Step, read_metric_network};
use facesearch_nn::{Graph, NodeId, unpack};

use super::dlib_layers::{BuildError, DlibLayers};
use super::network_embedder::{NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::{Aligner, DlibAligner, PointAligner, SquareInBox};
use crate::landmarks::ShapePredictor5;
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

const NAME: &str = "dlib-densenet";
const SIDE: u32 = 150;

/// How many dense layers each stage has, in the order of execution.
const STAGES: [usize; 4] = [3, 6, 12, 8];

/// The model as the catalogue knows it. Its second file is dlib's predictor of five points, which
/// cuts the chips; without it they are cut by the detector's points.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = DlibDenseNet::from_bytes(&source.bytes(NAME, 0)?, source.device)?;
        let aligner: Box<dyn Aligner> = match source.files.get(1) {
            Some(_) => {
                let predictor = ShapePredictor5::from_bytes(&source.bytes(NAME, 1)?)?;
                Box::new(DlibAligner::new(predictor, SquareInBox::MTCNN))
            }
            None => Box::new(PointAligner::MTCNN),
        };
        source.recognition(embedder, aligner)
    },
};

/// dlib's DenseNet recogniser.
#[derive(Debug)]
pub struct DlibDenseNet;

impl DlibDenseNet {
    /// The embedder from the bytes of `face_recognition_densenet_model_v1.dat`, or of the same
    /// compressed by bzip2.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not that file's, or the device refuses them.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<NetworkEmbedder, VisionError> {
        let input = ChipInput {
            size: [SIDE; 2],
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::Raw,
        };
        let recogniser = Recogniser { name: NAME.to_owned(), input, metric: Metric::L2 };
        NetworkEmbedder::new(recogniser, Self::graph(bytes)?, device)
    }

    /// The description of the network, for bytes as red, green, blue.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not those of the weights.
    pub fn graph(bytes: &[u8]) -> Result<Graph, VisionError> {
        let bytes = unpack(bytes).map_err(|error| broken(NAME, error))?;
        let read = read_metric_network(&bytes, &steps());
        let (input, records) = read.map_err(|error| broken(NAME, error))?;
        let layers = Layers { dlib: DlibLayers::new(records) };
        layers.network(&input).map_err(|error| broken(NAME, error))
    }
}

/// A dense layer: concatenation, mark, convolution, ReLU, normalisation, once more the three, mark.
const DENSE: [Step; 9] = {
    use Step::{Layer as L, Mark as M};
    [L, M, L, L, L, L, L, L, M]
};

/// The nesting of dlib's type, from the output inwards.
fn steps() -> Vec<Step> {
    use Step::Layer as L;
    let mut steps = vec![L; 4];
    for (stage, layers) in STAGES.iter().enumerate().rev() {
        steps.push(Step::Repeat(*layers, &DENSE));
        // What halves the map before the stage; before the first, the stem.
        steps.extend([L; 4]);
        if stage == 0 {
            break;
        }
    }
    steps
}

struct Layers {
    dlib: DlibLayers,
}

impl Layers {
    fn network(mut self, input: &InputRecord) -> Result<Graph, BuildError> {
        let x = self.dlib.input(input)?;
        let x = self.dlib.convolution(x)?;
        let x = self.bent(x)?;
        let mut x = self.dlib.pool(x)?;
        for (stage, layers) in STAGES.into_iter().enumerate() {
            if stage > 0 {
                x = self.bent(x)?;
                x = self.dlib.convolution(x)?;
                x = self.dlib.pool(x)?;
            }
            for _ in 0..layers {
                x = self.dense_layer(x)?;
            }
        }
        let x = self.bent(x)?;
        let x = self.dlib.pool(x)?;
        let x = self.dlib.dense(x)?;
        self.dlib.finish(x)
    }

    /// What came in, and sixteen channels made of all of it.
    fn dense_layer(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let y = self.bent(x)?;
        let y = self.dlib.convolution(y)?;
        let y = self.bent(y)?;
        let y = self.dlib.convolution(y)?;
        self.dlib.concat(x, y)
    }

    /// A normalisation and a ReLU.
    fn bent(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let x = self.dlib.affine(x)?;
        self.dlib.relu(x)
    }
}
