//! Builds a graph in levels from codes alone, on all cores. Their number does not change the graph.
//!
//! Nodes are inserted in batches, as in ParlayANN (Manohar et al., PPoPP 2024): all of a batch look
//! for neighbours in the graph as it was before, then their links go in, then the links back. No
//! step depends on which thread did what. The order of insertion is random, so that the first nodes
//! are a sample of all: their links as they were then are the upper levels.

use rayon::prelude::*;

use super::beam::{Breadth, NO_LINK, Rows, Scratch};
use super::graph::{CodeTable, Graph, Level, MAX_LEVELS, find};
use super::in_degree::raise_in_degree;
use super::prune::{Near, Rule, prune};
use super::quantiser::Quantiser;
use super::random::Random;
use super::repair::reach_all;
use crate::kernels::{Codes, between};

/// How a graph is built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildOptions {
    /// Links of a node.
    pub(crate) degree: usize,
    /// Width of the walk that looks for neighbours.
    pub(crate) width: usize,
    /// See [`Rule::alpha_64`].
    pub(crate) alpha_64: u64,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { degree: 48, width: 100, alpha_64: 70 }
    }
}

/// How many rows are pruned together. Each is a list of its own until it is copied.
const AT_ONCE: usize = 1 << 16;

/// How many times fewer nodes each level has than the one below.
const THINNING: usize = 32;

/// Builds the graph of `n` vectors.
pub(crate) fn build<'a>(
    n: usize,
    quantiser: &Quantiser,
    options: BuildOptions,
    vector: impl Fn(usize) -> &'a [f32] + Sync,
) -> Graph {
    let order = shuffled(n);
    let table = CodeTable::encode(quantiser, &order, vector);
    let codes = table.view();
    let mut growing = Growing::new(codes, n, options);
    let mut counts: Vec<usize> = std::iter::successors(Some(n), |n| Some(n / THINNING))
        .take(MAX_LEVELS)
        .take_while(|count| *count >= THINNING)
        .skip(1)
        .collect();
    counts.reverse();
    for count in counts {
        growing.grow_to(count);
        growing.keep_level(count);
    }
    growing.grow_to(n);
    let levels = growing.finish();
    Graph { order, codes: table, levels }
}

/// The numbers below `n` in an order that looks random and is always the same.
fn shuffled(n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_by_cached_key(|item| Random(u64::from(*item)).next());
    order
}

/// A graph of the first `inserted` nodes.
struct Growing<'a> {
    codes: Codes<'a>,
    rule: Rule,
    width: usize,
    inserted: usize,
    /// Rows have room for more links than the rule allows, so that a new link seldom needs pruning.
    base: Level,
    /// Levels above the base, from the one with fewest nodes.
    upper: Vec<Level>,
}

impl<'a> Growing<'a> {
    fn new(codes: Codes<'a>, n: usize, options: BuildOptions) -> Self {
        let BuildOptions { degree, width, alpha_64 } = options;
        let base = Level::empty(n, degree + degree / 2);
        let rule = Rule { degree, alpha_64 };
        Self { codes, rule, width, inserted: n.min(1), base, upper: Vec::new() }
    }

    fn grow_to(&mut self, count: usize) {
        while self.inserted < count {
            let batch = (self.inserted / 64).clamp(1, 4096).min(count - self.inserted);
            self.insert(batch);
        }
    }

    /// Inserts the next `batch` nodes.
    fn insert(&mut self, batch: usize) {
        let new = self.inserted as u32..(self.inserted + batch) as u32;
        let views = self.views();
        let rows: Vec<Vec<u32>> = new
            .clone()
            .into_par_iter()
            .map_init(Worker::default, |worker, node| self.choose(node, new.start, &views, worker))
            .collect();
        drop(views);
        let mut back: Vec<(u32, u32)> = Vec::new();
        for (node, row) in new.clone().zip(&rows) {
            self.base.set(node, row);
            back.extend(row.iter().map(|target| (*target, node)));
        }
        self.inserted += batch;
        back.sort_unstable();
        self.link_back(&back);
    }

