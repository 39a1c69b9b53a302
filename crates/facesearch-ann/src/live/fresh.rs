//! Faces that are in memory only.

use std::sync::Arc;

use facesearch_core::approximate::l2_squared;
use facesearch_core::{Effort, FaceView, squared_distance};
use hnsw_rs::anndists::dist::DistL2;
use hnsw_rs::hnsw::Hnsw;

use super::gaps::Gaps;
use super::log::Log;
use crate::scan::Shortlist;
use crate::segment::measured_exactly;

/// Links of a node on the upper levels of the graph; on the base there are twice as many.
const LINKS: usize = 16;
/// Beam width of the search for a new node's neighbours. Narrower than where a graph is built to
/// stay: this one is dropped with the next publication.
const WIDTH: usize = 48;
const LEVELS: usize = 8;

/// A face in memory.
#[derive(Debug)]
pub(super) struct FreshFace {
    /// Its record; photo and identity are numbers of the whole gallery's tables.
    pub(super) record: FaceView,
    pub(super) vector: Box<[f32]>,
    /// When it came, seconds since 1970.
    pub(super) added: i64,
}

/// Faces in memory, in order of arrival. A clone is a view that never changes.
#[derive(Clone, Default)]
pub(super) struct Fresh {
    pub(super) faces: Log<FreshFace>,
    /// Those that were removed, or replaced by a later one.
    pub(super) gaps: Gaps,
    pub(super) graph: Option<Graph>,
}

/// The graph of the faces before `end`.
#[derive(Clone)]
pub(super) struct Graph {
    nodes: Arc<Hnsw<'static, f32, DistL2>>,
    pub(super) end: u32,
}

/// What the faces in memory are to a probe.
pub(super) struct Found {
    /// Squared distances and places of the nearest, in no order; more than were asked for, or all.
    pub(super) near: Vec<(f64, u32)>,
    /// Whether every face was measured.
    pub(super) exact: bool,
    /// About how many vectors were compared with the probe.
    pub(super) examined: u64,
}

impl Fresh {
    /// How many faces there are.
    pub(super) fn len(&self) -> u32 {
        self.faces.len() - self.gaps.len()
    }

    /// Where the graph ends: faces from here on are scanned.
    pub(super) fn graph_end(&self) -> u32 {
        self.graph.as_ref().map_or(0, |graph| graph.end)
    }

    /// How many of the faces are in the graph.
    pub(super) fn in_graph(&self) -> u32 {
        let end = self.graph_end();
        end - self.gaps.iter().take_while(|gap| *gap < end).count() as u32
    }

    /// Takes up to `most` faces into the graph, as long as more than `scanned` are outside. Whether
    /// any were taken. Views that share the graph go on with what it was: they pass over later
    /// nodes.
    pub(super) fn absorb(&mut self, scanned: u32, most: u32) -> bool {
        let start = self.graph_end();
        let most = most.min((self.faces.len() - start).saturating_sub(scanned));
        if most == 0 {
            return false;
        }
        let mut graph = self.graph.take().unwrap_or_else(|| {
            let nodes = Hnsw::new(LINKS, 1 << 15, LEVELS, WIDTH, DistL2);
            Graph { nodes: Arc::new(nodes), end: 0 }
        });
        for place in (start..start + most).filter(|place| !self.gaps.contains(*place)) {
            graph.nodes.insert((&self.faces.get(place).vector, place as usize));
        }
        graph.end = start + most;
        self.graph = Some(graph);
        true
    }

    /// Finds the `k` faces nearest to `probe` of those that `allowed` lets through.
    pub(super) fn search(
        &self,
        probe: &[f32],
        k: usize,
        effort: Effort,
        allowed: impl Fn(u32) -> bool,
    ) -> Found {
        let allowed = |place: &u32| !self.gaps.contains(*place) && allowed(*place);
        let vector = |place: u32| &*self.faces.get(place).vector;
        let measured = |place| (squared_distance(probe, vector(place)), place);
        let (mut near, mut examined, mut exact, mut scanned_from) = (Vec::new(), 0, true, 0);
        if let Some(graph) = &self.graph
            && effort != Effort::Exact
        {
            let wanted = measured_exactly(k);
            let width = width(effort).max(wanted);
            examined += width as u64;
            let found = graph.nodes.search(probe, wanted, width);
            // The graph may have taken in more faces since this view was made.
            let found = found.into_iter().map(|found| found.d_id as u32);
            near.extend(found.filter(|place| *place < graph.end).filter(allowed).map(measured));
            // Where too few of the near ones are allowed, the graph does not help.
            if near.len() >= k {
                (exact, scanned_from) = (false, graph.end);
            } else {
                near.clear();
            }
        }
        let mut list = Shortlist::new(k, probe.len());
        for place in (scanned_from..self.faces.len()).filter(allowed) {
            list.offer(l2_squared(probe, vector(place)), place);
            examined += 1;
        }
        near.extend(list.rows().map(measured));
        Found { near, exact, examined }
    }
}

/// The beam width for an effort.
fn width(effort: Effort) -> usize {
    match effort {
        Effort::Fast => 48,
        Effort::Balanced | Effort::Exact => 192,
        Effort::High => 512,
        Effort::List(width) => width,
    }
}
