//! Products of many vectors with many rows.

use crate::kernels::{LANES, ROWS, products};

/// Vectors laid side by side, so that a row is read once for all of a [`Panel`]: of each
/// [`LANES`](Panels::LANES) vectors the numbers of one dimension after those of another.
///
/// With squared lengths, products give squared distances, `|a|² + |b|² - 2 a·b`, several times as
/// fast as differences do. **Trap:** that sum loses digits where two vectors are near, and a vector
/// is not at exactly 0 from itself; no distance that anybody is told comes from here.
#[derive(Debug, Clone)]
pub struct Panels {
    dim: usize,
    count: usize,
    numbers: Vec<f32>,
    squares: Vec<f32>,
}

impl Panels {
    /// How many vectors a panel has.
    pub const LANES: usize = LANES;

    /// Of `vectors`, each of `dim` numbers. Panics where one has more.
    pub fn new<'a>(vectors: impl ExactSizeIterator<Item = &'a [f32]>, dim: usize) -> Self {
        let count = vectors.len();
        let lanes = count.next_multiple_of(LANES);
        let (mut numbers, mut squares) = (vec![0.0; lanes * dim], vec![0.0; lanes]);
        for (i, vector) in vectors.enumerate() {
            assert_eq!(vector.len(), dim, "a vector of another dimension");
            let panel = &mut numbers[i / LANES * LANES * dim..][..LANES * dim];
            for (of_dimension, x) in panel.chunks_exact_mut(LANES).zip(vector) {
                of_dimension[i % LANES] = *x;
            }
            squares[i] = squared_length(vector);
        }
        Self { dim, count, numbers, squares }
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The panels in order; the last may have lanes of zeros behind the last vector.
    pub fn iter(&self) -> impl Iterator<Item = Panel<'_>> {
        let numbers = self.numbers.chunks_exact((LANES * self.dim).max(1));
        let squares = self.squares.as_chunks::<LANES>().0;
        numbers.zip(squares).map(|(numbers, squares)| Panel { dim: self.dim, numbers, squares })
    }
}

/// [`Panels::LANES`] vectors side by side.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    dim: usize,
    numbers: &'a [f32],
    squares: &'a [f32; LANES],
}

impl<'a> Panel<'a> {
    /// The vectors' squared lengths.
    pub fn squares(&self) -> &'a [f32; LANES] {
        self.squares
    }

    /// Calls `each` with the number of each row in `rows`, which lie one after another, and its
    /// products with the vectors. The products of a row do not depend on the rows beside it.
    #[inline]
    pub fn products(&self, rows: &[f32], mut each: impl FnMut(usize, &[f32; LANES])) {
        let mut padded = Vec::new();
        for (block, first) in rows.chunks(ROWS * self.dim).zip((0..).step_by(ROWS)) {
            let there = block.len() / self.dim;
            let whole = if there == ROWS {
                block
            } else {
                padded.extend_from_slice(block);
                padded.resize(ROWS * self.dim, 0.0);
                &padded
            };
            let mut sums = [[0.0; LANES]; ROWS];
            products(self.numbers, whole, &mut sums);
            (first..).zip(&sums[..there]).for_each(|(row, sums)| each(row, sums));
        }
    }
}

/// The squared length of a vector, summed in order.
pub fn squared_length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn every_vector_meets_every_row(
            (dim, vectors, rows) in (1usize..20).prop_flat_map(|dim| {
                let some = || vec(vec(-1f32..1.0, dim), 0..70);
                (Just(dim), some(), some())
            }),
        ) {
            let panels = Panels::new(vectors.iter().map(Vec::as_slice), dim);
            prop_assert_eq!(panels.len(), vectors.len());
            let mut met = 0;
            for (panel, vectors) in panels.iter().zip(vectors.chunks(LANES)) {
                for (square, vector) in panel.squares().iter().zip(vectors) {
                    prop_assert_eq!(*square, squared_length(vector));
                }
                panel.products(&rows.concat(), |row, sums| {
                    for (sum, vector) in sums.iter().zip(vectors) {
                        let want: f32 = vector.iter().zip(&rows[row]).map(|(a, b)| a * b).sum();
                        assert!((sum - want).abs() < 1e-5);
                        met += 1;
                    }
                });
            }
            prop_assert_eq!(met, vectors.len() * rows.len());
        }
    }
}
