//! A threshold by decision stump: the one cut that tells most about the truth.
//!
//! Quinlan's information gain (*Induction of decision trees*, Machine Learning 1, 1986), or his
//! later gain ratio. deepface's thresholds were found this way. The trap: the gain weighs both kinds
//! of error alike and knows nothing of how many people a face will be compared with.

use serde::Serialize;

use crate::PeopleError;
use crate::pairs::{Trial, nearest_first};

/// What makes a cut good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Criterion {
    /// The fall in entropy of the truth.
    Gain,
    /// That fall over the entropy of the cut itself, which favours small pure ends.
    GainRatio,
}

/// The best cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stump {
    /// Half-way between the two distances that it parts.
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
/// Pairs without a distance count above every cut.
///
/// # Errors
///
/// [`PeopleError::TooFew`] where there are not two different distances to cut between, or no pairs of one
/// of the two kinds.
pub fn stump(trials: &[Trial], criterion: Criterion) -> Result<Stump, PeopleError> {
    let sorted = nearest_first(trials);
    let same = trials.iter().filter(|trial| trial.same()).count();
    for (what, got) in [("pairs of one person", same), ("pairs of two", trials.len() - same)] {
        if got == 0 {
            return Err(PeopleError::TooFew { what, got, wanted: 1 });
        }
    }
    let total = [same as f64, (trials.len() - same) as f64];
    let all = total[0] + total[1];
    let (mut near, mut best): ([f64; 2], Option<(f64, Stump)>) = ([0.0; 2], None);
    for pair in sorted.windows(2) {
        near[usize::from(!pair[0].same())] += 1.0;
        let (below, above) = (pair[0].distance(), pair[1].distance());
        if below == above || pair[1].failed() {
            continue;
        }
        let far = [total[0] - near[0], total[1] - near[1]];
        let (n, f) = (near[0] + near[1], far[0] + far[1]);
        let gain = entropy(total) - (n * entropy(near) + f * entropy(far)) / all;
        let score = match criterion {
            Criterion::Gain => gain,
            Criterion::GainRatio => gain / entropy([n, f]),
        };
        // Scores that differ by rounding only are equal.
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
    let all = counts[0] + counts[1];
    counts.iter().filter(|n| **n > 0.0).map(|n| -(n / all) * (n / all).log2()).sum()
}
