//! Verification over labelled pairs: how often is the decision right?

use facesearch_core::Threshold;
use serde::Serialize;

/// One judged pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairTrial {
    /// Exact distance of the two faces; `None` where a face was missing. Such a pair counts as
    /// "different" at every threshold.
    pub distance: Option<f32>,
    /// Whether the two are truly one person, where that is known.
    pub same: Option<bool>,
}

/// The sum of many trials.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairsSummary {
    /// How many pairs.
    pub pairs: usize,
    /// Pairs without two faces.
    pub failed: usize,
    /// The threshold that decided.
    pub threshold: f32,
    /// Share of right decisions at `threshold`, over the pairs whose truth is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The threshold that would have decided best: the middle of the lowest best interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_threshold: Option<f32>,
    /// Share of right decisions at `best_threshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_accuracy: Option<f64>,
}

/// Sums up `trials` as decided by `threshold`.
pub fn summarise(trials: &[PairTrial], threshold: Threshold) -> PairsSummary {
    let known: Vec<(Option<f32>, bool)> =
        trials.iter().filter_map(|trial| Some((trial.distance, trial.same?))).collect();
    let right = |threshold: f32| {
        let says_same = |d: Option<f32>| d.is_some_and(|d| d <= threshold);
        known.iter().filter(|(d, same)| says_same(*d) == *same).count()
    };
    let share = |right: usize| (!known.is_empty()).then(|| right as f64 / known.len() as f64);
    let best = best_threshold(&known);
    PairsSummary {
        pairs: trials.len(),
        failed: trials.iter().filter(|trial| trial.distance.is_none()).count(),
        threshold: threshold.get(),
        accuracy: share(right(threshold.get())),
        best_threshold: best,
        best_accuracy: best.and_then(|best| share(right(best))),
    }
}

/// The threshold with the most right decisions: between two neighbouring distances nothing changes,
/// so one sweep over the sorted distances sees every case. `None` where no pair has a distance.
fn best_threshold(known: &[(Option<f32>, bool)]) -> Option<f32> {
    let mut scored: Vec<(f32, bool)> =
        known.iter().filter_map(|(distance, same)| Some(((*distance)?, *same))).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Below every distance, all pairs are "different": the gain of other thresholds is over that.
    let (mut best_gain, mut best) = (0i64, scored.first()?.0 / 2.0);
    let mut gain = 0;
    for (i, (distance, same)) in scored.iter().enumerate() {
        gain += if *same { 1 } else { -1 };
        let next = scored.get(i + 1).map_or(*distance, |next| next.0);
        let passes_all_equal = i + 1 == scored.len() || next > *distance;
        if passes_all_equal && gain > best_gain {
            (best_gain, best) = (gain, distance + (next - distance) / 2.0);
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_best_threshold_beats_every_other(
            trials in vec((proptest::option::weighted(0.9, 0u8..40), any::<bool>()), 1..60),
        ) {
            let trials: Vec<PairTrial> = trials
                .into_iter()
                .map(|(d, same)| PairTrial {
                    distance: d.map(|d| 0.1 + f32::from(d) / 20.0),
                    same: Some(same),
                })
                .collect();
            let best = summarise(&trials, Threshold::DEFAULT).best_accuracy;
            for step in 0..250 {
                let threshold = Threshold::new(step as f32 / 100.0).unwrap();
                let accuracy = summarise(&trials, threshold).accuracy;
                prop_assert!(best.is_none() || best >= accuracy, "{threshold:?}");
            }
        }
    }

    #[test]
    fn a_pair_without_a_face_counts_as_different() {
        let trials = [
            PairTrial { distance: None, same: Some(true) },
            PairTrial { distance: None, same: Some(false) },
            PairTrial { distance: Some(0.3), same: Some(true) },
            PairTrial { distance: Some(0.9), same: None },
        ];
        let summary = summarise(&trials, Threshold::DEFAULT);
        assert_eq!((summary.pairs, summary.failed), (4, 2));
        assert_eq!(summary.accuracy, Some(2.0 / 3.0));
    }

    #[test]
    fn without_truth_there_is_no_accuracy() {
        let trials = [PairTrial { distance: Some(0.3), same: None }];
        let summary = summarise(&trials, Threshold::DEFAULT);
        assert_eq!((summary.accuracy, summary.best_threshold), (None, None));
    }
}
