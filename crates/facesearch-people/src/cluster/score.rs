//! How well clusters agree with labels.

use std::collections::BTreeMap;

use serde::Serialize;

/// Agreement of clusters with people, counted over pairs of faces and over faces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClusterScore {
    /// Share of the pairs in one cluster that are one person; 1 without such pairs.
    pub precision: f64,
    /// Share of the pairs of one person that are in one cluster; 1 without such pairs.
    pub recall: f64,
    /// Mean over faces of the share of its cluster that is its person (B-cubed; Bagga and Baldwin,
    /// 1998).
    pub bcubed_precision: f64,
    /// Mean over faces of the share of its person that is in its cluster.
    pub bcubed_recall: f64,
    /// Harmonic mean of the two.
    pub bcubed_f1: f64,
}

/// Compares the cluster `group[i]` with the label `person[i]` for every face `i`. Panics if they
/// differ in length.
pub fn score_clusters(group: &[u32], person: &[u32]) -> ClusterScore {
    assert_eq!(group.len(), person.len(), "each face has a cluster and a person");
    let (mut groups, mut people, mut both) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (group, person) in group.iter().zip(person) {
        *groups.entry(*group).or_insert(0.0) += 1.0;
        *people.entry(*person).or_insert(0.0) += 1.0;
        *both.entry((*group, *person)).or_insert(0.0) += 1.0;
    }
    let pairs = |n: &f64| n * (n - 1.0) / 2.0;
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 1.0 };
    let right: f64 = both.values().map(pairs).sum();
    let faces = group.len() as f64;
    let mean_share = |whole: &dyn Fn(&(u32, u32)) -> f64| {
        let sum: f64 = both.iter().map(|(key, n): (_, &f64)| n * n / whole(key)).sum();
        share(sum, faces)
    };
    let bcubed_precision = mean_share(&|(group, _)| groups[group]);
    let bcubed_recall = mean_share(&|(_, person)| people[person]);
    ClusterScore {
        precision: share(right, groups.values().map(pairs).sum()),
        recall: share(right, people.values().map(pairs).sum()),
        bcubed_precision,
        bcubed_recall,
        bcubed_f1: 2.0 * bcubed_precision * bcubed_recall / (bcubed_precision + bcubed_recall),
    }
}
