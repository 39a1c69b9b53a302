//! Accuracy over folds, as Labeled Faces in the Wild defines it.
//!
//! Huang et al., *Labeled Faces in the Wild*, UMass Amherst TR 07-49, 2007: for each of ten sets
//! of pairs, choose everything (here: the threshold) on the other nine and decide the tenth;
//! report the mean accuracy and the standard error of that mean.

use serde::Serialize;

use super::{Counts, Trial, best_threshold};
use crate::EvalError;

/// Accuracy over folds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldAccuracy {
    /// Mean of the folds' accuracies.
    pub mean: f64,
    /// Standard error of that mean: the folds' standard deviation (with `n - 1`) over `√n`.
    pub standard_error: f64,
    /// Each fold's accuracy, in order.
    pub folds: Vec<f64>,
    /// The threshold that decided each fold, chosen on the others.
    pub thresholds: Vec<f64>,
}

/// Accuracy with each fold decided by the threshold that is best on all others.
///
/// `fold[i]` is the fold of `trials[i]`, from 0; LFW has ten, any number above one is taken.
/// Pairs without a distance count as "different", so they are neither left out nor forgiven.
///
/// # Errors
///
/// [`EvalError::TooFew`] where there are fewer than two folds, a fold is empty, or no pair outside
/// of a fold has a distance. Panics if `fold` is not as long as `trials`.
pub fn ten_fold(trials: &[Trial], fold: &[usize]) -> Result<FoldAccuracy, EvalError> {
    assert_eq!(trials.len(), fold.len(), "every trial has one fold");
    let folds = fold.iter().max().map_or(0, |last| last + 1);
    if folds < 2 {
        return Err(EvalError::TooFew { what: "folds", got: folds, wanted: 2 });
    }
    let (mut accuracies, mut thresholds) = (Vec::new(), Vec::new());
    for held_out in 0..folds {
        let (test, train): (Vec<_>, Vec<_>) =
            trials.iter().zip(fold).partition(|(_, fold)| **fold == held_out);
        let pairs = |part: Vec<(&Trial, &usize)>| -> Vec<Trial> {
            part.into_iter().map(|(trial, _)| *trial).collect()
        };
        let (test, train) = (pairs(test), pairs(train));
        let missing = |what| EvalError::TooFew { what, got: 0, wanted: 1 };
        let best = best_threshold(&train).ok_or(missing("pairs with a distance"))?;
        let accuracy = Counts::at(&test, best.threshold).accuracy();
        accuracies.push(accuracy.ok_or(missing("pairs in a fold"))?);
        thresholds.push(best.threshold);
    }
    let n = folds as f64;
    let mean = accuracies.iter().sum::<f64>() / n;
    let variance = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Ok(FoldAccuracy { mean, standard_error: (variance / n).sqrt(), folds: accuracies, thresholds })
}

/// Deals pairs that came without folds into `folds` of them, same and different pairs alike.
///
/// The pairs stay in their order: the first tenth of the same pairs and the first tenth of the
/// different pairs are fold 0. In LFW's lists one person's pairs stand together, so they mostly
/// share a fold; still, folds made here are not LFW's, and a report should say so.
pub fn spread_folds(trials: &[Trial], folds: usize) -> Vec<usize> {
    let total = |same| trials.iter().filter(|trial| trial.same() == same).count();
    let totals = [total(false), total(true)];
    let mut seen = [0, 0];
    trials
        .iter()
        .map(|trial| {
            let kind = usize::from(trial.same());
            seen[kind] += 1;
            (seen[kind] - 1) * folds / totals[kind]
        })
        .collect()
}
