//! Makes every node reachable.
//!
//! Pruning may leave a node that nobody links to, above all among many copies of one face. What
//! cannot be reached cannot be found, so after a build every node is visited from the entry, and
//! the ones missed are linked from near nodes that were reached.

use super::beam::{Breadth, Everything, NO_LINK, Scratch, Trusted, walk};
use super::graph::Level;
use crate::kernels::Codes;

/// Nodes that are tried as the ones to link from.
const TRIES: usize = 64;

/// Stands for "not reached".
const NOWHERE: u32 = u32::MAX;

/// Links every node of `level` that a walk from node 0 cannot reach. Returns how many there were.
pub(super) fn reach_all(codes: Codes, level: &mut Level) -> usize {
    if level.count == 0 {
        return 0;
    }
    let mut parent = vec![NOWHERE; level.count];
    parent[0] = 0;
    spread(level, &mut parent, vec![0]);
    let mut scratch = Scratch::default();
    let mut repaired = 0;
    for node in 0..level.count as u32 {
        if parent[node as usize] != NOWHERE {
            continue;
        }
        scratch.probe.clear();
        scratch.probe.extend(codes.shape().decode(codes.get(node)));
        let breadth = Breadth::all_of(TRIES);
        let Ok(()) = walk(
            codes,
            level.view(),
            level.count,
            [0],
            breadth,
            &mut scratch,
            &Trusted,
            &Everything,
        );
        let near: Vec<u32> = scratch.found().map(|(_, near)| near).collect();
        let (from, place) = place_for_link(level, &parent, &near);
        level.row_mut(from)[place] = node;
        parent[node as usize] = from;
        spread(level, &mut parent, vec![node]);
        repaired += 1;
    }
    repaired
}

/// Marks all that can be reached from `open` with the node they were reached from.
fn spread(level: &Level, parent: &mut [u32], mut open: Vec<u32>) {
    while let Some(node) = open.pop() {
        for next in level.view().of(node) {
            if parent[next as usize] == NOWHERE {
                parent[next as usize] = node;
                open.push(next);
            }
        }
    }
}

/// A place for one more link: a free one of a near node, else one whose link nothing depends on,
/// else that of any node.
fn place_for_link(level: &Level, parent: &[u32], near: &[u32]) -> (u32, usize) {
    let links = level.view();
    let free = |node: u32| Some((node, links.row(node).iter().position(|link| *link == NO_LINK)?));
    let spare = |node: u32| {
        let spare = |link: &u32| parent[*link as usize] != node;
        Some((node, links.row(node).iter().rposition(spare)?))
    };
    let reached = || (0..level.count as u32).filter(|node| parent[*node as usize] != NOWHERE);
    near.iter()
        .copied()
        .find_map(free)
        .or_else(|| near.iter().copied().find_map(spare))
        .or_else(|| reached().find_map(free))
        .or_else(|| reached().find_map(spare))
        // A tree has fewer links than nodes, and each node has room for at least two.
        .expect("a row that the tree of visits does not fill")
}
