//! Aligned faces to embeddings: one file per model.

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
mod open;
mod openface;
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
pub use open::{Recognition, open_recogniser};
pub use openface::OpenFace;
pub(crate) use retail_0095::Retail0095;
pub use sface::SFace;
pub use vgg_face::VggFace;
pub use views::Views;
