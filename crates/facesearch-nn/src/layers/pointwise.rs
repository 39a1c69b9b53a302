//! The layers that only move numbers or change each by itself.
//!
//! Plain loops over rows. None of them needs a kernel of its own, because what can be fused is part
//! of the convolution before it. Still, some are compiled for each kind of vector.

use std::ops::Range;

use crate::kernels::{Kernel, Level, Simd, launch};
use crate::layers::Map;
use crate::network::{Activation, FlattenOrder};

/// The numbers of the network's input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pixels<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
}

/// Reads the network's input, at any strides, into a map: `scale * x + shift` for each channel.
pub(crate) struct Load<'a> {
    pub(crate) pixels: Pixels<'a>,
    /// From a number to the next image's, channel's, row's and column's.
    pub(crate) strides: [usize; 4],
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
    /// Which images of the input.
    pub(crate) images: Range<usize>,
    pub(crate) output: &'a mut [f32],
    pub(crate) map: Map,
}

impl Load<'_> {
    pub(crate) fn run(self, level: Level) {
        launch(level, self);
    }

    /// Reads one row, a channel at a time.
    #[inline(always)]
    fn row<T: Copy + Into<f32>>(&mut self, from: &[T], start: usize, to: Range<usize>) {
        let [_, down_channels, _, across] = self.strides;
        let c = self.map.channels;
        let out = &mut self.output[to];
        for channel in 0..c {
            let (scale, shift) = (self.scale[channel], self.shift[channel]);
            let from = &from[start + channel * down_channels..];
            for (out, x) in out[channel..].iter_mut().step_by(c).zip(from.iter().step_by(across)) {
                *out = (*x).into() * scale + shift;
            }
        }
    }
}

impl Kernel for Load<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let map = self.map;
        let c = map.channels;
        let is_nhwc = self.strides[1] == 1 && self.strides[3] == c;
        let scales: Vec<f32> = self.scale.iter().copied().cycle().take(c * map.width).collect();
        let shifts: Vec<f32> = self.shift.iter().copied().cycle().take(c * map.width).collect();
        for (i, image) in self.images.clone().enumerate() {
            for y in 0..map.height {
                let start = image * self.strides[0] + y * self.strides[2];
                let to = map.row(i, y);
                match self.pixels {
                    Pixels::U8(bytes) if is_nhwc => {
                        let from = &bytes[start..start + to.len()];
                        affine(from, &scales, &shifts, &mut self.output[to]);
                    }
                    Pixels::F32(numbers) if is_nhwc => {
                        let from = &numbers[start..start + to.len()];
                        affine(from, &scales, &shifts, &mut self.output[to]);
                    }
                    Pixels::U8(bytes) => self.row(bytes, start, to),
                    Pixels::F32(numbers) => self.row(numbers, start, to),
                }
            }
        }
    }
}

/// `scale * x + shift` for each number.
#[inline(always)]
fn affine<T: Copy + Into<f32>>(from: &[T], scales: &[f32], shifts: &[f32], to: &mut [f32]) {
    for ((to, x), (scale, shift)) in to.iter_mut().zip(from).zip(scales.iter().zip(shifts)) {
        *to = (*x).into() * scale + shift;
    }
}

/// `activation(scale * x + shift)`; either part may be absent.
pub(crate) struct Scaled<'a> {
    pub(crate) affine: Option<(&'a [f32], &'a [f32])>,
    pub(crate) activation: Option<&'a Activation>,
    pub(crate) images: usize,
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
}

impl Scaled<'_> {
    pub(crate) fn run(self, level: Level) {
        launch(level, self);
    }
}

impl Kernel for Scaled<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.input_map.channels;
        for image in 0..self.images {
            for y in 0..self.input_map.height {
                let from = &self.input[self.input_map.row(image, y)];
                let to = &mut self.output[self.output_map.row(image, y)];
                match self.affine {
                    None => to.copy_from_slice(from),
                    Some((scale, shift)) => {
                        for (to, from) in to.chunks_exact_mut(c).zip(from.chunks_exact(c)) {
                            let affine = scale.iter().zip(shift);
                            for ((to, x), (scale, shift)) in to.iter_mut().zip(from).zip(affine) {
                                *to = x * scale + shift;
                            }
                        }
                    }
                }
                if let Some(activation) = self.activation {
                    activate(to, c, activation);
                }
            }
        }
    }
}

