//! From points of a face to the chip a model is fed.

mod aligner;
mod dlib_chip;
mod similarity;

pub use aligner::{Aligner, DlibAligner, PointAligner, SquareInBox};
pub use dlib_chip::dlib_chip;
pub(crate) use similarity::Similarity;
