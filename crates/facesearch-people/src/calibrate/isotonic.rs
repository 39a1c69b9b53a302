//! Isotonic regression: the probability of one person falls with the distance, and nothing else is
//! assumed.
//!
//! Pool adjacent violators (Ayer et al., *An empirical distribution function for sampling with
//! incomplete information*, Annals of Mathematical Statistics 26, 1955): start with every distance
//! on its own, and merge neighbours as long as the farther one has the larger share of genuine
//! pairs.

use serde::{Deserialize, Serialize};

use crate::pairs::{Trial, nearest_first};

/// A falling curve through knots: straight lines between them, level outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Isotonic {
    /// Distance and probability, distance ascending, probability never rising.
    knots: Vec<(f64, f64)>,
}

impl Isotonic {
    /// The falling curve with the least squared errors; `None` where no pair has a distance.
    ///
    /// **Trap:** it may reach 0 and 1. Beyond the last genuine pair the data have no other.
    pub(crate) fn fit(trials: &[Trial]) -> Option<Self> {
        let sorted = nearest_first(trials);
        let measured = sorted.partition_point(|trial| !trial.failed());
        let mut blocks: Vec<Block> = Vec::new();
        for equal in sorted[..measured].chunk_by(|a, b| a.distance() == b.distance()) {
            let distance = equal[0].distance();
            let same = equal.iter().filter(|trial| trial.same()).count() as f64;
            let mut block = Block { from: distance, to: distance, same, all: equal.len() as f64 };
            while let Some(before) = blocks.pop_if(|before| before.share() <= block.share()) {
                block = before.merged(&block);
            }
            blocks.push(block);
        }
        let mut knots: Vec<(f64, f64)> = Vec::new();
        for block in &blocks {
            knots.push((block.from, block.share()));
            if block.to > block.from {
                knots.push((block.to, block.share()));
            }
        }
        (!knots.is_empty()).then_some(Self { knots })
    }

    /// The probability at `distance`, in `[0, 1]`.
    pub(crate) fn probability(&self, distance: f64) -> f64 {
        let after = self.knots.partition_point(|knot| knot.0 < distance);
        match (after.checked_sub(1).map(|i| self.knots[i]), self.knots.get(after)) {
            (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (distance - a.0) / (b.0 - a.0),
            (Some(last), None) => last.1,
            (None, first) => first.map_or(0.0, |first| first.1),
        }
    }
}

/// Neighbouring distances with one common probability.
#[derive(Debug, Clone, Copy)]
struct Block {
    from: f64,
    to: f64,
    same: f64,
    all: f64,
}

impl Block {
    fn share(&self) -> f64 {
        self.same / self.all
    }

    fn merged(&self, next: &Self) -> Self {
        Self { from: self.from, to: next.to, same: self.same + next.same, all: self.all + next.all }
    }
}
