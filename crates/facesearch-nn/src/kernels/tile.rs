//! The register tile: a few rows of numbers times a panel of weights.
//!
//! Every layer that multiplies uses it. A *row* is what one output pixel reads: several runs of
//! contiguous numbers. A *panel* holds the weights of up to four vectors of output channels. A tile
//! of `MR` rows by `NR` vectors keeps `MR * NR` sums in registers until they are complete. In each
//! step it loads `NR` vectors of weights and broadcasts `MR` numbers.
//!
//! A sum adds in the same order in every tile, so a result does not depend on its neighbours.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

mod epilogue;
mod panel;
mod prefetch;
mod rows;

use super::Simd;
pub(crate) use epilogue::{Epilogue, FusedActivation, Residual, SLACK};
pub(crate) use panel::{Panel, Source, fill_panels, split_panels};
pub(super) use prefetch::{CacheLines, Prefetch};
pub(crate) use rows::{Destination, Line, Row, Rows};
pub(super) use rows::{MapRows, RowPlaces, TileRows};

/// How a row is read: runs of `run` numbers, which begin at these distances from its first one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runs<'a> {
    pub(super) starts: &'a [usize],
    pub(super) run: usize,
}

/// Rows and the panel that multiplies them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(super) input: *const f32,
    /// How many rows.
    pub(super) count: usize,
    pub(super) runs: Runs<'a>,
    pub(super) weights: *const f32,
    pub(super) panel: &'a Panel,
    pub(super) output: *mut f32,
    pub(super) to: Destination<'a>,
}

/// Calls `$multiply`, which is compiled for each number of vectors, with those of the panel. All
/// tiles in one function take the compiler many times as long.
macro_rules! by_vectors {
    ($product:ident, $multiply:ident) => {
        match $product.panel.vectors {
            1 => $multiply::<1>($product),
            2 => $multiply::<2>($product),
            3 => $multiply::<3>($product),
            _ => $multiply::<4>($product),
        }
    };
}
pub(super) use by_vectors;

/// Multiplies rows with a panel of `NR` vectors. The body of [`Simd::multiply`], which is compiled
/// once for each kind of vector and each `NR`.
///
/// # Safety
///
/// The CPU must have `S`'s instructions. For each of the `count` rows: from `input + row.input`
/// every run must be readable. From `output + row.output + panel.first` there must be room for the
/// panel's channels, in a plane for all its vectors. The residual must be readable from
/// `row.residual + panel.first`, as far as its channels go. `weights` must hold the panel's weights
/// for a whole row, the panel must have `NR` vectors (4 where it is more than 3), and the epilogue
/// must have been checked for the output's channels.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, const NR: usize>(product: Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe {
        match product.to {
            Destination::Plane(line) => tiles::<S, NR>(&product, line),
            Destination::Map(rows, epilogue) => {
                tiles::<S, NR>(&product, MapRows(rows.clone(), epilogue))
            }
        }
    }
}

/// All tiles of a product.
///
/// # Safety
///
/// As for [`multiply`].
#[inline(always)]
unsafe fn tiles<S: Simd, const NR: usize>(product: &Product<'_>, rows: impl TileRows) {
    let mut rows = rows;
    let Product { weights, runs, .. } = *product;
    let row_len = runs.starts.len() * runs.run;
    let mut prefetch = Prefetch::new(weights, row_len * NR * S::LANES);
    macro_rules! sweep {
        ($vectors:literal, $max:expr, [$($rows:literal)*]) => {{
            let mut left = product.count;
            while left > 0 {
                let size = next_tile(left, $max);
                let lines = prefetch.take(row_len);
                match size {
                    // SAFETY: what this function's caller promises.
                    $($rows => unsafe {
                        tile::<S, $rows, $vectors>(product, &mut rows, lines)
                    },)*
                    _ => unreachable!("next_tile returns only sizes that are listed"),
                }
                left -= size;
            }
        }};
    }
    let many = S::MANY_REGISTERS;
    match NR {
        1 => sweep!(1, if many { 12 } else { 8 }, [1 2 3 4 5 6 7 8 9 10 11 12]),
        2 => sweep!(2, if many { 12 } else { 6 }, [1 2 3 4 5 6 7 8 9 10 11 12]),
        3 => sweep!(3, 8, [1 2 3 4 5 6 7 8]),
        _ => sweep!(4, 6, [1 2 3 4 5 6]),
    }
}

/// How many rows the next tile takes when `left` rows are left. There are as few tiles as possible,
/// and they differ by one row at most.
#[inline(always)]
pub(super) fn next_tile(left: usize, max: usize) -> usize {
    left.div_ceil(left.div_ceil(max))
}

