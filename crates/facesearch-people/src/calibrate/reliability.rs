//! Do things that are said to be 80 % likely happen in 80 % of cases?

use serde::{Deserialize, Serialize};

/// All predictions within a range of probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many.
    pub count: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that came true.
    pub observed: f64,
}

/// The reliability diagram and two figures that sum it up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The ranges that have predictions, ascending; all equally wide.
    pub bins: Vec<ReliabilityBin>,
    /// Mean squared difference of probability and truth (Brier); 0 is best.
    pub brier: f64,
    /// Mean distance of prediction and observation over the bins, weighted by their counts.
    pub calibration_error: f64,
}

impl Reliability {
    /// Sorts `(probability, truth)` into `bins` ranges of `[0, 1]`. Fit and judge on different
    /// pairs: on its own, every fit looks reliable. Panics where `bins` is 0.
    pub fn of(predictions: &[(f64, bool)], bins: usize) -> Self {
        assert!(bins > 0, "a diagram needs bins");
        let mut sums = vec![(0usize, 0.0, 0usize); bins];
        let mut squares = 0.0;
        for (p, truth) in predictions {
            // As scikit-learn does it: a range includes its upper end.
            let bin = ((p * bins as f64).ceil() as usize).saturating_sub(1).min(bins - 1);
            let (count, predicted, observed) = &mut sums[bin];
            *count += 1;
            *predicted += p;
            *observed += usize::from(*truth);
            squares += (p - f64::from(u8::from(*truth))).powi(2);
        }
        let bins: Vec<ReliabilityBin> = sums
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, predicted, observed)| ReliabilityBin {
                count,
                predicted: predicted / count as f64,
                observed: observed as f64 / count as f64,
            })
            .collect();
        let all = predictions.len().max(1) as f64;
        let gap = |bin: &ReliabilityBin| bin.count as f64 * (bin.predicted - bin.observed).abs();
        let calibration_error = bins.iter().map(gap).sum::<f64>() / all;
        Self { bins, brier: squares / all, calibration_error }
    }
}
