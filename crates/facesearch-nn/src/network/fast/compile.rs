//! Rewrites a graph into steps, and fuses what follows a convolution into it.

use crate::kernels::Level;
use crate::layers::{Convolution, LocalLayer, Weights};
use crate::network::Precision;
use crate::network::graph::{Activation, FlattenOrder, Graph, Op, Pool};

/// A value: the index of the layer that computes it.
pub(super) type Value = usize;

/// A layer, or several fused into one.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) work: Work,
    pub(super) inputs: Vec<Value>,
    pub(super) output: Value,
}

/// What a step computes from its inputs.
#[derive(Debug)]
pub(super) enum Work {
    /// Reads the network's input: `scale * x + shift`.
    Load {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    /// A convolution of the first input. A second input is a residual.
    Convolve(Box<Convolution>),
    Local(Box<LocalLayer>),
    Pool(Pool),
    GlobalAverage,
    Flatten(FlattenOrder),
    Scale {
        affine: Option<(Vec<f32>, Vec<f32>)>,
        activation: Option<Activation>,
    },
    Add,
    Multiply,
    Concat,
    Slice {
        start: usize,
    },
    Upsample {
        factor: usize,
    },
    Softmax,
    Power(f32),
    Reshape,
    Permute([usize; 3]),
}

impl Work {
    /// The name for profiles.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Load { .. } => "input",
            Self::Convolve(_) => "convolution",
            Self::Local(_) => "locally connected",
            Self::Pool(_) => "pool",
            Self::GlobalAverage => "mean of the map",
            Self::Flatten(_) => "flatten",
            Self::Scale { .. } => "scale, activation",
            Self::Add => "sum",
            Self::Multiply => "product",
            Self::Concat => "concatenation",
            Self::Slice { .. } => "slice",
            Self::Upsample { .. } => "upsample",
            Self::Softmax => "softmax",
            Self::Power(_) => "power",
            Self::Reshape => "reshape",
            Self::Permute(_) => "permute",
        }
    }
}

/// A layer and the layers after it that are fused into it.
struct Chain {
    /// The convolution, dense or locally connected layer.
    head: usize,
    /// The last layer that is fused.
    tail: usize,
    affine: Option<(Vec<f32>, Vec<f32>)>,
    residual: Option<usize>,
    activation: Option<Activation>,
}

/// The steps of a graph, in the order of execution.
pub(super) fn compile(graph: &Graph, level: Level, precision: Precision) -> Vec<Step> {
    let compiler = Compiler::new(graph);
    let mut chains: Vec<Option<Chain>> = Vec::new();
    chains.resize_with(graph.nodes.len(), || None);
    // Layers that run as part of a chain, including its tail.
    let mut fused = vec![false; graph.nodes.len()];
    for head in 0..graph.nodes.len() {
        if let Some(chain) = compiler.chain(head, &mut fused) {
            let tail = chain.tail;
            chains[tail] = Some(chain);
        }
    }
    let flattens_for_dense = compiler.fuse_flattens(&mut fused);
    let load_tail = compiler.load_tail();
    let mut steps = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<Value> = node.inputs.iter().map(|id| id.index()).collect();
        if i < load_tail {
            continue;
        }
        if i == load_tail {
            steps.push(compiler.load(i));
        } else if let Some(chain) = chains[i].take() {
            steps.push(compiler.chain_step(chain, &flattens_for_dense, (level, precision)));
        } else if !fused[i] {
            steps.push(Step { work: plain_work(&node.op), inputs, output: i });
        }
    }
    steps
}

