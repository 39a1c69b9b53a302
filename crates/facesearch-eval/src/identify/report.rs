//! The figures of one gallery size, with intervals.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AtThreshold, OpenSet, OpenSetPoint, Outcome};
use crate::pairs::{Bootstrap, Interval, intervals};

/// The false positive identification rates that every report names.
const RATES: [f64; 3] = [0.1, 0.01, 0.001];
/// The ranks that every report names.
const RANKS: [usize; 3] = [1, 5, 10];

/// What is missed when false alarms must be rare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FnirAtFpir {
    /// The rate that is allowed.
    pub wanted: f64,
    /// What the threshold does that keeps to it.
    pub point: OpenSetPoint,
    /// Interval of the miss rate; the threshold is found anew for each resample.
    pub interval: Option<Interval>,
    /// Whether there are enough outsiders (at least `1 / wanted`) for the figure to mean it.
    pub supported: bool,
}

/// The figures of open-set identification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdentifyReport {
    /// How many people are enrolled.
    pub people: usize,
    /// Searches for enrolled people.
    pub known: usize,
    /// Searches for outsiders.
    pub unknown: usize,
    /// Rank and share of the enrolled people found by then, closed set.
    pub ranks: Vec<(usize, f64, Option<Interval>)>,
    /// Misses at the false alarm rates 0.1, 0.01 and 0.001.
    pub fnir: Vec<FnirAtFpir>,
    /// The threshold that was asked about, if there was one.
    pub threshold: Option<f64>,
    /// What it did.
    pub counts: Option<AtThreshold>,
    /// FPIR and FNIR at it.
    pub fixed: Option<OpenSetPoint>,
}

/// Sums up one gallery size. Without a `threshold` the figures at a fixed one are left out.
///
/// Resampling draws people, not photos: the photos of one person fail together, and intervals
/// that forget this are too narrow.
pub fn report(set: &OpenSet, threshold: Option<f64>, how: &Bootstrap) -> IdentifyReport {
    let by_person = by_person(set);
    let people: Vec<&[Outcome]> = by_person.values().map(Vec::as_slice).collect();
    let around = intervals(&people, how, |sample| {
        figures(&OpenSet { people: set.people, outcomes: sample.concat() })
    });
    let ranks = RANKS.iter().zip(&around);
    let fnir = RATES.iter().zip(around.iter().skip(RANKS.len()));
    let at = |threshold| {
        let (fpir, fnir) = (set.fpir(threshold)?, set.fnir(threshold)?);
        Some(OpenSetPoint { threshold, fpir, fnir })
    };
    IdentifyReport {
        people: set.people,
        known: set.known(),
        unknown: set.unknown(),
        ranks: ranks.filter_map(|(k, around)| Some((*k, set.rank(*k)?, *around))).collect(),
        fnir: fnir
            .filter_map(|(wanted, interval)| {
                Some(FnirAtFpir {
                    wanted: *wanted,
                    point: set.at_fpir(*wanted)?,
                    interval: *interval,
                    supported: set.unknown() as f64 * wanted >= 1.0,
                })
            })
            .collect(),
        threshold,
        counts: threshold.map(|threshold| set.at(threshold)),
        fixed: threshold.and_then(at),
    }
}

/// The searches for each person, who is what resampling draws.
pub(super) fn by_person(set: &OpenSet) -> BTreeMap<u32, Vec<Outcome>> {
    let mut by_person: BTreeMap<u32, Vec<Outcome>> = BTreeMap::new();
    for outcome in &set.outcomes {
        by_person.entry(outcome.person).or_default().push(*outcome);
    }
    by_person
}

fn figures(set: &OpenSet) -> Vec<f64> {
    let ranks = RANKS.map(|k| set.rank(k).unwrap_or(f64::NAN));
    let misses = RATES.map(|rate| set.at_fpir(rate).map_or(f64::NAN, |point| point.fnir));
    ranks.into_iter().chain(misses).collect()
}
