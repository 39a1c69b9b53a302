//! Figures in words, as all of `eval` writes them.

use facesearch_eval::pairs::{Bootstrap, Interval};

/// `0.9876 [0.9801, 0.9932]`; `-` where there is no figure.
pub(crate) fn figure(value: Option<f64>, interval: Option<Interval>) -> String {
    match (value, interval) {
        (None, _) => "-".into(),
        (Some(value), None) => format!("{value:.4}"),
        (Some(value), Some(around)) => {
            format!("{value:.4} [{:.4}, {:.4}]", around.low, around.high)
        }
    }
}

/// The sentence that explains the brackets.
pub(crate) fn about(how: &Bootstrap) -> String {
    let share = how.level * 100.0;
    format!("[ ]: {share:.0} % interval from {} resamples", how.resamples)
}