struct Compiler<'a> {
    graph: &'a Graph,
    /// For each layer, the layers that read its value.
    readers: Vec<Vec<usize>>,
    is_output: Vec<bool>,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|id| readers[id.index()].push(i));
        }
        let mut is_output = vec![false; graph.nodes.len()];
        graph.outputs.iter().for_each(|id| is_output[id.index()] = true);
        Self { graph, readers, is_output }
    }

    fn op(&self, layer: usize) -> &'a Op {
        &self.graph.nodes[layer].op
    }

    fn input(&self, layer: usize) -> usize {
        self.graph.nodes[layer].inputs[0].index()
    }

    /// The only reader of this layer's value; `None` where it has several or is an output.
    fn only_reader(&self, layer: usize) -> Option<usize> {
        match (self.is_output[layer], self.readers[layer].as_slice()) {
            (false, [reader]) => Some(*reader),
            _ => None,
        }
    }

    /// The chain that begins with this layer, if it is a convolution, a dense or a locally
    /// connected layer.
    fn chain(&self, head: usize, fused: &mut [bool]) -> Option<Chain> {
        let (can_scale, can_add) = match self.op(head) {
            Op::Conv2d(conv) => (true, conv.groups == 1),
            Op::Dense(_) => (true, true),
            Op::LocallyConnected(_) => (false, false),
            _ => return None,
        };
        fused[head] = true;
        let mut chain = Chain { head, tail: head, affine: None, residual: None, activation: None };
        while let Some(next) = self.only_reader(chain.tail) {
            match self.op(next) {
                Op::Affine { scale, shift } if can_scale && chain.residual.is_none() => {
                    chain.affine = Some(compose(chain.affine.take(), scale, shift));
                }
                Op::Add if can_add && chain.residual.is_none() && !fused[next] => {
                    let inputs = &self.graph.nodes[next].inputs;
                    let other = inputs.iter().map(|id| id.index()).find(|id| *id != chain.tail);
                    let Some(other) = other else { break };
                    chain.residual = Some(other);
                }
                Op::Activation(activation) if self.can_fuse(head, activation) => {
                    chain.activation = Some(activation.clone());
                    fused[next] = true;
                    chain.tail = next;
                    break;
                }
                _ => break,
            }
            fused[next] = true;
            chain.tail = next;
        }
        Some(chain)
    }

    fn can_fuse(&self, head: usize, activation: &Activation) -> bool {
        match self.op(head) {
            Op::LocallyConnected(_) => matches!(activation, Activation::Relu),
            _ => Convolution::can_fuse(activation),
        }
    }

    /// Drops each flatten that only dense layers read: a dense layer can read the map itself, in
    /// any order. Returns for each dense layer the order of the flatten that was dropped.
    fn fuse_flattens(&self, fused: &mut [bool]) -> Vec<Option<FlattenOrder>> {
        let mut orders = vec![None; self.graph.nodes.len()];
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let Op::Flatten(order) = node.op else { continue };
            let readers = &self.readers[i];
            let only_dense = readers.iter().all(|r| matches!(self.op(*r), Op::Dense(_)));
            if only_dense && !self.is_output[i] && !readers.is_empty() {
                fused[i] = true;
                readers.iter().for_each(|r| orders[*r] = Some(order));
            }
        }
        orders
    }

    /// The input, or the affine layer after it if that is its only reader. The two are one step.
    fn load_tail(&self) -> usize {
        match self.only_reader(0) {
            Some(next) if matches!(self.op(next), Op::Affine { .. }) && next == 1 => next,
            _ => 0,
        }
    }

    fn load(&self, tail: usize) -> Step {
        let channels = self.graph.input_channels();
        let (scale, shift) = match self.op(tail) {
            Op::Affine { scale, shift } => (scale.to_vec(), shift.to_vec()),
            _ => (vec![1.0; channels], vec![0.0; channels]),
        };
        Step { work: Work::Load { scale, shift }, inputs: Vec::new(), output: tail }
    }

    fn chain_step(
        &self,
        chain: Chain,
        flattens: &[Option<FlattenOrder>],
        how: (Level, Precision),
    ) -> Step {
        let mut input = self.input(chain.head);
        let weights = match self.op(chain.head) {
            Op::Conv2d(conv) => Weights::Conv(conv.clone()),
            Op::Dense(dense) => {
                let order = flattens[chain.head];
                if order.is_some() {
                    input = self.input(input);
                }
                let order = order.unwrap_or(FlattenOrder::ChannelsRowsColumns);
                Weights::Dense(dense.clone(), order)
            }
            Op::LocallyConnected(layer) => {
                let layer = LocalLayer::new(layer, chain.activation.is_some(), how.0);
                let work = Work::Local(Box::new(layer));
                return Step { work, inputs: vec![input], output: chain.tail };
            }
            _ => unreachable!("a chain begins with one of these"),
        };
        let convolution = Convolution::new(weights, chain.affine, chain.activation, how);
        let inputs = std::iter::once(input).chain(chain.residual).collect();
        Step { work: Work::Convolve(Box::new(convolution)), inputs, output: chain.tail }
    }
}

/// `scale * x + shift` after `first`, as one affine layer.
fn compose(
    first: Option<(Vec<f32>, Vec<f32>)>,
    scale: &[f32],
    shift: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let Some((mut a, mut b)) = first else { return (scale.to_vec(), shift.to_vec()) };
    for (((a, b), scale), shift) in a.iter_mut().zip(&mut b).zip(scale).zip(shift) {
        *a *= scale;
        *b = *b * scale + shift;
    }
    (a, b)
}

fn plain_work(op: &Op) -> Work {
    match op {
        Op::Affine { scale, shift } => {
            Work::Scale { affine: Some((scale.to_vec(), shift.to_vec())), activation: None }
        }
        Op::Activation(a) => Work::Scale { affine: None, activation: Some(a.clone()) },
        Op::Pool(pool) => Work::Pool(*pool),
        Op::GlobalAverage => Work::GlobalAverage,
        Op::Flatten(order) => Work::Flatten(*order),
        Op::Add => Work::Add,
        Op::Multiply => Work::Multiply,
        Op::Concat => Work::Concat,
        Op::Slice { start, .. } => Work::Slice { start: *start },
        Op::Upsample { factor } => Work::Upsample { factor: *factor },
        Op::Softmax => Work::Softmax,
        Op::Power(exponent) => Work::Power(*exponent),
        Op::Reshape(_) => Work::Reshape,
        Op::Permute { order, .. } => Work::Permute(*order),
        Op::Input { .. } | Op::Conv2d(_) | Op::Dense(_) | Op::LocallyConnected(_) => {
            unreachable!("the input is loaded, and these layers begin chains")
        }
    }
}
