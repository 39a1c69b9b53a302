//! A threshold by decision stump: the one cut with the most information.
//!
//! Quinlan's information gain (*Induction of decision trees*, Machine Learning 1, 1986), or his
//! later gain ratio. deepface's thresholds were found this way.
//!
//! **Trap:** the gain weighs false accepts and false rejects alike, and ignores how many people a
//! face will be compared with.

use facesearch_core::{Gallery, IdentityIndex, Row};
use serde::Serialize;

use crate::pairs::{Trial, nearest_first};
use crate::{PeopleError, distance};

/// What the best cut has most of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Criterion {
    /// Information gain: the fall in entropy of the labels.
    Gain,
    /// Gain ratio: the gain divided by the entropy of the cut itself, which favours cuts near the
    /// ends.
    GainRatio,
}

/// The best cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stump {
    /// The middle between `below` and `above`.
    pub threshold: f64,
    /// The largest distance that is accepted.
    pub below: f64,
    /// The smallest distance that is not.
    pub above: f64,
    /// Information gained, in bits.
    pub gain: f64,
}

/// Finds the cut of `trials` with the highest `criterion`; of equal ones the lowest.
///
/// Pairs without a distance count as above every cut.
///
/// # Errors
///
/// [`PeopleError::TooFew`] without two different distances to cut between, without a genuine pair
/// or without an impostor pair.
pub fn stump(trials: &[Trial], criterion: Criterion) -> Result<Stump, PeopleError> {
    let sorted = nearest_first(trials);
    let same = trials.iter().filter(|trial| trial.same()).count();
    for (what, got) in [("pairs of one person", same), ("pairs of two", trials.len() - same)] {
        if got == 0 {
            return Err(PeopleError::TooFew { what, got, wanted: 1 });
        }
    }
    let total = [same as f64, (trials.len() - same) as f64];
    let count = total[0] + total[1];
    let (mut near, mut best): ([f64; 2], Option<(f64, Stump)>) = ([0.0; 2], None);
    for pair in sorted.windows(2) {
        near[usize::from(!pair[0].same())] += 1.0;
        let (below, above) = (pair[0].distance(), pair[1].distance());
        if below == above || pair[1].failed() {
            continue;
        }
        let far = [total[0] - near[0], total[1] - near[1]];
        let sides = [near[0] + near[1], far[0] + far[1]];
        let after = sides[0] * entropy(near) + sides[1] * entropy(far);
        let gain = entropy(total) - after / count;
        let score = match criterion {
            Criterion::Gain => gain,
            Criterion::GainRatio => gain / entropy(sides),
        };
        // Scores that differ by rounding only count as equal.
        if best.is_none_or(|(so_far, _)| score > so_far + 1e-12) {
            let threshold = below + (above - below) / 2.0;
            best = Some((score, Stump { threshold, below, above, gain }));
        }
    }
    let distinct = usize::from(!trials.is_empty());
    best.map(|(_, stump)| stump).ok_or(PeopleError::TooFew {
        what: "different distances",
        got: distinct,
        wanted: 2,
    })
}

fn entropy(counts: [f64; 2]) -> f64 {
    let sum = counts[0] + counts[1];
    counts.iter().filter(|n| **n > 0.0).map(|n| -(n / sum) * (n / sum).log2()).sum()
}

/// Labelled pairs of an index's faces, as many impostor pairs as genuine ones where there are so
/// many. The index must have been verified.
///
/// Genuine pairs are neighbours in the order of a person's faces. Impostor pairs are the first
/// faces of two people: first those next to each other in the order of names, then those farther
/// apart.
pub fn labelled_pairs(gallery: &dyn Gallery) -> Vec<Trial> {
    let people: Vec<Vec<Row>> =
        (0..gallery.identity_count() as u32).map(|i| gallery.rows_of(IdentityIndex(i))).collect();
    let trial = |a: Row, b: Row, same| Trial::new(Some(distance(gallery, a, b).into()), same);
    let neighbours = people.iter().flat_map(|rows| rows.windows(2));
    let mut trials: Vec<Trial> = neighbours.map(|pair| trial(pair[0], pair[1], true)).collect();
    let genuine = trials.len();
    let pairs_apart = |step: usize| (step..people.len()).map(move |b| (b - step, b));
    let impostors = (1..people.len()).flat_map(pairs_apart).take(genuine);
    trials.extend(impostors.map(|(a, b)| trial(people[a][0], people[b][0], false)));
    trials
}
