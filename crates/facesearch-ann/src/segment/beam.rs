//! Beam search of a graph: it goes from node to nearer node and keeps the best nodes seen.
//!
//! The same walk finds neighbours when a graph is built and candidates when it is searched.
//! Distances are those of codes; order is by distance, then by node, so a walk is repeatable.

use std::convert::Infallible;

use super::sketch::ScanScratch;
use crate::kernels::{Codes, measure, prefetch};

/// Stands in a row of links for "no more".
pub(crate) const NO_LINK: u32 = u32::MAX;

/// Where each node's links are.
pub(crate) trait Links: Copy {
    /// How many links a row has room for.
    fn degree(&self) -> usize;

    /// The nodes a node links to; `None` where there is no such node.
    fn get(&self, node: u32) -> Option<impl Iterator<Item = u32>>;

    /// Asks for a row ahead of its use, if it is there.
    fn prefetch(&self, node: u32);
}

/// Rows of links of equal width, `NO_LINK` at the end of the shorter ones.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    nodes: &'a [u32],
    degree: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(nodes: &'a [u32], degree: usize) -> Self {
        assert!(degree > 0 && nodes.len().is_multiple_of(degree), "links do not fill their rows");
        Self { nodes, degree }
    }

    /// The whole row of a node. Panics where there is none.
    #[inline(always)]
    pub(crate) fn row(&self, node: u32) -> &'a [u32] {
        &self.nodes[node as usize * self.degree..][..self.degree]
    }

    /// The nodes a node links to. Panics where there is no such node.
    #[inline(always)]
    pub(crate) fn of(&self, node: u32) -> impl Iterator<Item = u32> {
        self.row(node).iter().copied().take_while(|node| *node != NO_LINK)
    }
}

impl Links for Rows<'_> {
    #[inline(always)]
    fn degree(&self) -> usize {
        self.degree
    }
    #[inline(always)]
    fn get(&self, node: u32) -> Option<impl Iterator<Item = u32>> {
        let start = node as usize * self.degree;
        let row = self.nodes.get(start..start + self.degree)?;
        Some(row.iter().copied().take_while(|node| *node != NO_LINK))
    }
    #[inline(always)]
    fn prefetch(&self, node: u32) {
        let start = node as usize * self.degree;
        if let Some(row) = self.nodes.get(start..start + self.degree) {
            prefetch(bytemuck::cast_slice(row));
        }
    }
}

/// The same rows as in a file: a link is the low `B` bytes of a `u32`, little-endian.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a, const B: usize> {
    bytes: &'a [u8],
    degree: usize,
}

impl<'a, const B: usize> Packed<'a, B> {
    /// Stands for "no more".
    const NONE: u32 = NO_LINK >> (32 - 8 * B);

    pub(crate) fn new(bytes: &'a [u8], degree: usize) -> Self {
        assert!(degree > 0 && bytes.len().is_multiple_of(B * degree), "links do not fill rows");
        Self { bytes, degree }
    }

    #[inline(always)]
    fn row(&self, node: u32) -> Option<&'a [u8]> {
        let start = node as usize * B * self.degree;
        self.bytes.get(start..start + B * self.degree)
    }
}

impl<const B: usize> Links for Packed<'_, B> {
    #[inline(always)]
    fn degree(&self) -> usize {
        self.degree
    }
    #[inline(always)]
    fn get(&self, node: u32) -> Option<impl Iterator<Item = u32>> {
        let number = |bytes: &[u8]| {
            let mut number = [0; 4];
            number[..B].copy_from_slice(bytes);
            u32::from_le_bytes(number)
        };
        let row = self.row(node)?;
        Some(row.chunks_exact(B).map(number).take_while(|node| *node != Self::NONE))
    }
    #[inline(always)]
    fn prefetch(&self, node: u32) {
        if let Some(row) = self.row(node) {
            prefetch(row);
        }
    }
}

/// Checks a node's links or code before they are read. An error ends the search.
pub(crate) trait Guard {
    type Error;
    fn links(&self, node: u32) -> Result<(), Self::Error>;
    fn code(&self, node: u32) -> Result<(), Self::Error>;
    /// Says that a link leads to a node that is not there.
    fn astray(&self) -> Self::Error;
}

/// Checks nothing, for a graph that was built in this process.
pub(crate) struct Trusted;

