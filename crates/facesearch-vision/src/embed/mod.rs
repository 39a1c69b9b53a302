//! Aligned faces to embeddings: one file per model.

mod dlib_resnet;

pub use dlib_resnet::DlibResNet;
