//! Settles for one input size where values lie and how many images pass through together.

use rayon::prelude::*;

use super::compile::{Step, Value, Work};
use crate::layers::{Map, Prepared};
use crate::network::graph::Graph;
use crate::network::shape::Shape;
use crate::network::{Activation, NetworkError, Precision};

/// Numbers that the inputs and the output of a step should fit in, for the images that pass
/// through it together: half of a level-2 cache of 1 MiB.
const CACHED: usize = 128 * 1024;

/// The most images in one go. Those behind a network's last halvings are small, and a batch of
/// them shares the reading of the weights.
const MOST_IMAGES: usize = 16;

/// A plan.
#[derive(Debug)]
pub(super) struct Plan {
    /// The most images in one go.
    pub(super) capacity: usize,
    pub(super) stages: Vec<Stage>,
    pub(super) values: Vec<Place>,
    pub(super) outputs: Vec<Value>,
    /// Numbers of scratch that some step needs.
    pub(super) scratch: usize,
    /// How many slots the values share.
    pub(super) slots: usize,
    /// Whether the weights that are read once for all images together are so many that each thread should read
    /// a part of them, instead of all of them for a part of the images.
    pub(super) is_heavy: bool,
}

/// So many weights are more than stays in a processor's caches from one group of images to the next.
const HEAVY: usize = 8 << 20;

/// Steps that the images pass through together, a few at a time.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) images: usize,
    pub(super) tasks: Vec<Task>,
}

/// A step as it is done for this size.
#[derive(Debug)]
pub(super) struct Task {
    /// Which step; its inputs and output may be other values here.
    pub(super) step: usize,
    pub(super) kind: Kind,
    pub(super) inputs: Vec<Value>,
    pub(super) output: Value,
}

/// What of a step a task does.
#[derive(Debug)]
pub(super) enum Kind {
    /// All, and there is nothing to say.
    Whole,
    /// A convolution; `squash` says whether its activation is part of it.
    Convolve { prepared: Prepared, squash: bool },
    /// The sum that the convolution before could not do, because the sizes differ.
    Add,
    /// The activation that should have followed that sum.
    Activate(Activation),
}

/// Where a value lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) map: Map,
    /// Which of the workspace's slots it uses.
    pub(super) slot: usize,
    /// Whether it lives only while a few images are in its stage; otherwise it is kept for all.
    pub(super) is_local: bool,
}

impl Plan {
    pub(super) fn shape(&self, value: Value) -> Shape {
        let map = &self.values[value].map;
        Shape::new(map.channels, map.height, map.width)
    }
}

/// Packs the weights of all convolutions for inputs of `height x width`, on all threads: most of the time
/// to a first result.
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
    let once = |task: &Task| match (&task.kind, &steps[task.step].work) {
        (Kind::Convolve { prepared, .. }, _) if prepared.reads_weights_once() => prepared.weights(),
        (_, Work::Local(layer)) => layer.weights(),
        _ => 0,
    };
    let is_heavy = tasks.iter().map(once).sum::<usize>() >= HEAVY;
    let scratch = tasks.iter().map(|task| task.scratch()).max().unwrap_or(0);
    let outputs: Vec<Value> = graph.outputs.iter().map(|id| id.index()).collect();
    let stages = stages(tasks, steps, &maps);
    let (values, slots) = places(&stages, &maps, &outputs);
    Ok(Plan { capacity: MOST_IMAGES, stages, values, outputs, scratch, slots, is_heavy })
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
    let whole = |kind| Task { step: i, kind, inputs: step.inputs.clone(), output: step.output };
    let Work::Convolve(convolution) = &step.work else {
        tasks.push(whole(Kind::Whole));
        return;
    };
    let input = step.inputs[0];
    let output = maps[step.output];
    let Some(&residual) = step.inputs.get(1) else {
        let prepared = prepare(convolution, input, output, maps);
        tasks.push(whole(Kind::Convolve { prepared, squash: true }));
        return;
    };
    // The sum has the larger of each dimension; the convolution's own size is known only here.
    let own = convolution.output(&maps[input]);
    let added = maps[residual];
    let fits =
        (own.height, own.width) == (added.height, added.width) && added.channels <= own.channels;
    if fits {
        let prepared = prepare(convolution, input, output, maps);
        tasks.push(whole(Kind::Convolve { prepared, squash: true }));
        return;
    }
    let prepared = prepare(convolution, input, own, maps);
    maps.push(own);
    let product = maps.len() - 1;
    let kind = Kind::Convolve { prepared, squash: false };
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

/// Prepares the convolution, and widens its input's border to what it reads.
fn prepare(
    convolution: &crate::layers::Convolution,
    input: Value,
    output: Map,
    maps: &mut [Map],
) -> Prepared {
    let map = &mut maps[input];
    let size = [map.channels, map.height, map.width];
    let prepared = convolution.prepare(size, [output.height, output.width]);
    for (have, need) in map.border.iter_mut().zip(prepared.border) {
        *have = (*have).max(need);
    }
    prepared
}

/// Groups neighbouring tasks through which as many images should pass together.
fn stages(tasks: Vec<Task>, steps: &[Step], maps: &[Map]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for task in tasks {
        let touched = task.inputs.iter().chain([&task.output]);
        let numbers: usize = touched.map(|value| maps[*value].image_stride()).sum();
        let fit = match &steps[task.step].work {
            // Its weights are far larger than its values, and read once for all images.
            Work::Local(_) => MOST_IMAGES,
            _ => (CACHED / numbers.max(1)).clamp(1, MOST_IMAGES),
        };
        let together = match &task.kind {
            Kind::Convolve { prepared, .. } => prepared.together.min(MOST_IMAGES),
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
    // For each value the stage that makes it and the last place that reads it, as (stage, task).
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
    // A value kept for all images is read until the end of a stage: the first images' last task
    // comes before the last images' first.
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
        // A kept value made here must not take a slot that is freed within the stage, nor one
        // of a value local to it, for the next images would find it overwritten.
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
