//! The summary of `facesearch verify --pairs`, whose pairs may lack a label.

use facesearch_core::Threshold;
use serde::Serialize;

use super::counts::best_interval;
use super::{Counts, Trial};

/// A pair of photos, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairTrial {
    /// L2 distance of the two faces; `None` where a face was missing. Such a pair counts as
    /// "different" at every threshold.
    pub distance: Option<f32>,
    /// Whether the two are truly one person, where that is known.
    pub same: Option<bool>,
}

/// How a threshold decided many pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairsSummary {
    /// How many pairs there are.
    pub pairs: usize,
    /// Pairs in which a face was missing.
    pub failed: usize,
    /// The threshold that decided.
    pub threshold: f32,
    /// Share of right decisions at `threshold`, over the labelled pairs; `None` without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The threshold with the most right decisions; `None` where no labelled pair has a distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_threshold: Option<f32>,
    /// Share of right decisions at `best_threshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_accuracy: Option<f64>,
}

/// Counts what `threshold` decides rightly, and finds the threshold that would decide best.
pub fn summarise(pairs: &[PairTrial], threshold: &Threshold) -> PairsSummary {
    let labelled = |pair: &PairTrial| Some(Trial::new(pair.distance.map(f64::from), pair.same?));
    let trials: Vec<Trial> = pairs.iter().filter_map(labelled).collect();
    let accuracy = |threshold: f32| Counts::at(&trials, threshold.into()).accuracy();
    let best = best_interval(&trials).map(|best| {
        // Its ends are distances in f32, so the middle is taken in f32.
        let (low, high) = (best.low as f32, best.high as f32);
        low + (high - low) / 2.0
    });
    PairsSummary {
        pairs: pairs.len(),
        failed: pairs.iter().filter(|pair| pair.distance.is_none()).count(),
        threshold: threshold.l2(),
        accuracy: accuracy(threshold.l2()),
        best_threshold: best,
        best_accuracy: best.and_then(accuracy),
    }
}