impl Guard for Trusted {
    type Error = Infallible;
    #[inline(always)]
    fn links(&self, _: u32) -> Result<(), Infallible> {
        Ok(())
    }
    #[inline(always)]
    fn code(&self, _: u32) -> Result<(), Infallible> {
        Ok(())
    }
    fn astray(&self) -> Infallible {
        unreachable!("a graph that is being built links to its own nodes")
    }
}

/// Which nodes may be found. The search also passes through the others, as they lead to more.
pub(crate) trait Filter<E> {
    /// Whether all are.
    const ALL: bool;
    fn keeps(&self, node: u32) -> Result<bool, E>;
}

/// Every node.
pub(crate) struct Everything;

impl<E> Filter<E> for Everything {
    const ALL: bool = true;
    fn keeps(&self, _: u32) -> Result<bool, E> {
        Ok(true)
    }
}

/// Those for which this is true.
pub(crate) struct Only<F>(pub(crate) F);

impl<E, F: Fn(u32) -> Result<bool, E>> Filter<E> for Only<F> {
    const ALL: bool = false;
    fn keeps(&self, node: u32) -> Result<bool, E> {
        self.0(node)
    }
}

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breadth {
    /// At most so many nodes are kept, and followed.
    width: usize,
    /// A node is skipped if its squared distance is more than `reach_1024 / 1024` times that of the
    /// `nearest`th best wanted node so far. So the search ends early where the best are much nearer
    /// than all others, and goes on where many are about as near (Al-Jazzazi et al., *Distance
    /// adaptive beam search*, 2025).
    nearest: usize,
    reach_1024: u64,
    /// How many wanted nodes a filtered search keeps. If the search fills its whole width, it must
    /// have found that many among the nodes of that width.
    wanted: usize,
}

impl Breadth {
    /// The `width` best nodes, however near they are.
    pub(crate) fn all_of(width: usize) -> Self {
        Self { width, nearest: width, reach_1024: 1024, wanted: width }
    }

    /// Nodes that are not farther than `reach` times the squared distance of the `nearest`th best,
    /// and at most `width` of them.
    pub(crate) fn within(reach: f64, nearest: usize, width: usize) -> Self {
        let nearest = nearest.min(width);
        Self { width, nearest, reach_1024: (reach.max(1.0) * 1024.0) as u64, wanted: width }
    }

    /// The same for a filtered search: one node in `rarity` passes, and at least `wanted` are kept.
    pub(crate) fn for_some(self, rarity: usize, wanted: usize) -> Self {
        let wanted = wanted.max(self.nearest);
        Self { width: self.width.max(wanted).saturating_mul(rarity), wanted, ..self }
    }

    /// At most so many nodes are followed.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The greatest distance that is of interest; `best` are those wanted, nearest first.
    #[inline(always)]
    fn bound(&self, pool: &[Entry], best: &[Entry]) -> u32 {
        let far = best.get(self.nearest - 1).map_or(u32::MAX, |entry| {
            let far = u64::from(entry.distance).saturating_mul(self.reach_1024) / 1024;
            u32::try_from(far).unwrap_or(u32::MAX)
        });
        pool.get(self.width - 1).map_or(far, |last| far.min(last.distance))
    }
}

/// A node of the pool. Ordered by distance, then node; the lowest bit of `node` says whether its
/// links were followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    distance: u32,
    node: u32,
}

/// Memory of a walk, kept for the next one.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) probe: Vec<i16>,
    /// For whoever makes the probe.
    pub(crate) turned: Vec<f32>,
    /// The best nodes so far, nearest first.
    pool: Vec<Entry>,
    /// Where not every node is wanted, the nearest of those that are.
    wanted: Vec<Entry>,
    seen: Seen,
    fresh: Vec<u32>,
    distances: Vec<u32>,
    /// Of the fresh those that are near enough.
    arriving: Vec<Entry>,
    /// Of a scan of sketches.
    pub(super) scan: ScanScratch,
    /// Codes and sketches compared since it was last set to zero.
    pub(crate) examined: u64,
}

impl Scratch {
    /// What the last walk met: squared distances of codes, and nodes, nearest first.
    pub(crate) fn found(&self) -> impl ExactSizeIterator<Item = (u32, u32)> {
        self.pool.iter().map(|entry| (entry.distance, entry.node >> 1))
    }

