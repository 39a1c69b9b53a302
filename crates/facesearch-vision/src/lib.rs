//! Photo bytes to upright pixels to faces to embeddings.

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
    Aligner, BoxAligner, DlibAligner, PointAligner, SquareInBox, Stacked, Template, dlib_chip,
};
pub use decode::{DecodeLimits, decode};
pub use detect::{Mtcnn, MtcnnOptions, YuNet, YuNetOptions};
pub use embed::{
    ArcFace, Composite, CompositePart, DeepFace, DeepId, DlibDenseNet, DlibResNet, FaceNet,
    GhostFaceNet, MobileFaceNet, Mosaic, NetworkEmbedder, OnnxOptions, OpenFace, Recognition,
    Retail0095, SFace, VggFace, Views, composite, onnx_embedder, open_network, open_recogniser,
};
pub use facesearch_nn::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, ImportError, ImportedNetwork,
    ImportedOutput, LayerTime, LocallyConnected, MachineLimits, MappedWeights, ModelFormat,
    Network, NetworkError, Node, NodeId, Op, Pool, PoolKind, Precision, Shape, StateDict,
    WeightArray, Weights, WeightsError, Window, import_onnx, import_openvino, read_keras,
    read_torch, recognise_model, take_array, unpack, write_safetensors,
};
pub use finder::{Finder, most_prominent_first};
pub use landmarks::{DlibRect, ShapePredictor5};
pub use preprocess::{ChipInput, ColourOrder, Normalisation};
pub use quality::{QualityParts, quality};
