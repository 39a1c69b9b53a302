//! How near strangers lie around a face.
//!
//! The mean squared distance to the nearest of a random few thousand faces, after cohort
//! normalisation in speaker recognition (Sturim and Reynolds, *Speaker adaptive cohort selection
//! for Tnorm*, ICASSP 2005). A random cohort rather than the nearest neighbours: somebody with a
//! hundred photos has only himself for neighbours, and would seem to live in a crowd.

use std::ops::Range;

use facesearch_core::{Panels, squared_length};
use rayon::prelude::*;

use super::graph::one_after_another;
use super::{ClusterOptions, Vectors};
use crate::random::Random;

/// How many faces stand for all.
const COHORT: usize = 2000;
/// How many of them make the surroundings of one.
const NEAREST: usize = 40;
/// Faces that are compared with the cohort together.
const BLOCK: usize = 64;

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
    let around = |mut squares: Vec<f32>| {
        if squares.len() > NEAREST {
            squares.select_nth_unstable_by(NEAREST - 1, f32::total_cmp);
            squares.truncate(NEAREST);
        }
        // Sorted, so that the sum does not depend on how the selection left them.
        squares.sort_by(f32::total_cmp);
        let sum: f64 = squares.iter().map(|square| f64::from(*square)).sum();
        sum / squares.len().max(1) as f64
    };
    let Some(first) = cohort.first() else { return Vec::new() };
    let dim = vectors.vector(*first).len();
    let panels = Panels::new(cohort.iter().map(|row| vectors.vector(*row)), dim);
    let of_block = |block: Range<usize>| {
        let numbers = one_after_another(vectors, block.clone());
        let lengths: Vec<f32> = numbers.chunks_exact(dim).map(squared_length).collect();
        let mut squares = vec![Vec::with_capacity(cohort.len()); block.len()];
        for (panel, cohort) in panels.iter().zip(cohort.chunks(Panels::LANES)) {
            panel.products(&numbers, |row, products| {
                let others = panel.squares().iter().zip(products).zip(cohort);
                let others = others.map(|((length, product), other)| {
                    let square = length + lengths[row] - 2.0 * product;
                    (square, *other != block.start + row)
                });
                let strangers = others.filter(|(square, other)| *square > surely && *other);
                squares[row].extend(strangers.map(|(square, _)| square));
            });
        }
        squares.into_iter().map(around).collect::<Vec<_>>()
    };
    let starts: Vec<usize> = (0..rows).step_by(BLOCK).collect();
    let blocks = starts.into_par_iter().map(|start| start..(start + BLOCK).min(rows));
    blocks.flat_map_iter(of_block).collect()
}