    /// The wanted nodes that a filtered search found, nearest first. `None` if the beam was too
    /// narrow for them, because other nodes filled it.
    pub(crate) fn wanted(&self, breadth: Breadth) -> Option<impl Iterator<Item = u32>> {
        let horizon = self.pool.get(breadth.width - 1).map_or(u32::MAX, |last| last.distance);
        let near = self.wanted.partition_point(|entry| entry.distance <= horizon);
        let enough = horizon == u32::MAX || near == breadth.wanted;
        enough.then(|| self.wanted[..near].iter().map(|entry| entry.node >> 1))
    }
}

/// The visited nodes: a bit for each node, and a list of the nodes whose bit is set.
#[derive(Default)]
struct Seen {
    words: Vec<u64>,
    nodes: Vec<u32>,
}

impl Seen {
    fn clear(&mut self, nodes: usize) {
        if self.nodes.len() > self.words.len() / 2 {
            self.words.fill(0);
            self.nodes.clear();
        }
        for node in self.nodes.drain(..) {
            self.words[node as usize / 64] = 0;
        }
        if self.words.len() < nodes.div_ceil(64) {
            self.words.resize(nodes.div_ceil(64), 0);
        }
    }

    /// Appends the nodes of a row of at most `room` links to `fresh`, except those seen before. A
    /// branch on that would often be mispredicted, so each node is written, and the end moves on or
    /// not. Returns false for a link beyond the bits; one beyond the nodes may go unnoticed.
    #[inline(always)]
    fn insert_row(
        &mut self,
        row: impl Iterator<Item = u32>,
        room: usize,
        fresh: &mut Vec<u32>,
    ) -> bool {
        let start = fresh.len();
        let mut len = start;
        let mut inside = true;
        fresh.resize(start + room, 0);
        for node in row {
            let Some(word) = self.words.get_mut(node as usize / 64) else {
                inside = false;
                break;
            };
            let bit = 1 << (node % 64);
            fresh[len] = node;
            len += usize::from(*word & bit == 0);
            *word |= bit;
        }
        fresh.truncate(len);
        // Noted at once: an error may end the walk anywhere, and the next one starts with a clean
        // slate.
        self.nodes.extend_from_slice(&fresh[start..]);
        inside
    }
}

/// Searches from `starts` until the best nodes seen, as many as `breadth` says, have no nearer
/// neighbours. [`Scratch::found`] then has these nodes, and some that are farther. `scratch.probe`
/// is the query. All node numbers are below `nodes`, and each has a code in `codes`.
///
/// Checksums say that a link is as it was written, not that it leads anywhere: one that does not
/// ends the walk with the guard's error.
pub(crate) fn walk<L: Links, G: Guard, F: Filter<G::Error>>(
    codes: Codes,
    links: L,
    nodes: usize,
    starts: impl IntoIterator<Item = u32>,
    breadth: Breadth,
    scratch: &mut Scratch,
    guard: &G,
    filter: &F,
) -> Result<(), G::Error> {
    let Scratch { probe, pool, wanted, seen, fresh, distances, arriving, examined, .. } = scratch;
    seen.clear(nodes);
    pool.clear();
    wanted.clear();
    fresh.clear();
    for start in starts {
        if !seen.insert_row(std::iter::once(start), 1, fresh) {
            return Err(guard.astray());
        }
    }
    let mut next = 0;
    loop {
        // Their links will be wanted soon, unless nearer ones are among the fresh.
        for entry in pool.iter().skip(next).filter(|entry| entry.node & 1 == 0).take(AT_ONCE) {
            links.prefetch(entry.node >> 1);
        }
        distances.clear();
        for node in fresh.iter() {
            guard.code(*node)?;
        }
        let bound = breadth.bound(pool, if F::ALL { pool } else { wanted });
        measure(probe, codes, fresh, bound, distances);
        *examined += fresh.len() as u64;
        // What may be followed next: its links are asked for at once.
        let front = pool.get(next + AT_ONCE - 1).map_or(u32::MAX, |entry| entry.distance);
        arriving.clear();
        for (node, distance) in fresh.iter().zip(distances.iter()) {
            if *distance > bound {
                continue;
            }
            arriving.push(Entry { distance: *distance, node: node << 1 });
            if *distance <= front {
                links.prefetch(*node);
            }
        }
        fresh.clear();
        arriving.sort_unstable();
        next = next.min(merge(pool, arriving, breadth.width));
        if !F::ALL {
            keep_wanted::<G::Error, F>(arriving, filter)?;
            merge(wanted, arriving, breadth.wanted);
        }
        let bound = breadth.bound(pool, if F::ALL { pool } else { wanted });
        let followed = follow(pool, &mut next, bound, links, seen, fresh, guard)?;
        for node in fresh.iter() {
            prefetch(codes.first_lines(*node).ok_or_else(|| guard.astray())?);
        }
        if followed == 0 {
            return Ok(());
        }
    }
}

