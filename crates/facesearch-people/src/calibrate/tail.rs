//! The lower tail of a distribution of distances, for probabilities below the data.
//!
//! The tail of nearly any distribution is close to a generalised Pareto distribution (Pickands,
//! *Statistical inference using extreme order statistics*, Annals of Statistics 3, 1975). It is
//! fitted by probability-weighted moments, which vary little with few points (Hosking and Wallis,
//! *Parameter and quantile estimation for the generalized Pareto distribution*, Technometrics 29,
//! 1987).

use serde::{Deserialize, Serialize};

/// How likely a distance below [`from`](Self::from) is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// The upper end of the tail.
    pub(crate) from: f64,
    /// The probability of a distance below that.
    pub(crate) share: f64,
    /// The scale of the Pareto distribution, in units of distance.
    pub(crate) scale: f64,
    /// Its shape: below 0 the tail ends at `from + scale / shape`, at 0 it falls exponentially.
    pub(crate) shape: f64,
}

impl Tail {
    /// The shapes that are allowed. A distance is bounded below, so a tail much heavier than
    /// exponential comes from a few mislabelled faces. And with few points the tail may seem to end
    /// just below them.
    const SHAPES: (f64, f64) = (-0.5, 0.1);
    /// The usual shape, and how many distances it counts as. A shape that follows the nearest pairs
    /// alone predicts the rates of other people worse than this one does.
    const USUAL: (f64, f64) = (-0.03, 4000.0);

    /// Fits the tail below `from`, which has probability `share`.
    ///
    /// `below`: distances in it with their weights, in any order; `count`: how many distances they
    /// stand for. `None` without two different distances.
    pub(crate) fn fit(from: f64, share: f64, below: &[(f64, f64)], count: f64) -> Option<Self> {
        let mut excess: Vec<(f64, f64)> = below.iter().map(|(d, w)| (from - d, *w)).collect();
        excess.retain(|(x, w)| *x >= 0.0 && *w > 0.0);
        excess.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = excess.iter().map(|(_, weight)| weight).sum();
        // Two moments: the mean, and the mean weighted by the share of the distances beyond.
        let (mut mean, mut beyond, mut seen) = (0.0, 0.0, 0.0);
        for (x, weight) in &excess {
            let weight = weight / total;
            mean += weight * x;
            beyond += weight * x * (1.0 - seen - weight / 2.0);
            seen += weight;
        }
        let denominator = mean - 2.0 * beyond;
        let usable = mean > 0.0 && denominator > 1e-12 * mean;
        usable.then(|| {
            let free = (2.0 - mean / denominator).clamp(Self::SHAPES.0, Self::SHAPES.1);
            let (usual, worth) = Self::USUAL;
            let shape = (count * free + worth * usual) / (count + worth);
            // The scale follows from the mean, whatever the shape.
            Self { from, share, scale: mean * (1.0 - shape), shape }
        })
    }

    /// The probability of a distance of at most `distance`; `share` from the tail's upper end on.
    pub(crate) fn probability(&self, distance: f64) -> f64 {
        let excess = ((self.from - distance) / self.scale).max(0.0);
        let survival = if self.shape.abs() < 1e-9 {
            (-excess).exp()
        } else {
            (1.0 + self.shape * excess).max(0.0).powf(-1.0 / self.shape)
        };
        self.share * survival
    }
}
