//! Intel's face-reidentification-retail-0095, a small network that beats much larger ones.
//!
//! - **Source:** Open Model Zoo,
//!   <https://docs.openvino.ai/2023.3/omz_models_model_face_reidentification_retail_0095.html>:
//!   a MobileNet-v2 with squeeze-and-excitation blocks, 1.107 million parameters. Code and weights
//!   Apache-2.0.
//! - **Input:** chips of 128x128 cut by [`Template::RETAIL_0095`](crate::Template::RETAIL_0095),
//!   blue, green, red, bytes as they are.
//! - **Output:** 256 numbers, compared by their angle: cosine. 99.47 % on LFW by its documentation.
//! - **Weights:** `face-reidentification-retail-0095.xml` and `.bin`, half precision.
//! - **Trap:** raw L2 distance works too, but worse: lengths carry the picture's quality.

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::import_openvino;

use super::network_embedder::{NetworkEmbedder, Recogniser, broken};
use super::registry::RecogniserModel;
use crate::align::Template;
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

const NAME: &str = "retail-0095";
const DIM: usize = 256;

/// The model as the catalogue knows it.
pub(super) const MODEL: RecogniserModel = RecogniserModel {
    name: NAME,
    open: |source| {
        let (xml, bin) = (source.bytes(NAME, 0)?, source.bytes(NAME, 1)?);
        let embedder = Retail0095::from_bytes(&xml, &bin, source.device)?;
        let aligner = Box::new(Template::RETAIL_0095_BY_MTCNN);
        Ok(source.recognition(embedder, aligner)?.mirrored())
    },
};

/// Intel's face-reidentification-retail-0095.
#[derive(Debug)]
pub(crate) struct Retail0095;

impl Retail0095 {
    /// The embedder from the bytes of the two files.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where they are damaged or another network's.
    pub(crate) fn from_bytes(
        xml: &[u8],
        bin: &[u8],
        device: &Device,
    ) -> Result<NetworkEmbedder, VisionError> {
        let imported = import_openvino(xml, bin, None).map_err(|error| broken(NAME, error))?;
        let outputs: Vec<usize> =
            imported.outputs.iter().map(|o| o.shape.iter().product()).collect();
        if imported.input != [3, 128, 128] || outputs != [DIM] {
            let what = format!(
                "the file holds another network: {:?} to {outputs:?} numbers, not [3, 128, 128] to \
                 [{DIM}]",
                imported.input
            );
            return Err(broken(NAME, what));
        }
        let input = ChipInput {
            size: [128, 128],
            colours: ColourOrder::Bgr,
            normalisation: Normalisation::Raw,
        };
        let recogniser = Recogniser { name: NAME.to_owned(), input, metric: Metric::Cosine };
        NetworkEmbedder::new(recogniser, imported.graph, device)
    }
}
