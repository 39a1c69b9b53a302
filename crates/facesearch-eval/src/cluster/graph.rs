//! Which faces are near to each other: the k-nearest-neighbour graph.

use facesearch_core::{Gallery, Row, TopK, l2_squared};
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

    /// The exact graph by comparing all pairs once, block by block; of equal distances the smaller
    /// row. Memory is `12 k` bytes a row, and the result does not depend on the threads.
    pub fn exact(vectors: &(impl Vectors + ?Sized), k: usize) -> Self {
        let rows = vectors.len();
        let blocks: Vec<std::ops::Range<usize>> =
            (0..rows).step_by(BLOCK).map(|from| from..(from + BLOCK).min(rows)).collect();
        let mut nearest: Vec<Vec<Nearest>> =
            blocks.iter().map(|block| vec![TopK::new(k); block.len()]).collect();
        for one in 0..blocks.len() {
            let (own, later) = nearest[one..].split_at_mut(1);
            compare_within(vectors, &blocks[one], &mut own[0]);
            // Each later block is one thread's; what it finds for this block is joined after.
            let found: Vec<Vec<Nearest>> = later
                .par_iter_mut()
                .zip(&blocks[one + 1..])
                .fold(
                    || vec![TopK::new(k); blocks[one].len()],
                    |mut own, (other, block)| {
                        compare(vectors, &blocks[one], block, &mut own, other);
                        own
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

/// The bits of a number that is not negative sort as the number does.
fn order(square: f32) -> u32 {
    square.max(0.0).to_bits()
}

fn compare_within(
    vectors: &(impl Vectors + ?Sized),
    block: &std::ops::Range<usize>,
    nearest: &mut [Nearest],
) {
    for a in block.clone() {
        for b in a + 1..block.end {
            let square = order(l2_squared(vectors.vector(a), vectors.vector(b)));
            nearest[a - block.start].push((square, b as u32));
            nearest[b - block.start].push((square, a as u32));
        }
    }
}

fn compare(
    vectors: &(impl Vectors + ?Sized),
    one: &std::ops::Range<usize>,
    other: &std::ops::Range<usize>,
    of_one: &mut [Nearest],
    of_other: &mut [Nearest],
) {
    for a in one.clone() {
        let vector = vectors.vector(a);
        for b in other.clone() {
            let square = order(l2_squared(vector, vectors.vector(b)));
            of_one[a - one.start].push((square, b as u32));
            of_other[b - other.start].push((square, a as u32));
        }
    }
}
