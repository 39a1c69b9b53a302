//! Aligned faces to embeddings: one file per model, which declares what is code about it as a
//! [`RecogniserModel`]. A network in a file that needs no code is opened by what the catalogue says
//! of it (`onnx_generic.rs`).

mod arcface;
mod composite;
mod deepface;
mod deepid;
mod dlib_densenet;
mod dlib_layers;
mod dlib_resnet;
mod facenet;
mod ghostfacenet;
mod keras_layers;
mod mobile_facenet;
mod network_embedder;
mod onnx_generic;
mod openface;
mod registry;
mod retail_0095;
mod sface;
mod vgg_face;
mod views;

pub use arcface::ArcFace;
pub use composite::{Composite, CompositePart, Mosaic, composite};
pub use deepface::DeepFace;
pub use deepid::DeepId;
pub use dlib_densenet::DlibDenseNet;
pub use dlib_resnet::DlibResNet;
pub use facenet::FaceNet;
pub use ghostfacenet::GhostFaceNet;
pub use mobile_facenet::MobileFaceNet;
pub use network_embedder::NetworkEmbedder;
pub use onnx_generic::{OnnxOptions, onnx_embedder, open_network};
pub use openface::OpenFace;
pub use registry::{RecogniserModel, RecogniserSource, Recognition, RecognitionNetwork};
pub use sface::SFace;
pub use vgg_face::VggFace;
pub use views::Views;

/// Every recogniser that has a file here. (The compiler reports one that is left out as unused.)
pub static RECOGNISERS: &[&RecogniserModel] = &[
    &arcface::MODEL,
    &deepface::MODEL,
    &deepid::MODEL,
    &dlib_densenet::MODEL,
    &dlib_resnet::MODEL,
    &facenet::SMALL,
    &facenet::LARGE,
    &ghostfacenet::MODEL,
    &mobile_facenet::BUBBLIIIING,
    &mobile_facenet::XIAOCCER,
    &openface::MODEL,
    &retail_0095::MODEL,
    &sface::MODEL,
    &vgg_face::MODEL,
];
