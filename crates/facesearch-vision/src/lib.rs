//! Photo bytes to upright pixels to faces to embeddings.

mod network;

pub use network::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, LocallyConnected, Network,
    NetworkError, Node, NodeId, Op, Pool, PoolKind, Shape, Window,
};
