//! The full scan for many probes at once, as products of blocks.
//!
//! The squared distance is `|p|^2 + |x|^2 - 2 p x`, and the products of a block of rows with a panel of
//! probes are one small matrix product, which keeps its sums in registers and reads each row once for
//! all probes of the panel. **Trap:** that sum loses digits where the difference of two vectors is
//! small. What is offered are therefore bounds that the distance lies between; whoever may be among the
//! nearest by them is measured again, in `f64`.

use std::ops::Range;

use facesearch_core::{GalleryError, l2_squared_f64};
use rayon::prelude::*;

use super::{PART, STRIDE, Shortlist};
use crate::kernels::{LANES, ROWS, products};
use crate::vectors::Vectors;

/// Probes that go through the rows together: their shortlists are a few megabytes a thread.
const TOGETHER: usize = 1 << 10;

/// Vectors with a greater squared length are measured in `f64` at once.
const HUGE: f32 = 1e30;

/// For each of `probes` the `k` rows of `rows` nearest to it, as [`nearest`](super::nearest) has them.
///
/// # Errors
///
/// [`GalleryError::Corrupt`] where a row is not as it was written.
pub(crate) fn nearest_of_each(
    vectors: &Vectors,
    rows: Range<u32>,
    probes: &[&[f32]],
    k: usize,
) -> Result<Vec<Vec<(f64, u32)>>, GalleryError> {
    let mut found = Vec::with_capacity(probes.len());
    for probes in probes.chunks(TOGETHER) {
        let panels = Panels::new(probes, vectors.dim());
        let part = |start: u32| -> Result<Vec<Shortlist>, GalleryError> {
            let mut lists = panels.lists(k);
            let end = rows.end.min(start.saturating_add(PART));
            for start in (start..end).step_by(STRIDE as usize) {
                let some = start..end.min(start.saturating_add(STRIDE));
                vectors.check(some.clone())?;
                panels.offer(vectors.range(some.clone()), some.start, &mut lists);
            }
            Ok(lists)
        };
        let starts: Vec<u32> = rows.clone().step_by(PART as usize).collect();
        let lists = starts
            .into_par_iter()
            .map(part)
            .try_reduce_with(|a, b| Ok(a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect()));
        let lists = lists.unwrap_or_else(|| Ok(panels.lists(k)))?;
        let finish = |(list, probe): (Shortlist, &&[f32])| {
            list.finish(|row| l2_squared_f64(probe, vectors.get(row)))
        };
        found.par_extend(lists.into_par_iter().zip(probes).map(finish));
    }
    Ok(found)
}

/// Probes as the kernel wants them: of each [`LANES`] the numbers of one dimension after another.
pub(crate) struct Panels {
    dim: usize,
    count: usize,
    panels: Vec<f32>,
    /// Squared lengths, zero for those that only fill the last panel.
    squares: Vec<f32>,
    /// How much of the squared lengths a distance may be off.
    slack: f32,
}

impl Panels {
    pub(crate) fn new(probes: &[&[f32]], dim: usize) -> Self {
        let lanes = probes.len().next_multiple_of(LANES);
        let mut panels = vec![0.0; lanes * dim];
        let mut squares = vec![0.0; lanes];
        for (i, probe) in probes.iter().enumerate() {
            let panel = &mut panels[i / LANES * LANES * dim..][..LANES * dim];
            for (lane, x) in panel.chunks_exact_mut(LANES).zip(*probe) {
                lane[i % LANES] = *x;
            }
            squares[i] = square(probe);
        }
        let slack = (2 * dim + 32) as f32 * f32::EPSILON;
        Self { dim, count: probes.len(), panels, squares, slack }
    }

    /// An empty shortlist for each probe.
    pub(crate) fn lists(&self, k: usize) -> Vec<Shortlist> {
        vec![Shortlist::new(k, self.dim); self.count]
    }

    /// Offers rows, the first of which is number `first`, to every probe's shortlist.
    pub(crate) fn offer(&self, rows: &[f32], first: u32, lists: &mut [Shortlist]) {
        let squares: Vec<f32> = rows.chunks_exact(self.dim).map(square).collect();
        let mut padded = vec![0.0; ROWS * self.dim];
        let panels = self.panels.chunks_exact(LANES * self.dim).zip(self.squares.chunks(LANES));
        for ((panel, of_probes), lists) in panels.zip(lists.chunks_mut(LANES)) {
            let mut limits = [-1.0; LANES];
            limits.iter_mut().zip(&*lists).for_each(|(limit, list)| *limit = list.limit());
            let blocks = rows.chunks(ROWS * self.dim).zip(squares.chunks(ROWS));
            for ((block, of_rows), first) in blocks.zip((first..).step_by(ROWS)) {
                let whole = if of_rows.len() == ROWS {
                    block
                } else {
                    padded[..block.len()].copy_from_slice(block);
                    &padded
                };
                let mut sums = [[0.0; LANES]; ROWS];
                products(panel, whole, &mut sums);
                for ((sums, of_row), row) in sums.iter().zip(of_rows).zip(first..) {
                    let both: [f32; LANES] = std::array::from_fn(|lane| of_probes[lane] + of_row);
                    self.offer_row(row, sums, &both, lists, &mut limits);
                }
            }
        }
    }

    /// Offers one row to the probes of a panel, given its products with them and the sum of both
    /// squared lengths.
    #[inline(always)]
    fn offer_row(
        &self,
        row: u32,
        sums: &[f32; LANES],
        both: &[f32; LANES],
        lists: &mut [Shortlist],
        limits: &mut [f32; LANES],
    ) {
        let bound = |lane: usize, slack: f32| both[lane] * (1.0 + slack) - 2.0 * sums[lane];
        let low: [f32; LANES] = std::array::from_fn(|lane| {
            if both[lane] <= HUGE { bound(lane, -self.slack).max(0.0) } else { 0.0 }
        });
        // Nearly always all are far: that is found out without a branch for each.
        if !low.iter().zip(&*limits).fold(false, |any, (low, limit)| any | (low <= limit)) {
            return;
        }
        for (lane, list) in lists.iter_mut().enumerate() {
            if low[lane] <= limits[lane] {
                let is_huge = both[lane] > HUGE;
                let high = if is_huge { f32::INFINITY } else { bound(lane, self.slack).max(0.0) };
                list.offer_between(low[lane], high, row);
                limits[lane] = list.limit();
            }
        }
    }
}

fn square(v: &[f32]) -> f32 {
    v.iter().map(|x| x * x).sum()
}
