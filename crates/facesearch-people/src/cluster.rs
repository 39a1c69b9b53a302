//! Which faces are one person? Clusters of faces, with or without names.
//!
//! Three steps:
//!
//! 1. A [`Graph`] joins each face with its nearest neighbours.
//! 2. The local density says how near the faces of different people lie around each face.
//! 3. Average linkage merges the two clusters that are nearest to each other, measured against
//!    that density, until no two are near enough.
//!
//! Why not DBSCAN: it chains. One face between two people merges their clusters for good. And one
//! radius cannot serve both the dense regions, where children and blurred faces lie, and the sparse
//! rest. The mean over all pairs of two clusters, measured against the local density, can.

mod density;
mod false_discovery;
mod graph;
mod groups;
mod linkage;
mod score;
#[cfg(test)]
mod tests;

pub use graph::{Graph, Vectors};
pub use groups::{
    ClusterOptions, ClusterThreshold, Group, Member, cluster_gallery, cluster_vectors, name_groups,
};
pub use linkage::Clusters;
pub use score::{ClusterScore, score_clusters};

pub(crate) use linkage::{Constraints, LinkageOptions, cluster};

/// Clusters must be nearer to each other than this part of the model's threshold, because a wrong
/// merge spoils every pair of the two clusters.
pub(crate) const STRICTER: f32 = 0.9;
