//! The local density: how near do the faces of other people lie?
//!
//! It is the mean squared distance to the nearest of a random cohort of a few thousand faces, as in
//! the cohort normalisation of speaker recognition (Sturim and Reynolds, *Speaker adaptive cohort
//! selection for Tnorm*, ICASSP 2005). Why a random cohort and not the nearest neighbours: the
//! nearest neighbours of somebody with a hundred photos are those photos, so the region would seem
//! dense.

use std::ops::Range;

use facesearch_core::approximate::{Panels, squared_length};
use rayon::prelude::*;

use super::graph::concatenated;
use super::{LinkageOptions, Vectors};
use crate::Random;

/// Faces in the cohort.
const COHORT: usize = 2000;
/// How many of the cohort's faces the mean is over.
const NEAREST: usize = 40;
/// Faces that are compared with the cohort at once.
const BLOCK: usize = 64;

/// For each row the mean squared distance to the nearest faces of the cohort. Faces so near that
/// they are certainly the same person are left out. 0 where none remains.
pub(super) fn cohort_distances(
    vectors: &(impl Vectors + ?Sized),
    options: &LinkageOptions,
) -> Vec<f64> {
    let rows = vectors.len();
    let mut cohort: Vec<usize> = (0..rows).collect();
    Random::new(options.seed).shuffle(&mut cohort);
    cohort.truncate(COHORT);
    let Some(first) = cohort.first() else { return Vec::new() };
    let dim = vectors.vector(*first).len();
    let panels = Panels::new(cohort.iter().map(|row| vectors.vector(*row)), dim);
    let same_person = options.same_person_below * options.same_person_below;
    let measure_block = |block: Range<usize>| {
        let numbers = concatenated(vectors, block.clone());
        let lengths: Vec<f32> = numbers.chunks_exact(dim).map(squared_length).collect();
        let mut squares = vec![Vec::with_capacity(cohort.len()); block.len()];
        for (panel, members) in panels.iter().zip(cohort.chunks(Panels::LANES)) {
            panel.products(&numbers, |row, products| {
                let measured = panel.squares().iter().zip(products).zip(members);
                let impostors = measured.filter_map(|((length, product), member)| {
                    let square = length + lengths[row] - 2.0 * product;
                    let is_impostor = square > same_person && *member != block.start + row;
                    is_impostor.then_some(square)
                });
                squares[row].extend(impostors);
            });
        }
        squares.into_iter().map(mean_of_nearest).collect::<Vec<_>>()
    };
    let starts: Vec<usize> = (0..rows).step_by(BLOCK).collect();
    let blocks = starts.into_par_iter().map(|start| start..(start + BLOCK).min(rows));
    blocks.flat_map_iter(measure_block).collect()
}

fn mean_of_nearest(mut squares: Vec<f32>) -> f64 {
    if squares.len() > NEAREST {
        squares.select_nth_unstable_by(NEAREST - 1, f32::total_cmp);
        squares.truncate(NEAREST);
    }
    // Sorted, so that the sum does not depend on the order that the selection left.
    squares.sort_by(f32::total_cmp);
    let sum: f64 = squares.iter().map(|square| f64::from(*square)).sum();
    sum / squares.len().max(1) as f64
}
