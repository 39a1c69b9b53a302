//! Locally connected layers, packed and run.

use std::ops::Range;

use crate::kernels::{
    FusedActivation, Level, Local, Panel, SLACK, Source, fill_panels, launch, split_panels,
};
use crate::layers::{Aligned, Map, join};
use crate::network::{LocallyConnected, Window};

/// A thread that is awake gets at least this many multiplications.
const MIN_SHARE: usize = 150_000;

/// A locally connected layer, with a ReLU after it or without.
#[derive(Debug)]
pub(crate) struct LocalLayer {
    window: Window,
    in_channels: usize,
    /// The panels of one place (an output pixel).
    panels: Vec<Panel>,
    /// How many weights a place has.
    place: usize,
    weights: Aligned,
    biases: Vec<f32>,
    relu: bool,
    level: Level,
}

impl LocalLayer {
    /// How many weights it has.
    pub(crate) fn weights(&self) -> usize {
        self.weights.len()
    }

    pub(crate) fn new(layer: &LocallyConnected, relu: bool, level: Level) -> Self {
        let out = layer.out_channels;
        let places = layer.out_size[0] * layer.out_size[1];
        let row_len = layer.window.size[0] * layer.window.size[1] * layer.in_channels;
        let (panels, place) = split_panels(level, 0, out, row_len, 0);
        let offsets: Vec<usize> = (0..row_len).map(|k| k * out).collect();
        let mut weights = Aligned::zeros(places * place);
        for (p, into) in weights.chunks_exact_mut(place).enumerate() {
            let weights = &layer.weight[p * row_len * out..];
            let source = Source { weights, output_stride: 1, offsets: &offsets, scale: None };
            fill_panels(level, &panels, &source, into);
        }
        let mut biases =
            layer.bias.as_ref().map_or_else(|| vec![0.0; places * out], |bias| bias.to_vec());
        biases.extend([0.0; SLACK]);
        let (window, in_channels) = (layer.window, layer.in_channels);
        Self { window, in_channels, panels, place, weights, biases, relu, level }
    }

    /// Runs on `images` images. Up to `threads` threads share the places, not the images, so that
    /// each reads a part of the weights.
    pub(crate) fn run(
        &self,
        images: usize,
        input: (&[f32], Map),
        (output, output_map): (&mut [f32], Map),
        threads: usize,
    ) {
        let threads = threads.min(images * self.weights.len() / MIN_SHARE).max(1);
        let rows = output_map.height;
        self.run_rows(images, input, (output, output_map), 0..rows, threads);
    }

    /// Runs for these rows of the whole output. The first of them is the first row of `output`.
    fn run_rows(
        &self,
        images: usize,
        input: (&[f32], Map),
        (output, output_map): (&mut [f32], Map),
        rows: Range<usize>,
        threads: usize,
    ) {
        if threads > 1 && rows.len() > 1 {
            let here = (rows.len() * (threads / 2) / threads).max(1);
            let below = Map { height: rows.len() - here, border: [0; 4], ..output_map };
            let mut there = vec![0.0; images * below.image_stride()];
            join(
                || {
                    let to = (&mut *output, output_map);
                    let rows = rows.start..rows.start + here;
                    self.run_rows(images, input, to, rows, threads / 2);
                },
                || {
                    let rows = rows.start + here..rows.end;
                    let to = (&mut *there, below);
                    self.run_rows(images, input, to, rows, threads - threads / 2);
                },
            );
            for image in 0..images {
                for y in 0..below.height {
                    let to = &mut output[output_map.row(image, here + y)];
                    to.copy_from_slice(&there[below.row(image, y)]);
                }
            }
            return;
        }
        let (input, input_map) = input;
        let (row, pixel) = (input_map.row_stride(), self.in_channels);
        let [height, width] = self.window.size;
        let [dy, dx] = self.window.dilation;
        let starts: Vec<usize> = (0..height)
            .flat_map(|y| {
                let taps = if dx == 1 { 1 } else { width };
                (0..taps).map(move |x| y * dy * row + x * dx * pixel)
            })
            .collect();
        let [down, across] = self.window.stride;
        launch(
            self.level,
            Local {
                input,
                input_map,
                output,
                output_map,
                images,
                rows,
                starts: &starts,
                run: if dx == 1 { width * pixel } else { pixel },
                down: down * row,
                across: across * pixel,
                panels: &self.panels,
                place: self.place,
                weights: &self.weights,
                biases: &self.biases,
                activation: if self.relu { FusedActivation::Relu } else { FusedActivation::None },
            },
        );
    }
}
