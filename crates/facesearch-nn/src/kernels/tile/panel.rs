//! Panels: weights packed for the register tile.

use crate::kernels::Level;

/// Some output channels and where their weights are: for each number of a row, in the order in
/// which rows are read, `vectors * LANES` weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    /// The first output channel.
    pub(crate) first: usize,
    /// How many output channels.
    pub(crate) channels: usize,
    /// How many vectors they fill. The last may be filled in part.
    pub(crate) vectors: usize,
    /// Where its weights begin.
    pub(crate) start: usize,
}

/// A panel has no more weights than this, 1 MiB, unless it is a single vector wide.
const MAX_PANEL: usize = 256 * 1024;

/// Splits the output channels from `first` on into panels. The weights of the first panel begin at
/// `start`. Returns the panels, and where the weights of the last one end.
pub(crate) fn split_panels(
    level: Level,
    first: usize,
    channels: usize,
    row_len: usize,
    start: usize,
) -> (Vec<Panel>, usize) {
    let lanes = level.lanes();
    // The longer the rows, the narrower the panel: it must stay in the level-2 cache while all
    // tiles read it.
    let max_vectors = (MAX_PANEL / (row_len * lanes).max(1)).clamp(1, level.panel_vectors());
    let (mut panels, mut done, mut end) = (Vec::new(), 0, start);
    while done < channels {
        let left = (channels - done).div_ceil(lanes);
        let vectors = left.min(max_vectors);
        let inside = (channels - done).min(vectors * lanes);
        panels.push(Panel { first: first + done, channels: inside, vectors, start: end });
        done += inside;
        end += row_len * vectors * lanes;
    }
    (panels, end)
}

/// Weights in the order of a layer. The weight of output channel `o` for number `k` of a row is at
/// `o * output_stride + offsets[k]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) weights: &'a [f32],
    pub(crate) output_stride: usize,
    pub(crate) offsets: &'a [usize],
    /// A factor for the weights of each output channel.
    pub(crate) scale: Option<&'a [f32]>,
}

/// Packs the weights of `panels`, each where it begins in `into`.
pub(crate) fn fill_panels(level: Level, panels: &[Panel], source: &Source<'_>, into: &mut [f32]) {
    for panel in panels {
        let lanes = panel.vectors * level.lanes();
        let to = &mut into[panel.start..][..source.offsets.len() * lanes];
        for (&offset, to) in source.offsets.iter().zip(to.chunks_exact_mut(lanes)) {
            let (to, unused) = to.split_at_mut(panel.channels);
            unused.fill(0.0);
            let from = &source.weights[panel.first * source.output_stride + offset..];
            match source.scale {
                None if source.output_stride == 1 => to.copy_from_slice(&from[..to.len()]),
                None => {
                    let from = from.iter().step_by(source.output_stride);
                    to.iter_mut().zip(from).for_each(|(to, w)| *to = *w);
                }
                Some(scale) => {
                    let from = from.iter().step_by(source.output_stride).zip(&scale[panel.first..]);
                    to.iter_mut().zip(from).for_each(|(to, (w, scale))| *to = scale * w);
                }
            }
        }
    }
}
