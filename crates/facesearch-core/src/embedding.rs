//! The vector that stands for a face.

use crate::metric::{Distance, Metric, distance};
use crate::panels::squared_length;

/// The greatest norm of an embedding, 2^60. The squares of norms and of distances are then finite
/// in `f32`, with room for the rounding of long sums; a model's norms are below a thousand.
const GREATEST_NORM: f64 = (1u64 << 60) as f64;

/// A face as its model sees it: finite numbers, whose distances are finite too, never empty, never
/// all zero where the metric normalises, and of unit length there.
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
    #[error(
        "number {index} of the embedding is so large that its distances overflow; scale the \
         vectors, or compare them by a metric that does"
    )]
    TooLarge { index: usize },
}

impl Embedding {
    /// Takes a model's output, and scales it to unit length where `metric` says so.
    ///
    /// # Errors
    ///
    /// [`EmbeddingError`] where the vector is empty or not finite, or is zero and must be scaled,
    /// or has a norm above 2^60 and must not be.
    pub fn new(mut values: Vec<f32>, metric: Metric) -> Result<Self, EmbeddingError> {
        if values.is_empty() {
            return Err(EmbeddingError::Empty);
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(EmbeddingError::NotFinite { index });
        }
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !metric.is_normalised() && norm > GREATEST_NORM {
            let size = |index: &usize| values[*index].abs().to_bits();
            let index = (0..values.len()).max_by_key(size).unwrap_or(0);
            return Err(EmbeddingError::TooLarge { index });
        }
        if metric.is_normalised() {
            if norm == 0.0 {
                return Err(EmbeddingError::Zero);
            }
            for v in &mut values {
                *v = (f64::from(*v) / norm) as f32;
            }
        }
        Ok(Self(values.into_boxed_slice()))
    }

    /// Whether such numbers may be those of an embedding that was made before and kept: finite,
    /// with finite distances. Nothing is said of their length or scale.
    pub fn accepts(values: &[f32]) -> bool {
        // Twice as much as `new` allows, for this sum is rounded.
        f64::from(squared_length(values)) <= 2.0 * GREATEST_NORM * GREATEST_NORM
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
    fn what_has_no_finite_distance_is_refused() {
        for (index, large) in [(0, 3e38), (3, -3e38), (5, 2e19), (7, 2e18)] {
            let mut values = vec![1.0f32; 8];
            values[index] = large;
            let error = Embedding::new(values, Metric::L2).unwrap_err();
            assert_eq!(error, EmbeddingError::TooLarge { index });
        }
        // No number is too large by itself, but all together are.
        let error = Embedding::new(vec![1e18; 4], Metric::L2).unwrap_err();
        assert!(matches!(error, EmbeddingError::TooLarge { .. }));
        // The greatest that are taken, as far apart as can be.
        for dim in [1, 4, 512, 4096] {
            let number = (1u64 << 60) as f32 / (dim as f32).sqrt() * 0.999;
            let new = |sign: f32| Embedding::new(vec![sign * number; dim], Metric::L2).unwrap();
            assert!(Embedding::accepts(new(1.0).as_slice()));
            let distance = new(1.0).distance(&new(-1.0)).get();
            assert!(distance.is_finite() && distance > 2.2e18, "{dim}: {distance}");
        }
    }

    #[test]
    fn what_was_kept_is_told_from_what_cannot_have_been() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -2e18] {
            for place in [0, 7, 33] {
                let mut values = vec![0.1; 40];
                values[place] = bad;
                assert!(!Embedding::accepts(&values), "{bad} at {place}");
            }
        }
        assert!(Embedding::accepts(&[0.0; 5]) && Embedding::accepts(&[1e18]));
    }

    #[test]
    fn very_large_values_normalise_without_overflow() {
        let e = Embedding::new(vec![3e38, 3e38], Metric::NormalisedL2).unwrap();
        assert!((e.as_slice()[0] - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6);
    }
}
