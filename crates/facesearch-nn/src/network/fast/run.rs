//! Runs a plan on some images.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::compile::{Step, Value, Work};
use super::plan::{Kind, Plan, Task};
use super::power::power;
use crate::kernels::{Level, PoolMap, Residual, launch};
use crate::layers::{self, Aligned, Io, Load, Map, Pixels, Scaled};

/// The network's input, with the strides from a number to the next image's, channel's, row's and
/// column's.
pub(super) struct Input<'a> {
    pub(super) pixels: Pixels<'a>,
    pub(super) strides: [usize; 4],
}

/// Memory that is reused from run to run.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    slots: Vec<Aligned>,
    scratch: Aligned,
    /// Inputs as integers or after space-to-depth.
    spare: Aligned,
}

/// Runs the images of this range on up to `threads` threads. Each output is `(images, channels,
/// height, width)`. The time of each task, in the order of the plan, is added to `times`.
pub(super) fn run(
    steps: &[Step],
    plan: &Plan,
    input: &Input<'_>,
    images: Range<usize>,
    workspace: &mut Workspace,
    (level, threads): (Level, usize),
    mut times: Option<&mut [Duration]>,
) -> Vec<Vec<f32>> {
    if workspace.slots.len() < plan.slots {
        workspace.slots.resize_with(plan.slots, Aligned::default);
    }
    workspace.scratch.grow(plan.scratch * threads);
    let total = images.len();
    let mut done = 0;
    for stage in &plan.stages {
        for first in (0..total).step_by(stage.images) {
            let together = first..total.min(first + stage.images);
            for (i, task) in stage.tasks.iter().enumerate() {
                let mut runner =
                    Runner { plan, workspace, images: together.clone(), total, level, threads };
                let start = times.is_some().then(Instant::now);
                runner.run(task, &steps[task.step].work, input, images.start);
                if let (Some(times), Some(start)) = (&mut times, start) {
                    times[done + i] += start.elapsed();
                }
            }
        }
        done += stage.tasks.len();
    }
    let output = |value: &Value| {
        let place = &plan.values[*value];
        let data = &workspace.slots[place.slot];
        let mut numbers = vec![0.0; total * plan.shape(*value).len()];
        layers::store(total, (data, place.map), &mut numbers);
        numbers
    };
    plan.outputs.iter().map(output).collect()
}

/// Runs a task on the images that pass through together.
struct Runner<'a> {
    plan: &'a Plan,
    workspace: &'a mut Workspace,
    /// Which of the images of this run.
    images: Range<usize>,
    /// How many this run has in all.
    total: usize,
    level: Level,
    /// How many threads may share the work.
    threads: usize,
}

impl Runner<'_> {
    fn run(&mut self, task: &Task, work: &Work, source: &Input<'_>, first_image: usize) {
        let place = self.plan.values[task.output];
        let map = place.map;
        let stride = map.image_stride();
        let images = self.images.len();
        // The output is taken out of the workspace so that the inputs can be read beside it.
        let mut slot = std::mem::take(&mut self.workspace.slots[place.slot]);
        let (have, from) = match place.is_local {
            true => (images, 0),
            false => (self.total, self.images.start),
        };
        slot.grow(have * stride);
        let out = &mut slot[from * stride..(from + images) * stride];
        map.clear_border(out);
        match &task.kind {
            Kind::Convolve { prepared, activate } => {
                let Work::Convolve(convolution) = work else {
                    unreachable!("only convolutions are prepared")
                };
                let mut scratch = std::mem::take(&mut self.workspace.scratch);
                let mut spare = std::mem::take(&mut self.workspace.spare);
                let residual = task.inputs.get(1).map(|value| {
                    let (data, map) = self.value(*value);
                    Residual { data, map }
                });
                let io = Io {
                    images,
                    input: self.value(task.inputs[0]),
                    output: (out, map),
                    residual,
                    scratch: &mut scratch,
                    spare: &mut spare,
                };
                convolution.run(prepared, io, *activate, self.threads);
                self.workspace.scratch = scratch;
                self.workspace.spare = spare;
            }
            Kind::Add => {
                let (a, b) = (self.value(task.inputs[0]), self.value(task.inputs[1]));
                layers::add(images, [a, b], (out, map));
            }
            Kind::Activate(activation) => {
                let (input, input_map) = self.value(task.inputs[0]);
                let (affine, activation) = (None, Some(activation));
                let output = out;
                Scaled { affine, activation, images, input, input_map, output, output_map: map }
                    .run(self.level);
            }
            Kind::Whole => {
                let start = first_image + self.images.start;
                self.whole(task, work, source, start..start + images, (out, map));
            }
        }
        self.workspace.slots[place.slot] = slot;
    }

    /// The numbers of a value for these images.
    fn value(&self, value: Value) -> (&[f32], Map) {
        let place = &self.plan.values[value];
        let stride = place.map.image_stride();
        let from = if place.is_local { 0 } else { self.images.start };
        let data = &self.workspace.slots[place.slot];
        (&data[from * stride..(from + self.images.len()) * stride], place.map)
    }

    fn whole(
        &self,
        task: &Task,
        work: &Work,
        source: &Input<'_>,
        source_images: Range<usize>,
        (output, output_map): (&mut [f32], Map),
    ) {
        let images = self.images.len();
        let input = |i: usize| self.value(task.inputs[i]);
        match work {
            Work::Load { scale, shift } => {
                let Input { pixels, strides } = *source;
                let (images, map) = (source_images, output_map);
                Load { pixels, strides, scale, shift, images, output, map }.run(self.level);
            }
            Work::Convolve(_) => unreachable!("convolutions are prepared"),
            Work::Local(layer) => {
                layer.run(images, input(0), (output, output_map), self.threads);
            }
            Work::Pool(pool) => {
                let ((input, input_map), pool) = (input(0), *pool);
                launch(self.level, PoolMap { input, input_map, output, output_map, images, pool });
            }
            Work::GlobalAverage => layers::global_average(images, input(0), (output, output_map)),
            Work::Flatten(order) => {
                layers::flatten(images, *order, input(0), (output, output_map));
            }
            Work::Scale { affine, activation } => {
                let (input, input_map) = input(0);
                let affine = affine.as_ref().map(|(scale, shift)| (&**scale, &**shift));
                let activation = activation.as_ref();
                Scaled { affine, activation, images, input, input_map, output, output_map }
                    .run(self.level);
            }
            Work::Add => layers::add(images, [input(0), input(1)], (output, output_map)),
            Work::Multiply => {
                let (a, b) = (input(0), input(1));
                let is_vector = |map: &Map| (map.height, map.width) == (1, 1);
                let (a, b) = if is_vector(&a.1) { (b, a) } else { (a, b) };
                layers::multiply(images, a, b, (output, output_map));
            }
            Work::Concat => {
                let inputs: Vec<_> = (0..task.inputs.len()).map(input).collect();
                layers::concat(images, &inputs, (output, output_map));
            }
            Work::Slice { start } => {
                layers::copy_channels(images, *start, input(0), (output, output_map));
            }
            Work::Upsample { factor } => {
                layers::upsample(images, *factor, input(0), (output, output_map));
            }
            Work::Softmax => layers::softmax(images, input(0), (output, output_map)),
            Work::Power(exponent) => power(images, *exponent, input(0), (output, output_map)),
            Work::Reshape => layers::reshape(images, input(0), (output, output_map)),
            Work::Permute(order) => {
                let to = (output, output_map);
                layers::rearrange(images, input(0), to, |from| order.map(|axis| from[axis]));
            }
        }
    }
}
