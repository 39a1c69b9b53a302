//! Which faces are near to each other: the k-nearest-neighbour graph.

use std::ops::Range;

use facesearch_core::approximate::{Panels, squared_length};
use facesearch_core::{Gallery, Row, TopK};
use rayon::prelude::*;

use crate::Faces;

/// Embeddings by row, all of one length.
pub trait Vectors: Sync {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The embedding of a row below [`len`](Self::len).
    fn vector(&self, row: usize) -> &[f32];
}

impl Vectors for Faces {
    fn len(&self) -> usize {
        Faces::len(self)
    }

    fn vector(&self, row: usize) -> &[f32] {
        Faces::vector(self, row)
    }
}

impl Vectors for &dyn Gallery {
    fn len(&self) -> usize {
        Gallery::len(*self)
    }

    fn vector(&self, row: usize) -> &[f32] {
        Gallery::vector(*self, Row(row as u32))
    }
}

/// For each row the rows nearest to it.
///
/// Distances are not kept: computing them again is cheap, and a graph from an index need not have
/// exact ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    k: usize,
    neighbours: Vec<u32>,
}

/// Rows in a block of the exact graph: two blocks of vectors fit the second-level cache.
const BLOCK: usize = 256;
/// Fills the places of a row that has fewer than `k` neighbours.
const NONE: u32 = u32::MAX;

impl Graph {
    /// A graph from a search index. `neighbours` is called once for each row, in order, and returns
    /// its nearest rows, nearest first. The row itself, rows out of range and rows beyond the first
    /// `k` are ignored.
    ///
    /// # Errors
    ///
    /// The first error of `neighbours`.
    pub(crate) fn from_index<E>(
        rows: usize,
        k: usize,
        mut neighbours: impl FnMut(usize) -> Result<Vec<u32>, E>,
    ) -> Result<Self, E> {
        let mut kept = vec![NONE; rows * k];
        for row in 0..rows {
            let near = neighbours(row)?.into_iter();
            let near = near.filter(|other| *other as usize != row && (*other as usize) < rows);
            for (place, other) in kept[row * k..][..k].iter_mut().zip(near) {
                *place = other;
            }
        }
        Ok(Self { k, neighbours: kept })
    }

    /// The exact graph of the `k` nearest rows, by comparing all pairs once. Of equal distances the
    /// smaller row comes first.
    ///
    /// - **Cost:** `12 k` bytes for each row. The result does not depend on the number of threads.
    /// - **Trap:** distances are computed from inner products ([`Panels`]), so two neighbours whose
    ///   distances differ by rounding only may change places. Where vectors lie thousands of times
    ///   farther from the origin than from each other, rounding is all that is left.
    pub fn exact(vectors: &(impl Vectors + ?Sized), k: usize) -> Self {
        let rows = vectors.len();
        let blocks: Vec<Range<usize>> =
            (0..rows).step_by(BLOCK).map(|from| from..(from + BLOCK).min(rows)).collect();
        let mut nearest: Vec<Vec<Nearest>> =
            blocks.iter().map(|block| vec![TopK::new(k); block.len()]).collect();
        let squares: Vec<f32> =
            (0..rows).into_par_iter().map(|row| squared_length(vectors.vector(row))).collect();
        for (number, range) in blocks.iter().enumerate() {
            let block = Block::new(vectors, &squares, range);
            let panels = block.panels();
            let bounds: Vec<u32> = nearest[number].iter().map(bound).collect();
            let (own, later) = nearest[number..].split_at_mut(1);
            compare_within(&block, &panels, &mut own[0]);
            // One thread compares with one later block. What the threads find for this block is
            // merged afterwards.
            let found: Vec<Vec<Nearest>> = later
                .par_iter_mut()
                .zip(&blocks[number + 1..])
                .fold(
                    || vec![TopK::new(k); range.len()],
                    |mut nearest_of_block, (nearest_of_later, later_range)| {
                        let later = Block::new(vectors, &squares, later_range);
                        let pair = BlockPair { block: &block, panels: &panels, later: &later };
                        pair.compare(&bounds, &mut nearest_of_block, nearest_of_later);
                        nearest_of_block
                    },
                )
                .collect();
            for (row, items) in found.into_iter().flat_map(|part| part.into_iter().enumerate()) {
                items.into_sorted().into_iter().for_each(|item| own[0][row].push(item));
            }
        }
        let mut neighbours = vec![NONE; rows * k];
        let sorted = nearest.into_iter().flatten().map(TopK::into_sorted);
        for (row, near) in sorted.enumerate() {
            for (place, (_, other)) in neighbours[row * k..][..k].iter_mut().zip(near) {
                *place = other;
            }
        }
        Self { k, neighbours }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.neighbours.len().checked_div(self.k).unwrap_or(0)
    }

