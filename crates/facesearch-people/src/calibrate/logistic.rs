//! Logistic regression of one person on distance (Platt scaling).
//!
//! Platt, *Probabilistic outputs for support vector machines*, 1999, with his softened targets.
//! They keep the curve finite where genuine and impostor pairs do not overlap. Newton's method with
//! backtracking, after Lin, Lin and Weng, *A note on Platt's probabilistic outputs*, Machine
//! Learning 68, 2007.

use serde::{Deserialize, Serialize};

use crate::pairs::Trial;

/// `1 / (1 + exp(slope * distance + offset))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Logistic {
    /// How steeply the odds fall with distance; not negative.
    pub(crate) slope: f64,
    /// The logarithm of the odds against one person at distance 0.
    pub(crate) offset: f64,
}

impl Logistic {
    /// The curve that fits `trials` best; `None` without a genuine and an impostor pair that have a
    /// distance, or where one person becomes likelier with distance.
    pub(crate) fn fit(trials: &[Trial]) -> Option<Self> {
        let trials: Vec<&Trial> = trials.iter().filter(|trial| !trial.failed()).collect();
        let same = trials.iter().filter(|trial| trial.same()).count() as f64;
        let different = trials.len() as f64 - same;
        if same == 0.0 || different == 0.0 {
            return None;
        }
        let (high, low) = ((same + 1.0) / (same + 2.0), 1.0 / (different + 2.0));
        let points: Vec<(f64, f64)> = trials
            .iter()
            .map(|trial| (trial.distance(), if trial.same() { high } else { low }))
            .collect();
        let start = Self { slope: 0.0, offset: ((different + 1.0) / (same + 1.0)).ln() };
        let fitted = descend(start, &points);
        (fitted.slope >= 0.0 && fitted.slope.is_finite()).then_some(fitted)
    }

    /// The probability at `distance`, strictly between 0 and 1 up to rounding.
    pub(crate) fn probability(&self, distance: f64) -> f64 {
        let z = self.slope * distance + self.offset;
        // Two forms, so that neither end overflows.
        if z > 0.0 { (-z).exp() / (1.0 + (-z).exp()) } else { 1.0 / (1.0 + z.exp()) }
    }

    /// The cross entropy with the targets.
    fn loss(&self, points: &[(f64, f64)]) -> f64 {
        points
            .iter()
            .map(|(distance, target)| {
                let z = self.slope * distance + self.offset;
                let soft = z.max(0.0) + (-z.abs()).exp().ln_1p();
                soft - (1.0 - target) * z
            })
            .sum()
    }
}

/// Takes Newton steps, each shortened until it lowers the loss.
fn descend(mut at: Logistic, points: &[(f64, f64)]) -> Logistic {
    /// Keeps the matrix invertible where all distances are equal.
    const RIDGE: f64 = 1e-12;
    for _ in 0..100 {
        let (mut h11, mut h22, mut h21) = (RIDGE, RIDGE, 0.0);
        let (mut g1, mut g2) = (0.0, 0.0);
        for (distance, target) in points {
            let p = at.probability(*distance);
            let (weight, error) = (p * (1.0 - p), target - p);
            h11 += distance * distance * weight;
            h22 += weight;
            h21 += distance * weight;
            g1 += distance * error;
            g2 += error;
        }
        if g1.abs() < 1e-10 && g2.abs() < 1e-10 {
            break;
        }
        let determinant = h11 * h22 - h21 * h21;
        let step = (-(h22 * g1 - h21 * g2) / determinant, -(h11 * g2 - h21 * g1) / determinant);
        let slope = g1 * step.0 + g2 * step.1;
        let (loss, mut size) = (at.loss(points), 1.0);
        let next = loop {
            let next =
                Logistic { slope: at.slope + size * step.0, offset: at.offset + size * step.1 };
            if next.loss(points) < loss + 1e-4 * size * slope {
                break Some(next);
            }
            size /= 2.0;
            if size < 1e-10 {
                break None;
            }
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}
