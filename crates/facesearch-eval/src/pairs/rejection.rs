//! Is a measure of quality worth having? Errors against how much is rejected.
//!
//! After Grother and Tabassi, *Performance of biometric quality measures*, IEEE TPAMI 29 (2007):
//! where quality tells what is recognised badly, leaving out the worst pairs lowers the errors of
//! the rest; a curve that stays level says that it tells nothing.

use serde::Serialize;

use super::{Roc, Trial};
use crate::EvalError;

/// What is left once the worst pairs are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rejection {
    /// The share of pairs that was left out.
    pub rejected: f64,
    /// Pairs of one person that are left.
    pub same: usize,
    /// The threshold that gives the false match rate among those that are left.
    pub threshold: f64,
    /// The share of `same` that this threshold calls different.
    pub false_non_match_rate: f64,
}

/// The false non-match rate at a false match rate of at most `far`, with each of `shares` of the
/// pairs left out, those of the lowest `quality` first; of equal ones the earlier.
///
/// - **Input:** one quality for each trial: that of the worse of its two faces. A trial without a
///   face has none; 0 fits it.
/// - **Trap:** the threshold is found anew among the pairs that are left, so a measure cannot look
///   good by leaving out strangers that are alike and keeping the threshold.
///
/// # Errors
///
/// Those of [`Roc::new`], where no pairs of a kind are left; [`EvalError::Dimension`] where there
/// are more or fewer qualities than trials.
pub fn rejection(
    trials: &[Trial],
    quality: &[f32],
    far: f64,
    shares: &[f64],
) -> Result<Vec<Rejection>, EvalError> {
    if trials.len() != quality.len() {
        return Err(EvalError::Dimension { expected: trials.len(), got: quality.len() });
    }
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|a, b| quality[*a].total_cmp(&quality[*b]));
    let at = |share: &f64| {
        let out = (share.clamp(0.0, 1.0) * trials.len() as f64).round() as usize;
        let left: Vec<Trial> = order[out..].iter().map(|trial| trials[*trial]).collect();
        let point = Roc::new(&left)?.at_false_accept_rate(far);
        Ok(Rejection {
            rejected: *share,
            same: left.iter().filter(|trial| trial.same()).count(),
            threshold: point.threshold,
            false_non_match_rate: 1.0 - point.true_accept_rate,
        })
    };
    shares.iter().map(at).collect()
}
