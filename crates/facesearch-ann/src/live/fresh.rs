//! The faces that are in memory only.
//!
//! Vectors lie in blocks that never change once they are full, so a query shares them and copies no
//! more than the last, half-filled one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use facesearch_core::{Effort, l2_squared, l2_squared_f64};
use hnsw_rs::anndists::dist::DistL2;
use hnsw_rs::hnsw::Hnsw;

use crate::scan::Shortlist;
use crate::segment::measured_exactly;

/// Vectors of a block.
const BLOCK: usize = 256;

/// Vectors that enter the graph at a time.
const AT_ONCE: usize = 512;

/// Links of a node of the graph on its upper levels; on the base there are twice as many.
const LINKS: usize = 16;
/// Width of the walk that looks for neighbours. Narrower than where a graph is built to stay.
const WIDTH: usize = 48;
const LEVELS: usize = 8;

/// Faces in memory. A place is a face's number in order of arrival.
#[derive(Clone)]
pub(super) struct Fresh {
    dim: usize,
    full: Arc<Vec<Arc<Block>>>,
    last: Block,
    /// Places of faces that are gone.
    removed: Arc<HashSet<u32>>,
    /// Where each face is that is there.
    by_id: Arc<HashMap<u64, u32>>,
    graph: Option<Graph>,
}

#[derive(Clone, Default)]
struct Block {
    ids: Vec<u64>,
    vectors: Vec<f32>,
}

/// The graph of the first `len` places.
#[derive(Clone)]
pub(super) struct Graph {
    nodes: Arc<Hnsw<'static, f32, DistL2>>,
    len: u32,
}

impl Fresh {
    pub(super) fn new(dim: usize) -> Self {
        let full = Arc::default();
        let (removed, by_id) = (Arc::default(), Arc::default());
        Self { dim, full, last: Block::default(), removed, by_id, graph: None }
    }

    /// What a query needs: all but the table of ids, which is then not copied when it changes.
    pub(super) fn view(&self) -> Self {
        Self {
            dim: self.dim,
            full: Arc::clone(&self.full),
            last: self.last.clone(),
            removed: Arc::clone(&self.removed),
            by_id: Arc::default(),
            graph: self.graph.clone(),
        }
    }

    /// How many faces are there.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many places are taken, by faces that are there or gone.
    pub(super) fn places(&self) -> u32 {
        (self.full.len() * BLOCK + self.last.ids.len()) as u32
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn push(&mut self, id: u64, vector: &[f32]) {
        let place = self.places();
        Arc::make_mut(&mut self.by_id).insert(id, place);
        self.last.ids.push(id);
        self.last.vectors.extend_from_slice(vector);
        if self.last.ids.len() == BLOCK {
            Arc::make_mut(&mut self.full).push(Arc::new(std::mem::take(&mut self.last)));
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let Some(place) = Arc::make_mut(&mut self.by_id).remove(&id) else { return false };
        Arc::make_mut(&mut self.removed).insert(place)
    }

    pub(super) fn was_removed(&self, place: u32) -> bool {
        self.removed.contains(&place)
    }

    pub(super) fn vector(&self, place: u32) -> &[f32] {
        let (block, i) = self.block(place);
        &block.vectors[i * self.dim..][..self.dim]
    }

    fn id(&self, place: u32) -> u64 {
        let (block, i) = self.block(place);
        block.ids[i]
    }

    fn block(&self, place: u32) -> (&Block, usize) {
        let place = place as usize;
        (self.full.get(place / BLOCK).map_or(&self.last, |block| block), place % BLOCK)
    }

    /// The faces that are there, ids ascending, and the place of each.
    pub(super) fn faces(&self) -> Vec<(u64, u32)> {
        let mut faces: Vec<_> = self.by_id.iter().map(|(id, place)| (*id, *place)).collect();
        faces.sort_unstable();
        faces
    }

    /// What came after the first `places`, without what is gone.
    pub(super) fn after(&self, places: u32) -> Self {
        let mut later = Self::new(self.dim);
        for place in (places..self.places()).filter(|place| !self.was_removed(*place)) {
            later.push(self.id(place), self.vector(place));
        }
        later
    }

    /// Takes some faces into the graph if more than `scanned` are outside; the graph then.
    pub(super) fn absorb(&mut self, scanned: usize) -> Option<Graph> {
        let from = self.graph.as_ref().map_or(0, |graph| graph.len);
        if ((self.places() - from) as usize) <= scanned {
            return None;
        }
        let mut graph = self.graph.take().unwrap_or_else(|| {
            let nodes = Hnsw::new(LINKS, 1 << 15, LEVELS, WIDTH, DistL2);
            Graph { nodes: Arc::new(nodes), len: 0 }
        });
        for place in (from..self.places()).take(AT_ONCE) {
            graph.nodes.insert((self.vector(place), place as usize));
            graph.len = place + 1;
        }
        Some(graph)
    }

    /// Searches through `graph` from now on.
    pub(super) fn adopt(&mut self, graph: Graph) {
        self.graph = Some(graph);
    }

    /// Adds to `found` the squared distances and ids of those that may be among the nearest `k`.
    pub(super) fn search(
        &self,
        probe: &[f32],
        k: usize,
        effort: Effort,
        found: &mut Vec<(f64, u64)>,
    ) {
        let mut scanned_from = 0;
        if let (Some(graph), true) = (&self.graph, effort != Effort::Exact) {
            let near = self.near(graph, probe, k, effort);
            // Where too many of the near ones are gone, the graph does not help.
            if near.len() >= k {
                scanned_from = graph.len;
                found.extend(near.into_iter().map(|place| self.measured(probe, place)));
            }
        }
        let mut list = Shortlist::new(k, self.dim);
        for place in scanned_from..self.places() {
            if self.removed.is_empty() || !self.was_removed(place) {
                list.offer(l2_squared(probe, self.vector(place)), place);
            }
        }
        found.extend(list.rows().map(|place| self.measured(probe, place)));
    }

    fn near(&self, graph: &Graph, probe: &[f32], k: usize, effort: Effort) -> Vec<u32> {
        let width = match effort {
            Effort::Fast => 48,
            Effort::Balanced | Effort::Exact => 192,
            Effort::High => 512,
            Effort::List(width) => width,
        };
        let wanted = measured_exactly(k);
        let found = graph.nodes.search(probe, wanted, width.max(wanted));
        // The graph may have taken in more since this view of the faces was made.
        let places = found.into_iter().map(|near| near.d_id as u32);
        places.filter(|place| *place < graph.len && !self.was_removed(*place)).collect()
    }

    fn measured(&self, probe: &[f32], place: u32) -> (f64, u64) {
        (l2_squared_f64(probe, self.vector(place)), self.id(place))
    }
}
