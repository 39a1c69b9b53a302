//! How two embeddings are compared, and the numbers that come of it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kernels::squared_distance;

/// How a model's embeddings are meant to be compared.
///
/// The engine searches by one distance only, L2. That is enough: on unit vectors cosine distance is
/// `l2² / 2` and angular distance is `acos(1 - l2² / 2) / π`, both growing with L2, so the order of
/// the neighbours is the same and only the number shown to people differs ([`Metric::show`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// L2 of the vectors as the model gives them (dlib: norm about 1.4).
    L2,
    /// L2 of the vectors scaled to unit length (DeepFace, FaceNet).
    NormalisedL2,
    /// One minus the cosine of the angle; stored as unit vectors.
    Cosine,
    /// The angle divided by π; stored as unit vectors.
    Angular,
}

impl Metric {
    /// Whether embeddings of this metric are scaled to unit length when they are made.
    pub fn is_normalised(self) -> bool {
        !matches!(self, Self::L2)
    }

    /// The number this metric shows for an L2 distance between stored vectors.
    pub fn show(self, distance: Distance) -> f32 {
        let d = distance.get();
        match self {
            Self::L2 | Self::NormalisedL2 => d,
            Self::Cosine => d * d / 2.0,
            Self::Angular => {
                (1.0 - f64::from(d) * f64::from(d) / 2.0).clamp(-1.0, 1.0).acos() as f32
                    / std::f32::consts::PI
            }
        }
    }

    /// The L2 distance between stored vectors for a number in this metric: the inverse of
    /// [`Metric::show`].
    pub fn to_l2(self, shown: f32) -> f32 {
        match self {
            Self::L2 | Self::NormalisedL2 => shown,
            Self::Cosine => (2.0 * shown.max(0.0)).sqrt(),
            Self::Angular => {
                (2.0 - 2.0 * (f64::from(shown) * std::f64::consts::PI).cos()).max(0.0).sqrt() as f32
            }
        }
    }

    /// The name used in files, options and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::NormalisedL2 => "normalised-l2",
            Self::Cosine => "cosine",
            Self::Angular => "angular",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The L2 distance of two vectors: the one that is shown, and that thresholds are applied to.
///
/// Summed in `f64` and rounded once to `f32`: the same number on every CPU, and exactly 0 for equal
/// vectors. Panics if the lengths differ: that is a bug in the caller.
pub fn distance(a: &[f32], b: &[f32]) -> Distance {
    Distance::from_squared(squared_distance(a, b))
}

/// An L2 distance between two embeddings of one model: finite, not negative, smaller is nearer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Distance(f32);

impl Distance {
    /// The distance whose square is `squared`, rounded once to `f32`; below zero it is zero.
    pub fn from_squared(squared: f64) -> Self {
        Self(squared.max(0.0).sqrt() as f32)
    }

    /// The plain number.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl Eq for Distance {}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_numbers_and_l2_are_each_others_inverse() {
        for metric in [Metric::L2, Metric::NormalisedL2, Metric::Cosine, Metric::Angular] {
            for i in 0..=200 {
                let d = i as f32 / 100.0;
                let back = metric.to_l2(metric.show(Distance(d)));
                assert!((back - d).abs() < 2e-3, "{metric} {d} came back as {back}");
            }
        }
    }
}
