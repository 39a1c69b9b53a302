//! The full scan: measures every row, and so never misses one.

mod batch;
#[cfg(test)]
mod tests;

pub(crate) use batch::{ManyProbes, nearest_of_each};

use std::collections::BinaryHeap;
use std::ops::Range;

use facesearch_core::approximate::l2_squared;
use facesearch_core::{GalleryError, Row, RowSet, squared_distance};
use rayon::prelude::*;

use crate::vectors::Vectors;

/// Rows that one thread scans at a time; fewer than two such parts are not worth a second thread.
const PART: u32 = 1 << 15;

/// Rows whose checksums are looked at together.
const STRIDE: u32 = 1 << 9;

/// Returns the `k` rows nearest to `probe` of those in `rows` (and in `among`, where that is
/// given): distance ascending, then row ascending.
///
/// Equal, ties included, to measuring in `f64` and sorting: `f32` only decides which rows are
/// measured so. The distances returned are squared.
///
/// # Errors
///
/// [`GalleryError::Corrupt`] where a row is not as it was written.
pub(crate) fn nearest(
    vectors: &Vectors,
    rows: Range<u32>,
    among: Option<&RowSet>,
    probe: &[f32],
    k: usize,
) -> Result<Vec<(f64, u32)>, GalleryError> {
    let parts: Vec<Range<u32>> = rows
        .clone()
        .step_by(PART as usize)
        .map(|at| at..rows.end.min(at.saturating_add(PART)))
        .collect();
    let scan = |part: Range<u32>| -> Result<Shortlist, GalleryError> {
        let mut list = Shortlist::new(k, probe.len());
        if let Some(among) = among {
            for Row(row) in among.within(part) {
                vectors.check(row..row + 1)?;
                list.offer(l2_squared(probe, vectors.get(row)), row);
            }
            return Ok(list);
        }
        for start in part.clone().step_by(STRIDE as usize) {
            let stride = start..part.end.min(start.saturating_add(STRIDE));
            vectors.check(stride.clone())?;
            let block = vectors.range(stride.clone());
            for (row, vector) in stride.zip(block.chunks_exact(probe.len())) {
                list.offer(l2_squared(probe, vector), row);
            }
        }
        Ok(list)
    };
    let empty = Shortlist::new(k, probe.len());
    let list = if parts.len() < 2 {
        parts.into_iter().next().map_or(Ok(empty), scan)?
    } else {
        parts.into_par_iter().map(scan).try_reduce(|| empty.clone(), |a, b| Ok(a.merge(b)))?
    };
    Ok(list.finish(|row| squared_distance(probe, vectors.get(row))))
}

/// The rows that may be among the nearest `k`, given that `f32` distances are only nearly right.
#[derive(Clone)]
pub(crate) struct Shortlist {
    k: usize,
    /// One plus the largest relative rounding error of a distance.
    slack: f32,
    /// Bits of the `k` smallest distances: those of floats that are not negative order as they do.
    smallest: BinaryHeap<u32>,
    /// No row farther than this can be among the nearest.
    limit: f32,
    rows: Vec<(f32, u32)>,
    /// How many rows to gather before those beyond the limit are dropped.
    room: usize,
}

impl Shortlist {
    pub(crate) fn new(k: usize, dim: usize) -> Self {
        Self {
            k,
            slack: 1.0 + (dim + 16) as f32 * f32::EPSILON,
            smallest: BinaryHeap::with_capacity(k.min(1 << 12)),
            limit: if k == 0 { -1.0 } else { f32::INFINITY },
            rows: Vec::new(),
            room: 1 << 10,
        }
    }

    #[inline]
    pub(crate) fn offer(&mut self, distance: f32, row: u32) {
        if distance <= self.limit {
            self.take(distance, distance, row);
        }
    }

    /// Offers a row whose distance lies between two bounds.
    pub(crate) fn offer_between(&mut self, low: f32, high: f32, row: u32) {
        if low <= self.limit {
            self.take(low, high, row);
        }
    }

    /// No row farther than this is among the nearest.
    pub(crate) fn limit(&self) -> f32 {
        self.limit
    }

    fn take(&mut self, low: f32, high: f32, row: u32) {
        self.rows.push((low, row));
        self.tighten(high.to_bits());
        if self.rows.len() >= self.room {
            self.drop_far();
            self.room = (2 * self.rows.len()).max(1 << 10);
        }
    }

    /// Counts one distance more among the smallest.
    fn tighten(&mut self, bits: u32) {
        if self.smallest.len() < self.k {
            self.smallest.push(bits);
        } else if let Some(mut worst) = self.smallest.peek_mut()
            && bits < *worst
        {
            *worst = bits;
        }
        if self.smallest.len() == self.k
            && let Some(worst) = self.smallest.peek()
        {
            // What underflowed to less than its true distance is within the addend.
            self.limit = f32::from_bits(*worst) * self.slack + 1e-30;
        }
    }

    fn drop_far(&mut self) {
        self.rows.retain(|(distance, _)| *distance <= self.limit);
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        other.smallest.into_iter().for_each(|bits| self.tighten(bits));
        self.rows.extend(other.rows);
        self.drop_far();
        self
    }

    /// The rows that may be among the nearest.
    pub(crate) fn rows(mut self) -> impl Iterator<Item = u32> {
        self.drop_far();
        self.rows.into_iter().map(|(_, row)| row)
    }

    fn finish(mut self, measure: impl Fn(u32) -> f64) -> Vec<(f64, u32)> {
        self.drop_far();
        let mut rows: Vec<_> = self.rows.iter().map(|(_, row)| (measure(*row), *row)).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        rows.truncate(self.k);
        rows
    }
}
