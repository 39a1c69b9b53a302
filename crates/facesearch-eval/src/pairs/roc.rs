//! The receiver operating characteristic: what every threshold would have done.

use facesearch_people::pairs::nearest_first;
use serde::Serialize;

use super::Trial;
use crate::EvalError;

/// What one threshold does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Pairs at or below it are called the same; `-inf` for the point that accepts nobody and
    /// `inf` for the one that accepts even pairs without a distance.
    pub threshold: f64,
    /// Share of the different pairs called the same.
    pub false_accept_rate: f64,
    /// Share of the same pairs called the same.
    pub true_accept_rate: f64,
}

/// The curve from "accept nobody" to "accept all", one point for each distinct distance.
///
/// Pairs without a distance sit beyond every threshold, so the curve's last step, which accepts
/// them too, is a chord to (1, 1) that no real threshold reaches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roc {
    points: Vec<OperatingPoint>,
}

impl Roc {
    /// The curve of `trials`.
    ///
    /// # Errors
    ///
    /// [`EvalError::TooFew`] without a same pair or without a different pair.
    pub fn new(trials: &[Trial]) -> Result<Self, EvalError> {
        let same = trials.iter().filter(|trial| trial.same()).count();
        let different = trials.len() - same;
        for (what, got) in [("pairs of one person", same), ("pairs of two people", different)] {
            if got == 0 {
                return Err(EvalError::TooFew { what, got, wanted: 1 });
            }
        }
        let point = |threshold, accepts: [usize; 2]| OperatingPoint {
            threshold,
            false_accept_rate: accepts[0] as f64 / different as f64,
            true_accept_rate: accepts[1] as f64 / same as f64,
        };
        let sorted = nearest_first(trials);
        let mut accepts = [0, 0];
        let mut points = vec![point(f64::NEG_INFINITY, accepts)];
        for equal in sorted.chunk_by(|a, b| a.distance() == b.distance()) {
            for trial in equal {
                accepts[usize::from(trial.same())] += 1;
            }
            points.push(point(equal[0].distance(), accepts));
        }
        Ok(Self { points })
    }

    /// The points, threshold ascending.
    pub fn points(&self) -> &[OperatingPoint] {
        &self.points
    }

    /// Area under the curve, by trapezoids: the chance that a same pair is nearer than a different
    /// one, ties counted half.
    pub fn auc(&self) -> f64 {
        self.points
            .windows(2)
            .map(|w| {
                let width = w[1].false_accept_rate - w[0].false_accept_rate;
                width * (w[0].true_accept_rate + w[1].true_accept_rate) / 2.0
            })
            .sum()
    }

    /// The rate at which false accepts and false rejects are equal, interpolated between the two
    /// points around it.
    pub fn equal_error_rate(&self) -> f64 {
        // Along the curve the excess of false accepts over false rejects grows from -1 to 1.
        let excess = |p: &OperatingPoint| p.false_accept_rate - (1.0 - p.true_accept_rate);
        let after = self.points.partition_point(|p| excess(p) < 0.0);
        let (a, b) = (&self.points[after - 1], &self.points[after]);
        let part = excess(a) / (excess(a) - excess(b));
        a.false_accept_rate + part * (b.false_accept_rate - a.false_accept_rate)
    }

    /// The last point whose false accept rate is at most `rate`: the most that can be accepted at
    /// that price. Nothing is interpolated, so below `1 / different pairs` it means "with no false
    /// accept at all", and the figure is only as good as there are pairs.
    pub fn at_false_accept_rate(&self, rate: f64) -> OperatingPoint {
        let beyond = self.points.partition_point(|p| p.false_accept_rate <= rate);
        // A pair without a distance is never accepted, so the last step is no real threshold.
        let real = self.points.iter().rposition(|p| p.threshold < f64::INFINITY).unwrap_or(0);
        self.points[beyond.saturating_sub(1).min(real)]
    }
}
