//! A graph in memory, as builders leave it and before it is written.

use rayon::prelude::*;

use crate::kernels::{Codes, LINE, Shape};

use super::beam::{
    Breadth, Everything, Filter, Guard, Links, NO_LINK, Rows, Scratch, Trusted, walk,
};
use super::quantiser::{Quantiser, TURNED_TOGETHER};

/// More levels than any graph needs: each has a few dozen times as many nodes as the one above.
pub(crate) const MAX_LEVELS: usize = 8;

/// Links of the first `count` nodes, in rows of `degree`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) count: usize,
    pub(crate) degree: usize,
    pub(crate) links: Vec<u32>,
}

impl Level {
    /// Rows without links.
    pub(crate) fn empty(count: usize, degree: usize) -> Self {
        Self { count, degree, links: vec![NO_LINK; count * degree] }
    }

    pub(crate) fn view(&self) -> Rows<'_> {
        Rows::new(&self.links, self.degree)
    }

    pub(crate) fn row_mut(&mut self, node: u32) -> &mut [u32] {
        &mut self.links[node as usize * self.degree..][..self.degree]
    }

    /// Replaces the links of a node. Panics where there are more than fit.
    pub(crate) fn set(&mut self, node: u32, links: &[u32]) {
        let (used, free) = self.row_mut(node).split_at_mut(links.len());
        used.copy_from_slice(links);
        free.fill(NO_LINK);
    }
}

/// A finished graph.
pub(crate) struct Graph {
    /// For each node the vector it stands for.
    pub(crate) order: Vec<u32>,
    /// The code of each node.
    pub(crate) codes: CodeTable,
    /// From the one that has all nodes to the one that has fewest.
    pub(crate) levels: Vec<Level>,
}

/// Codes in memory that start at a cache line.
pub(crate) struct CodeTable {
    bytes: Vec<u8>,
    start: usize,
    shape: Shape,
}

impl CodeTable {
    /// The code of each of the vectors that `order` names.
    pub(crate) fn encode<'a>(
        quantiser: &Quantiser,
        order: &[u32],
        vector: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        let shape = quantiser.shape;
        let stride = shape.stride();
        let len = order.len() * stride;
        let mut bytes = vec![0; len + LINE];
        let start = bytes.as_ptr().align_offset(LINE);
        // Only speed depends on where the table starts.
        let start = if start > LINE { 0 } else { start };
        let codes = bytes[start..start + len].par_chunks_mut(TURNED_TOGETHER * stride);
        codes.zip(order.par_chunks(TURNED_TOGETHER)).for_each_init(
            Vec::new,
            |turned, (codes, items)| {
                let vectors: Vec<&[f32]> =
                    items.iter().map(|item| vector(*item as usize)).collect();
                quantiser.encode(&vectors, codes, turned);
            },
        );
        Self { bytes, start, shape }
    }

    pub(crate) fn view(&self) -> Codes<'_> {
        Codes::new(self.bytes(), self.shape)
    }

    /// The codes, without the padding around them: `LINE` bytes, `start` of them before the codes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.bytes.len() - (LINE - self.start)]
    }
}

/// Finds the nodes nearest to `scratch.probe`: a greedy search of each upper level, then a beam
/// search of the base. `levels` begins with the base; `nodes` is the number of all nodes.
pub(crate) fn descend<L: Links, G: Guard, F: Filter<G::Error>>(
    codes: Codes,
    levels: &[L],
    nodes: usize,
    breadth: Breadth,
    scratch: &mut Scratch,
    guard: impl Fn(usize) -> G,
    filter: &F,
) -> Result<(), G::Error> {
    let mut start = 0;
    for (level, links) in levels.iter().enumerate().skip(1).rev() {
        walk(
            codes,
            *links,
            nodes,
            [start],
            Breadth::all_of(1),
            scratch,
            &guard(level),
            &Everything,
        )?;
        start = scratch.found().next().map_or(start, |(_, node)| node);
    }
    walk(codes, levels[0], nodes, [start], breadth, scratch, &guard(0), filter)
}

/// [`descend`] without a filter and without checks, for a graph that was built in this process.
pub(crate) fn find<L: Links>(
    codes: Codes,
    levels: &[L],
    nodes: usize,
    breadth: Breadth,
    scratch: &mut Scratch,
) {
    let Ok(()) = descend(codes, levels, nodes, breadth, scratch, |_| Trusted, &Everything);
}
