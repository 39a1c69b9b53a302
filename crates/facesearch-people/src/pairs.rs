//! Labelled pairs of faces: how many does a threshold decide rightly, and which one decides best?
//!
//! `facesearch verify --pairs`, the calibration and the protocols of `facesearch-eval` all count
//! with these types.

mod counts;
mod summary;
#[cfg(test)]
mod tests;

pub use counts::{BestThreshold, Counts, best_threshold};
pub use summary::{PairTrial, PairsSummary, summarise};

/// A labelled pair and the distance of its two faces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    distance: f64,
    same: bool,
}

impl Trial {
    /// A pair with its L2 distance. `same`: whether the two faces are one person.
    ///
    /// **Trap:** a pair without a distance, because a face was missing, is not left out. It counts
    /// as "different" at every threshold. So does one whose distance is not a number.
    pub fn new(distance: Option<f64>, same: bool) -> Self {
        let distance = distance.filter(|d| !d.is_nan()).unwrap_or(f64::INFINITY);
        Self { distance, same }
    }

    /// The distance; infinite where the pair has none.
    pub fn distance(&self) -> f64 {
        self.distance
    }

    /// Whether the two are truly one person.
    pub fn same(&self) -> bool {
        self.same
    }

    /// Whether the pair has no distance.
    pub fn failed(&self) -> bool {
        self.distance == f64::INFINITY
    }

    /// Whether `threshold` calls the two the same person: their distance is at most that.
    pub fn accepted(&self, threshold: f64) -> bool {
        !self.failed() && self.distance <= threshold
    }
}

/// The trials in order of their distance; those without one last.
pub fn nearest_first(trials: &[Trial]) -> Vec<Trial> {
    let mut sorted = trials.to_vec();
    sorted.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    sorted
}