/// How many nodes are followed before what they link to is looked at. More of them wait for memory
/// together; too many follow what a nearer one would have made needless.
const AT_ONCE: usize = 2;

/// Leaves those of the entries that are wanted, in their order. Fails where the filter does.
#[inline(always)]
fn keep_wanted<E, F: Filter<E>>(arriving: &mut Vec<Entry>, filter: &F) -> Result<(), E> {
    let mut kept = 0;
    for i in 0..arriving.len() {
        let entry = arriving[i];
        if filter.keeps(entry.node >> 1)? {
            arriving[kept] = entry;
            kept += 1;
        }
    }
    arriving.truncate(kept);
    Ok(())
}

/// Follows the next nodes of the pool, at most [`AT_ONCE`] and none beyond `bound`: marks them,
/// moves `next` behind them, and appends to `fresh` what they link to and was not seen before.
/// Returns how many were followed. Fails where the guard does or a link leads astray.
#[inline(always)]
fn follow<L: Links, G: Guard>(
    pool: &mut [Entry],
    next: &mut usize,
    bound: u32,
    links: L,
    seen: &mut Seen,
    fresh: &mut Vec<u32>,
    guard: &G,
) -> Result<usize, G::Error> {
    let mut followed = 0;
    while let Some(entry) = pool.get_mut(*next)
        && followed < AT_ONCE
        && entry.distance <= bound
    {
        *next += 1;
        if entry.node & 1 == 1 {
            continue;
        }
        entry.node |= 1;
        followed += 1;
        let node = entry.node >> 1;
        guard.links(node)?;
        let row = links.get(node).ok_or_else(|| guard.astray())?;
        if !seen.insert_row(row, links.degree(), fresh) {
            return Err(guard.astray());
        }
    }
    Ok(followed)
}

/// Merges sorted entries into the sorted pool and keeps the `width` nearest. Returns the place of
/// the first entry.
///
/// A wide pool has some ten thousand bytes. Inserting entries one by one would move half for each.
#[inline(always)]
fn merge(pool: &mut Vec<Entry>, arriving: &[Entry], width: usize) -> usize {
    let mut end = pool.len();
    pool.resize(end + arriving.len(), Entry { distance: 0, node: 0 });
    for (before, entry) in arriving.iter().enumerate().rev() {
        let place = pool[..end].partition_point(|other| other < entry);
        pool.copy_within(place..end, place + before + 1);
        pool[place + before] = *entry;
        end = place;
    }
    pool.truncate(width);
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Entry, merge};

    proptest! {
        #[test]
        fn merging_keeps_the_nearest_of_all(
            batches in prop::collection::vec(prop::collection::vec(0u32..40, 0..9), 0..9),
            width in 1usize..20,
        ) {
            let (mut pool, mut all, mut number) = (Vec::new(), Vec::new(), 0u32);
            for batch in batches {
                let mut arriving = Vec::new();
                for distance in batch {
                    // In no order, each once: the last bit is not the number's.
                    number += 1;
                    arriving.push(Entry { distance, node: (number * 37) % 101 * 2 });
                }
                arriving.sort_unstable();
                let first = arriving.first().copied();
                let place = merge(&mut pool, &arriving, width);
                all.extend(arriving);
                all.sort_unstable();
                prop_assert_eq!(&pool, &all[..all.len().min(width)]);
                let of_first = pool.iter().position(|entry| Some(*entry) == first);
                // Beyond the end where it was too far or there was none.
                prop_assert_eq!(of_first.unwrap_or(pool.len()), place.min(pool.len()));
                // What was pushed out is not seen again.
                all.truncate(width);
            }
        }
    }
}