#[inline(always)]
fn activate(row: &mut [f32], channels: usize, activation: &Activation) {
    match activation {
        Activation::Relu => row.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::LeakyRelu(slope) => {
            row.iter_mut().for_each(|x| *x = x.max(0.0) + slope * x.min(0.0));
        }
        Activation::Clip(low, high) => row.iter_mut().for_each(|x| *x = x.max(*low).min(*high)),
        Activation::Sigmoid => row.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        Activation::Exp => row.iter_mut().for_each(|x| *x = x.exp()),
        Activation::PRelu(slopes) => {
            for pixel in row.chunks_exact_mut(channels) {
                for (x, slope) in pixel.iter_mut().zip(slopes.iter()) {
                    *x = x.max(0.0) + slope * x.min(0.0);
                }
            }
        }
    }
}

/// Calls `f` with the channels of every pixel that is both in the input and in the output.
fn each_pixel(
    images: usize,
    (input, input_map): (&[f32], Map),
    (output, output_map): (&mut [f32], Map),
    mut f: impl FnMut(&[f32], &mut [f32]),
) {
    let (ci, co) = (input_map.channels, output_map.channels);
    for image in 0..images {
        for y in 0..input_map.height.min(output_map.height) {
            let from = input[input_map.row(image, y)].chunks_exact(ci);
            let to = output[output_map.row(image, y)].chunks_exact_mut(co);
            from.zip(to).for_each(|(from, to)| f(from, to));
        }
    }
}

/// The sum of two values, each extended by zeros to the output's size.
pub(crate) fn add(images: usize, inputs: [(&[f32], Map); 2], (output, map): (&mut [f32], Map)) {
    for image in 0..images {
        (0..map.height).for_each(|y| output[map.row(image, y)].fill(0.0));
    }
    for input in inputs {
        each_pixel(images, input, (output, map), |from, to| {
            to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
        });
    }
}

/// The product of two values. The second may be a vector, with one number for each channel.
pub(crate) fn multiply(
    images: usize,
    (a, a_map): (&[f32], Map),
    (b, b_map): (&[f32], Map),
    (output, map): (&mut [f32], Map),
) {
    let c = map.channels;
    let is_vector = b_map.height == 1 && b_map.width == 1;
    for image in 0..images {
        for y in 0..map.height {
            let from = a[a_map.row(image, y)].chunks_exact(c);
            let to = output[map.row(image, y)].chunks_exact_mut(c);
            for (x, (from, to)) in from.zip(to).enumerate() {
                let at = if is_vector { (0, 0) } else { (y, x) };
                let start = image * b_map.image_stride() + b_map.offset(at.0, at.1);
                let factors = &b[start..start + c];
                for ((to, x), factor) in to.iter_mut().zip(from).zip(factors) {
                    *to = x * factor;
                }
            }
        }
    }
}

/// The channels of several values, one value after the other.
pub(crate) fn concat(images: usize, inputs: &[(&[f32], Map)], output: (&mut [f32], Map)) {
    let (output, map) = output;
    let mut first = 0;
    for (input, input_map) in inputs {
        each_pixel(images, (input, *input_map), (output, map), |from, to| {
            to[first..first + from.len()].copy_from_slice(from);
        });
        first += input_map.channels;
    }
}

/// The channels of a value from `first` on, as many as the output has.
pub(crate) fn copy_channels(
    images: usize,
    first: usize,
    input: (&[f32], Map),
    output: (&mut [f32], Map),
) {
    each_pixel(images, input, output, |from, to| {
        to.copy_from_slice(&from[first..first + to.len()]);
    });
}

