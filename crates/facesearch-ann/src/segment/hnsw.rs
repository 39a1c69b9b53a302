//! Graphs by hnsw_rs, read through its public interface: what the tests compare our graphs with.
//!
//! **Trap:** only with one thread is its graph repeatable.

use std::collections::HashMap;

use hnsw_rs::anndists::dist::DistL2;
use hnsw_rs::hnsw::Hnsw;

use super::graph::{CodeTable, Graph, Level, MAX_LEVELS};
use super::quantiser::Quantiser;
use super::repair::reach_all;

/// Links of a node on the upper levels; on the base there are twice as many.
const LINKS: usize = 16;
/// Width of the walk that looks for neighbours.
const WIDTH: usize = 200;

/// Builds the graph of `n` vectors.
pub(crate) fn build<'a>(
    n: usize,
    quantiser: &Quantiser,
    vector: impl Fn(usize) -> &'a [f32] + Sync,
) -> Graph {
    let hnsw = Hnsw::<f32, DistL2>::new(LINKS, n.max(1), MAX_LEVELS, WIDTH, DistL2);
    for item in 0..n {
        hnsw.insert((vector(item), item));
    }
    freeze(&hnsw, n, quantiser, vector)
}

/// Copies the links out: nodes by their highest level, so that each level is the first few of all.
fn freeze<'a>(
    hnsw: &Hnsw<f32, DistL2>,
    n: usize,
    quantiser: &Quantiser,
    vector: impl Fn(usize) -> &'a [f32] + Sync,
) -> Graph {
    let points = hnsw.get_point_indexation();
    let mut all = Vec::with_capacity(n);
    for level in (0..MAX_LEVELS).rev() {
        let start = all.len();
        all.extend(points.get_layer_iterator(level).map(|point| (level, point)));
        all[start..].sort_by_key(|(_, point)| point.get_origin_id());
    }
    let order: Vec<u32> = all.iter().map(|(_, point)| point.get_origin_id() as u32).collect();
    let number: HashMap<u32, u32> = order.iter().copied().zip(0..).collect();
    let codes = CodeTable::encode(quantiser, &order, vector);
    let top = all.first().map_or(0, |(level, _)| *level);
    let mut levels: Vec<Level> = (0..=top)
        .map(|level| {
            let count = all.iter().take_while(|(highest, _)| *highest >= level).count();
            Level::empty(count, if level == 0 { 2 * LINKS } else { LINKS })
        })
        .collect();
    for (node, (_, point)) in (0..).zip(&all) {
        for (level, links) in levels.iter_mut().zip(point.get_neighborhood_id()) {
            let mut row: Vec<u32> =
                links.iter().map(|link| number[&(link.get_origin_id() as u32)]).collect();
            // Links are nearest first; its rows may have one more than promised.
            row.retain(|link| (*link as usize) < level.count && *link != node);
            row.truncate(level.degree);
            if (node as usize) < level.count {
                level.set(node, &row);
            }
        }
    }
    for level in &mut levels {
        reach_all(codes.view(), level);
    }
    Graph { order, codes, levels }
}
