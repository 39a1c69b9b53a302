//! Several models' distances, judged together.
//!
//! [`Blend`] learns a weighted sum from labelled pairs.
//! [`Booster`] reads the text format in which LightGBM keeps its models and gives LightGBM's own
//! predictions, so boosters that others trained and published can be used without LightGBM.

mod blend;
mod booster;
mod parse;
#[cfg(test)]
mod tests;
mod tree;

pub use blend::Blend;
pub use booster::{Booster, Link};
