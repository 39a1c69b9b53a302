//! A calibration, in a form that can be kept beside an index.

use serde::{Deserialize, Serialize};

use super::Impostors;
use super::isotonic::Isotonic;
use super::logistic::Logistic;
use crate::PeopleError;

/// A curve that falls from distance to the probability of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub(crate) enum Probability {
    /// Steps that follow the data; needs a few hundred pairs of each kind.
    Isotonic(Isotonic),
    /// A smooth curve with two parameters, for few pairs.
    Logistic(Logistic),
}

impl Probability {
    /// The probability that two faces at `distance` are one person, if genuine pairs are as
    /// frequent as in the data that the curve was fitted to.
    pub(crate) fn at(&self, distance: f64) -> f64 {
        match self {
            Self::Isotonic(curve) => curve.probability(distance),
            Self::Logistic(curve) => curve.probability(distance),
        }
    }
}

/// What is known about the distances in an index.
///
/// Serialise it with serde, for example as JSON. `serde_json` reads the last bit of a number back
/// only with its feature `float_roundtrip`.
///
/// **Trap:** it holds for the model, the detector and the fusion it was learned with, and for no
/// other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Distance to probability; `None` where there was nothing to learn it from.
    pub(crate) probability: Option<Probability>,
    /// The share of right answers among those that the probability was learned from.
    pub prior: f64,
    /// False positive identification rates by gallery size.
    pub impostors: Impostors,
}

impl Calibration {
    /// The probability that the answer at `distance` is right, where a share `prior` of all answers
    /// is. By Bayes, the odds are moved from the prior of the learned data to this one. `None`
    /// without a curve.
    pub fn probability(&self, distance: f64, prior: f64) -> Option<f64> {
        let odds = |p: f64| p / (1.0 - p);
        let learned = self.probability.as_ref()?.at(distance);
        if learned >= 1.0 || prior >= 1.0 || self.prior <= 0.0 || self.prior >= 1.0 {
            return Some(learned);
        }
        let moved = odds(learned) * odds(prior.max(0.0)) / odds(self.prior);
        Some(moved / (1.0 + moved))
    }

    /// How many of `searches` for people who are not enrolled are answered with a name, where
    /// `people` are enrolled.
    pub fn expected_false_alarms(&self, threshold: f64, people: usize, searches: usize) -> f64 {
        self.impostors.fpir(threshold, people) * searches as f64
    }

    /// The threshold for a wanted FPIR in a gallery of `people`.
    ///
    /// # Errors
    ///
    /// That of [`Impostors::threshold`].
    pub fn threshold(&self, fpir: f64, people: usize) -> Result<f64, PeopleError> {
        self.impostors.threshold(fpir, people)
    }
}
