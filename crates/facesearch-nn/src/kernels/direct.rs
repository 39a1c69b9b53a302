//! Convolution as it is defined: for each output pixel the sum over its window.
//!
//! Needs no rearranged copy of the input: with channels together, a row of the window is already
//! one contiguous run, and the border of zeros stands for the padding.

use super::short::{Short, ShortProduct, integers, short_len};
use super::tile::{Epilogue, Panel, Product, Row, Rows, Runs, To};
use super::{Kernel, Simd};
use crate::layers::Map;

/// Any convolution, dense layer or grouped convolution.
pub(crate) struct Direct<'a> {
    /// With `short` as many integers, two in the place of a float.
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    /// From the input's pixel under an output pixel to the start of each run of numbers.
    pub(crate) starts: &'a [usize],
    /// How many numbers a run has.
    pub(crate) run: usize,
    /// Where the window of the first output pixel begins in an image, and how far the next row's
    /// and the next column's are.
    pub(crate) origin: usize,
    pub(crate) down: usize,
    pub(crate) across: usize,
    /// For each panel: how far into a pixel its group's channels begin.
    pub(crate) panels: &'a [(usize, Panel)],
    /// With `short` pairs of integers.
    pub(crate) weights: &'a [f32],
    pub(crate) epilogue: Epilogue<'a>,
    /// Where input and weights are integers, which is for one image and one group.
    pub(crate) short: Option<Short<'a>>,
}

impl Direct<'_> {
    fn check(&self) {
        let (i, o) = (&self.input_map, &self.output_map);
        assert!(self.images > 0 && o.height > 0 && o.width > 0, "something to compute");
        let last_pixel = (self.images - 1) * i.image_stride()
            + self.origin
            + (o.height - 1) * self.down
            + (o.width - 1) * self.across;
        let reach = self.starts.iter().max().map_or(0, |start| start + self.run);
        let group = self.panels.iter().map(|(group, _)| *group).max().unwrap_or(0);
        let (held, beyond) = if self.short.is_some() { (2, self.run % 2) } else { (1, 0) };
        let end = last_pixel + group + reach + beyond;
        assert!(end <= held * self.input.len(), "the windows lie in the input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        for (_, panel) in self.panels {
            assert!(panel.first + panel.channels <= o.channels, "panels of the output's channels");
        }
        self.epilogue.check(o.channels);
        if let Some(r) = &self.epilogue.residual {
            assert_eq!((r.map.height, r.map.width), (o.height, o.width), "a residual that fits");
            assert!(self.images * r.map.image_stride() <= r.data.len(), "a whole residual");
        }
    }

    /// Output pixels in order, image by image.
    fn pixels(&self, group: usize) -> Rows {
        let (i, o) = (&self.input_map, &self.output_map);
        let residual = self.epilogue.residual.map(|r| r.map).unwrap_or_default();
        let first = Row {
            input: self.origin + group,
            output: o.offset(0, 0),
            residual: residual.offset(0, 0),
        };
        let pixel = Row { input: self.across, output: o.channels, residual: residual.channels };
        let line =
            Row { input: self.down, output: o.row_stride(), residual: residual.row_stride() };
        let image = Row {
            input: i.image_stride(),
            output: o.image_stride(),
            residual: residual.image_stride(),
        };
        Rows::pages(first, o.height, o.width, [pixel, line, image])
    }
}

impl Kernel for Direct<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.check();
        let count = self.images * self.output_map.height * self.output_map.width;
        let runs = Runs { starts: self.starts, run: self.run };
        if let Some(short) = self.short {
            return self.run_short::<S>(short, count, runs);
        }
        for (group, panel) in self.panels {
            let row = self.starts.len() * self.run;
            let end = panel.start + row * panel.vectors * S::LANES;
            let weights = &self.weights[panel.start..end];
            // SAFETY: `run` is called below `launch` only, which answers for the instructions.
            // `check` has established that the last pixel's window in the last image lies in the
            // input, that the output has room for every pixel with all its channels and the
            // residual holds as many pixels; the rows are just those pixels in order. The slice
            // above holds the panel's weights.
            unsafe {
                S::multiply(Product {
                    input: self.input.as_ptr(),
                    count,
                    runs,
                    weights: weights.as_ptr(),
                    panel,
                    output: self.output.as_mut_ptr(),
                    to: To::Map(&self.pixels(*group), &self.epilogue),
                });
            }
        }
    }
}

impl Direct<'_> {
    #[inline(always)]
    fn run_short<S: Simd>(self, short: Short<'_>, count: usize, runs: Runs<'_>) {
        assert_eq!((self.images, short.factors.len()), (1, 1), "a factor for the one image");
        for (group, panel) in self.panels {
            let lanes = panel.vectors * S::LANES;
            let len = short_len(self.starts.len(), self.run, lanes);
            let weights = &integers(&self.weights[panel.start..])[..len];
            let scales = &short.scales[panel.first..panel.first + lanes];
            // SAFETY: as in `run`: `check` has established that the last pixel's window, with one integer
            // more where its runs are odd, lies in the input, and that there is room for the output; the
            // slices above hold the panel's weights and scales.
            unsafe {
                S::multiply_short(ShortProduct {
                    input: integers(self.input).as_ptr(),
                    count,
                    runs,
                    weights: weights.as_ptr(),
                    scales: scales.as_ptr(),
                    grow: short.factors[0].grow,
                    panel,
                    output: self.output.as_mut_ptr(),
                    to: To::Map(&self.pixels(*group), &self.epilogue),
                });
            }
        }
    }
}
