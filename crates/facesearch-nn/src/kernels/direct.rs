//! Convolution by its definition: for each output pixel the sum over its window.
//!
//! Needs no rearranged copy of the input. A row of the window is one contiguous run already,
//! because the channels of a pixel are together. The map's border of zeros serves as padding.

use super::int16::{Int16Product, Quantised, as_int16, quantised_len};
use super::tile::{Destination, Epilogue, Panel, Product, Row, Rows, Runs};
use super::{Kernel, Simd};
use crate::layers::Map;

/// Any convolution, grouped or not, and any dense layer.
pub(crate) struct Direct<'a> {
    /// Floats, or with `quantised` pairs of integers in their place.
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    /// How far each run of numbers begins from the first number that an output pixel reads.
    pub(crate) starts: &'a [usize],
    /// The length of a run.
    pub(crate) run: usize,
    /// Where the window of the first output pixel begins in an image, and the distances from a
    /// window to those of the next row and the next column.
    pub(crate) origin: usize,
    pub(crate) down: usize,
    pub(crate) across: usize,
    /// The panels, each with the offset of its group's channels in a pixel.
    pub(crate) panels: &'a [(usize, Panel)],
    /// Floats, or with `quantised` pairs of integers in their place.
    pub(crate) weights: &'a [f32],
    pub(crate) epilogue: Epilogue<'a>,
    /// Where input and weights are integers. Then there are one image and one group.
    pub(crate) quantised: Option<Quantised<'a>>,
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
        // A run of integers of odd length is read with the integer that follows it.
        let (per_float, extra) = if self.quantised.is_some() { (2, self.run % 2) } else { (1, 0) };
        let end = last_pixel + group + reach + extra;
        assert!(end <= per_float * self.input.len(), "the windows lie in the input");
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

    /// The output pixels in order, image by image.
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
        if let Some(quantised) = self.quantised {
            return self.run_int16::<S>(quantised, count, runs);
        }
        for (group, panel) in self.panels {
            let row_len = self.starts.len() * self.run;
            let end = panel.start + row_len * panel.vectors * S::LANES;
            let weights = &self.weights[panel.start..end];
            // SAFETY: `run` is called below `launch` only, which provides the instructions. `check`
            // has established that the last pixel's window in the last image lies in the input,
            // that the output has room for every pixel with all its channels, and that the residual
            // has as many pixels. The rows are these pixels in order. The slice above holds the
            // panel's weights.
            unsafe {
                S::multiply(Product {
                    input: self.input.as_ptr(),
                    count,
                    runs,
                    weights: weights.as_ptr(),
                    panel,
                    output: self.output.as_mut_ptr(),
                    to: Destination::Map(&self.pixels(*group), &self.epilogue),
                });
            }
        }
    }
}

impl Direct<'_> {
    #[inline(always)]
    fn run_int16<S: Simd>(self, quantised: Quantised<'_>, count: usize, runs: Runs<'_>) {
        assert_eq!(
            (self.images, quantised.input_scales.len()),
            (1, 1),
            "a scale for the one image"
        );
        for (group, panel) in self.panels {
            let lanes = panel.vectors * S::LANES;
            let len = quantised_len(self.starts.len(), self.run, lanes);
            let weights = &as_int16(&self.weights[panel.start..])[..len];
            let scales = &quantised.weight_scales[panel.first..panel.first + lanes];
            // SAFETY: as in `run`. `check` has established that the last pixel's window lies in the
            // input, with one integer more where its runs are odd, and that there is room for the
            // output. The slices above hold the panel's weights and scales.
            unsafe {
                S::multiply_int16(Int16Product {
                    input: as_int16(self.input).as_ptr(),
                    count,
                    runs,
                    weights: weights.as_ptr(),
                    scales: scales.as_ptr(),
                    dequantise: quantised.input_scales[0].dequantise,
                    panel,
                    output: self.output.as_mut_ptr(),
                    to: Destination::Map(&self.pixels(*group), &self.epilogue),
                });
            }
        }
    }
}
