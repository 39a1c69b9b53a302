//! Compares every probe with every enrolled person, for several gallery sizes at once.

use facesearch_core::{Metric, distance};
use facesearch_people::calibrate::{Impostors, nearest_impostors};
use rayon::prelude::*;

use super::{Mate, OpenSet, Outcome, Split};
use crate::evidence::{Fusion, template};
use crate::{EvalError, Faces};

/// Runs the experiment `split` with the first N people enrolled, for each N in `sizes` (cut to the
/// people there are, ascending, each once).
///
/// The unknown probes are the same for every N; the known ones are those of the N people. Exact
/// comparison throughout: what an approximate index misses is measured elsewhere. The result does
/// not depend on the number of threads.
pub fn run(
    faces: &Faces,
    split: &Split,
    sizes: &[usize],
    fusion: Fusion,
    metric: Metric,
) -> Vec<OpenSet> {
    let mut sizes: Vec<usize> = sizes.iter().map(|n| (*n).min(split.gallery.len())).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.retain(|n| *n > 0);
    let gallery: Vec<Vec<Vec<f32>>> = split
        .gallery
        .iter()
        .map(|rows| enrolled(rows.iter().map(|row| faces.vector(*row)), fusion, metric))
        .collect();
    let known = split.known.iter().map(|(place, row)| (*row, Some(*place)));
    let probes: Vec<(usize, Option<usize>)> =
        known.chain(split.unknown.iter().map(|row| (*row, None))).collect();
    let largest = sizes.last().copied().unwrap_or(0);
    let outcomes: Vec<Vec<Option<Outcome>>> = probes
        .par_iter()
        .map(|&(row, place)| {
            let probe = faces.vector(row);
            let scores: Vec<f32> =
                gallery[..largest].iter().map(|one| score(probe, one, fusion)).collect();
            sizes.iter().map(|n| outcome(&scores[..*n], faces.person(row), place)).collect()
        })
        .collect();
    let of_size = |i: usize| outcomes.iter().filter_map(|probe| probe[i]).collect();
    let enumerated = sizes.iter().enumerate();
    enumerated.map(|(i, n)| OpenSet { people: *n, outcomes: of_size(i) }).collect()
}

/// What the first `people` enrolled persons say of outsiders, by being outsiders to each other: the
/// distance of one photo of each to all the others, and the false alarm rates that follow.
///
/// Nothing of the unknown probes is used, so a threshold made of this is tried on them fairly.
///
/// # Errors
///
/// [`EvalError::People`] where there are too few people to learn from.
pub fn own_impostors(
    faces: &Faces,
    split: &Split,
    people: usize,
    fusion: Fusion,
    metric: Metric,
) -> Result<Impostors, EvalError> {
    let rows = &split.gallery[..people.min(split.gallery.len())];
    let gallery: Vec<Vec<Vec<f32>>> = rows
        .iter()
        .map(|rows| enrolled(rows.iter().map(|row| faces.vector(*row)), fusion, metric))
        .collect();
    let scores = |place: usize| {
        let probe = faces.vector(rows[place][0]);
        let others = gallery.iter().enumerate().filter(|(other, _)| *other != place);
        others.map(|(_, one)| score(probe, one, fusion)).collect()
    };
    Ok(nearest_impostors((0..rows.len()).map(scores))?)
}

/// What the gallery keeps of a person: all photos, or their template (all photos, should they
/// cancel out).
fn enrolled<'a>(
    photos: impl Iterator<Item = &'a [f32]> + Clone,
    fusion: Fusion,
    metric: Metric,
) -> Vec<Vec<f32>> {
    let mean = match fusion {
        Fusion::Template => template(photos.clone().map(|photo| (photo, 1.0)), metric),
        Fusion::Nearest | Fusion::MeanOfBest(_) => None,
    };
    mean.map_or_else(|| photos.map(<[f32]>::to_vec).collect(), |mean| vec![mean])
}

fn score(probe: &[f32], photos: &[Vec<f32>], fusion: Fusion) -> f32 {
    let mut distances: Vec<f32> = photos.iter().map(|photo| distance(probe, photo).get()).collect();
    fusion.score(&mut distances).unwrap_or(f32::INFINITY)
}

/// `None` where the probe is of somebody who is enrolled in larger galleries only.
fn outcome(scores: &[f32], person: u32, place: Option<usize>) -> Option<Outcome> {
    let nearest = scores.iter().copied().fold(f32::INFINITY, f32::min);
    let mate = match place {
        None => None,
        Some(place) => {
            let own = *scores.get(place)?;
            // Somebody as near as the right person comes before them: ties are no success.
            let ahead = scores.iter().filter(|other| **other <= own).count();
            Some(Mate { distance: own, rank: ahead })
        }
    };
    Some(Outcome { person, mate, nearest })
}
