//! The full scan for many probes at once, as products of blocks.
//!
//! The squared distance is `|p|^2 + |x|^2 - 2 p x`, and the products of a block of rows with a
//! panel of probes are one small matrix product, which keeps its sums in registers and reads each
//! row once for all probes of the panel. **Trap:** that sum loses digits where the difference of
//! two vectors is small. What is offered are therefore bounds that the distance lies between;
//! whoever may be among the nearest by them is measured again, in `f64`.

use std::ops::Range;

use facesearch_core::approximate::{Panels, squared_length};
use facesearch_core::{GalleryError, squared_distance};
use rayon::prelude::*;

use super::{PART, STRIDE, Shortlist};
use crate::vectors::Vectors;

/// Probes that go through the rows together: their shortlists are a few megabytes a thread.
const TOGETHER: usize = 1 << 10;

/// Vectors with a greater squared length are measured in `f64` at once.
const HUGE: f32 = 1e30;

const LANES: usize = Panels::LANES;

/// For each of `probes` the `k` rows of `rows` nearest to it, as [`nearest`](super::nearest) has
/// them.
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
        let many = ManyProbes::new(probes, vectors.dim());
        let part = |start: u32| -> Result<Vec<Shortlist>, GalleryError> {
            let mut lists = many.lists(k);
            let end = rows.end.min(start.saturating_add(PART));
            for start in (start..end).step_by(STRIDE as usize) {
                let some = start..end.min(start.saturating_add(STRIDE));
                vectors.check(some.clone())?;
                many.offer(vectors.range(some.clone()), some.start, &mut lists);
            }
            Ok(lists)
        };
        let starts: Vec<u32> = rows.clone().step_by(PART as usize).collect();
        let lists = starts
            .into_par_iter()
            .map(part)
            .try_reduce_with(|a, b| Ok(a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect()));
        let lists = lists.unwrap_or_else(|| Ok(many.lists(k)))?;
        let finish = |(list, probe): (Shortlist, &&[f32])| {
            list.finish(|row| squared_distance(probe, vectors.get(row)))
        };
        found.par_extend(lists.into_par_iter().zip(probes).map(finish));
    }
    Ok(found)
}

/// Probes that rows are offered to.
pub(crate) struct ManyProbes {
    dim: usize,
    panels: Panels,
    /// How much of the squared lengths a distance may be off.
    slack: f32,
}

impl ManyProbes {
    pub(crate) fn new(probes: &[&[f32]], dim: usize) -> Self {
        let slack = (2 * dim + 32) as f32 * f32::EPSILON;
        Self { dim, panels: Panels::new(probes.iter().copied(), dim), slack }
    }

    /// An empty shortlist for each probe.
    pub(crate) fn lists(&self, k: usize) -> Vec<Shortlist> {
        vec![Shortlist::new(k, self.dim); self.panels.len()]
    }

    /// Offers rows, the first of which is number `first`, to every probe's shortlist.
    pub(crate) fn offer(&self, rows: &[f32], first: u32, lists: &mut [Shortlist]) {
        let squares: Vec<f32> = rows.chunks_exact(self.dim).map(squared_length).collect();
        for (panel, lists) in self.panels.iter().zip(lists.chunks_mut(LANES)) {
            let mut limits = [-1.0; LANES];
            limits.iter_mut().zip(&*lists).for_each(|(limit, list)| *limit = list.limit());
            panel.products(rows, |row, sums| {
                let of_row = squares[row];
                let both: [f32; LANES] = std::array::from_fn(|lane| panel.squares()[lane] + of_row);
                self.offer_row(first + row as u32, sums, &both, lists, &mut limits);
            });
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
        // Nearly always the row is too far from all probes: one branch finds that out for all.
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
