//! A sum of trees, and what the sum means.

use super::{parse, tree::Tree};
use crate::EvalError;

/// How the sum of the trees becomes a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Link {
    /// It is the prediction (regression, ranking).
    Identity,
    /// `1 / (1 + exp(-scale * sum))`: a probability.
    Logistic {
        /// LightGBM's `sigmoid`.
        scale: f64,
    },
}

/// A boosted model in LightGBM's text format, versions 3 and 4, with one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Booster {
    pub(super) features: Vec<String>,
    pub(super) trees: Vec<Tree>,
    pub(super) link: Link,
    pub(super) average: bool,
}

impl Booster {
    /// Reads a model.
    ///
    /// The text is not trusted: every index is checked before it is kept, and the memory taken is a
    /// small multiple of the text's length.
    ///
    /// # Errors
    ///
    /// [`EvalError::Booster`] with the line where the text is damaged or cut off,
    /// [`EvalError::BoosterKind`] where it uses what is not read here: several outputs, linear
    /// trees, an objective whose sums are neither predictions nor log-odds (Poisson, square roots).
    pub fn parse(text: &str) -> Result<Self, EvalError> {
        parse::booster(text)
    }

    /// The names of the features, in the order in which they are given.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// How many trees there are.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// How the sum of the trees becomes a prediction.
    pub fn link(&self) -> Link {
        self.link
    }

    /// The sum of the trees for one row of features; `NaN` stands for a missing one. As in
    /// LightGBM, it is the sum for a random forest too, though [`predict`](Self::predict) uses the
    /// mean there.
    ///
    /// # Errors
    ///
    /// [`EvalError::Features`] where the row has another length than [`features`](Self::features).
    pub fn raw(&self, row: &[f64]) -> Result<f64, EvalError> {
        if row.len() != self.features.len() {
            let (expected, got) = (self.features.len(), row.len());
            return Err(EvalError::Features { expected, got });
        }
        Ok(self.trees.iter().map(|tree| tree.value(row)).sum())
    }

    /// The prediction for one row: for a classifier the probability of class 1.
    ///
    /// # Errors
    ///
    /// As [`raw`](Self::raw).
    pub fn predict(&self, row: &[f64]) -> Result<f64, EvalError> {
        let mut raw = self.raw(row)?;
        if self.average && !self.trees.is_empty() {
            raw /= self.trees.len() as f64;
        }
        Ok(match self.link {
            Link::Identity => raw,
            Link::Logistic { scale } => 1.0 / (1.0 + (-scale * raw).exp()),
        })
    }
}
