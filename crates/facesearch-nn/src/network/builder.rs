//! Describes a network layer by layer, and checks what can be checked without an input.

use std::sync::Arc;

use super::NetworkError;
use super::graph::{
    Activation, Conv2d, Dense, FlattenOrder, Graph, LocallyConnected, Node, NodeId, Op, Pool,
    PoolKind, Window,
};
use super::shape::Shape;

/// Builds a [`Graph`]. Each method adds a layer and returns its id, to be read by later ones.
///
/// The number of channels is checked at once where it is known; it is not after
/// [`flatten`](Self::flatten) of a map, whose size depends on the input. Heights and widths are
/// checked by [`Graph::shapes`].
#[derive(Debug, Default)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    /// Channels of each value; `None` after a flatten.
    channels: Vec<Option<usize>>,
}

impl GraphBuilder {
    /// An empty description. [`input`](Self::input) comes first.
    pub fn new() -> Self {
        Self::default()
    }

    /// The network's input of `channels` channels. Exactly one, and the first layer. Panics
    /// otherwise.
    pub fn input(&mut self, channels: usize) -> NodeId {
        assert!(self.nodes.is_empty(), "the input is the first layer and the only one");
        self.push(Op::Input { channels }, &[], Some(channels))
    }

    /// A convolution, grouped or depthwise ones included.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where the weights do not fit the channels of `x`.
    pub fn conv(&mut self, x: NodeId, conv: Conv2d) -> Result<NodeId, NetworkError> {
        let out = conv.out_channels;
        if conv.groups == 0 || !out.is_multiple_of(conv.groups) || conv.window.stride.contains(&0) {
            return self.refuse(&Op::Conv2d(conv), "groups or stride that cannot be".into());
        }
        self.expect_channels(x, conv.group_channels * conv.groups, &Op::Conv2d(conv.clone()))?;
        Ok(self.push(Op::Conv2d(conv), &[x], Some(out)))
    }

    /// A locally connected layer.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where the weights do not fit `x` or themselves.
    pub fn locally_connected(
        &mut self,
        x: NodeId,
        layer: LocallyConnected,
    ) -> Result<NodeId, NetworkError> {
        let out = layer.out_channels;
        let places = layer.out_size[0] * layer.out_size[1];
        let patch = layer.window.size[0] * layer.window.size[1] * layer.in_channels;
        let in_channels = layer.in_channels;
        let weights_fit = layer.weight.len() == places * patch * out
            && layer.bias.as_ref().is_none_or(|b| b.len() == places * out)
            && layer.window.padding == [0; 4];
        let op = Op::LocallyConnected(layer);
        if !weights_fit {
            return self.refuse(&op, "weights of another shape, or padding".into());
        }
        self.expect_channels(x, in_channels, &op)?;
        Ok(self.push(op, &[x], Some(out)))
    }

    /// `scale * x + shift`, channel by channel.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where there is not one of each for every channel of `x`.
    pub fn affine(
        &mut self,
        x: NodeId,
        scale: impl Into<Arc<[f32]>>,
        shift: impl Into<Arc<[f32]>>,
    ) -> Result<NodeId, NetworkError> {
        let (scale, shift) = (scale.into(), shift.into());
        let (n, m) = (scale.len(), shift.len());
        let op = Op::Affine { scale, shift };
        if n != m {
            return self.refuse(&op, format!("{n} factors and {m} summands"));
        }
        self.expect_channels(x, n, &op)?;
        Ok(self.push(op, &[x], Some(n)))
    }

    /// Batch normalisation with its running statistics: `(x - mean) / sqrt(variance + eps) * gamma
    /// + beta`, as an affine layer.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where there is not one of each for every channel of `x`.
    pub fn batch_norm(
        &mut self,
        x: NodeId,
        [gamma, beta, mean, variance]: [&[f32]; 4],
        eps: f32,
    ) -> Result<NodeId, NetworkError> {
        let scale: Vec<f32> = gamma
            .iter()
            .zip(variance)
            .map(|(g, v)| (f64::from(*g) / (f64::from(*v) + f64::from(eps)).sqrt()) as f32)
            .collect();
        let shift: Vec<f32> = beta
            .iter()
            .zip(mean)
            .zip(&scale)
            .map(|((b, m), s)| (f64::from(*b) - f64::from(*m) * f64::from(*s)) as f32)
            .collect();
        self.affine(x, scale, shift)
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: NodeId) -> NodeId {
        self.unary(x, Op::Activation(Activation::Relu))
    }

