//! Which faces are near to each other: the k-nearest-neighbour graph.

use std::ops::Range;

use facesearch_core::{Gallery, Panels, Row, TopK, squared_length};
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

/// For each row the rows near to it. Distances are not kept: they are cheap to compute again, and
/// who brings a graph need not have exact ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    k: usize,
    neighbours: Vec<u32>,
}

/// Rows in a block of the exact graph: two blocks of vectors fit the second-level cache.
const BLOCK: usize = 256;
/// Stands where a row has fewer than `k` neighbours.
const NONE: u32 = u32::MAX;

impl Graph {
    /// A graph from an index: `neighbours` is asked for the `k` nearest rows of each row, in turn;
    /// itself among them, rows out of range and more than `k` are passed over.
    ///
    /// # Errors
    ///
    /// The first error of `neighbours`.
    pub fn from_index<E>(
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

    /// The graph by comparing all pairs once; of equal distances the smaller row.
    ///
    /// Blocks of rows are compared by products ([`Panels`]), so two neighbours whose distances differ
    /// by rounding only may change places. **Trap:** where vectors lie thousands of times farther from
    /// the origin than from each other, rounding is all that is left. Memory is `12 k` bytes a row,
    /// and the result does not depend on the number of threads.
    pub fn exact(vectors: &(impl Vectors + ?Sized), k: usize) -> Self {
        let rows = vectors.len();
        let blocks: Vec<Range<usize>> =
            (0..rows).step_by(BLOCK).map(|from| from..(from + BLOCK).min(rows)).collect();
        let mut nearest: Vec<Vec<Nearest>> =
            blocks.iter().map(|block| vec![TopK::new(k); block.len()]).collect();
        let squares: Vec<f32> =
            (0..rows).into_par_iter().map(|row| squared_length(vectors.vector(row))).collect();
        for (number, block) in blocks.iter().enumerate() {
            let one = Block::new(vectors, &squares, block);
            let panels = one.panels();
            let bounds: Vec<u32> = nearest[number].iter().map(bound).collect();
            let (own, later) = nearest[number..].split_at_mut(1);
            within(&one, &panels, &mut own[0]);
            // Each later block is one thread's; what it finds for this block is joined after.
            let found: Vec<Vec<Nearest>> = later
                .par_iter_mut()
                .zip(&blocks[number + 1..])
                .fold(
                    || vec![TopK::new(k); block.len()],
                    |mut of_one, (of_other, other)| {
                        let other = Block::new(vectors, &squares, other);
                        between(&one, &panels, &bounds, &other, &mut of_one, of_other);
                        of_one
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
    pub fn rows(&self) -> usize {
        self.neighbours.len().checked_div(self.k).unwrap_or(0)
    }

    /// The neighbours of `row`.
    pub fn neighbours(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let near = &self.neighbours[row * self.k..][..self.k];
        near.iter().filter(|other| **other != NONE).map(|other| *other as usize)
    }
}

/// Squared distance, as bits that sort like it, and row. No root is taken: it would cost as much
/// as the distance.
type Nearest = TopK<(u32, u32)>;

/// Rows that are compared with others at once.
struct Block<'a> {
    start: usize,
    numbers: Vec<f32>,
    squares: &'a [f32],
}

impl<'a> Block<'a> {
    /// `squares`: the squared lengths of all rows.
    fn new(vectors: &(impl Vectors + ?Sized), squares: &'a [f32], rows: &Range<usize>) -> Self {
        let numbers = one_after_another(vectors, rows.clone());
        Self { start: rows.start, numbers, squares: &squares[rows.clone()] }
    }

    /// Side by side.
    fn panels(&self) -> Panels {
        let dim = self.numbers.len() / self.squares.len();
        Panels::new(self.numbers.chunks_exact(dim), dim)
    }
}

/// The numbers of some rows as [`Panel::products`](facesearch_core::Panel::products) takes them.
pub(super) fn one_after_another(vectors: &(impl Vectors + ?Sized), rows: Range<usize>) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(rows.len() * vectors.vector(rows.start).len());
    rows.for_each(|row| numbers.extend_from_slice(vectors.vector(row)));
    numbers
}

const LANES: usize = Panels::LANES;

/// Compares the rows of a block, which are in `panels` too, with each other.
fn within(block: &Block, panels: &Panels, nearest: &mut [Nearest]) {
    for (panel, first) in panels.iter().zip((0..).step_by(LANES)) {
        panel.products(&block.numbers, |b, products| {
            for (a, product) in (first..b).zip(products) {
                let square = order(block.squares[a] + block.squares[b] - 2.0 * product);
                nearest[a].push((square, (block.start + b) as u32));
                nearest[b].push((square, (block.start + a) as u32));
            }
        });
    }
}

/// Compares the rows of a block, which are in `panels`, with those of another. Nothing beyond `bounds`
/// can be among the nearest of the former.
fn between(
    one: &Block,
    panels: &Panels,
    bounds: &[u32],
    other: &Block,
    of_one: &mut [Nearest],
    of_other: &mut [Nearest],
) {
    let lanes = panels.iter().zip(of_one.chunks_mut(LANES)).zip(bounds.chunks(LANES));
    for (((panel, of_one), bounds), first) in lanes.zip((one.start..).step_by(LANES)) {
        let mut limits = [0; LANES];
        let both = of_one.iter().map(bound).zip(bounds).map(|(found, before)| found.min(*before));
        limits.iter_mut().zip(both).for_each(|(limit, both)| *limit = both);
        panel.products(&other.numbers, |b, products| {
            let length = other.squares[b];
            let squares: [u32; LANES] = std::array::from_fn(|lane| {
                order(panel.squares()[lane] + length - 2.0 * products[lane])
            });
            // Nearly always all are far: that is found out without a branch for each.
            let limit = bound(&of_other[b]);
            let near = squares
                .iter()
                .zip(&limits)
                .fold(false, |any, (square, of_one)| any | (square <= of_one) | (*square <= limit));
            if !near {
                return;
            }
            for (lane, nearest) in of_one.iter_mut().enumerate() {
                if squares[lane] <= limits[lane] {
                    nearest.push((squares[lane], (other.start + b) as u32));
                    limits[lane] = limits[lane].min(bound(nearest));
                }
                if squares[lane] <= limit {
                    of_other[b].push((squares[lane], (first + lane) as u32));
                }
            }
        });
    }
}

/// Squares beyond this are not taken any more.
fn bound(nearest: &Nearest) -> u32 {
    nearest.bound().map_or(u32::MAX, |(square, _)| *square)
}

/// The bits of a number that is not negative sort as the number does.
fn order(square: f32) -> u32 {
    square.max(0.0).to_bits()
}
