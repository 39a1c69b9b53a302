//! How near strangers lie around a face.
//!
//! The mean squared distance to the nearest of a random few thousand faces, after cohort
//! normalisation in speaker recognition (Sturim and Reynolds, *Speaker adaptive cohort selection
//! for Tnorm*, ICASSP 2005). A random cohort rather than the nearest neighbours: somebody with a
//! hundred photos has only himself for neighbours, and would seem to live in a crowd.

use facesearch_core::l2_squared;
use rayon::prelude::*;

use super::{ClusterOptions, Vectors};
use crate::random::Random;

/// How many faces stand for all.
const COHORT: usize = 2000;
/// How many of them make the surroundings of one.
const NEAREST: usize = 40;

/// The mean squared distance of each row to the nearest faces of the cohort that are not surely the
/// same person; 0 where there are none.
pub(super) fn surroundings(
    vectors: &(impl Vectors + ?Sized),
    options: &ClusterOptions,
) -> Vec<f64> {
    let rows = vectors.len();
    let mut cohort: Vec<usize> = (0..rows).collect();
    Random::new(options.seed).shuffle(&mut cohort);
    cohort.truncate(COHORT);
    let surely = options.surely * options.surely;
    let around = |row: usize| {
        let own = vectors.vector(row);
        let mut squares: Vec<f32> = cohort
            .iter()
            .filter(|other| **other != row)
            .map(|other| l2_squared(own, vectors.vector(*other)))
            .filter(|square| *square > surely)
            .collect();
        if squares.len() > NEAREST {
            squares.select_nth_unstable_by(NEAREST - 1, f32::total_cmp);
            squares.truncate(NEAREST);
        }
        // Sorted, so that the sum does not depend on how the selection left them.
        squares.sort_by(f32::total_cmp);
        let sum: f64 = squares.iter().map(|square| f64::from(*square)).sum();
        sum / squares.len().max(1) as f64
    };
    (0..rows).into_par_iter().map(around).collect()
}
