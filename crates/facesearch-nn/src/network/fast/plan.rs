//! Decides for one input size where values are stored and how many images pass through together.

use rayon::prelude::*;

use super::compile::{Step, Value, Work};
use crate::layers::{Convolution, Map, Prepared};
use crate::network::graph::Graph;
use crate::network::shape::Shape;
use crate::network::{Activation, NetworkError, Precision};

/// The inputs and the output of a step should have no more numbers than this, for all images that
/// pass through it together: half of a level-2 cache of 1 MiB.
const MAX_CACHED: usize = 128 * 1024;

/// The most images that pass through together. Late layers have small values, and a batch of them
/// shares the reading of the weights.
const MAX_IMAGES: usize = 16;

/// How a network is run for inputs of one size.
#[derive(Debug)]
pub(super) struct Plan {
    /// The most images that pass through together.
    pub(super) max_images: usize,
    pub(super) stages: Vec<Stage>,
    pub(super) values: Vec<Place>,
    pub(super) outputs: Vec<Value>,
    /// The most numbers of scratch that a step needs.
    pub(super) scratch: usize,
    /// How many slots the values share.
    pub(super) slots: usize,
    /// Whether very many weights are read once for all images together. Then each thread should
    /// read a part of the weights, instead of all weights for a part of the images.
    pub(super) is_heavy: bool,
}

/// From this many weights on, they do not stay in the processor's caches from one group of images
/// to the next.
const HEAVY: usize = 8 << 20;

/// Neighbouring steps. `images` images pass through all of them before the next images do.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) images: usize,
    pub(super) tasks: Vec<Task>,
}

/// A step, or a part of one, for this size.
#[derive(Debug)]
pub(super) struct Task {
    /// Which step. The inputs and output of the task may be other values than the step's.
    pub(super) step: usize,
    pub(super) kind: Kind,
    pub(super) inputs: Vec<Value>,
    pub(super) output: Value,
}

/// Which part of a step a task does.
#[derive(Debug)]
pub(super) enum Kind {
    /// The whole step.
    Whole,
    /// A convolution. `activate` says whether its activation is part of the task.
    Convolve { prepared: Prepared, activate: bool },
    /// The sum with a residual that the convolution could not add, because the sizes differ.
    Add,
    /// The activation after that sum.
    Activate(Activation),
}

/// Where a value is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) map: Map,
    /// Its slot in the workspace.
    pub(super) slot: usize,
    /// Whether it is needed inside its stage only. Then it has room for the images of the stage;
    /// otherwise for all images.
    pub(super) is_local: bool,
}

impl Plan {
    pub(super) fn shape(&self, value: Value) -> Shape {
        let map = &self.values[value].map;
        Shape::new(map.channels, map.height, map.width)
    }
}

/// Packs the weights of all convolutions for inputs of `height x width`, on all threads. This takes
/// most of the time until the first result.
pub(super) fn pack(
    graph: &Graph,
    steps: &[Step],
    height: usize,
    width: usize,
) -> Result<(), NetworkError> {
    let shapes = graph.shapes(height, width)?;
    steps.par_iter().for_each(|step| {
        if let Work::Convolve(convolution) = &step.work {
            let s = shapes[step.inputs[0]];
            let input =
                Map { channels: s.channels, height: s.height, width: s.width, border: [0; 4] };
            let output = convolution.output(&input);
            convolution.prepare([s.channels, s.height, s.width], [output.height, output.width]);
        }
    });
    Ok(())
}

/// The plan for inputs of `height x width`.
pub(super) fn plan(
    graph: &Graph,
    steps: &[Step],
    height: usize,
    width: usize,
) -> Result<Plan, NetworkError> {
    let mut maps: Vec<Map> = graph
        .shapes(height, width)?
        .into_iter()
        .map(|s| Map { channels: s.channels, height: s.height, width: s.width, border: [0; 4] })
        .collect();
    let mut tasks = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        add_tasks(i, step, &mut maps, &mut tasks);
    }
    let weights_read_once = |task: &Task| match (&task.kind, &steps[task.step].work) {
        (Kind::Convolve { prepared, .. }, _) if prepared.reads_weights_once() => prepared.weights(),
        (_, Work::Local(layer)) => layer.weights(),
        _ => 0,
    };
    let is_heavy = tasks.iter().map(weights_read_once).sum::<usize>() >= HEAVY;
    let scratch = tasks.iter().map(|task| task.scratch()).max().unwrap_or(0);
    let outputs: Vec<Value> = graph.outputs.iter().map(|id| id.index()).collect();
    let stages = stages(tasks, steps, &maps);
    let (values, slots) = places(&stages, &maps, &outputs);
    Ok(Plan { max_images: MAX_IMAGES, stages, values, outputs, scratch, slots, is_heavy })
}

impl Task {
    /// What it multiplies.
    pub(super) fn precision(&self) -> Precision {
        match &self.kind {
            Kind::Convolve { prepared, .. } => prepared.precision(),
            _ => Precision::F32,
        }
    }

    fn scratch(&self) -> usize {
        match &self.kind {
            Kind::Convolve { prepared, .. } => prepared.scratch,
            _ => 0,
        }
    }
}

