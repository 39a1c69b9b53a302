//! Points of a face: one file per predictor.

mod shape_predictor;

pub use shape_predictor::{DlibRect, ShapePredictor5};
