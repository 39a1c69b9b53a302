//! Several models' distances, judged together.
//!
//! [`Blend`] learns a weighted sum from labelled pairs, [`Booster::train`] boosted trees; [`study`]
//! says whether either beats the best single model. [`Booster`] reads and writes the text format in
//! which LightGBM keeps its models and gives LightGBM's own predictions, so boosters that others
//! trained and published can be used without LightGBM, and those trained here with it.

mod blend;
mod booster;
mod parse;
mod study;
#[cfg(test)]
mod tests;
mod train;
mod tree;
mod write;

pub use blend::Blend;
pub use booster::{Booster, Link};
pub use study::{Contender, Distances, Kind, Part, Study, Weights, study, study_folds};
pub use train::TrainOptions;

use crate::EvalError;

/// Nothing can be learnt, or judged, without pairs of both kinds.
fn both_kinds(same: &[bool]) -> Result<(), EvalError> {
    let one = same.iter().filter(|same| **same).count();
    for (what, got) in [("pairs of one person", one), ("pairs of two people", same.len() - one)] {
        if got == 0 {
            return Err(EvalError::TooFew { what, got, wanted: 1 });
        }
    }
    Ok(())
}

/// A name as LightGBM's files can hold it.
fn word(name: &str) -> String {
    let odd = |c: char| c.is_whitespace() || ",:[]{}\"".contains(c);
    name.chars().map(|c| if odd(c) { '_' } else { c }).collect()
}
