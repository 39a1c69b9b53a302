//! Aligned faces to embeddings: one file per model.

mod deepface;
mod deepid;
mod dlib_resnet;
mod facenet;
mod network_embedder;
mod onnx_generic;
mod open;
mod retail_0095;
mod vgg_face;
mod views;

pub use deepface::DeepFace;
pub use deepid::DeepId;
pub use dlib_resnet::DlibResNet;
pub use facenet::FaceNet;
pub use network_embedder::NetworkEmbedder;
pub use onnx_generic::{OnnxOptions, onnx_embedder};
pub use open::{Recognition, open_recogniser};
pub use retail_0095::Retail0095;
pub use vgg_face::VggFace;
pub use views::Views;