    /// The neighbours of `row`.
    pub(crate) fn neighbours(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let near = &self.neighbours[row * self.k..][..self.k];
        near.iter().filter(|other| **other != NONE).map(|other| *other as usize)
    }
}

/// The nearest rows so far: squared distance, as bits that sort like it, and row. No root is taken,
/// because it would cost as much as the distance.
type Nearest = TopK<(u32, u32)>;

/// Consecutive rows that are compared with others at once.
struct Block<'a> {
    start: usize,
    numbers: Vec<f32>,
    squares: &'a [f32],
}

impl<'a> Block<'a> {
    /// `squares`: the squared lengths of all rows.
    fn new(vectors: &(impl Vectors + ?Sized), squares: &'a [f32], rows: &Range<usize>) -> Self {
        let numbers = concatenated(vectors, rows.clone());
        Self { start: rows.start, numbers, squares: &squares[rows.clone()] }
    }

    fn panels(&self) -> Panels {
        let dim = self.numbers.len() / self.squares.len();
        Panels::new(self.numbers.chunks_exact(dim), dim)
    }
}

/// The vectors of `rows`, one after another, as
/// [`Panel::products`](facesearch_core::approximate::Panel::products) takes them.
pub(super) fn concatenated(vectors: &(impl Vectors + ?Sized), rows: Range<usize>) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(rows.len() * vectors.vector(rows.start).len());
    rows.for_each(|row| numbers.extend_from_slice(vectors.vector(row)));
    numbers
}

const LANES: usize = Panels::LANES;

/// Compares the rows of `block`, which `panels` holds too, with each other.
fn compare_within(block: &Block, panels: &Panels, nearest: &mut [Nearest]) {
    for (panel, first) in panels.iter().zip((0..).step_by(LANES)) {
        panel.products(&block.numbers, |b, products| {
            for (a, product) in (first..b).zip(products) {
                let square = sortable(block.squares[a] + block.squares[b] - 2.0 * product);
                nearest[a].push((square, (block.start + b) as u32));
                nearest[b].push((square, (block.start + a) as u32));
            }
        });
    }
}

/// A block, which `panels` holds too, and one that comes after it.
struct BlockPair<'a> {
    block: &'a Block<'a>,
    panels: &'a Panels,
    later: &'a Block<'a>,
}

impl BlockPair<'_> {
    /// Compares each row of one with each row of the other. `bounds`: squared distances beyond
    /// which nothing is among the nearest of the rows of `block`.
    fn compare(
        &self,
        bounds: &[u32],
        nearest_of_block: &mut [Nearest],
        nearest_of_later: &mut [Nearest],
    ) {
        let Self { block, panels, later } = self;
        let lanes = panels.iter().zip(nearest_of_block.chunks_mut(LANES)).zip(bounds.chunks(LANES));
        for (((panel, nearest), bounds), first) in lanes.zip((block.start..).step_by(LANES)) {
            let mut limits = [0; LANES];
            let tighter = nearest.iter().map(bound).zip(bounds).map(|(new, old)| new.min(*old));
            limits.iter_mut().zip(tighter).for_each(|(limit, tighter)| *limit = tighter);
            panel.products(&later.numbers, |b, products| {
                let length = later.squares[b];
                let squares: [u32; LANES] = std::array::from_fn(|lane| {
                    sortable(panel.squares()[lane] + length - 2.0 * products[lane])
                });
                // Nearly always all are far. This finds out without a branch for each.
                let limit = bound(&nearest_of_later[b]);
                let is_any_near = squares
                    .iter()
                    .zip(&limits)
                    .fold(false, |any, (square, own)| any | (square <= own) | (*square <= limit));
                if !is_any_near {
                    return;
                }
                for (lane, nearest) in nearest.iter_mut().enumerate() {
                    if squares[lane] <= limits[lane] {
                        nearest.push((squares[lane], (later.start + b) as u32));
                        limits[lane] = limits[lane].min(bound(nearest));
                    }
                    if squares[lane] <= limit {
                        nearest_of_later[b].push((squares[lane], (first + lane) as u32));
                    }
                }
            });
        }
    }
}

/// Larger squared distances are not among the nearest any more.
fn bound(nearest: &Nearest) -> u32 {
    nearest.bound().map_or(u32::MAX, |(square, _)| *square)
}

/// The bits of a number that is not negative sort as the number does.
fn sortable(square: f32) -> u32 {
    square.max(0.0).to_bits()
}
