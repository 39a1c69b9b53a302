//! Depthwise convolution: each channel by itself.
//!
//! A vector holds neighbouring channels. The sums of a few neighbouring pixels stay in registers,
//! so that each loaded weight serves all of them.

use super::tile::Epilogue;
use super::{Kernel, Simd};
use crate::layers::Map;
use crate::network::Window;

/// How many neighbouring output pixels share a loaded weight.
const PIXELS: usize = 4;

/// The widest stride across at which the pixels under a 3x3 window are loaded once for several
/// output pixels.
const MAX_ACROSS: usize = 2;

/// A convolution with as many groups as channels.
pub(crate) struct Depthwise<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    /// How many rows of the whole output are above the first row of `output`.
    pub(crate) top: usize,
    /// Its padding must not be wider than the input's border.
    pub(crate) window: Window,
    /// For each tap of the window a number for each channel, then `SLACK` zeros.
    pub(crate) weights: &'a [f32],
    pub(crate) epilogue: Epilogue<'a>,
}

impl Depthwise<'_> {
    fn check(&self) {
        let (i, o) = (&self.input_map, &self.output_map);
        assert_eq!(i.channels, o.channels, "as many channels out as in");
        for axis in 0..2 {
            let (len, places) = [(i.height, o.height), (i.width, o.width)][axis];
            let above = if axis == 0 { self.top } else { 0 };
            let reach = (above + places - 1) * self.window.stride[axis]
                + (self.window.size[axis] - 1) * self.window.dilation[axis];
            let have = i.border[axis] + len + i.border[axis + 2];
            let skipped = i.border[axis].checked_sub(self.window.padding[axis]);
            assert!(skipped.is_some_and(|s| s + reach < have), "windows in the bordered map");
        }
        assert!(self.images * i.image_stride() <= self.input.len(), "a whole input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        let taps = self.window.size[0] * self.window.size[1];
        assert!(self.weights.len() >= taps * o.channels + super::SLACK, "weights for every tap");
        assert!(self.epilogue.residual.is_none(), "no residual");
        self.epilogue.check(o.channels);
    }

    /// One vector of channels of the output pixels `x` to `x + N` of row `y`.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, `check` must have passed, and the pixels and the
    /// channel must exist in the output.
    #[inline(always)]
    unsafe fn pixels<S: Simd, const N: usize>(
        &mut self,
        image: usize,
        (y, x): (usize, usize),
        channel: usize,
    ) {
        let (i, o) = (&self.input_map, &self.output_map);
        let lanes = o.channels - channel;
        let [down, across] = self.window.stride;
        let [dy, dx] = self.window.dilation;
        let top = (self.top + y) * down + i.border[0] - self.window.padding[0];
        let left = x * across + i.border[1] - self.window.padding[1];
        let origin = image * i.image_stride() + top * i.row_stride() + left * i.channels + channel;
        // SAFETY: `check` has found every window inside the bordered input, and the weights and the
        // bias `SLACK` longer than their channels. Of a pixel only its channels are touched.
        unsafe {
            let mut sums = [S::load(self.epilogue.bias.as_ptr().add(channel)); N];
            for ky in 0..self.window.size[0] {
                for kx in 0..self.window.size[1] {
                    let tap = (ky * self.window.size[1] + kx) * o.channels + channel;
                    let w = S::load(self.weights.as_ptr().add(tap));
                    let from = origin + ky * dy * i.row_stride() + kx * dx * i.channels;
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let at = from + n * across * i.channels;
                        let v = S::load_up_to(self.input.as_ptr().add(at), lanes);
                        *sum = S::fma(v, w, *sum);
                    }
                }
            }
            let to = image * o.image_stride() + o.offset(y, x) + channel;
            for (n, sum) in sums.into_iter().enumerate() {
                let v = self.epilogue.activate::<S>(sum, channel);
                S::store_up_to(self.output.as_mut_ptr().add(to + n * o.channels), v, lanes);
            }
        }
    }
}

