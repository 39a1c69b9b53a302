//! Runs a graph on a CPU through kernels of our own.
//!
//! Three stages. [`compile`] rewrites the graph once: what follows a convolution (a factor and a
//! summand for each channel, a sum, an activation) becomes part of it. [`plan`] settles, once for
//! each input size, where every value lies, how each convolution is run, and how many images go
//! through how many layers together, so that what they pass on is still in the cache. [`run`]
//! carries a plan out. On the outside it is one candle operation for the whole network.

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
use crate::layers::{Pixels, awake};
use compile::{Step, compile};
use plan::{Plan, pack, plan};
use run::{Input, Workspace};

/// Plans kept, the most recently used last: a detector sees many sizes of photo.
const PLANS: usize = 64;

/// A plan and the height and width it is for.
type Planned = ((usize, usize), Arc<Plan>);

/// A compiled graph with its packed weights.
#[derive(Debug)]
pub(super) struct Fast {
    graph: Graph,
    steps: Vec<Step>,
    level: Level,
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
        let all = input.apply_op1_no_bwd(&Operation { network: self, plan: &plan })?;
        let mut start = 0;
        let mut outputs = Vec::with_capacity(plan.outputs.len());
        for output in &plan.outputs {
            let s = plan.shape(*output);
            let dims = (batch, s.channels, s.height, s.width);
            outputs.push(all.narrow(0, start, batch * s.len())?.reshape(dims)?);
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
        // Without the lock: a thread that waits for others may be given a photo meanwhile.
        if is_first {
            pack(&self.graph, &self.steps, height, width)?;
        }
        let plan = Arc::new(plan(&self.graph, &self.steps, height, width)?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() == PLANS {
            plans.remove(0);
        }
        plans.push((size, plan.clone()));
        Ok(plan)
    }

    /// Images in one go on one thread: evenly over the threads, no more than the plan likes. With
    /// fewer images than threads, several threads share an image, and with many weights and few images all do.
    fn run(&self, plan: &Plan, input: &Input<'_>, batch: usize) -> Vec<f32> {
        let threads = rayon::current_num_threads();
        let goes = batch.div_ceil(plan.capacity);
        let (chunk, bands) = if plan.is_heavy && 2 * goes <= threads {
            (batch.div_ceil(goes.max(1)).max(1), threads / goes.max(1))
        } else {
            let chunk = batch.div_ceil(threads).clamp(1, plan.capacity);
            (chunk, (threads / batch.max(1)).max(1))
        };
        let starts: Vec<usize> = (0..batch).step_by(chunk).collect();
        let one = |start: &usize| {
            let mut workspace = self.take_workspace();
            let images = *start..batch.min(start + chunk);
            let how = (self.level, bands);
            let outputs = awake(bands - 1, || {
                run::run(&self.steps, plan, input, images, &mut workspace, how, None)
            });
            self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
            outputs
        };
        let parts: Vec<Vec<Vec<f32>>> = match starts.as_slice() {
            [start] => vec![one(start)],
            starts => starts.par_iter().map(one).collect(),
        };
        let mut all = Vec::new();
        for output in 0..plan.outputs.len() {
            parts.iter().for_each(|part| all.extend_from_slice(&part[output]));
        }
        all
    }

    fn take_workspace(&self) -> Workspace {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.pop().unwrap_or_default()
    }
}

/// How an input is read.
fn reading<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<Input<'a>> {
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

/// The whole network as one operation of candle: every output, one after the other, as one row of
/// numbers.
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
        let all = self.network.run(self.plan, &reading(storage, layout)?, layout.dims()[0]);
        let shape = TensorShape::from(all.len());
        Ok((CpuStorage::F32(all), shape))
    }
}
