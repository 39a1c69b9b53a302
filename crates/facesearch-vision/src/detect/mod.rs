//! Photos to boxes and points of faces: one file per detector.

mod area;
mod mtcnn;
mod nms;
mod pyramid;

pub use mtcnn::{Mtcnn, MtcnnOptions};