fn add_tasks(i: usize, step: &Step, maps: &mut Vec<Map>, tasks: &mut Vec<Task>) {
    let task_of = |kind| Task { step: i, kind, inputs: step.inputs.clone(), output: step.output };
    let Work::Convolve(convolution) = &step.work else {
        tasks.push(task_of(Kind::Whole));
        return;
    };
    let input = step.inputs[0];
    let output = maps[step.output];
    let Some(&residual) = step.inputs.get(1) else {
        let prepared = prepare(convolution, input, output, maps);
        tasks.push(task_of(Kind::Convolve { prepared, activate: true }));
        return;
    };
    // The sum has the larger of each dimension, so the size of the convolution itself is known only
    // here.
    let own = convolution.output(&maps[input]);
    let added = maps[residual];
    let fits =
        (own.height, own.width) == (added.height, added.width) && added.channels <= own.channels;
    if fits {
        let prepared = prepare(convolution, input, output, maps);
        tasks.push(task_of(Kind::Convolve { prepared, activate: true }));
        return;
    }
    let prepared = prepare(convolution, input, own, maps);
    maps.push(own);
    let product = maps.len() - 1;
    let kind = Kind::Convolve { prepared, activate: false };
    tasks.push(Task { step: i, kind, inputs: vec![input], output: product });
    let mut sum = step.output;
    if convolution.activation().is_some() {
        maps.push(output);
        sum = maps.len() - 1;
    }
    let inputs = vec![product, residual];
    tasks.push(Task { step: i, kind: Kind::Add, inputs, output: sum });
    if let Some(activation) = convolution.activation() {
        let kind = Kind::Activate(activation.clone());
        tasks.push(Task { step: i, kind, inputs: vec![sum], output: step.output });
    }
}

/// Prepares the convolution, and widens the border of its input to what it reads.
fn prepare(convolution: &Convolution, input: Value, output: Map, maps: &mut [Map]) -> Prepared {
    let map = &mut maps[input];
    let size = [map.channels, map.height, map.width];
    let prepared = convolution.prepare(size, [output.height, output.width]);
    for (have, need) in map.border.iter_mut().zip(prepared.border) {
        *have = (*have).max(need);
    }
    prepared
}

/// Groups neighbouring tasks into stages: those through which as many images should pass together.
fn stages(tasks: Vec<Task>, steps: &[Step], maps: &[Map]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for task in tasks {
        let touched = task.inputs.iter().chain([&task.output]);
        let numbers: usize = touched.map(|value| maps[*value].image_stride()).sum();
        let fit = match &steps[task.step].work {
            // Its weights are far larger than its values, and are read once for all images.
            Work::Local(_) => MAX_IMAGES,
            _ => (MAX_CACHED / numbers.max(1)).clamp(1, MAX_IMAGES),
        };
        let together = match &task.kind {
            Kind::Convolve { prepared, .. } => prepared.images_together.min(MAX_IMAGES),
            _ => 1,
        };
        let images = 1 << fit.max(together).ilog2();
        match stages.last_mut() {
            Some(stage) if stage.images == images => stage.tasks.push(task),
            _ => stages.push(Stage { images, tasks: vec![task] }),
        }
    }
    stages
}

/// Gives each value a slot that is free for as long as the value is needed.
fn places(stages: &[Stage], maps: &[Map], outputs: &[Value]) -> (Vec<Place>, usize) {
    const NEVER: usize = usize::MAX;
    // For each value the stage that computes it, and the last task that reads it, as (stage, task).
    let mut made = vec![NEVER; maps.len()];
    let mut read = vec![(0, 0); maps.len()];
    let mut is_local = vec![true; maps.len()];
    for (s, stage) in stages.iter().enumerate() {
        for (t, task) in stage.tasks.iter().enumerate() {
            made[task.output] = s;
            read[task.output] = (s, t);
            for input in &task.inputs {
                read[*input] = (s, t);
                is_local[*input] &= made[*input] == s;
            }
        }
    }
    for output in outputs {
        (read[*output], is_local[*output]) = ((NEVER, NEVER), false);
    }
    // A value for all images is read until the end of a stage: the first images run through all its
    // tasks before the last images do.
    for (value, read) in read.iter_mut().enumerate() {
        if !is_local[value] {
            read.1 = NEVER;
        }
    }
    let mut places: Vec<Place> = maps
        .iter()
        .zip(&is_local)
        .map(|(map, is_local)| Place { map: *map, slot: NEVER, is_local: *is_local })
        .collect();
    let mut free: Vec<usize> = Vec::new();
    let mut slots = 0;
    let mut live: Vec<Value> = Vec::new();
    for (s, stage) in stages.iter().enumerate() {
        // A value for all images must not share a slot with a value of this stage, not even with
        // one that is not needed any more: the next images would overwrite it.
        let kept = stage.tasks.iter().map(|task| task.output).filter(|v| !is_local[*v]);
        for value in kept {
            places[value].slot = free.pop().unwrap_or_else(|| {
                slots += 1;
                slots - 1
            });
            live.push(value);
        }
        for (t, task) in stage.tasks.iter().enumerate() {
            if is_local[task.output] {
                places[task.output].slot = free.pop().unwrap_or_else(|| {
                    slots += 1;
                    slots - 1
                });
                live.push(task.output);
            }
            live.retain(|value| {
                let done = read[*value] == (s, t);
                if done {
                    free.push(places[*value].slot);
                }
                !done
            });
        }
        live.retain(|value| {
            let done = read[*value] == (s, NEVER);
            if done {
                free.push(places[*value].slot);
            }
            !done
        });
    }
    (places, slots)
}
