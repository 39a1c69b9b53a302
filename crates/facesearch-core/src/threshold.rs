//! The threshold that decides who is the same person, and whose number it is.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::contract::Contract;
use crate::metric::Distance;

/// The largest L2 distance at which two faces count as the same person, and whose number it is.
///
/// Inclusive, so that a threshold of 0 still accepts a photo compared with itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    l2: f32,
    source: ThresholdSource,
}

/// Whose number a threshold is.
#[derive(Debug, Clone, PartialEq)]
pub enum ThresholdSource {
    /// That of the model with this name.
    Model(String),
    /// The user gave it.
    Given,
    /// The user gave the name of one that somebody published.
    Preset(String),
    /// Calibrated in the index, so that this share of strangers is given a name.
    Calibrated {
        /// The false positive identification rate that was asked for.
        fpir: f64,
    },
}

impl Threshold {
    /// A threshold of `l2`; `None` where it is negative, infinite or not a number.
    pub fn new(l2: f32, source: ThresholdSource) -> Option<Self> {
        (l2 >= 0.0 && l2.is_finite()).then_some(Self { l2, source })
    }

    /// The number, L2.
    pub fn l2(&self) -> f32 {
        self.l2
    }

    /// Whose number it is.
    pub fn source(&self) -> &ThresholdSource {
        &self.source
    }

    /// Whether `distance` is within the threshold.
    pub fn accepts(&self, distance: Distance) -> bool {
        distance.get() <= self.l2
    }
}

/// The plain number, as every answer in JSON has it.
impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.l2.serialize(serializer)
    }
}

/// The number, and whose it is where that is not plain.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.l2.fmt(f)?;
        match &self.source {
            ThresholdSource::Model(_) | ThresholdSource::Given => Ok(()),
            ThresholdSource::Preset(name) => write!(f, ", {name}"),
            ThresholdSource::Calibrated { fpir } => write!(f, ", calibrated for FPIR {fpir}"),
        }
    }
}

/// A decision is wanted, and no threshold is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no threshold is known for the model `{model}`, so nothing says who is the same person; give \
     one with `--threshold L2`, or ask with `--decision distance --fpir RATE` once `facesearch \
     calibrate` has run"
)]
pub struct NoThreshold {
    /// The model that has none.
    pub model: String,
}

impl Contract {
    /// The model's own threshold; `None` where it has none, such as an imported network.
    pub fn own_threshold(&self) -> Option<Threshold> {
        Threshold::new(self.threshold?, ThresholdSource::Model(self.model.clone()))
    }

    /// The threshold to decide by: the given one, or else the model's own.
    ///
    /// # Errors
    ///
    /// [`NoThreshold`] where there is neither.
    pub fn threshold_or_own(&self, given: Option<Threshold>) -> Result<Threshold, NoThreshold> {
        let none = || NoThreshold { model: self.model.clone() };
        given.or_else(|| self.own_threshold()).ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_of_zero_is_a_value_and_accepts_only_zero() {
        let given = |l2| Threshold::new(l2, ThresholdSource::Given);
        let zero = given(0.0).unwrap();
        assert!(zero.accepts(Distance::from_squared(0.0)));
        assert!(!zero.accepts(Distance::from_squared(1e-12)));
        assert!([-0.1, f32::NAN, f32::INFINITY].into_iter().all(|l2| given(l2).is_none()));
    }
}
