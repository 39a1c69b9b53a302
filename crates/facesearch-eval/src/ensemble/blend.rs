//! A weighted sum of several distances, as a probability: the ensemble for few labelled pairs.
//!
//! Logistic regression with a ridge, by Newton's method. It has one number to learn for each
//! distance, and its weights can be those of an index. `docs/benchmarks/ensembles.md` has it beside
//! boosted trees and single models; on LFW's View 1 nothing tells them apart.

use serde::{Deserialize, Serialize};

use crate::EvalError;

/// `1 / (1 + exp(-(offset + weights · row)))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blend {
    /// What each feature counts; below zero for distances.
    pub weights: Vec<f64>,
    /// What is added.
    pub offset: f64,
}

impl Blend {
    /// Learns from rows of features, such as one distance for each model, and the truth.
    ///
    /// `ridge` is the price of large weights: `ridge / 2 * |weights|²` is added to the sum of the
    /// logarithmic losses. It must be above 0, or pairs that part perfectly have no best weights.
    ///
    /// # Errors
    ///
    /// [`EvalError::TooFew`] without a row of each truth, [`EvalError::Features`] where rows differ
    /// in length, [`EvalError::Option`] where `ridge` or a feature is no such number. Panics where
    /// there is not one truth for each row.
    pub fn fit(rows: &[Vec<f64>], truth: &[bool], ridge: f64) -> Result<Self, EvalError> {
        assert_eq!(rows.len(), truth.len(), "every row has one truth");
        super::both_kinds(truth)?;
        if !(ridge > 0.0 && ridge.is_finite()) {
            return Err(EvalError::Option { what: "the ridge", got: ridge, wanted: "above 0" });
        }
        let expected = rows[0].len();
        for row in rows {
            if row.len() != expected {
                return Err(EvalError::Features { expected, got: row.len() });
            }
            if let Some(odd) = row.iter().find(|value| !value.is_finite()) {
                return Err(EvalError::Option { what: "a feature", got: *odd, wanted: "finite" });
            }
        }
        let mut blend = Self { weights: vec![0.0; expected], offset: 0.0 };
        for _ in 0..100 {
            if !blend.improve(rows, truth, ridge) {
                break;
            }
        }
        Ok(blend)
    }

    /// The probability that a row's pair is one person.
    ///
    /// # Errors
    ///
    /// [`EvalError::Features`] where the row has another length than [`weights`](Self::weights).
    pub fn predict(&self, row: &[f64]) -> Result<f64, EvalError> {
        if row.len() != self.weights.len() {
            return Err(EvalError::Features { expected: self.weights.len(), got: row.len() });
        }
        Ok(sigmoid(self.sum(row)))
    }

    fn sum(&self, row: &[f64]) -> f64 {
        self.offset + self.weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>()
    }

    fn loss(&self, rows: &[Vec<f64>], truth: &[bool], ridge: f64) -> f64 {
        let of_row = |(row, same): (&Vec<f64>, &bool)| {
            let z = if *same { -self.sum(row) } else { self.sum(row) };
            z.max(0.0) + (-z.abs()).exp().ln_1p()
        };
        let large: f64 = self.weights.iter().map(|w| w * w).sum();
        rows.iter().zip(truth).map(of_row).sum::<f64>() + ridge / 2.0 * large
    }

    /// One of Newton's steps, shortened until it helps; whether it did.
    fn improve(&mut self, rows: &[Vec<f64>], truth: &[bool], ridge: f64) -> bool {
        let n = self.weights.len() + 1;
        let (mut gradient, mut hessian) = (vec![0.0; n], vec![vec![0.0; n]; n]);
        for (i, weight) in self.weights.iter().enumerate() {
            gradient[i] = ridge * weight;
            hessian[i][i] = ridge;
        }
        for (row, same) in rows.iter().zip(truth) {
            let p = sigmoid(self.sum(row));
            let (error, curve) = (p - f64::from(u8::from(*same)), p * (1.0 - p));
            let feature = |i: usize| row.get(i).copied().unwrap_or(1.0);
            for i in 0..n {
                gradient[i] += error * feature(i);
                for (j, cell) in hessian[i].iter_mut().enumerate() {
                    *cell += curve * feature(i) * feature(j);
                }
            }
        }
        let Some(step) = solve(hessian, gradient) else { return false };
        let before = self.loss(rows, truth, ridge);
        for halvings in 0..40 {
            let size = 0.5f64.powi(halvings);
            let weights = self.weights.iter().zip(&step).map(|(w, s)| w - size * s).collect();
            let next = Self { weights, offset: self.offset - size * step[n - 1] };
            if next.loss(rows, truth, ridge) < before {
                *self = next;
                return true;
            }
        }
        false
    }
}

fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

/// Solves a small symmetric system by Gauss's elimination with pivots; `None` where it has no one
/// solution.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        if matrix[pivot][column].abs() < 1e-300 {
            return None;
        }
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let (above, below) = matrix.split_at_mut(column + 1);
        let top = &above[column];
        for (row, i) in below.iter_mut().zip(column + 1..) {
            let factor = row[column] / top[column];
            row.iter_mut().zip(top).skip(column).for_each(|(value, top)| *value -= factor * top);
            right[i] -= factor * right[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|i| matrix[row][i] * right[i]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    Some(right)
}
