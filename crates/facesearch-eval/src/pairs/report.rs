//! Everything that is said of a list of judged pairs, in one value.

use serde::Serialize;

use super::{
    BestThreshold, Bootstrap, Counts, FoldAccuracy, Interval, Roc, Trial, best_threshold,
    intervals, ten_fold,
};
use crate::EvalError;

/// The false accept rates that every report names.
const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// How many are still recognised when false accepts must be rare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TarAtFar {
    /// The false accept rate that is allowed.
    pub far: f64,
    /// Share of the same pairs accepted at that price.
    pub tar: f64,
    /// The threshold that does it.
    pub threshold: f64,
    /// Whether there are enough different pairs (at least `1 / far`) for the figure to mean it.
    pub supported: bool,
    /// Interval of `tar`.
    pub interval: Option<Interval>,
}

/// The figures of verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairsReport {
    /// Pairs of one person.
    pub same: usize,
    /// Pairs of two people.
    pub different: usize,
    /// Pairs without a distance, counted as "different" throughout.
    pub failed: usize,
    /// Accuracy over folds, where there are folds.
    pub folds: Option<FoldAccuracy>,
    /// Area under the ROC curve.
    pub auc: f64,
    /// Its interval.
    pub auc_interval: Option<Interval>,
    /// Equal error rate.
    pub eer: f64,
    /// Its interval.
    pub eer_interval: Option<Interval>,
    /// True accept rates at 1e-2, 1e-3 and 1e-4.
    pub tar: Vec<TarAtFar>,
    /// The threshold that would have decided best, chosen with the answers in view.
    pub best: Option<BestThreshold>,
    /// The threshold that was asked about, if there was one.
    pub threshold: Option<f64>,
    /// What it did.
    pub counts: Option<Counts>,
    /// Share of right decisions at it.
    pub accuracy: Option<f64>,
    /// Interval of `accuracy`.
    pub accuracy_interval: Option<Interval>,
    /// Precision at it.
    pub precision: Option<f64>,
    /// Recall at it.
    pub recall: Option<f64>,
    /// F1 at it.
    pub f1: Option<f64>,
    /// Interval of `f1`.
    pub f1_interval: Option<Interval>,
}

/// Sums up `trials`; `fold` gives each trial's fold, where there are folds. Without a `threshold`
/// the figures at a fixed one are left out.
///
/// # Errors
///
/// What [`Roc::new`] and [`ten_fold`] report.
pub fn report(
    trials: &[Trial],
    fold: Option<&[usize]>,
    threshold: Option<f64>,
    how: &Bootstrap,
) -> Result<PairsReport, EvalError> {
    let roc = Roc::new(trials)?;
    let counts = threshold.map(|threshold| Counts::at(trials, threshold));
    let different = trials.iter().filter(|trial| !trial.same()).count();
    let around = intervals(trials, how, |sample| figures(sample, threshold));
    let tar = RATES.iter().zip(&around[4..]).map(|(far, interval)| {
        let point = roc.at_false_accept_rate(*far);
        TarAtFar {
            far: *far,
            tar: point.true_accept_rate,
            threshold: point.threshold,
            supported: different as f64 * far >= 1.0,
            interval: *interval,
        }
    });
    Ok(PairsReport {
        same: trials.len() - different,
        different,
        failed: trials.iter().filter(|trial| trial.failed()).count(),
        folds: fold.map(|fold| ten_fold(trials, fold)).transpose()?,
        auc: roc.auc(),
        auc_interval: around[0],
        eer: roc.equal_error_rate(),
        eer_interval: around[1],
        tar: tar.collect(),
        best: best_threshold(trials),
        threshold,
        counts,
        accuracy: counts.as_ref().and_then(Counts::accuracy),
        accuracy_interval: around[2],
        precision: counts.as_ref().and_then(Counts::precision),
        recall: counts.as_ref().and_then(Counts::recall),
        f1: counts.as_ref().and_then(Counts::f1),
        f1_interval: around[3],
    })
}

/// AUC, EER, accuracy, F1 and the true accept rates of one resample, in that order.
fn figures(sample: &[Trial], threshold: Option<f64>) -> Vec<f64> {
    let counts = threshold.map(|threshold| Counts::at(sample, threshold));
    let roc = Roc::new(sample).ok();
    let of_roc = |figure: &dyn Fn(&Roc) -> f64| roc.as_ref().map_or(f64::NAN, figure);
    let mut figures = vec![
        of_roc(&Roc::auc),
        of_roc(&Roc::equal_error_rate),
        counts.as_ref().and_then(Counts::accuracy).unwrap_or(f64::NAN),
        counts.as_ref().and_then(Counts::f1).unwrap_or(f64::NAN),
    ];
    let tars = RATES.map(|far| of_roc(&|roc| roc.at_false_accept_rate(far).true_accept_rate));
    figures.extend(tars);
    figures
}
