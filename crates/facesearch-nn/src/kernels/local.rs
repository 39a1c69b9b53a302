//! Locally connected layer: a convolution with its own kernel at every output pixel (place). The
//! rows of a register tile are the images.

use std::ops::Range;

use super::tile::{Destination, Epilogue, FusedActivation, Panel, Product, Row, Rows, Runs};
use super::{Kernel, Simd};
use crate::layers::Map;

/// A locally connected layer.
pub(crate) struct Local<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    /// Which rows of the whole output are computed. The first of them is the first row of `output`.
    pub(crate) rows: Range<usize>,
    /// How far each run of numbers begins from the first number that an output pixel reads.
    pub(crate) starts: &'a [usize],
    /// The length of a run.
    pub(crate) run: usize,
    /// The distances from a window to those of the next row and the next column.
    pub(crate) down: usize,
    pub(crate) across: usize,
    /// The panels of one place. Those of the next place begin `place` numbers later.
    pub(crate) panels: &'a [Panel],
    pub(crate) place: usize,
    pub(crate) weights: &'a [f32],
    /// For each place the output channels' biases, then `SLACK` zeros.
    pub(crate) biases: &'a [f32],
    pub(crate) activation: FusedActivation<'a>,
}

impl Kernel for Local<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (i, o) = (&self.input_map, &self.output_map);
        assert!(self.rows.len() <= o.height, "room for the rows");
        let reach = self.starts.iter().max().map_or(0, |start| start + self.run);
        let last = (self.rows.end - 1) * self.down + (o.width - 1) * self.across;
        let first = i.offset(0, 0);
        let end = (self.images - 1) * i.image_stride() + first + last + reach;
        assert!(end <= self.input.len(), "the windows lie in the input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        let places = self.rows.start * o.width..self.rows.end * o.width;
        assert!(self.weights.len() >= places.end * self.place, "weights for every place");
        let row_len = self.starts.len() * self.run;
        for panel in self.panels {
            let end = panel.start + row_len * panel.vectors * S::LANES;
            assert!(end <= self.place, "weights for each panel");
            assert!(panel.first + panel.channels <= o.channels, "panels of the output's channels");
        }
        for place in places {
            let (y, x) = (place / o.width, place % o.width);
            let bias = &self.biases[place * o.channels..];
            let epilogue = Epilogue { bias, residual: None, activation: self.activation };
            epilogue.check(o.channels);
            for panel in self.panels {
                let first = Row {
                    input: first + y * self.down + x * self.across,
                    output: o.offset(y - self.rows.start, x),
                    residual: 0,
                };
                let image = Row { input: i.image_stride(), output: o.image_stride(), residual: 0 };
                let weights = &self.weights[place * self.place + panel.start..];
                // SAFETY: `run` is called below `launch` only. The assertions above say that the
                // last image's last window lies in the input, that every image of the output is
                // whole, and that each panel's weights lie within those of its place. The epilogue
                // has been checked.
                unsafe {
                    S::multiply(Product {
                        input: self.input.as_ptr(),
                        count: self.images,
                        runs: Runs { starts: self.starts, run: self.run },
                        weights: weights.as_ptr(),
                        panel,
                        output: self.output.as_mut_ptr(),
                        to: Destination::Map(&Rows::line(first, image), &epilogue),
                    });
                }
            }
        }
    }
}
