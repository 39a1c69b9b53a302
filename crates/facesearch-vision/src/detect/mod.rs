//! Photos to boxes and points of faces: one file per detector, which declares what is code about it
//! as a [`DetectorModel`].

mod area;
mod mtcnn;
mod nms;
mod pyramid;
mod registry;
mod yunet;

pub use mtcnn::{Mtcnn, MtcnnOptions};
pub use registry::{DetectorModel, DetectorSource};
pub use yunet::{YuNet, YuNetOptions};

/// Every detector that has a file here. (The compiler reports one that is left out as unused.)
pub static DETECTORS: &[&DetectorModel] = &[&mtcnn::MODEL, &yunet::MODEL];
