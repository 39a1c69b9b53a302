//! Where the time of a network goes.

use std::time::Duration;

use candle_core::{Storage, Tensor};

use super::compile::Work;
use super::plan::{Kind, Task};
use super::{Fast, reading, run};
use crate::layers::Map;
use crate::network::{LayerTime, NetworkError};

impl Fast {
    /// Runs the input `runs` times on this thread; see [`Network::profile`](crate::Network::profile).
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
        let source = reading(storage, layout)?;
        let mut workspace = self.take_workspace();
        // Once more than asked: the first run finds nothing in the cache.
        for _ in 0..=runs {
            let mut times = vec![Duration::ZERO; tasks.len()];
            for first in (0..batch).step_by(plan.capacity) {
                let images = first..batch.min(first + plan.capacity);
                let (steps, how) = (&self.steps, (self.level, 1));
                run::run(steps, &plan, &source, images, &mut workspace, how, Some(&mut times));
            }
            best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
        }
        let map = |value: usize| &plan.values[value].map;
        let each = tasks.iter().zip(best).map(|(task, time)| {
            let (input, output) = (task.inputs.first().map(|v| map(*v)), map(task.output));
            let (method, defined, done, weights) = self.work(task, input, output);
            let size = |map: &Map| format!("{}x{}x{}", map.channels, map.height, map.width);
            let input_size = input.map_or_else(String::new, |map| size(map) + " to ");
            let numbers = |map: &Map| map.channels * map.height * map.width;
            let values: usize = task.inputs.iter().map(|v| numbers(map(*v))).sum();
            LayerTime {
                name: format!("{method}, {input_size}{}", size(output)),
                time,
                precision: task.precision(),
                images: batch,
                defined,
                done,
                weight_bytes: 4 * weights,
                value_bytes: 4 * (values + numbers(output)),
            }
        });
        Ok(each.collect())
    }

    /// What a task does, how many multiplications with addition that is for an image by the definition
    /// and as it is done, and how many weights it reads.
    fn work(&self, task: &Task, input: Option<&Map>, output: &Map) -> (String, u64, u64, usize) {
        let work = &self.steps[task.step].work;
        match (&task.kind, work, input) {
            (Kind::Convolve { prepared, .. }, Work::Convolve(convolution), Some(input)) => {
                convolution.work(prepared, input, output)
            }
            (Kind::Whole, Work::Local(layer), _) => {
                let weights = layer.weights();
                ("locally connected".to_owned(), weights as u64, weights as u64, weights)
            }
            (Kind::Add, ..) => ("sum".to_owned(), 0, 0, 0),
            (Kind::Activate(_), ..) => ("activation".to_owned(), 0, 0, 0),
            (_, work, _) => (work.name().to_owned(), 0, 0, 0),
        }
    }
}
