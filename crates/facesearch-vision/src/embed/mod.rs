//! Aligned faces to embeddings: one file per model.

mod dlib_resnet;
mod mirrored;

pub use dlib_resnet::DlibResNet;
pub use mirrored::Mirrored;
