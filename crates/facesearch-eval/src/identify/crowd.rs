//! Open-set identification judged by the crowd around each face.
//!
//! Ranks are by distance, as in [`run`](super::run). The nearest person is named where their
//! distance is within the threshold and their crowd-relative score is good enough. So an
//! [`OpenSet`] of this has scores where that of a plain search has distances, each plus [`SHIFT`],
//! so that none is negative; a person beyond the threshold is infinitely far.

use facesearch_core::distance;
use facesearch_people::crowd::{Cohort, Crowding, StrangerTail, score};
use rayon::prelude::*;
use serde::Serialize;

use super::{Mate, OpenSet, OpenSetPoint, Outcome, Split, report::by_person};
use crate::pairs::{Bootstrap, Interval, intervals};
use crate::{EvalError, Faces};

/// What is added to each score.
const SHIFT: f64 = 64.0;
/// Beyond the threshold.
const FAR: f32 = f32::INFINITY;

/// How the crowd decides at a rate that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CrowdKept {
    /// The share of strangers who may be given a name.
    pub wanted: f64,
    /// The largest score that names somebody, and what was observed at it.
    pub observed: OpenSetPoint,
    /// Interval of the observed false alarm rate.
    pub fpir_interval: Option<Interval>,
    /// Interval of the observed misses.
    pub fnir_interval: Option<Interval>,
    /// The misses at a score where the wanted rate is exactly kept.
    pub fnir_at_true: f64,
}

/// Searches in galleries of the first N people for each N in `sizes`, which must be ascending: an
/// [`OpenSet`] of scores for each. One photo of each person is enrolled.
///
/// `strangers` are the outsiders, one probe each; without them the people whom `split` holds back
/// are.
pub fn run_crowd(
    faces: &Faces,
    split: &Split,
    strangers: Option<&Faces>,
    sizes: &[usize],
    (cohort, threshold): (&Cohort, f64),
) -> Vec<OpenSet> {
    let enrolled: Vec<&[f32]> = split.gallery.iter().map(|rows| faces.vector(rows[0])).collect();
    let around: Vec<Option<Crowding>> =
        enrolled.par_iter().map(|face| cohort.crowding(face)).collect();
    let known = split
        .known
        .iter()
        .map(|(place, row)| (faces.vector(*row), faces.person(*row), Some(*place)));
    let outside: Vec<(&[f32], u32, Option<usize>)> = match strangers {
        None => {
            split.unknown.iter().map(|row| (faces.vector(*row), faces.person(*row), None)).collect()
        }
        // Numbers of their own, so that resampling draws each stranger alone.
        Some(strangers) => (0..strangers.len())
            .map(|row| {
                let person = faces.people() as u32 + strangers.person(row);
                (strangers.vector(row), person, None)
            })
            .collect(),
    };
    let probes: Vec<_> = known.chain(outside).collect();
    let usual = cohort.usual_deviation();
    let outcomes: Vec<Vec<Option<Outcome>>> = probes
        .par_iter()
        .map(|(probe, person, place)| {
            let distances: Vec<f32> =
                enrolled.iter().map(|face| distance(probe, face).get()).collect();
            let own = cohort.crowding(probe);
            let of_size = |n: &usize| {
                outcome(&distances[..*n], *person, *place, |nearest| {
                    let distance = f64::from(distances[nearest]);
                    let near = distance <= threshold;
                    let score = near
                        .then(|| Some(score(distance, own?, around[nearest]?, usual)))
                        .flatten();
                    score.map_or(FAR, |score| (score + SHIFT).max(0.0) as f32)
                })
            };
            sizes.iter().map(of_size).collect()
        })
        .collect();
    let of_size = |i: usize| outcomes.iter().filter_map(|probe| probe[i]).collect();
    let numbered = sizes.iter().enumerate();
    numbered.map(|(i, people)| OpenSet { people: *people, outcomes: of_size(i) }).collect()
}

/// `None` where the probe is of somebody who is enrolled in larger galleries only.
fn outcome(
    distances: &[f32],
    person: u32,
    place: Option<usize>,
    score: impl Fn(usize) -> f32,
) -> Option<Outcome> {
    let by_distance = |a: &usize, b: &usize| distances[*a].total_cmp(&distances[*b]);
    let nearest = (0..distances.len()).min_by(by_distance)?;
    let nearest_score = score(nearest);
    let mate = match place {
        None => None,
        Some(place) => {
            let own = *distances.get(place)?;
            let rank = distances.iter().filter(|other| **other <= own).count();
            Some(Mate { distance: if rank == 1 { nearest_score } else { FAR }, rank })
        }
    };
    Some(Outcome { person, mate, nearest: nearest_score })
}

/// Tries the scores that `tail` gives for the rates `wanted` on the searches of `set`, which are
/// those of [`run_crowd`].
///
/// # Errors
///
/// [`EvalError::People`] where a wanted rate is not above 0 and below 1; [`EvalError::TooFew`]
/// without searches of both kinds.
pub fn crowd_kept(
    set: &OpenSet,
    tail: &StrangerTail,
    wanted: &[f64],
    how: &Bootstrap,
) -> Result<Vec<CrowdKept>, EvalError> {
    let scores: Vec<f64> =
        wanted.iter().map(|rate| tail.threshold(*rate, set.people)).collect::<Result<_, _>>()?;
    let people = by_person(set);
    let people: Vec<&[Outcome]> = people.values().map(Vec::as_slice).collect();
    let around = intervals(&people, how, |sample| {
        let drawn = OpenSet { people: set.people, outcomes: sample.concat() };
        let rates = scores.iter().flat_map(|score| {
            let at = score + SHIFT;
            [drawn.fpir(at), drawn.fnir(at)].map(|rate| rate.unwrap_or(f64::NAN))
        });
        rates.collect()
    });
    let tried = wanted.iter().zip(&scores).zip(around.chunks(2));
    tried
        .map(|((wanted, score), around)| {
            let (what, got) = ("searches for outsiders and for enrolled people", set.unknown());
            let missing = || EvalError::TooFew { what, got, wanted: 1 };
            let at = score + SHIFT;
            let fpir = set.fpir(at).ok_or_else(missing)?;
            let fnir = set.fnir(at).ok_or_else(missing)?;
            Ok(CrowdKept {
                wanted: *wanted,
                observed: OpenSetPoint { threshold: *score, fpir, fnir },
                fpir_interval: around.first().copied().flatten(),
                fnir_interval: around.get(1).copied().flatten(),
                fnir_at_true: set.at_fpir(*wanted).ok_or_else(missing)?.fnir,
            })
        })
        .collect()
}
