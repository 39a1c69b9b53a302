//! When a convolution multiplies integers, and its packed weights as integers.

use super::method::Method;
use super::pack::Packed;
use super::{Convolution, Weights};
use crate::kernels::{Level, MAX_INT16_ROW, Panel, as_int16_mut, quantise_weights, quantised_len};
use crate::layers::Aligned;
use crate::network::Precision;

/// With fewer output pixels than this, integers do not pay: the input must be rounded to integers,
/// and the images of a batch read the weights one after the other.
const MIN_INT16_PIXELS: usize = 16;

impl Convolution {
    /// Whether this method multiplies integers, for inputs of `channels` channels and outputs of
    /// `pixels` pixels.
    pub(super) fn uses_int16(&self, method: Method, channels: usize, pixels: usize) -> bool {
        let row_len = match (&self.weights, method) {
            (_, Method::Winograd(form)) => form.row_len(channels),
            (Weights::Conv(conv), Method::Direct { rows, columns }) if conv.groups == 1 => {
                if pixels < MIN_INT16_PIXELS {
                    return false;
                }
                (rows[1] - rows[0]) * (columns[1] - columns[0]) * channels
            }
            _ => return false,
        };
        self.precision == Precision::Int16 && row_len <= MAX_INT16_ROW
    }

    /// Packed weights as integers.
    pub(super) fn quantise(&self, packed: Packed, method: Method, channels: usize) -> Packed {
        match (&self.weights, method) {
            (_, Method::Winograd(form)) => {
                let gains: Vec<f32> = (0..form.planes()).map(|plane| form.gain(plane)).collect();
                packed.quantised(self.level, form.row_len(channels) / form.parts(), &gains)
            }
            (Weights::Conv(conv), Method::Direct { columns, .. }) => {
                let contiguous = conv.window.dilation[1] == 1;
                let taps = if contiguous { columns[1] - columns[0] } else { 1 };
                packed.quantised(self.level, taps * channels, &[1.0])
            }
            _ => packed,
        }
    }
}

impl Packed {
    /// The same weights as integers. A row is made of runs of `run` numbers. There is a gain for
    /// each plane (one plane where the method has none), which its scales are multiplied with.
    fn quantised(self, level: Level, run: usize, gains: &[f32]) -> Self {
        let lanes_of = |panel: &Panel| panel.vectors * level.lanes();
        let lanes: usize = self.ungrouped.iter().map(lanes_of).sum();
        let row_len = self.weights.len() / gains.len() / lanes.max(1);
        let words_of = |panel: &Panel| quantised_len(row_len / run, run, lanes_of(panel)) / 2;
        let plane: usize = self.ungrouped.iter().map(words_of).sum();
        let mut weights = Aligned::zeros(gains.len() * plane);
        let mut scales = vec![0.0; gains.len() * lanes];
        let planes = self.weights.chunks_exact(row_len * lanes).zip(gains);
        let into = weights.chunks_exact_mut(plane).zip(scales.chunks_exact_mut(lanes));
        for ((from, gain), (to, scales)) in planes.zip(into) {
            let mut start = 0;
            for panel in &self.ungrouped {
                let from = &from[panel.start..][..row_len * lanes_of(panel)];
                let to = as_int16_mut(&mut to[start..start + words_of(panel)]);
                let scales = &mut scales[panel.first..][..lanes_of(panel)];
                quantise_weights(from, run, lanes_of(panel), to, scales);
                scales.iter_mut().for_each(|scale| *scale *= gain);
                start += words_of(panel);
            }
        }
        let mut start = 0;
        let moved = |(group, panel): &(usize, Panel)| {
            let moved = Panel { start, ..*panel };
            start += words_of(panel);
            (*group, moved)
        };
        let panels = self.panels.iter().map(moved).collect();
        Self { scales, ..Self::new(panels, weights) }
    }
}
