//! From points of a face to the chip a model is fed.

mod aligner;
mod alignment;
mod crop;
mod dlib_chip;
mod similarity;
mod template;

pub use aligner::{Aligner, DlibAligner, PointAligner, SquareInBox, Stacked};
pub use alignment::Alignment;
pub use crop::BoxAligner;
pub use dlib_chip::dlib_chip;
pub(crate) use similarity::Similarity;
pub use template::Template;
