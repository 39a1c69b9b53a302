//! The matrix products of a block of tiles, plane by plane.

use super::WinogradLayout;
use crate::kernels::Simd;
use crate::kernels::int16::{Int16Product, as_int16, quantised_len};
use crate::kernels::tile::{Destination, Line, Panel, Product, Row, Runs};
use crate::layers::join;

/// What the products of all planes have in common.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub(super) panels: &'a [Panel],
    pub(super) layout: WinogradLayout,
    /// Lines of output tiles.
    pub(super) lines: usize,
    /// Tiles of a line.
    pub(super) count: usize,
    /// From a line to the next.
    pub(super) line: Row,
    /// How a tile is read.
    pub(super) runs: Runs<'a>,
    /// The weights of a plane, in floats.
    pub(super) plane_weights: usize,
    /// Where the numbers are integers: the scales of the first plane and of those after it.
    pub(super) scales: Option<&'a [f32]>,
    /// How many scales a plane has.
    pub(super) plane_scales: usize,
}

impl Planes<'_> {
    /// Multiplies `planes` planes on up to `threads` threads.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions. `transformed` must hold that many planes of inputs,
    /// `weights` the weights of that many planes in the order of the panels, and `products` must
    /// have room for as many planes of products. Every tile of every line must be read and written
    /// inside a plane.
    pub(super) unsafe fn multiply<S: Simd>(
        self,
        transformed: &[f32],
        weights: &[f32],
        products: &mut [f32],
        planes: usize,
        threads: usize,
    ) {
        if threads > 1 && planes > 1 {
            let here_threads = threads / 2;
            let here = (planes * here_threads / threads).max(1);
            let (x, rest_x) = transformed.split_at(here * self.layout.input_plane());
            let (w, rest_w) = weights.split_at(here * self.plane_weights);
            let (to, rest_to) = products.split_at_mut(here * self.layout.output_plane());
            let scales = self.scales.map(|scales| &scales[here * self.plane_scales..]);
            let rest = Self { scales, ..self };
            let (rest_planes, rest_threads) = (planes - here, threads - here_threads);
            join(
                // SAFETY: what the caller promises, for the first planes.
                || unsafe { self.multiply::<S>(x, w, to, here, here_threads) },
                // SAFETY: what the caller promises, for the other planes.
                || unsafe {
                    rest.multiply::<S>(rest_x, rest_w, rest_to, rest_planes, rest_threads)
                },
            );
            return;
        }
        for plane in 0..planes {
            let (input_len, output_len) = (self.layout.input_plane(), self.layout.output_plane());
            let input = &transformed[plane * input_len..][..input_len];
            let weights = &weights[plane * self.plane_weights..][..self.plane_weights];
            let output = &mut products[plane * output_len..][..output_len];
            // SAFETY: what the caller promises, for this plane.
            unsafe { self.multiply_plane::<S>(plane, input, weights, output) };
        }
    }

    /// Multiplies plane number `plane` of `scales`.
    ///
    /// # Safety
    ///
    /// As for [`multiply`](Self::multiply), for one plane.
    #[inline(always)]
    unsafe fn multiply_plane<S: Simd>(
        &self,
        plane: usize,
        input: &[f32],
        weights: &[f32],
        output: &mut [f32],
    ) {
        let Self { runs, count, .. } = *self;
        let row_len = runs.starts.len() * runs.run;
        let WinogradLayout { input_stride, output_stride, .. } = self.layout;
        let step = Row { input: input_stride, output: output_stride, residual: 0 };
        let mut weights = weights;
        for panel in self.panels {
            let lanes = panel.vectors * S::LANES;
            for line in 0..self.lines {
                let (input_line, output_line) = (line * self.line.input, line * self.line.output);
                let first = Row { input: input_line, output: output_line, residual: 0 };
                let to = Destination::Plane(Line { first, step });
                let output = output.as_mut_ptr();
                // SAFETY: the caller promises that each tile is read inside the plane, that there
                // is room for its products, padded to whole vectors, and that `weights` begins with
                // the panel's. A row of integers is padded to an even number, and the slice below
                // holds the panel's scales.
                unsafe {
                    if let Some(scales) = self.scales {
                        let scales = &scales[plane * self.plane_scales + panel.first..];
                        S::multiply_int16(Int16Product {
                            input: as_int16(input).as_ptr(),
                            count,
                            runs,
                            weights: as_int16(weights).as_ptr(),
                            scales: scales[..lanes].as_ptr(),
                            dequantise: 1.0,
                            panel,
                            output,
                            to,
                        });
                    } else {
                        S::multiply(Product {
                            input: input.as_ptr(),
                            count,
                            runs,
                            weights: weights.as_ptr(),
                            panel,
                            output,
                            to,
                        });
                    }
                }
            }
            let taken = match self.scales {
                Some(_) => quantised_len(runs.starts.len(), runs.run, lanes) / 2,
                None => row_len * lanes,
            };
            weights = &weights[taken..];
        }
    }
}
