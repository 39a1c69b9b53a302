//! What a convolution does, for profiles.

use super::method::Method;
use super::{Convolution, Prepared, Weights};
use crate::layers::{LayerWork, Map};
use crate::network::Window;

impl Convolution {
    /// What it does for an image, on maps of these sizes.
    pub(crate) fn work(&self, prepared: &Prepared, input: &Map, output: &Map) -> LayerWork {
        let (window, kernels) = match &self.weights {
            Weights::Conv(conv) => (conv.window, conv.out_channels * conv.group_channels),
            Weights::Dense(dense, _) => {
                (prepared.window, dense.weight.len() / (input.height * input.width))
            }
        };
        let [height, width] = window.size;
        let places = (output.height * output.width) as u64;
        let defined = taps_inside(&window, 0, input.height, output.height)
            * taps_inside(&window, 1, input.width, output.width)
            * kernels as u64;
        let (method, done) = match prepared.method {
            Method::Winograd(form) => {
                let tile = form.output_tile();
                let tiles = output.height.div_ceil(tile) * output.width.div_ceil(tile);
                let per_tile = form.planes() * form.row_len(input.channels) * output.channels;
                (format!("Winograd {tile}x{tile}"), tiles as u64 * per_tile as u64)
            }
            Method::Direct { rows, columns } => {
                let taps = (rows[1] - rows[0]) * (columns[1] - columns[0]);
                ("direct".to_owned(), places * (taps * kernels) as u64)
            }
            Method::Depthwise => {
                ("depthwise".to_owned(), places * (height * width * kernels) as u64)
            }
            Method::Dense { .. } => ("dense".to_owned(), defined),
        };
        let int16 = if prepared.int16 { " int16" } else { "" };
        let name = format!("{height}x{width} {method}{int16}");
        LayerWork { name, defined, done, weights: prepared.weights() }
    }
}

/// How many rows (axis 0) or columns (axis 1) of the window lie in the map, summed over all places.
/// The others would multiply nothing but padding.
fn taps_inside(window: &Window, axis: usize, len: usize, places: usize) -> u64 {
    let inside = window.padding[axis]..window.padding[axis] + len;
    let taps_at = |place: usize| {
        let at = |tap: usize| place * window.stride[axis] + tap * window.dilation[axis];
        (0..window.size[axis]).filter(|tap| inside.contains(&at(*tap))).count() as u64
    };
    (0..places).map(taps_at).sum()
}
