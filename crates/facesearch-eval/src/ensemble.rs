//! Several models' distances, judged together by boosted trees.
//!
//! [`Booster`] reads the text format in which LightGBM keeps its models and gives LightGBM's own
//! predictions, so boosters that others trained and published can be used without LightGBM.

mod booster;
mod parse;
#[cfg(test)]
mod tests;
mod tree;

pub use booster::{Booster, Link};
