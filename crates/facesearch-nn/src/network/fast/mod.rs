//! Runs a graph on a CPU with this crate's own kernels.
//!
//! There are three stages:
//!
//! 1. [`compile`] rewrites the graph, once. What follows a convolution (a factor and a summand for
//!    each channel, a sum, an activation) is fused into it.
//! 2. [`plan`] decides, once for each input size, where every value is stored, how each convolution
//!    is run, and how many images pass through which layers together, so that the values between
//!    these stay in the cache.
//! 3. [`run`] executes a plan.
//!
//! To candle, the whole network is one operation.

mod compile;
mod plan;
mod power;
mod profile;
mod run;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape as TensorShape, Tensor};
use rayon::prelude::*;

use super::graph::Graph;
use super::{NetworkError, Precision};
use crate::kernels::Level;
use crate::layers::{Pixels, with_awake_threads};
use compile::{Step, compile};
use plan::{Plan, pack, plan};
use run::{Input, Workspace};

/// How many plans are kept: a detector sees photos of many sizes.
const MAX_PLANS: usize = 64;

/// A plan, and the height and width that it is for.
type Planned = ((usize, usize), Arc<Plan>);

/// A compiled graph with its packed weights.
#[derive(Debug)]
pub(super) struct Fast {
    graph: Graph,
    steps: Vec<Step>,
    level: Level,
    /// The most recently used last.
    plans: Mutex<Vec<Planned>>,
    workspaces: Mutex<Vec<Workspace>>,
}

impl Fast {
    pub(super) fn new(graph: &Graph, level: Level, precision: Precision) -> Self {
        let steps = compile(graph, level, precision);
        let (plans, workspaces) = (Mutex::default(), Mutex::default());
        Self { graph: graph.clone(), steps, level, plans, workspaces }
    }

    /// `input` is `(batch, channels, height, width)`, checked to fit the graph.
    pub(super) fn forward(&self, input: &Tensor) -> Result<Vec<Tensor>, NetworkError> {
        let (batch, _, height, width) = input.dims4()?;
        let plan = self.plan(height, width)?;
        let numbers = input.apply_op1_no_bwd(&Operation { network: self, plan: &plan })?;
        let mut start = 0;
        let mut outputs = Vec::with_capacity(plan.outputs.len());
        for output in &plan.outputs {
            let s = plan.shape(*output);
            let dims = (batch, s.channels, s.height, s.width);
            outputs.push(numbers.narrow(0, start, batch * s.len())?.reshape(dims)?);
            start += batch * s.len();
        }
        Ok(outputs)
    }

    /// Makes the plan for inputs of this size, and packs all weights for it.
    pub(super) fn prepare(&self, height: usize, width: usize) -> Result<(), NetworkError> {
        self.plan(height, width).map(drop)
    }

    fn plan(&self, height: usize, width: usize) -> Result<Arc<Plan>, NetworkError> {
        let size = (height, width);
        let is_first = {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = plans.iter().position(|(key, _)| *key == size) {
                let found = plans.remove(at);
                let plan = found.1.clone();
                plans.push(found);
                return Ok(plan);
            }
            plans.is_empty()
        };
        // Without the lock, because this waits for other threads of the pool. While it waits, rayon
        // may run another image on this thread, which would take the lock.
        if is_first {
            pack(&self.graph, &self.steps, height, width)?;
        }
        let plan = Arc::new(plan(&self.graph, &self.steps, height, width)?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push((size, plan.clone()));
        Ok(plan)
    }

    /// Runs the images in groups, a group on each thread. A group has at most the plan's
    /// `max_images`. With fewer images than threads, several threads share an image. With many
    /// weights and few images, several threads share a group.
    fn run(&self, plan: &Plan, input: &Input<'_>, batch: usize) -> Vec<f32> {
        let threads = rayon::current_num_threads();
        let groups = batch.div_ceil(plan.max_images).max(1);
        let (group, threads_per_group) = if plan.is_heavy && 2 * groups <= threads {
            (batch.div_ceil(groups).max(1), threads / groups)
        } else {
            let group = batch.div_ceil(threads).clamp(1, plan.max_images);
            (group, (threads / batch.max(1)).max(1))
        };
        let starts: Vec<usize> = (0..batch).step_by(group).collect();
        let run_group = |start: &usize| {
            let mut workspace = self.take_workspace();
            let images = *start..batch.min(start + group);
            let how = (self.level, threads_per_group);
            let outputs = with_awake_threads(threads_per_group - 1, || {
                run::run(&self.steps, plan, input, images, &mut workspace, how, None)
            });
            self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
            outputs
        };
        let parts: Vec<Vec<Vec<f32>>> = match starts.as_slice() {
            [start] => vec![run_group(start)],
            starts => starts.par_iter().map(run_group).collect(),
        };
        let mut numbers = Vec::new();
        for output in 0..plan.outputs.len() {
            parts.iter().for_each(|part| numbers.extend_from_slice(&part[output]));
        }
        numbers
    }

    fn take_workspace(&self) -> Workspace {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.pop().unwrap_or_default()
    }
}

/// The numbers of a candle tensor.
fn read_input<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<Input<'a>> {
    let pixels = match storage {
        CpuStorage::F32(numbers) => Pixels::F32(&numbers[layout.start_offset()..]),
        CpuStorage::U8(bytes) => Pixels::U8(&bytes[layout.start_offset()..]),
        _ => candle_core::bail!("a network reads f32 or u8"),
    };
    let &[image, channel, row, column] = layout.stride() else {
        candle_core::bail!("a network reads (batch, channels, height, width)")
    };
    Ok(Input { pixels, strides: [image, channel, row, column] })
}

/// The whole network as one operation of candle. Its result is every output, one after the other,
/// in one vector.
struct Operation<'a> {
    network: &'a Fast,
    plan: &'a Plan,
}

impl CustomOp1 for Operation<'_> {
    fn name(&self) -> &'static str {
        "facesearch-network"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, TensorShape)> {
        let numbers = self.network.run(self.plan, &read_input(storage, layout)?, layout.dims()[0]);
        let shape = TensorShape::from(numbers.len());
        Ok((CpuStorage::F32(numbers), shape))
    }
}