/// Every pixel repeated `factor x factor` times.
pub(crate) fn upsample(
    images: usize,
    factor: usize,
    (input, input_map): (&[f32], Map),
    (output, map): (&mut [f32], Map),
) {
    let c = map.channels;
    for image in 0..images {
        for y in 0..map.height {
            let from = &input[input_map.row(image, y / factor)];
            for (x, to) in output[map.row(image, y)].chunks_exact_mut(c).enumerate() {
                to.copy_from_slice(&from[x / factor * c..][..c]);
            }
        }
    }
}

/// `exp(x) / sum(exp(x))` over the channels of each pixel.
pub(crate) fn softmax(images: usize, input: (&[f32], Map), output: (&mut [f32], Map)) {
    each_pixel(images, input, output, |from, to| {
        let max = from.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (to, x) in to.iter_mut().zip(from) {
            *to = (x - max).exp();
            sum += *to;
        }
        to.iter_mut().for_each(|x| *x /= sum);
    });
}

/// The mean of each channel over the whole map.
pub(crate) fn global_average(
    images: usize,
    (input, input_map): (&[f32], Map),
    (output, map): (&mut [f32], Map),
) {
    let c = map.channels;
    let count = (input_map.height * input_map.width) as f32;
    for image in 0..images {
        let to = &mut output[map.row(image, 0)];
        to.fill(0.0);
        for y in 0..input_map.height {
            for pixel in input[input_map.row(image, y)].chunks_exact(c) {
                to.iter_mut().zip(pixel).for_each(|(to, x)| *to += x);
            }
        }
        to.iter_mut().for_each(|x| *x /= count);
    }
}

/// Moves numbers: `place` maps channel, row and column of the input to those of the output.
pub(crate) fn rearrange(
    images: usize,
    (input, input_map): (&[f32], Map),
    (output, map): (&mut [f32], Map),
    place: impl Fn([usize; 3]) -> [usize; 3],
) {
    for image in 0..images {
        for y in 0..input_map.height {
            let row = input[input_map.row(image, y)].chunks_exact(input_map.channels);
            for (x, pixel) in row.enumerate() {
                for (channel, value) in pixel.iter().enumerate() {
                    let [c, y, x] = place([channel, y, x]);
                    output[image * map.image_stride() + map.offset(y, x) + c] = *value;
                }
            }
        }
    }
}

/// A map as a vector.
pub(crate) fn flatten(
    images: usize,
    order: FlattenOrder,
    (input, from): (&[f32], Map),
    output: (&mut [f32], Map),
) {
    let (channels, h, w) = (from.channels, from.height, from.width);
    rearrange(images, (input, from), output, |[c, y, x]| match order {
        FlattenOrder::ChannelsRowsColumns => [(c * h + y) * w + x, 0, 0],
        FlattenOrder::RowsColumnsChannels => [(y * w + x) * channels + c, 0, 0],
        FlattenOrder::ColumnsRowsChannels => [(x * h + y) * channels + c, 0, 0],
    });
}

/// A map of another size with the same numbers, both in the order channel, row, column.
pub(crate) fn reshape(
    images: usize,
    (input, from): (&[f32], Map),
    (output, map): (&mut [f32], Map),
) {
    let plane = map.height * map.width;
    rearrange(images, (input, from), (output, map), |[c, y, x]| {
        let at = (c * from.height + y) * from.width + x;
        [at / plane, at % plane / map.width, at % map.width]
    });
}

/// A value as NCHW, without a border.
pub(crate) fn store(images: usize, (input, map): (&[f32], Map), output: &mut [f32]) {
    let (c, plane) = (map.channels, map.height * map.width);
    for (image, output) in output.chunks_exact_mut(c * plane).take(images).enumerate() {
        for y in 0..map.height {
            for (x, pixel) in input[map.row(image, y)].chunks_exact(c).enumerate() {
                for (channel, value) in pixel.iter().enumerate() {
                    output[channel * plane + y * map.width + x] = *value;
                }
            }
        }
    }
}
