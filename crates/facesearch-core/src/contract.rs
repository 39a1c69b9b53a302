//! What an index was made with, so that embeddings of two makings never meet in one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metric::Metric;

/// Everything that decides what an embedding means. Written into an index when it is created;
/// whoever adds to the index or searches it must bring the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Name of the recognition model, as in `models/zoo.toml`.
    pub model: String,
    /// SHA-256 of the model's weights, lower-case hex, with `+` between those of several models;
    /// empty for weights made up in a test.
    pub weights: String,
    /// Length of every embedding.
    pub dimension: u32,
    /// How embeddings are compared.
    pub metric: Metric,
    /// The model's own threshold, L2; `None` where it has none, such as an imported network.
    #[serde(default)]
    pub threshold: Option<f32>,
    /// Name of the face detector.
    pub detector: String,
    /// Faces narrower than this many pixels are passed over.
    pub min_face: u32,
    /// How a chip is cut and scaled: a name for the alignment, such as `dlib-5-point-150`.
    pub preprocessing: String,
    /// Arithmetic of the model: `f32`, or `int16` where convolutions multiply 16-bit integers.
    pub precision: String,
}

/// The first thing in which two contracts differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractMismatch {
    /// Which part differs, in words.
    pub what: &'static str,
    /// What the index was made with.
    pub found: String,
    /// What was asked for.
    pub wanted: String,
}

impl fmt::Display for ContractMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, wanted } = self;
        write!(f, "the index was made with {what} `{found}`, but `{wanted}` was asked for")
    }
}

impl std::error::Error for ContractMismatch {}

impl Contract {
    /// Checks that embeddings made under `wanted` may be compared with those of this index.
    ///
    /// `threshold` is not compared: it says how a distance is judged, not what it means.
    ///
    /// # Errors
    ///
    /// The first difference, which names both sides.
    pub fn check(&self, wanted: &Self) -> Result<(), ContractMismatch> {
        let differ = |what, found: &dyn fmt::Display, wanted: &dyn fmt::Display| {
            let (found, wanted) = (found.to_string(), wanted.to_string());
            if found == wanted {
                return Ok(());
            }
            Err(ContractMismatch { what, found, wanted })
        };
        differ("model", &self.model, &wanted.model)?;
        differ("weights", &self.weights, &wanted.weights)?;
        differ("dimension", &self.dimension, &wanted.dimension)?;
        differ("metric", &self.metric, &wanted.metric)?;
        differ("detector", &self.detector, &wanted.detector)?;
        differ("minimum face size", &self.min_face, &wanted.min_face)?;
        differ("preprocessing", &self.preprocessing, &wanted.preprocessing)?;
        differ("precision", &self.precision, &wanted.precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_may_be_a_number_null_or_missing() {
        let read = |threshold: &str| -> Option<f32> {
            let text = format!(
                r#"{{"model":"m","weights":"","dimension":2,"metric":"l2",{threshold}
                "detector":"d","min_face":1,"preprocessing":"p","precision":"f32"}}"#
            );
            let contract: Contract = serde_json::from_str(&text).unwrap();
            let written = serde_json::to_string(&contract).unwrap();
            assert_eq!(serde_json::from_str::<Contract>(&written).unwrap(), contract);
            contract.threshold
        };
        assert_eq!(read(r#""threshold":0.55,"#), Some(0.55));
        assert_eq!(read(r#""threshold":null,"#), None);
        assert_eq!(read(""), None);
    }
}
