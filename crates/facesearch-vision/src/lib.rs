//! Photo bytes to upright pixels to faces to embeddings.

mod align;
mod decode;
mod detect;
mod embed;
mod finder;
mod kernels;
mod landmarks;
mod layers;
mod network;
#[cfg(test)]
mod testing;
mod weights;

pub use align::{Aligner, DlibAligner, PointAligner, SquareInBox, dlib_chip};
pub use decode::{DecodeLimits, decode};
pub use detect::{Mtcnn, MtcnnOptions};
pub use embed::{DlibResNet, Mirrored};
pub use finder::{Finder, largest_first};
pub use landmarks::{DlibRect, ShapePredictor5};
pub use network::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, LocallyConnected, Network,
    NetworkError, Node, NodeId, Op, Pool, PoolKind, Shape, Window,
};
pub use weights::{StateDict, WeightArray, WeightsError, read_torch, take_array};
