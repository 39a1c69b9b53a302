//! Photo bytes to upright pixels to faces to embeddings.

mod align;
mod embed;
mod landmarks;
mod network;
mod weights;

pub use align::dlib_chip;
pub use embed::DlibResNet;
pub use landmarks::{DlibRect, ShapePredictor5};
pub use network::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, LocallyConnected, Network,
    NetworkError, Node, NodeId, Op, Pool, PoolKind, Shape, Window,
};
