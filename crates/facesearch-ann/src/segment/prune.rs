//! Which of many near nodes a node should link to.
//!
//! The rule of Vamana (Subramanya et al., *DiskANN*, NeurIPS 2019), which with `alpha` 1 is that of
//! HNSW (Malkov and Yashunin, TPAMI 2020): a candidate is passed over if one already taken is
//! nearer to it than the node itself is, for then the way leads over that one. An `alpha` above 1
//! takes some of those all the same, and the walk needs fewer steps.

use crate::kernels::{Codes, between};

/// A node and its squared distance from the one that links are chosen for.
pub(super) type Near = (u32, u32);

/// How links are chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// At most so many.
    pub(super) degree: usize,
    /// `alpha` for squared distances, times 64. An integer gives the same graph on every machine.
    pub(super) alpha_64: u64,
}

/// Sorts `candidates` by distance and takes those that the rule allows, nearest first.
pub(super) fn prune(codes: Codes, candidates: &mut Vec<Near>, rule: Rule, taken: &mut Vec<u32>) {
    candidates.sort_unstable();
    candidates.dedup();
    taken.clear();
    for (distance, node) in candidates.iter() {
        if taken.len() == rule.degree {
            break;
        }
        let code = codes.get(*node);
        let covered = taken.iter().any(|other| {
            let apart = between(codes.shape(), codes.get(*other), code);
            rule.alpha_64 * u64::from(apart) <= 64 * u64::from(*distance)
        });
        if !covered {
            taken.push(*node);
        }
    }
}
