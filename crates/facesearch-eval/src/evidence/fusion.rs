//! One score for an identity with several photos.

use facesearch_core::Metric;
use serde::{Deserialize, Serialize};

/// How a probe's distances to the photos of one identity become one.
///
/// - [`Nearest`](Self::Nearest) needs one good photo; one mislabelled photo spoils it, and an
///   identity with many photos has as many chances to be mistaken for a stranger.
/// - [`MeanOfBest`](Self::MeanOfBest) asks several photos to agree.
/// - [`Template`](Self::Template) compares with the mean embedding: the errors of single photos
///   average out, and an identity costs one comparison however many photos it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// The smallest distance.
    Nearest,
    /// The mean of this many smallest distances, or of all where there are fewer; 0 counts as 1.
    MeanOfBest(usize),
    /// The distance to the mean of the embeddings, scaled as its metric says ([`template`]).
    Template,
}

impl Fusion {
    /// The score of an identity from the probe's distances to its photos (for
    /// [`Template`](Self::Template): to its template, the only distance); their order is not kept.
    /// `None` without distances.
    pub fn score(self, distances: &mut [f32]) -> Option<f32> {
        let m = match self {
            Self::Nearest | Self::Template => 1,
            Self::MeanOfBest(m) => m.clamp(1, distances.len().max(1)),
        };
        if distances.is_empty() {
            return None;
        }
        distances.select_nth_unstable_by(m - 1, f32::total_cmp);
        // Sorted before it is summed, so that rounding does not depend on the order they came in.
        let best = &mut distances[..m];
        best.sort_by(f32::total_cmp);
        Some((best.iter().map(|d| f64::from(*d)).sum::<f64>() / m as f64) as f32)
    }
}

/// The weighted mean of embeddings, of unit length where `metric` normalises.
///
/// Weights are the faces' qualities, or all 1. `None` without vectors, where the weights sum to
/// nothing, or where opposite vectors cancel and no direction is left. The trap: under plain L2 the
/// mean is shorter than the vectors it is of, so distances to it are smaller than between photos,
/// under every metric; a threshold must be calibrated on template distances.
pub fn template<'a>(
    vectors: impl IntoIterator<Item = (&'a [f32], f32)>,
    metric: Metric,
) -> Option<Vec<f32>> {
    let (mut sum, mut total): (Vec<f64>, f64) = (Vec::new(), 0.0);
    for (vector, weight) in vectors {
        sum.resize(vector.len(), 0.0);
        for (sum, value) in sum.iter_mut().zip(vector) {
            *sum += f64::from(*value) * f64::from(weight);
        }
        total += f64::from(weight);
    }
    let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
    let scale = if metric.is_normalised() { length } else { total };
    let usable = total > 0.0 && scale > 1e-6 * total && scale.is_finite();
    usable.then(|| sum.into_iter().map(|v| (v / scale) as f32).collect())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_mean_of_the_best_is_sort_cut_and_mean(
            mut distances in vec(0.0f32..2.0, 1..20),
            m in 0usize..25,
        ) {
            let mut sorted = distances.clone();
            sorted.sort_by(f32::total_cmp);
            sorted.truncate(m.max(1));
            let want = sorted.iter().map(|d| f64::from(*d)).sum::<f64>() / sorted.len() as f64;
            let got = Fusion::MeanOfBest(m).score(&mut distances).unwrap();
            prop_assert!((f64::from(got) - want).abs() < 1e-6);
            prop_assert_eq!(Fusion::Nearest.score(&mut distances), Some(sorted[0]));
        }
    }

    #[test]
    fn nothing_has_no_score_and_no_template() {
        assert_eq!(Fusion::MeanOfBest(3).score(&mut []), None);
        assert_eq!(template([], Metric::L2), None);
        let opposite: [(&[f32], f32); 2] = [(&[1.0, 0.0], 1.0), (&[-1.0, 0.0], 1.0)];
        assert_eq!(template(opposite, Metric::Cosine), None);
    }

    #[test]
    fn a_template_is_the_weighted_mean_scaled_as_the_metric_says() {
        let vectors: [(&[f32], f32); 2] = [(&[4.0, 0.0], 3.0), (&[0.0, 4.0], 1.0)];
        assert_eq!(template(vectors, Metric::L2).unwrap(), [3.0, 1.0]);
        let unit = template(vectors, Metric::NormalisedL2).unwrap();
        let length = 10f32.sqrt();
        assert!((unit[0] - 3.0 / length).abs() < 1e-6 && (unit[1] - 1.0 / length).abs() < 1e-6);
    }
}