    /// `max(x, 0) + slope * min(x, 0)`, a slope for each channel.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where there is not one for every channel of `x`.
    pub fn prelu(
        &mut self,
        x: NodeId,
        slope: impl Into<Arc<[f32]>>,
    ) -> Result<NodeId, NetworkError> {
        let slope = slope.into();
        let n = slope.len();
        let op = Op::Activation(Activation::PRelu(slope));
        self.expect_channels(x, n, &op)?;
        Ok(self.unary(x, op))
    }

    /// Any function of each number. Use [`prelu`](Self::prelu) for the one that has weights.
    pub fn activation(&mut self, x: NodeId, activation: Activation) -> NodeId {
        self.unary(x, Op::Activation(activation))
    }

    /// A pool over a sliding window.
    pub fn pool(&mut self, x: NodeId, pool: Pool) -> NodeId {
        self.unary(x, Op::Pool(pool))
    }

    /// The mean of each channel over the whole map.
    pub fn global_average(&mut self, x: NodeId) -> NodeId {
        self.unary(x, Op::GlobalAverage)
    }

    /// Turns a map into a vector.
    pub fn flatten(&mut self, x: NodeId, order: FlattenOrder) -> NodeId {
        self.push(Op::Flatten(order), &[x], None)
    }

    /// A dense layer on a vector; [`flatten`](Self::flatten) a map first.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where the weights do not fit the length of `x`, if that is known.
    pub fn dense(&mut self, x: NodeId, dense: Dense) -> Result<NodeId, NetworkError> {
        let out = dense.out_features;
        let op = Op::Dense(dense.clone());
        if self.channels[x.0].is_some() {
            self.expect_channels(x, dense.in_features, &op)?;
        }
        Ok(self.push(op, &[x], Some(out)))
    }

