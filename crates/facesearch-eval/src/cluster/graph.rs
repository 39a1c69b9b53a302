//! Which faces are near to each other: the k-nearest-neighbour graph.

use std::ops::Range;

use facesearch_core::{Gallery, Row, TopK};
use ndarray::{Array2, ArrayView1};
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
    /// Blocks of rows are compared by matrix products, `|a - b|² = |a|² + |b|² - 2 a·b`, so two
    /// neighbours whose distances differ by rounding only may change places. Memory is `12 k`
    /// bytes a row, and the result does not depend on the number of threads.
    pub fn exact(vectors: &(impl Vectors + ?Sized), k: usize) -> Self {
        let rows = vectors.len();
        let blocks: Vec<Range<usize>> =
            (0..rows).step_by(BLOCK).map(|from| from..(from + BLOCK).min(rows)).collect();
        let mut nearest: Vec<Vec<Nearest>> =
            blocks.iter().map(|block| vec![TopK::new(k); block.len()]).collect();
        for (number, block) in blocks.iter().enumerate() {
            let one = Block::new(vectors, block);
            let (own, later) = nearest[number..].split_at_mut(1);
            within(&one, &mut own[0]);
            // Each later block is one thread's; what it finds for this block is joined after.
            let found: Vec<Vec<Nearest>> = later
                .par_iter_mut()
                .zip(&blocks[number + 1..])
                .fold(
                    || vec![TopK::new(k); block.len()],
                    |mut of_one, (of_other, other)| {
                        let other = Block::new(vectors, other);
                        between(&one, &other, &mut of_one, of_other);
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

/// Some rows as a matrix, with their squared lengths.
struct Block {
    start: usize,
    matrix: Array2<f32>,
    squares: Vec<f32>,
}

impl Block {
    fn new(vectors: &(impl Vectors + ?Sized), rows: &Range<usize>) -> Self {
        let dim = vectors.vector(rows.start).len();
        let mut matrix = Array2::zeros((rows.len(), dim));
        for (mut place, row) in matrix.rows_mut().into_iter().zip(rows.clone()) {
            place.assign(&ArrayView1::from(vectors.vector(row)));
        }
        let squares = matrix.rows().into_iter().map(|row| row.dot(&row)).collect();
        Self { start: rows.start, matrix, squares }
    }
}

/// Compares the rows of a block with each other.
fn within(block: &Block, nearest: &mut [Nearest]) {
    let products = block.matrix.dot(&block.matrix.t());
    for ((a, b), product) in products.indexed_iter().filter(|((a, b), _)| a < b) {
        let square = order(block.squares[a] + block.squares[b] - 2.0 * product);
        nearest[a].push((square, (block.start + b) as u32));
        nearest[b].push((square, (block.start + a) as u32));
    }
}

/// Compares the rows of two blocks.
fn between(one: &Block, other: &Block, of_one: &mut [Nearest], of_other: &mut [Nearest]) {
    let products = one.matrix.dot(&other.matrix.t());
    for (a, (products, nearest)) in products.rows().into_iter().zip(of_one).enumerate() {
        let columns = products.into_iter().zip(&other.squares).zip(of_other.iter_mut());
        for (b, ((product, length), of_other)) in columns.enumerate() {
            let square = order(one.squares[a] + length - 2.0 * product);
            nearest.push((square, (other.start + b) as u32));
            of_other.push((square, (one.start + a) as u32));
        }
    }
}

/// The bits of a number that is not negative sort as the number does.
fn order(square: f32) -> u32 {
    square.max(0.0).to_bits()
}