impl Depthwise<'_> {
    /// One vector of channels of a whole output row, for a 3x3 window without dilation and with a
    /// stride of `ACROSS` columns. The weights stay in registers, and each loaded number serves
    /// every output pixel whose window covers it.
    ///
    /// # Safety
    ///
    /// As for [`pixels`](Self::pixels), for the whole row, which must have `PIXELS` pixels at
    /// least. The window and the stride must be as described, and `channel + LANES` at most the
    /// number of channels.
    #[inline(always)]
    unsafe fn three_by_three<S: Simd, const ACROSS: usize>(
        &mut self,
        image: usize,
        y: usize,
        channel: usize,
    ) {
        let (i, o) = (&self.input_map, &self.output_map);
        let top = (self.top + y) * self.window.stride[0] + i.border[0] - self.window.padding[0];
        let left = i.border[1] - self.window.padding[1];
        let origin = image * i.image_stride() + top * i.row_stride() + left * i.channels + channel;
        let to = image * o.image_stride() + o.offset(y, 0) + channel;
        // SAFETY: `check` has found every window inside the bordered input, and the weights and the
        // bias longer than their channels. The caller promises a whole vector of channels.
        unsafe {
            let mut weights = [S::splat(0.0); 9];
            for (tap, w) in weights.iter_mut().enumerate() {
                *w = S::load(self.weights.as_ptr().add(tap * o.channels + channel));
            }
            let bias = S::load(self.epilogue.bias.as_ptr().add(channel));
            let mut x = 0;
            loop {
                // The last group overlaps the one before instead of being done pixel by pixel.
                x = x.min(o.width - PIXELS);
                let mut sums = [[bias]; PIXELS];
                for ky in 0..3 {
                    let row = origin + ky * i.row_stride() + x * ACROSS * i.channels;
                    let row = self.input.as_ptr().add(row);
                    let mut seen = [S::splat(0.0); (PIXELS - 1) * MAX_ACROSS + 3];
                    for (column, v) in seen.iter_mut().enumerate().take((PIXELS - 1) * ACROSS + 3) {
                        *v = S::load(row.add(column * i.channels));
                    }
                    for (n, sum) in sums.iter_mut().enumerate() {
                        for kx in 0..3 {
                            let v = seen[n * ACROSS + kx];
                            sum[0] = S::fma(v, weights[ky * 3 + kx], sum[0]);
                        }
                    }
                }
                self.epilogue.activate_all::<S, PIXELS, 1>(&mut sums, channel);
                for (n, sum) in sums.iter().enumerate() {
                    S::store(self.output.as_mut_ptr().add(to + (x + n) * o.channels), sum[0]);
                }
                x += PIXELS;
                if x >= o.width {
                    return;
                }
            }
        }
    }
}

impl Kernel for Depthwise<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.check();
        let o = self.output_map;
        let is_three_by_three = self.window.size == [3, 3]
            && self.window.dilation == [1, 1]
            && self.window.stride[1] <= MAX_ACROSS
            && o.width >= PIXELS;
        for image in 0..self.images {
            for y in 0..o.height {
                for channel in (0..o.channels).step_by(S::LANES) {
                    if is_three_by_three && channel + S::LANES <= o.channels {
                        // SAFETY: `run` is called below `launch` only, `check` has passed, the
                        // window is as described, the row exists in the output, and the vector
                        // of channels is whole.
                        unsafe {
                            match self.window.stride[1] {
                                1 => self.three_by_three::<S, 1>(image, y, channel),
                                _ => self.three_by_three::<S, 2>(image, y, channel),
                            }
                        }
                        continue;
                    }
                    let mut x = 0;
                    while x + PIXELS <= o.width {
                        // SAFETY: `run` is called below `launch` only, `check` has passed, and the
                        // pixels are in the output.
                        unsafe { self.pixels::<S, PIXELS>(image, (y, x), channel) };
                        x += PIXELS;
                    }
                    while x < o.width {
                        // SAFETY: as above.
                        unsafe { self.pixels::<S, 1>(image, (y, x), channel) };
                        x += 1;
                    }
                }
            }
        }
    }
}
