//! Convolution as it is defined: for each output pixel the sum over its window.
//!
//! Needs no rearranged copy of the input: with channels together, a row of the window is already
//! one contiguous run, and the border of zeros stands for the padding.

use super::tile::{Epilogue, Panel, Row, Rows, Runs, multiply};
use super::{Kernel, Simd};
use crate::layers::Map;

/// Any convolution, dense layer or grouped convolution.
pub(crate) struct Direct<'a> {
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
    pub(crate) weights: &'a [f32],
    pub(crate) epilogue: Epilogue<'a>,
}

/// Output pixels in order, image by image.
struct Pixels {
    row: Row,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    /// What is added after a pixel, after a row, and after an image.
    steps: [Row; 3],
}

impl Rows for Pixels {
    #[inline(always)]
    fn next(&mut self) -> Row {
        let row = self.row;
        self.x += 1;
        let mut step = &self.steps[0];
        if self.x == self.width {
            self.x = 0;
            self.y += 1;
            step = &self.steps[1];
            if self.y == self.height {
                self.y = 0;
                step = &self.steps[2];
            }
        }
        self.row.input = self.row.input.wrapping_add(step.input);
        self.row.output = self.row.output.wrapping_add(step.output);
        self.row.residual = self.row.residual.wrapping_add(step.residual);
        row
    }
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
        assert!(last_pixel + group + reach <= self.input.len(), "the windows lie in the input");
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

    /// The steps between rows of one kind of buffer: after a pixel, a row, an image.
    fn steps(&self, down: usize, across: usize, image: usize) -> [usize; 3] {
        let o = &self.output_map;
        let row_back = (o.width - 1) * across;
        let to_row = down.wrapping_sub(row_back);
        let to_image = image.wrapping_sub(row_back + (o.height - 1) * down);
        [across, to_row, to_image]
    }

    fn pixels(&self, group: usize) -> Pixels {
        let o = &self.output_map;
        let residual = self.epilogue.residual.map(|r| r.map).unwrap_or_default();
        let input = self.steps(self.down, self.across, self.input_map.image_stride());
        let output = self.steps(o.row_stride(), o.channels, o.image_stride());
        let added = self.steps(residual.row_stride(), residual.channels, residual.image_stride());
        let step = |i: usize| Row { input: input[i], output: output[i], residual: added[i] };
        Pixels {
            row: Row {
                input: self.origin + group,
                output: o.offset(0, 0),
                residual: residual.offset(0, 0),
            },
            x: 0,
            y: 0,
            width: o.width,
            height: o.height,
            steps: [step(0), step(1), step(2)],
        }
    }
}

impl Kernel for Direct<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.check();
        let count = self.images * self.output_map.height * self.output_map.width;
        let runs = Runs { starts: self.starts, run: self.run };
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
                multiply::<S, Pixels>(
                    self.input.as_ptr(),
                    &mut self.pixels(*group),
                    count,
                    runs,
                    weights.as_ptr(),
                    panel,
                    self.output.as_mut_ptr(),
                    &self.epilogue,
                );
            }
        }
    }
}
