//! Does a calibrated threshold keep what it promises, and what lies beyond the people there are?

use facesearch_people::calibrate::Impostors;
use serde::Serialize;

use super::{OpenSet, OpenSetPoint, Outcome, report::by_person};
use crate::EvalError;
use crate::pairs::{Bootstrap, Interval, intervals};

/// A threshold that was made for a false alarm rate, tried on outsiders it has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kept {
    /// The rate it was made for.
    pub wanted: f64,
    /// The threshold, and the rates that were observed at it.
    pub observed: OpenSetPoint,
    /// Interval of the observed false alarm rate.
    pub interval: Option<Interval>,
}

/// Tries the thresholds that `impostors` gives for the rates `wanted` on the searches of `set`.
///
/// # Errors
///
/// [`EvalError::People`] where a wanted rate is not above 0 and below 1; [`EvalError::TooFew`]
/// without searches of both kinds.
pub fn kept(
    set: &OpenSet,
    impostors: &Impostors,
    wanted: &[f64],
    how: &Bootstrap,
) -> Result<Vec<Kept>, EvalError> {
    let thresholds: Vec<f64> = wanted
        .iter()
        .map(|rate| impostors.threshold(*rate, set.people))
        .collect::<Result<_, _>>()?;
    let people = by_person(set);
    let people: Vec<&[Outcome]> = people.values().map(Vec::as_slice).collect();
    let around = intervals(&people, how, |sample| {
        let drawn = OpenSet { people: set.people, outcomes: sample.concat() };
        thresholds.iter().map(|t| drawn.fpir(*t).unwrap_or(f64::NAN)).collect()
    });
    let tried = wanted.iter().zip(&thresholds).zip(around);
    tried
        .map(|((wanted, threshold), interval)| {
            let (what, got) = ("searches for outsiders and for enrolled people", set.unknown());
            let missing = || EvalError::TooFew { what, got, wanted: 1 };
            let fpir = set.fpir(*threshold).ok_or_else(missing)?;
            let fnir = set.fnir(*threshold).ok_or_else(missing)?;
            let observed = OpenSetPoint { threshold: *threshold, fpir, fnir };
            Ok(Kept { wanted: *wanted, observed, interval })
        })
        .collect()
}

/// What is to be expected in a gallery larger than the people there are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Extrapolated {
    /// How many people would be enrolled.
    pub people: usize,
    /// The false alarm rate that is allowed.
    pub fpir: f64,
    /// The threshold for it.
    pub threshold: f64,
    /// The misses to expect there: beyond the threshold, or behind a wrong person.
    pub fnir: f64,
}

/// Expects the misses in a gallery of `people` at the false alarm rate `fpir`.
///
/// The distances of the searches of `set` to their right person stay what they are, whoever else is
/// enrolled; how near the nearest wrong person lies among so many, `impostors` says. A search that
/// finds its person at `d` is right with the probability that no wrong person lies within `d`.
/// Nothing of this was observed: it is as good as the impostors' extrapolation.
///
/// # Errors
///
/// As [`kept`].
pub fn extrapolated(
    set: &OpenSet,
    impostors: &Impostors,
    people: usize,
    fpir: f64,
) -> Result<Extrapolated, EvalError> {
    let threshold = impostors.threshold(fpir, people)?;
    let mates: Vec<f64> = set
        .outcomes
        .iter()
        .filter_map(|outcome| outcome.mate)
        .map(|mate| f64::from(mate.distance))
        .collect();
    if mates.is_empty() {
        let what = "searches for enrolled people";
        return Err(EvalError::TooFew { what, got: 0, wanted: 1 });
    }
    let within = mates.iter().filter(|distance| **distance <= threshold);
    let found: f64 = within.map(|distance| 1.0 - impostors.fpir(*distance, people)).sum();
    Ok(Extrapolated { people, fpir, threshold, fnir: 1.0 - found / mates.len() as f64 })
}
