//! Photos to boxes and points of faces: one file per detector.

mod area;
mod mtcnn;
mod nms;
mod pyramid;
mod yunet;

pub use mtcnn::{Mtcnn, MtcnnOptions};
pub use yunet::{YuNet, YuNetOptions};
