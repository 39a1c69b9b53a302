//! Measures the time of each layer.

use std::time::Duration;

use candle_core::{Storage, Tensor};

use super::compile::Work;
use super::plan::{Kind, Task};
use super::{Fast, read_input, run};
use crate::layers::{LayerWork, Map};
use crate::network::{LayerTime, NetworkError};

impl Fast {
    /// Runs the input `runs` times on this thread. See
    /// [`Network::profile`](crate::Network::profile).
    pub(in crate::network) fn profile(
        &self,
        input: &Tensor,
        runs: usize,
    ) -> Result<Vec<LayerTime>, NetworkError> {
        let (batch, _, height, width) = input.dims4()?;
        let plan = self.plan(height, width)?;
        let tasks: Vec<&Task> = plan.stages.iter().flat_map(|stage| &stage.tasks).collect();
        let mut best = vec![Duration::MAX; tasks.len()];
        let (storage, layout) = input.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            unreachable!("the caller has brought the input to the CPU")
        };
        let source = read_input(storage, layout)?;
        let mut workspace = self.take_workspace();
        // Once more than asked, because the first run finds nothing in the cache.
        for _ in 0..=runs {
            let mut times = vec![Duration::ZERO; tasks.len()];
            for first in (0..batch).step_by(plan.max_images) {
                let images = first..batch.min(first + plan.max_images);
                let (steps, how) = (&self.steps, (self.level, 1));
                run::run(steps, &plan, &source, images, &mut workspace, how, Some(&mut times));
            }
            best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
        }
        let map = |value: usize| &plan.values[value].map;
        let layer_time = |(task, time): (&&Task, Duration)| {
            let (input, output) = (task.inputs.first().map(|v| map(*v)), map(task.output));
            let LayerWork { name, defined, done, weights } = self.work(task, input, output);
            let size = |map: &Map| format!("{}x{}x{}", map.channels, map.height, map.width);
            let input_size = input.map_or_else(String::new, |map| size(map) + " to ");
            let numbers = |map: &Map| map.channels * map.height * map.width;
            let values: usize = task.inputs.iter().map(|v| numbers(map(*v))).sum();
            LayerTime {
                name: format!("{name}, {input_size}{}", size(output)),
                time,
                precision: task.precision(),
                images: batch,
                defined,
                done,
                weight_bytes: 4 * weights,
                value_bytes: 4 * (values + numbers(output)),
            }
        };
        Ok(tasks.iter().zip(best).map(layer_time).collect())
    }

    /// What a task does for an image.
    fn work(&self, task: &Task, input: Option<&Map>, output: &Map) -> LayerWork {
        let work = &self.steps[task.step].work;
        match (&task.kind, work, input) {
            (Kind::Convolve { prepared, .. }, Work::Convolve(convolution), Some(input)) => {
                convolution.work(prepared, input, output)
            }
            (Kind::Whole, Work::Local(layer), _) => {
                let weights = layer.weights();
                let (defined, done) = (weights as u64, weights as u64);
                LayerWork { name: "locally connected".to_owned(), defined, done, weights }
            }
            (Kind::Add, ..) => without_products("sum"),
            (Kind::Activate(_), ..) => without_products("activation"),
            (_, work, _) => without_products(work.name()),
        }
    }
}

fn without_products(name: &str) -> LayerWork {
    LayerWork { name: name.to_owned(), defined: 0, done: 0, weights: 0 }
}
