//! Are answers with a probability of 80 % right in 80 % of cases?

use serde::{Deserialize, Serialize};

/// The predictions within a range of probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many predictions.
    pub count: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that is right.
    pub observed: f64,
}

/// A reliability diagram, and two figures that sum it up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The ranges that have predictions, ascending. All are equally wide.
    pub bins: Vec<ReliabilityBin>,
    /// Brier score: the mean squared difference of probability and truth; 0 is best.
    pub brier: f64,
    /// Expected calibration error: the mean difference of prediction and observation over the
    /// bins, weighted by their counts.
    pub calibration_error: f64,
}

impl Reliability {
    /// Sorts predictions, each a probability and whether it is right, into `bins` ranges of
    /// `[0, 1]`. Panics where `bins` is 0.
    ///
    /// **Trap:** on the data it was fitted to, every curve looks reliable.
    pub(crate) fn new(predictions: &[(f64, bool)], bins: usize) -> Self {
        assert!(bins > 0, "a diagram needs bins");
        let mut sums = vec![(0usize, 0.0, 0usize); bins];
        let mut squares = 0.0;
        for (p, truth) in predictions {
            // A range includes its upper end, as in scikit-learn.
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
