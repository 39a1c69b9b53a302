//! Gives every node links that lead to it.
//!
//! In many dimensions, some nodes are among the nearest of hardly any other (antihubs: Radovanović
//! et al., JMLR 2010). Pruning leaves few links to them, which a search finds only by chance. The
//! nodes of a million faces that wide searches missed had a handful. So near nodes whose rows have
//! room get a link to them, and no link is taken away.

use rayon::prelude::*;

use super::beam::NO_LINK;
use super::graph::Level;
use super::prune::Near;
use crate::kernels::{Codes, between, prefetch};

/// Links to a node that are enough.
const ENOUGH: usize = 16;

/// Links are looked for among the neighbours of a node, and among those of so many of the nearest:
/// nodes near an antihub are hubs more often than not, and their rows are full.
const FOLLOWED: usize = 12;

/// Nodes whose candidates are looked for together, on all cores.
const AT_ONCE: usize = 1 << 14;

/// Adds links until, where there is room nearby, [`ENOUGH`] lead to each node. The same on any
/// number of threads.
pub(super) fn raise_in_degree(codes: Codes, level: &mut Level) {
    let mut in_degree = vec![0; level.count];
    for to in level.links.iter().filter(|to| **to != NO_LINK) {
        in_degree[*to as usize] += 1;
    }
    let poor: Vec<u32> =
        (0..level.count as u32).filter(|node| in_degree[*node as usize] < ENOUGH).collect();
    for some in poor.chunks(AT_ONCE) {
        let candidates: Vec<Vec<u32>> = some
            .par_iter()
            .map_init(Worker::default, |worker, node| worker.with_room(codes, level, *node))
            .collect();
        for (node, candidates) in some.iter().zip(candidates) {
            // Others may have taken what was free a moment ago.
            let missing = ENOUGH - in_degree[*node as usize];
            let mut given = 0;
            for from in candidates {
                if given == missing {
                    break;
                }
                if let Some(free) = level.row_mut(from).iter_mut().find(|link| **link == NO_LINK) {
                    *free = *node;
                    given += 1;
                }
            }
        }
    }
}

/// Memory of one thread.
#[derive(Default)]
struct Worker {
    near: Vec<Near>,
    second: Vec<u32>,
}

impl Worker {
    /// Nodes near to `node` that do not link to it and could, nearest first.
    fn with_room(&mut self, codes: Codes, level: &Level, node: u32) -> Vec<u32> {
        let Self { near, second } = self;
        let (links, shape, code) = (level.view(), codes.shape(), codes.get(node));
        let measured = |other: u32| -> Near { (between(shape, code, codes.get(other)), other) };
        near.clear();
        near.extend(links.of(node).map(measured));
        near.sort_unstable();
        second.clear();
        for (_, other) in near.iter().take(FOLLOWED) {
            second.extend(links.of(*other).filter(|other| *other != node));
        }
        second.sort_unstable();
        second.dedup();
        second.iter().filter_map(|other| codes.first_lines(*other)).for_each(prefetch);
        near.extend(second.iter().copied().map(measured));
        near.sort_unstable();
        near.dedup();
        let could = |from: &u32| {
            let row = links.row(*from);
            row.last() == Some(&NO_LINK) && !row.contains(&node)
        };
        // Twice as many as are needed, for some may be full by the time.
        near.iter().map(|(_, from)| *from).filter(could).take(2 * ENOUGH).collect()
    }
}
