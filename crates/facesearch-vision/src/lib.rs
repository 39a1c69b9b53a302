//! Photo bytes to upright pixels to faces to embeddings.
//!
//! The networks run on `facesearch-nn`, which knows nothing of faces. Of its names, this crate
//! exports those that choose a model's file and its precision.

mod align;
mod decode;
mod detect;
mod embed;
mod finder;
mod landmarks;
mod preprocess;
mod quality;
#[cfg(test)]
mod testing;

pub use align::{
    Aligner, Alignment, BoxAligner, DlibAligner, PointAligner, SquareInBox, Stacked, Template,
    dlib_chip,
};
pub use decode::{DecodeLimits, decode};
pub use detect::{
    DETECTORS, DetectorModel, DetectorSource, Mtcnn, MtcnnOptions, YuNet, YuNetOptions,
};
pub use embed::{
    ArcFace, Composite, CompositePart, DeepFace, DeepId, DlibDenseNet, DlibResNet, FaceNet,
    GhostFaceNet, MobileFaceNet, Mosaic, NetworkEmbedder, OnnxOptions, OpenFace, RECOGNISERS,
    RecogniserModel, RecogniserSource, Recognition, RecognitionNetwork, SFace, VggFace, Views,
    composite, onnx_embedder, open_network,
};
pub use facesearch_nn::{ModelFormat, Precision, recognise_model};
pub use finder::{Finder, most_prominent_first};
pub use landmarks::{DlibRect, ShapePredictor5};
pub use preprocess::{ChipInput, ColourOrder, Normalisation};
