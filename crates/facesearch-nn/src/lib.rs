//! Neural networks on a CPU: one description, fast kernels, and readers for the files that other
//! programs write.
//!
//! - A [`Graph`] is a network as plain data. A [`GraphBuilder`] makes one layer by layer;
//!   [`import_onnx`] and [`import_openvino`] make one from a file.
//! - A [`Network`] runs a graph: on a CPU with fused SIMD kernels in `f32` or 16-bit integers
//!   ([`Precision`]), on another device with candle's operations.
//! - [`Weights`] are the arrays of a file by name. Keras, PyTorch and safetensors files are read
//!   without running anything they hold; [`dlib`] reads dlib's.
//!
//! The crate knows nothing of photos and faces.

mod import;
mod kernels;
mod layers;
mod network;
#[cfg(test)]
mod testing;
mod weights;

pub use import::{ImportError, ImportedNetwork, ImportedOutput, import_onnx, import_openvino};
pub use kernels::{Level, Loops, MachineLimits, vectorise};
pub use network::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, LayerTime, LocallyConnected,
    Network, NetworkError, Node, NodeId, Op, Pool, PoolKind, Precision, Shape, Window,
};
pub use weights::{
    MappedWeights, ModelFormat, StateDict, WeightArray, Weights, WeightsError, map_file,
    read_keras, read_torch, recognise_model, take_array, unpack, write_safetensors,
};

/// dlib's serialised files.
pub mod dlib {
    pub use crate::weights::dlib::{
        DlibError, InputRecord, RawTensor, Reader, Record, Sliding, Step, read_metric_network,
    };
}