    fn views(&self) -> Vec<Rows<'_>> {
        [&self.base].into_iter().chain(self.upper.iter().rev()).map(Level::view).collect()
    }

    /// The links of a new node: from what a walk finds, and from the batch before it.
    fn choose(&self, node: u32, first: u32, views: &[Rows], worker: &mut Worker) -> Vec<u32> {
        let Worker { scratch, near, taken } = worker;
        let code = self.codes.get(node);
        scratch.probe.clear();
        scratch.probe.extend(self.codes.shape().decode(code));
        let breadth = Breadth::all_of(self.width);
        find(self.codes, views, self.inserted, breadth, scratch);
        near.clear();
        near.extend(scratch.found());
        // Batch mates are not in the graph yet; those nearer than the farthest found are
        // neighbours.
        let farthest = near.last().map_or(u32::MAX, |(distance, _)| *distance);
        for mate in first..node {
            let distance = between(self.codes.shape(), code, self.codes.get(mate));
            if distance < farthest {
                near.push((distance, mate));
            }
        }
        prune(self.codes, near, self.rule, taken);
        taken.clone()
    }

    /// Adds the links `(from, to)`, which are sorted; a row that overflows is pruned.
    fn link_back(&mut self, links: &[(u32, u32)]) {
        let groups: Vec<&[(u32, u32)]> = links.chunk_by(|a, b| a.0 == b.0).collect();
        let rows: Vec<Vec<u32>> = groups
            .into_par_iter()
            .map_init(Worker::default, |worker, group| self.merged(group, worker))
            .collect();
        for (group, row) in links.chunk_by(|a, b| a.0 == b.0).zip(rows) {
            self.base.set(group[0].0, &row);
        }
    }

    fn merged(&self, group: &[(u32, u32)], worker: &mut Worker) -> Vec<u32> {
        let node = group[0].0;
        let mut row: Vec<u32> = self.base.view().of(node).collect();
        for (_, new) in group {
            if !row.contains(new) {
                row.push(*new);
            }
        }
        if row.len() > self.base.degree { self.pruned(node, &row, worker) } else { row }
    }

    fn pruned(&self, node: u32, row: &[u32], worker: &mut Worker) -> Vec<u32> {
        let Worker { near, taken, .. } = worker;
        let code = self.codes.get(node);
        near.clear();
        let shape = self.codes.shape();
        let measured =
            |other: &u32| -> Near { (between(shape, code, self.codes.get(*other)), *other) };
        near.extend(row.iter().map(measured));
        prune(self.codes, near, self.rule, taken);
        taken.clone()
    }

    /// Keeps the links of the first `count` nodes, which are all so far, as a level.
    fn keep_level(&mut self, count: usize) {
        let mut level = self.final_rows(count);
        reach_all(self.codes, &mut level);
        self.upper.push(level);
    }

    /// The rows of the first `count` nodes, no longer than the rule allows.
    fn final_rows(&self, count: usize) -> Level {
        let degree = self.rule.degree;
        let mut level = Level { count, degree, links: Vec::with_capacity(count * degree) };
        for start in (0..count).step_by(AT_ONCE) {
            let some = start as u32..count.min(start + AT_ONCE) as u32;
            let row = |worker: &mut Worker, node| {
                let row: Vec<u32> = self.base.view().of(node).collect();
                if row.len() > degree { self.pruned(node, &row, worker) } else { row }
            };
            let rows: Vec<Vec<u32>> = some.into_par_iter().map_init(Worker::default, row).collect();
            for row in rows {
                level.links.extend_from_slice(&row);
                level.links.resize(level.links.len() + degree - row.len(), NO_LINK);
            }
        }
        level
    }

    fn finish(self) -> Vec<Level> {
        let mut base = self.final_rows(self.base.count);
        let codes = self.codes;
        let mut levels: Vec<Level> = self.upper;
        drop(self.base);
        raise_in_degree(codes, &mut base);
        reach_all(codes, &mut base);
        levels.push(base);
        levels.reverse();
        levels
    }
}

/// Memory of one thread.
#[derive(Default)]
struct Worker {
    scratch: Scratch,
    near: Vec<Near>,
    taken: Vec<u32>,
}