    /// The sum of two values, the smaller one extended by zeros.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let channels = self.channels[a.0].zip(self.channels[b.0]).map(|(a, b)| a.max(b));
        self.push(Op::Add, &[a, b], channels)
    }

    /// The product of two values, number by number or channel by channel.
    pub fn multiply(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let channels = self.channels[a.0].or(self.channels[b.0]);
        self.push(Op::Multiply, &[a, b], channels)
    }

    /// The channels of several values, one after the other. Panics if there are none.
    pub fn concat(&mut self, values: &[NodeId]) -> NodeId {
        assert!(!values.is_empty(), "nothing to concatenate");
        let channels = values.iter().map(|id| self.channels[id.0]).sum();
        self.push(Op::Concat, values, channels)
    }

    /// `len` channels from the one numbered `start`.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where `x` has fewer.
    pub fn slice(&mut self, x: NodeId, start: usize, len: usize) -> Result<NodeId, NetworkError> {
        let op = Op::Slice { start, len };
        match self.channels[x.0] {
            Some(have) if len > 0 && start.checked_add(len).is_some_and(|end| end <= have) => {
                Ok(self.push(op, &[x], Some(len)))
            }
            have => self.refuse(&op, format!("channels {start} and {len} more of {have:?}")),
        }
    }

    /// Every number repeated `factor x factor` times.
    pub fn upsample(&mut self, x: NodeId, factor: usize) -> NodeId {
        self.unary(x, Op::Upsample { factor })
    }

    /// `exp(x) / sum(exp(x))` over the channels of each pixel.
    pub fn softmax(&mut self, x: NodeId) -> NodeId {
        self.unary(x, Op::Softmax)
    }

    /// Each number to the power of `exponent`.
    pub fn power(&mut self, x: NodeId, exponent: f32) -> NodeId {
        self.unary(x, Op::Power(exponent))
    }

    /// The map with rows and columns of zeros around it: top, left, bottom, right.
    pub fn pad(&mut self, x: NodeId, padding: [usize; 4]) -> NodeId {
        let window = Window { padding, ..Window::new(1, 1) };
        self.pool(x, Pool { kind: PoolKind::AverageWithPadding, window, ceil: false })
    }

    /// The same numbers as a map of `shape`, in the order of channels, rows, columns. Where `shape`
    /// is a vector, this is [`flatten`](Self::flatten) with a known length.
    pub(crate) fn reshape(&mut self, x: NodeId, shape: Shape) -> NodeId {
        let op = match shape.is_vector() {
            true => Op::Flatten(FlattenOrder::ChannelsRowsColumns),
            false => Op::Reshape(shape),
        };
        self.push(op, &[x], Some(shape.channels))
    }

    /// Channels (0), rows (1) and columns (2) in another order: axis `i` of the result is axis
    /// `order[i]` of `x`. The result has `channels` channels.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where `order` does not name each axis once.
    pub fn permute(
        &mut self,
        x: NodeId,
        order: [usize; 3],
        channels: usize,
    ) -> Result<NodeId, NetworkError> {
        let op = Op::Permute { order, channels };
        if (0..3).any(|axis| !order.contains(&axis)) {
            return self.refuse(&op, format!("{order:?} is no order of three axes"));
        }
        Ok(self.push(op, &[x], Some(channels)))
    }

    /// The finished graph, with these outputs.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where there is no input or no output, [`NetworkError::NotFinite`]
    /// where a weight is infinite or NaN, as in damaged files.
    pub fn finish(self, outputs: &[NodeId]) -> Result<Graph, NetworkError> {
        let Some(Node { op: Op::Input { channels }, .. }) = self.nodes.first() else {
            let what = "a network without an input".into();
            return Err(NetworkError::Shape { layer: 0, kind: "input", what });
        };
        if outputs.is_empty() {
            let what = "a network without an output".into();
            return Err(NetworkError::Shape { layer: self.nodes.len(), kind: "output", what });
        }
        let input_channels = *channels;
        // Chunks are checked without an early end, so that the compiler can vectorise the loop.
        let are_finite = |chunk: &[f32]| chunk.iter().fold(true, |all, v| all & v.is_finite());
        let is_finite = |numbers: &&Arc<[f32]>| numbers.chunks(1 << 12).all(are_finite);
        for (layer, node) in self.nodes.iter().enumerate() {
            if !node.op.weights().iter().flatten().all(is_finite) {
                return Err(NetworkError::NotFinite { layer, kind: node.op.kind() });
            }
        }
        Ok(Graph { nodes: self.nodes, outputs: outputs.to_vec(), input_channels })
    }

    fn push(&mut self, op: Op, inputs: &[NodeId], channels: Option<usize>) -> NodeId {
        assert!(
            inputs.iter().all(|id| id.0 < self.nodes.len()),
            "a layer reads only layers of its own graph that stand before it"
        );
        self.nodes.push(Node { op, inputs: inputs.to_vec() });
        self.channels.push(channels);
        NodeId(self.nodes.len() - 1)
    }

    fn unary(&mut self, x: NodeId, op: Op) -> NodeId {
        let channels = self.channels[x.0];
        self.push(op, &[x], channels)
    }

    fn refuse<T>(&self, op: &Op, what: String) -> Result<T, NetworkError> {
        Err(NetworkError::Shape { layer: self.nodes.len(), kind: op.kind(), what })
    }

    fn expect_channels(&self, x: NodeId, wanted: usize, op: &Op) -> Result<(), NetworkError> {
        match self.channels[x.0] {
            Some(have) if have == wanted => Ok(()),
            Some(have) => {
                self.refuse(op, format!("it has weights for {wanted} channels, not {have}"))
            }
            None => self.refuse(op, "its input is a flattened map".into()),
        }
    }
}
