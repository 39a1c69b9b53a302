//! The vector that stands for a face.

use crate::metric::{Distance, Metric, distance};

/// A face as its model sees it: finite numbers, never empty, never all zero where the metric
/// normalises, and of unit length there.
///
/// [`Embedding::new`] is the only way to make one, so no other code checks for NaN or length. The
/// trap: two embeddings are comparable only if one model made both; the index's
/// [`Contract`](crate::Contract) guards that, not this type.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

/// Why a vector cannot be an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum EmbeddingError {
    #[error("an embedding needs at least one number; this one has none")]
    Empty,
    #[error("number {index} of the embedding is not finite; check the model's weights and input")]
    NotFinite { index: usize },
    #[error("the embedding is all zeros, so it has no direction to compare")]
    Zero,
}

impl Embedding {
    /// Takes a model's output, and scales it to unit length where `metric` says so.
    ///
    /// # Errors
    ///
    /// [`EmbeddingError`] where the vector is empty or not finite, or is zero and must be scaled.
    pub fn new(mut values: Vec<f32>, metric: Metric) -> Result<Self, EmbeddingError> {
        if values.is_empty() {
            return Err(EmbeddingError::Empty);
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(EmbeddingError::NotFinite { index });
        }
        if metric.is_normalised() {
            let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
            if norm == 0.0 {
                return Err(EmbeddingError::Zero);
            }
            for v in &mut values {
                *v = (f64::from(*v) / norm) as f32;
            }
        }
        Ok(Self(values.into_boxed_slice()))
    }

    /// How many numbers it has.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The [`distance`] of the two. Panics if the dimensions differ: that is a bug in the caller.
    pub fn distance(&self, other: &Self) -> Distance {
        distance(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalising_metric_makes_unit_vectors() {
        let e = Embedding::new(vec![3.0, 4.0], Metric::NormalisedL2).unwrap();
        assert_eq!(e.as_slice(), [0.6, 0.8]);
    }

    #[test]
    fn plain_l2_leaves_the_vector_alone() {
        let e = Embedding::new(vec![3.0, 4.0], Metric::L2).unwrap();
        assert_eq!(e.as_slice(), [3.0, 4.0]);
        assert!(Embedding::new(vec![0.0, 0.0], Metric::L2).is_ok());
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        let new = |v: &[f32], m| Embedding::new(v.to_vec(), m).unwrap_err();
        assert_eq!(new(&[], Metric::L2), EmbeddingError::Empty);
        assert_eq!(new(&[1.0, f32::NAN], Metric::L2), EmbeddingError::NotFinite { index: 1 });
        assert_eq!(new(&[f32::INFINITY], Metric::Cosine), EmbeddingError::NotFinite { index: 0 });
        assert_eq!(new(&[0.0, 0.0], Metric::NormalisedL2), EmbeddingError::Zero);
    }

    #[test]
    fn very_large_values_normalise_without_overflow() {
        let e = Embedding::new(vec![3e38, 3e38], Metric::NormalisedL2).unwrap();
        assert!((e.as_slice()[0] - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6);
    }
}
