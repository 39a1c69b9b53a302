//! How much nearer is a candidate than the crowd around it?
//!
//! Distances cannot be compared from one probe to the next: a blurred face is near everybody, and
//! so is a face of a people that the model saw little of. What can be compared is how much nearer a
//! candidate is than other people are. The *crowding* of a face is the mean and the deviation of
//! its distances to the nearest of many other people. The *score* of a probe and a candidate is
//! their distance, normalised by the crowding of both:
//!
//! ```text
//! s = (d - m_probe) / σ_probe + (d - m_candidate) / σ_candidate
//! ```
//!
//! where the deviations are damped: `σ = σ₀ (deviation / σ₀)^¼`, with the model's usual deviation
//! `σ₀`. Smaller is more alike. This is adaptive symmetric score normalisation, known from speaker
//! recognition (Matejka and others, *Analysis of score normalization in multilingual speaker
//! recognition*, Interspeech 2017). Undamped, strangers of one population reach a score four times
//! as often as those of another. `docs/decisions.md` shows what all this gains.

mod cohort;
mod fit;
mod mixture;
mod nearest;
mod people;
mod strangers;
mod tail;

pub use cohort::{Cohort, CohortFacts};
pub use fit::{MixtureOptions, fit_mixture};
pub use mixture::Mixture;
pub use people::{Crowd, LEAST_PEOPLE};
pub use tail::StrangerTail;

/// How near the crowd is to a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crowding {
    /// The mean L2 distance to the nearest people of a cohort.
    pub mean: f64,
    /// The standard deviation of those distances.
    pub deviation: f64,
}

/// Keeps scores finite where all distances are one.
const LEAST_DEVIATION: f64 = 1e-6;

impl Crowding {
    /// The crowding of a face with these squared L2 distances to its nearest; `None` without any.
    pub(crate) fn of(squared: &[f64]) -> Option<Self> {
        if squared.is_empty() {
            return None;
        }
        let count = squared.len() as f64;
        let distances = squared.iter().map(|square| square.sqrt());
        let mean = distances.clone().sum::<f64>() / count;
        let variance = distances.map(|distance| (distance - mean).powi(2)).sum::<f64>() / count;
        Some(Self { mean, deviation: variance.sqrt().max(LEAST_DEVIATION) })
    }

    /// How many damped deviations a distance lies above the mean.
    fn normalise(self, distance: f64, usual: f64) -> f64 {
        let damped = usual * (self.deviation / usual).sqrt().sqrt();
        (distance - self.mean) / damped
    }
}

/// The score of a probe and a candidate at this L2 distance, by the crowding of both and the
/// deviation that is usual.
pub fn score(distance: f64, probe: Crowding, candidate: Crowding, usual: f64) -> f64 {
    probe.normalise(distance, usual) + candidate.normalise(distance, usual)
}

/// The deviation that is usual: the median.
fn usual_deviation(crowding: &[Crowding]) -> f64 {
    let mut deviations: Vec<f64> = crowding.iter().map(|crowding| crowding.deviation).collect();
    deviations.sort_by(f64::total_cmp);
    deviations.get(deviations.len() / 2).copied().unwrap_or(1.0)
}
