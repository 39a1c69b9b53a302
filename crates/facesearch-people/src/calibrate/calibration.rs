//! What was learnt, in a form that can be kept beside an index.

use serde::{Deserialize, Serialize};

use super::{Impostors, Isotonic, Logistic};
use crate::PeopleError;

/// A falling curve from distance to the probability of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Probability {
    /// Steps that the data themselves made; wants a few hundred pairs of each kind.
    Isotonic(Isotonic),
    /// A smooth curve with two numbers; right for few pairs.
    Logistic(Logistic),
}

impl Probability {
    /// The probability that two faces at `distance` are one person, if same pairs are as frequent
    /// as where the curve was learnt.
    pub fn at(&self, distance: f64) -> f64 {
        match self {
            Self::Isotonic(curve) => curve.probability(distance),
            Self::Logistic(curve) => curve.probability(distance),
        }
    }
}

/// What is known of distances in an index: serialise it with serde, as JSON for example (`serde_json`
/// reads the last bit of a number back only with its feature `float_roundtrip`).
///
/// It holds for the model, the detector and the fusion it was learnt with, and for no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Distance to probability; `None` where there was nothing to learn it from.
    pub probability: Option<Probability>,
    /// The share of right answers among those that `probability` was learnt from.
    pub prior: f64,
    /// False alarm rates by gallery size.
    pub impostors: Impostors,
}

impl Calibration {
    /// The probability that the answer at `distance` is right where a share `prior` of all answers
    /// is: the odds are moved from the prior of what was learnt to this one (Bayes). `None` without
    /// a curve.
    pub fn probability(&self, distance: f64, prior: f64) -> Option<f64> {
        let odds = |p: f64| p / (1.0 - p);
        let learnt = self.probability.as_ref()?.at(distance);
        if learnt >= 1.0 || prior >= 1.0 || self.prior <= 0.0 || self.prior >= 1.0 {
            return Some(learnt);
        }
        let moved = odds(learnt) * odds(prior.max(0.0)) / odds(self.prior);
        Some(moved / (1.0 + moved))
    }

    /// How many of `searches` for people who are not enrolled are answered with a name, where
    /// `people` are enrolled.
    pub fn expected_false_alarms(&self, threshold: f64, people: usize, searches: usize) -> f64 {
        self.impostors.fpir(threshold, people) * searches as f64
    }

    /// The threshold for a wanted false alarm rate in a gallery of `people`.
    ///
    /// # Errors
    ///
    /// That of [`Impostors::threshold`].
    pub fn threshold(&self, fpir: f64, people: usize) -> Result<f64, PeopleError> {
        self.impostors.threshold(fpir, people)
    }
}
