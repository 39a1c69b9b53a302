//! Compares the counts with scikit-learn's on the same distances
//! (`models/reference/sklearn_reference.py`), and the best threshold with trying many.

use facesearch_core::{Threshold, ThresholdSource};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::golden;

fn within(l2: f32) -> Threshold {
    Threshold::new(l2, ThresholdSource::Given).unwrap()
}

#[track_caller]
fn close(got: f64, want: &serde_json::Value) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() <= 1e-9, "{got} is not scikit-learn's {want}");
}

#[test]
fn the_figures_at_a_threshold_are_scikit_learns() {
    for (trials, case) in golden::pairs() {
        let counts = Counts::at(&trials, case["at"].as_f64().unwrap());
        let got =
            [counts.true_accepts, counts.false_accepts, counts.false_rejects, counts.true_rejects];
        assert_eq!(serde_json::json!(got), case["counts"]);
        close(counts.accuracy().unwrap(), &case["accuracy"]);
        close(counts.precision().unwrap(), &case["precision"]);
        close(counts.recall().unwrap(), &case["recall"]);
        close(counts.f1().unwrap(), &case["f1"]);
        let best = best_threshold(&trials).unwrap();
        close(best.threshold, &case["best"][0]);
        close(best.accuracy, &case["best"][1]);
    }
}

proptest! {
    #[test]
    fn the_best_threshold_beats_every_other(
        pairs in vec((proptest::option::weighted(0.9, 0u8..40), any::<bool>()), 1..60),
    ) {
        let pairs: Vec<PairTrial> = pairs
            .into_iter()
            .map(|(d, same)| PairTrial {
                distance: d.map(|d| 0.1 + f32::from(d) / 20.0),
                same: Some(same),
            })
            .collect();
        let best = summarise(&pairs, &within(0.55)).best_accuracy;
        for step in 0..250 {
            let threshold = within(step as f32 / 100.0);
            let accuracy = summarise(&pairs, &threshold).accuracy;
            prop_assert!(best.is_none() || best >= accuracy, "{threshold:?}");
        }
    }
}

#[test]
fn a_pair_without_a_face_counts_as_different() {
    let pairs = [
        PairTrial { distance: None, same: Some(true) },
        PairTrial { distance: None, same: Some(false) },
        PairTrial { distance: Some(0.3), same: Some(true) },
        PairTrial { distance: Some(0.9), same: None },
    ];
    let summary = summarise(&pairs, &within(0.55));
    assert_eq!((summary.pairs, summary.failed), (4, 2));
    assert_eq!(summary.accuracy, Some(2.0 / 3.0));
}

#[test]
fn without_labels_there_is_no_accuracy() {
    let pairs = [PairTrial { distance: Some(0.3), same: None }];
    let summary = summarise(&pairs, &within(0.55));
    assert_eq!((summary.accuracy, summary.best_threshold), (None, None));
}

#[test]
fn the_best_threshold_of_a_summary_is_the_middle_in_f32() {
    // With one gap this wide, the middle rounded from f64 is another number in f32.
    let (near, far) = (0.3_f32, 1.31_f32);
    let pairs = [
        PairTrial { distance: Some(near), same: Some(true) },
        PairTrial { distance: Some(far), same: Some(false) },
    ];
    let best = summarise(&pairs, &within(0.55)).best_threshold;
    assert_eq!(best, Some(near + (far - near) / 2.0));
}

#[test]
fn the_best_threshold_at_either_end_is_half_the_nearest_or_the_farthest() {
    let threshold = |pairs: &[(f64, bool)]| {
        let trials: Vec<Trial> =
            pairs.iter().map(|(d, same)| Trial::new(Some(*d), *same)).collect();
        best_threshold(&trials).unwrap().threshold
    };
    assert_eq!(threshold(&[(0.4, false), (0.8, false)]), 0.2);
    assert_eq!(threshold(&[(0.4, true), (0.8, true)]), 0.8);
}
