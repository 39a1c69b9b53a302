//! People nobody named: which of these faces are one person?
//!
//! Three steps. A [`Graph`] says which faces are near to each other at all; the local
//! density says how near is near in their surroundings; linkage then joins the
//! two groups that are nearest on average, again and again, until none is near enough
//! ([`cluster`]). Why not DBSCAN: it chains. One face between two people joins them for good, and
//! one radius cannot serve both the crowded corner of the space, where children and blurred faces
//! lie, and the empty rest; the mean over all pairs of two groups, measured against what is usual
//! around them, can.

mod chance;
mod density;
mod graph;
mod linkage;
mod score;
#[cfg(test)]
mod tests;

pub use graph::{Graph, Vectors};
pub use linkage::{Clusters, Constraints, cluster, cluster_by_chance};
pub use score::{ClusterScore, score_clusters};

use serde::{Deserialize, Serialize};

use crate::PeopleError;

/// How to cluster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClusterOptions {
    /// How near two groups must be on average (root of the mean squared distance) to be one
    /// person, in surroundings of median density. Belongs to the model.
    pub threshold: f32,
    /// Faces nearer than this are surely one person, and say nothing about how near strangers lie.
    pub surely: f32,
    /// How much the surroundings count, from 0 (not at all) to below 1.
    pub weight: f32,
    /// Where the random choice of the faces that stand for the surroundings starts.
    pub seed: u64,
}

impl ClusterOptions {
    /// Options for a model whose threshold is `threshold`; the rest as found on LFW's View 1.
    pub fn new(threshold: f32) -> Self {
        Self { threshold, surely: 0.94 * threshold, weight: 0.7, seed: 1 }
    }
    /// The same with another threshold, and all else, as the surroundings, as it was.
    #[must_use]
    pub fn within(self, threshold: f32) -> Self {
        Self { threshold, ..self }
    }

    fn check(&self) -> Result<(), PeopleError> {
        let refuse =
            |what, got: f32, wanted| Err(PeopleError::Option { what, got: got.into(), wanted });
        if !(0.0..1.0).contains(&self.weight) {
            return refuse("the weight of the surroundings", self.weight, "from 0 to below 1");
        }
        if !(self.threshold >= 0.0 && self.threshold.is_finite()) {
            return refuse("the threshold", self.threshold, "at least 0");
        }
        Ok(())
    }
}
