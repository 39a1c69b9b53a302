//! SFace on a MobileFaceNet, as OpenCV's model zoo has it.
//!
//! - **Papers:** Zhong et al., *SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face
//!   Recognition*, IEEE TIP 2021, <https://arxiv.org/abs/2205.12010>; the network is Chen et al.,
//!   *MobileFaceNets*, CCBR 2018, <https://arxiv.org/abs/1804.07573>.
//! - **Input:** chips of 112x112 cut by [`Template::ARCFACE`](crate::Template::ARCFACE), as
//!   OpenCV's `FaceRecognizerSF` cuts them; red, green, blue, bytes as they are: the network scales
//!   them itself.
//! - **Output:** 128 numbers, compared by their angle. deepface's threshold is cosine 0.593, or
//!   1.055, L2 at unit length; OpenCV's own are a cosine similarity of 0.363 and 1.128, L2.
//! - **Weights:** `face_recognition_sface_2021dec.onnx` of OpenCV's zoo, 37 MB, Apache-2.0.
//! - **Trap:** deepface divides the bytes by 255 and multiplies them again before it cuts off what
//!   is behind the point, which makes some of them one less; here they stay as they are, as OpenCV
//!   has them.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::import_onnx;

use super::network_embedder::{NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::Template;
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

const NAME: &str = "sface";
const SIDE: u32 = 112;
const DIM: usize = 128;

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let embedder = SFace::from_bytes(&source.bytes(NAME, 0)?, source.device)?;
        source.recognition(embedder, Box::new(Template::ARCFACE))
    },
};

/// The SFace network.
#[derive(Debug)]
pub struct SFace;

impl SFace {
    /// The embedder from the bytes of the ONNX file.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where it is damaged or another network's.
    pub fn from_bytes(onnx: &[u8], device: &Device) -> Result<NetworkEmbedder, VisionError> {
        let imported = import_onnx(onnx, None).map_err(|error| broken(NAME, error))?;
        let side = SIDE as usize;
        let outputs: Vec<usize> =
            imported.outputs.iter().map(|o| o.shape.iter().product()).collect();
        if imported.input != [3, side, side] || outputs != [DIM] {
            let what = format!(
                "the file holds another network: {:?} to {outputs:?} numbers, not [3, {SIDE}, \
                 {SIDE}] to [{DIM}]",
                imported.input
            );
            return Err(broken(NAME, what));
        }
        let input = ChipInput {
            size: [SIDE; 2],
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::Raw,
        };
        let recogniser = Recogniser { name: NAME.to_owned(), input, metric: Metric::Cosine };
        NetworkEmbedder::new(recogniser, imported.graph, device)
    }
}