/// One tile.
///
/// # Safety
///
/// As for [`multiply`], for the next `MR` rows.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NR: usize>(
    product: &Product<'_>,
    rows: &mut impl TileRows,
    lines: CacheLines,
) {
    let Product { input, runs, weights, panel, output, .. } = *product;
    let at = rows.take::<MR>();
    let epilogue = rows.epilogue();
    let mut from = [input; MR];
    for m in 0..MR {
        // SAFETY: the caller promises that the row begins inside the input.
        from[m] = unsafe { input.add(at.row(m).input) };
    }
    // SAFETY: the caller promises the instructions. The bias reaches `SLACK` numbers beyond the
    // last channel, hence over all `NR <= 4` vectors of a panel that begins at a channel.
    let mut sums = unsafe {
        let mut bias = [S::splat(0.0); NR];
        if let Some(epilogue) = epilogue {
            for (n, b) in bias.iter_mut().enumerate() {
                *b = S::load(epilogue.bias.as_ptr().add(panel.first + n * S::LANES));
            }
        }
        [bias; MR]
    };
    // SAFETY: the caller promises the weights and every run of these rows.
    unsafe { accumulate::<S, MR, NR>(&from, runs, weights, lines, &mut sums) };
    // SAFETY: what the caller promises.
    unsafe { finish::<S, MR, NR>(sums, at, panel, output, epilogue) };
}

/// Stores the sums of a tile. With an epilogue, the sums include the bias already; adds the
/// residual and activates them first.
///
/// # Safety
///
/// As for [`multiply`], for the output of these rows.
#[inline(always)]
pub(super) unsafe fn finish<S: Simd, const MR: usize, const NR: usize>(
    sums: [[S::V; NR]; MR],
    at: impl RowPlaces,
    panel: &Panel,
    output: *mut f32,
    epilogue: Option<&Epilogue<'_>>,
) {
    let mut sums = sums;
    let Some(epilogue) = epilogue else {
        for m in 0..MR {
            for n in 0..NR {
                let to = at.row(m).output + panel.first + n * S::LANES;
                // SAFETY: the caller promises room for the panel's vectors.
                unsafe { S::store(output.add(to), sums[m][n]) };
            }
        }
        return;
    };
    let end = panel.first + NR * S::LANES;
    let reaches = |residual: &Residual<'_>| residual.map.channels >= end;
    if panel.channels == NR * S::LANES && epilogue.residual.as_ref().is_none_or(reaches) {
        // The common case: all vectors are whole, so each decision is taken once.
        // SAFETY: the caller promises the instructions and room for the panel's channels in the
        // output. They are whole vectors, and the residual has all of them, as just checked.
        unsafe {
            if let Some(residual) = &epilogue.residual {
                for m in 0..MR {
                    let from = residual.data.as_ptr().add(at.row(m).residual + panel.first);
                    for n in 0..NR {
                        sums[m][n] = S::add(sums[m][n], S::load(from.add(n * S::LANES)));
                    }
                }
            }
            epilogue.activate_all::<S, MR, NR>(&mut sums, panel.first);
            for m in 0..MR {
                let to = output.add(at.row(m).output + panel.first);
                for n in 0..NR {
                    S::store(to.add(n * S::LANES), sums[m][n]);
                }
            }
        }
        return;
    }
    // Through memory here, so that the common case above can keep its sums in registers.
    let mut kept = [[0.0f32; SLACK]; MR];
    for m in 0..MR {
        for n in 0..NR {
            // SAFETY: the caller promises the instructions; `NR <= 4` vectors of at most 16 lanes
            // fit into `SLACK` numbers.
            unsafe { S::store(kept[m].as_mut_ptr().add(n * S::LANES), sums[m][n]) };
        }
    }
    for (m, kept) in kept.iter().enumerate() {
        for n in 0..NR {
            let channel = panel.first + n * S::LANES;
            let lanes = panel.channels.saturating_sub(n * S::LANES);
            // SAFETY: the caller promises room for the panel's channels in the output, and the
            // residual's own channels in the residual. `load_up_to` and `store_up_to` touch no
            // other lane.
            unsafe {
                let mut v = S::load(kept.as_ptr().add(n * S::LANES));
                if let Some(residual) = &epilogue.residual {
                    let has = residual.map.channels.saturating_sub(channel).min(lanes);
                    if has > 0 {
                        let from = residual.data.as_ptr().add(at.row(m).residual + channel);
                        v = S::add(v, S::load_up_to(from, has));
                    }
                }
                v = epilogue.activate::<S>(v, channel);
                S::store_up_to(output.add(at.row(m).output + channel), v, lanes);
            }
        }
    }
}

/// Adds the products of whole rows to the sums.
///
/// # Safety
///
/// The CPU must have `S`'s instructions; from each of `from` every run must be readable, and
/// `weights` must hold `NR * LANES` numbers for each number of a row.
#[inline(always)]
unsafe fn accumulate<S: Simd, const MR: usize, const NR: usize>(
    from: &[*const f32; MR],
    runs: Runs<'_>,
    weights: *const f32,
    lines: CacheLines,
    sums: &mut [[S::V; NR]; MR],
) {
    let (mut weights, mut lines) = (weights, lines);
    let mut local = *sums;
    for &start in runs.starts {
        for k in start..start + runs.run {
            // SAFETY: `k` is inside the run, so each row has a number there. The weights of this
            // number are the next `NR` vectors.
            unsafe {
                let mut w = [S::splat(0.0); NR];
                for (n, w) in w.iter_mut().enumerate() {
                    *w = S::load(weights.add(n * S::LANES));
                }
                weights = weights.add(NR * S::LANES);
                lines.prefetch::<S>();
                for m in 0..MR {
                    let x = S::splat(*from[m].add(k));
                    for n in 0..NR {
                        local[m][n] = S::fma(x, w[n], local[m][n]);
                    }
                }
            }
        }
    }
    *sums = local;
}
