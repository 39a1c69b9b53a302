//! The outcome of every pair at one threshold, and the threshold with the most right outcomes.

use serde::Serialize;

use super::{Trial, nearest_first};

/// The decisions at one threshold, counted by whether they were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Same person, called the same.
    pub true_accepts: usize,
    /// Different people, called the same: the error that names a stranger.
    pub false_accepts: usize,
    /// Same person, called different.
    pub false_rejects: usize,
    /// Different people, called different.
    pub true_rejects: usize,
}

impl Counts {
    /// Decides `trials` by `threshold`; a distance equal to it is accepted.
    pub fn at(trials: &[Trial], threshold: f64) -> Self {
        let mut counts = Self::default();
        for trial in trials {
            *match (trial.same(), trial.accepted(threshold)) {
                (true, true) => &mut counts.true_accepts,
                (false, true) => &mut counts.false_accepts,
                (true, false) => &mut counts.false_rejects,
                (false, false) => &mut counts.true_rejects,
            } += 1;
        }
        counts
    }

    /// Share of right decisions; `None` without trials.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.true_accepts + self.true_rejects;
        share(right, right + self.false_accepts + self.false_rejects)
    }

    /// Share of truly same pairs among those called the same; `None` where none was.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_accepts, self.true_accepts + self.false_accepts)
    }

    /// Share of the same pairs that were called the same (TAR); `None` without such pairs.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_accepts, self.true_accepts + self.false_rejects)
    }

    /// Share of the different pairs that were called the same (FAR); `None` without such pairs.
    pub fn false_accept_rate(&self) -> Option<f64> {
        share(self.false_accepts, self.false_accepts + self.true_rejects)
    }

    /// Harmonic mean of precision and recall; `None` where there is no same pair and none was
    /// called so.
    pub fn f1(&self) -> Option<f64> {
        let wrong = self.false_accepts + self.false_rejects;
        share(2 * self.true_accepts, 2 * self.true_accepts + wrong)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The threshold with the most right decisions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestThreshold {
    /// The middle of the lowest interval in which every threshold decides best.
    pub threshold: f64,
    /// Share of right decisions there.
    pub accuracy: f64,
}

/// Finds the threshold that decides `trials` best; `None` where no pair has a distance.
///
/// Where it is best to accept no pair, the threshold is half the smallest distance.
pub fn best_threshold(trials: &[Trial]) -> Option<BestThreshold> {
    let BestInterval { low, high, right } = best_interval(trials)?;
    let threshold = low + (high - low) / 2.0;
    Some(BestThreshold { threshold, accuracy: right as f64 / trials.len() as f64 })
}

/// Thresholds from `low` on, and below `high`, that make the same decisions. Where all pairs with
/// a distance are accepted, both are the largest distance.
pub(super) struct BestInterval {
    pub(super) low: f64,
    pub(super) high: f64,
    /// How many of those decisions are right.
    right: i64,
}

/// The lowest interval of thresholds with the most right decisions; `None` where no pair has a
/// distance.
///
/// The decisions change at the distances only, so one pass over the sorted distances is enough.
pub(super) fn best_interval(trials: &[Trial]) -> Option<BestInterval> {
    let sorted = nearest_first(trials);
    let measured: Vec<&Trial> = sorted.iter().filter(|trial| !trial.failed()).collect();
    // Below the smallest distance no pair is accepted: the different pairs are decided rightly.
    let mut right = trials.iter().filter(|trial| !trial.same()).count() as i64;
    let mut best = BestInterval { low: 0.0, high: measured.first()?.distance(), right };
    for (i, trial) in measured.iter().enumerate() {
        right += if trial.same() { 1 } else { -1 };
        let low = trial.distance();
        let next = measured.get(i + 1).map(|next| next.distance());
        let is_last_of_equals = next.is_none_or(|next| next > low);
        if is_last_of_equals && right > best.right {
            best = BestInterval { low, high: next.unwrap_or(low), right };
        }
    }
    Some(best)
}
