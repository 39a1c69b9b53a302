//! Labelled pairs of faces, and the threshold that decides them best.

mod counts;
mod summary;

pub use counts::{BestThreshold, Counts, best_threshold};
pub use summary::{PairTrial, PairsSummary, summarise};

/// A labelled pair and the distance of its two faces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    distance: f64,
    same: bool,
}

impl Trial {
    /// A pair; `None` where a face was missing. Such a pair is beyond every threshold, so it
    /// counts as "different" at each; so does a distance that is not a number.
    pub fn new(distance: Option<f64>, same: bool) -> Self {
        let distance = distance.filter(|d| !d.is_nan()).unwrap_or(f64::INFINITY);
        Self { distance, same }
    }

    /// A judged pair of the engine; `None` where its truth is not known.
    pub fn from_judged(judged: &PairTrial) -> Option<Self> {
        Some(Self::new(judged.distance.map(f64::from), judged.same?))
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

    /// Whether a threshold calls the two the same: within it, or at it.
    pub fn accepted(&self, threshold: f64) -> bool {
        !self.failed() && self.distance <= threshold
    }
}

/// The trials, nearest first; those without a distance last.
pub fn sorted(trials: &[Trial]) -> Vec<Trial> {
    let mut sorted = trials.to_vec();
    sorted.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    sorted
}
