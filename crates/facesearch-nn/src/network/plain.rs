//! Runs a graph as ordinary candle operations, on any device.
//!
//! This is the reference: every layer is its definition in a few lines, and none is fused with
//! another. Only padding is done by hand, because candle's convolution and pools have none or
//! symmetric padding.

use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor};

use super::NetworkError;
use super::graph::{Activation, FlattenOrder, Graph, Op, Pool, PoolKind, Window};
use super::shape::slide;

/// The weights of a graph as tensors on a device.
#[derive(Debug)]
pub(super) struct Plain {
    /// For each layer its tensors: weight then bias, scale then shift, or slope.
    weights: Vec<Vec<Tensor>>,
    /// For each layer, the last layer that reads it.
    last_use: Vec<usize>,
}

impl Plain {
    pub(super) fn new(graph: &Graph, device: &Device) -> Result<Self> {
        let weights =
            graph.nodes.iter().map(|n| tensors(&n.op, device)).collect::<Result<Vec<_>>>()?;
        let mut last_use = vec![0; graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|id| last_use[id.0] = i);
        }
        graph.outputs.iter().for_each(|id| last_use[id.0] = usize::MAX);
        Ok(Self { weights, last_use })
    }

    pub(super) fn forward(
        &self,
        graph: &Graph,
        input: &Tensor,
    ) -> std::result::Result<Vec<Tensor>, NetworkError> {
        let mut values: Vec<Option<Tensor>> = Vec::with_capacity(graph.nodes.len());
        for (i, node) in graph.nodes.iter().enumerate() {
            let inputs: Vec<&Tensor> = node
                .inputs
                .iter()
                .map(|id| values[id.0].as_ref().expect("kept until its last reader has run"))
                .collect();
            let value = match &node.op {
                Op::Input { .. } => input.to_dtype(DType::F32)?.contiguous()?,
                op => run(op, &inputs, &self.weights[i])?,
            };
            values.push(Some(value));
            for id in &node.inputs {
                if self.last_use[id.0] == i {
                    values[id.0] = None;
                }
            }
        }
        let output = |id: &super::NodeId| values[id.0].clone().expect("outputs are kept");
        Ok(graph.outputs.iter().map(output).collect())
    }
}

fn tensors(op: &Op, device: &Device) -> Result<Vec<Tensor>> {
    let tensor = |data: &Arc<[f32]>, shape: &[usize]| Tensor::from_slice(data, shape, device);
    let channels = |data: &Arc<[f32]>| tensor(data, &[1, data.len(), 1, 1]);
    let mut weights = Vec::new();
    match op {
        Op::Conv2d(conv) => {
            let [h, w] = conv.window.size;
            weights.push(tensor(&conv.weight, &[conv.out_channels, conv.group_channels, h, w])?);
            weights.extend(conv.bias.as_ref().map(channels).transpose()?);
        }
        Op::LocallyConnected(lc) => {
            let [h, w] = lc.out_size;
            let out = lc.out_channels;
            weights.push(tensor(&lc.weight, &[h * w, lc.weight.len() / (h * w * out), out])?);
            if let Some(bias) = &lc.bias {
                weights.push(tensor(bias, &[h, w, out])?.permute((2, 0, 1))?.unsqueeze(0)?);
            }
        }
        Op::Dense(dense) => {
            weights.push(tensor(&dense.weight, &[dense.out_features, dense.in_features])?.t()?);
            weights.extend(dense.bias.as_ref().map(channels).transpose()?);
        }
        Op::Affine { scale, shift } => weights.extend([channels(scale)?, channels(shift)?]),
        Op::Activation(Activation::PRelu(slope)) => weights.push(channels(slope)?),
        _ => {}
    }
    Ok(weights)
}

fn run(op: &Op, inputs: &[&Tensor], weights: &[Tensor]) -> Result<Tensor> {
    let x = inputs[0];
    match op {
        Op::Input { .. } => Ok(x.clone()),
        Op::Conv2d(conv) => {
            let y = convolve(x, &weights[0], &conv.window, conv.groups)?;
            with_bias(y, weights.get(1))
        }
        Op::LocallyConnected(lc) => {
            with_bias(locally_connected(x, &weights[0], &lc.window)?, weights.get(1))
        }
        Op::Dense(_) => {
            let y = x.flatten_from(1)?.matmul(&weights[0])?;
            with_bias(y.unsqueeze(D::Minus1)?.unsqueeze(D::Minus1)?, weights.get(1))
        }
        Op::Affine { .. } => x.broadcast_mul(&weights[0])?.broadcast_add(&weights[1]),
        Op::Activation(activation) => activate(x, activation, weights),
        Op::Pool(p) => pool(x, p),
        Op::GlobalAverage => x.mean_keepdim((2, 3)),
        Op::Flatten(order) => {
            let x = match order {
                FlattenOrder::ChannelsRowsColumns => x.clone(),
                FlattenOrder::RowsColumnsChannels => x.permute((0, 2, 3, 1))?,
                FlattenOrder::ColumnsRowsChannels => x.permute((0, 3, 2, 1))?,
            };
            x.flatten_from(1)?.unsqueeze(D::Minus1)?.unsqueeze(D::Minus1)
        }
        Op::Add => add_extended(x, inputs[1]),
        Op::Multiply => x.broadcast_mul(inputs[1]),
        Op::Concat => Tensor::cat(inputs, 1)?.contiguous(),
        Op::Slice { start, len } => x.narrow(1, *start, *len)?.contiguous(),
        Op::Upsample { factor } => {
            let (_, _, h, w) = x.dims4()?;
            x.upsample_nearest2d(h * factor, w * factor)
        }
        Op::Softmax => candle_nn::ops::softmax(x, 1),
        Op::Power(exponent) => x.powf(f64::from(*exponent)),
        Op::Reshape(s) => x.reshape((x.dim(0)?, s.channels, s.height, s.width)),
        Op::Permute { order: [c, h, w], .. } => x.permute((0, c + 1, h + 1, w + 1))?.contiguous(),
    }
}

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

fn activate(x: &Tensor, activation: &Activation, weights: &[Tensor]) -> Result<Tensor> {
    let negative_part = |x: &Tensor| x.minimum(0f32);
    match activation {
        Activation::Relu => x.relu(),
        Activation::PRelu(_) => x.relu()? + negative_part(x)?.broadcast_mul(&weights[0])?,
        Activation::LeakyRelu(slope) => x.relu()? + (negative_part(x)? * f64::from(*slope))?,
        Activation::Clip(low, high) => x.clamp(*low, *high),
        Activation::Sigmoid => candle_nn::ops::sigmoid(x),
        Activation::Exp => x.exp(),
    }
}

/// Pads a map with `value`.
fn pad(x: &Tensor, [top, left, bottom, right]: [usize; 4], value: f32) -> Result<Tensor> {
    let mut x = x.clone();
    for (axis, before, after) in [(2, top, bottom), (3, left, right)] {
        let strip = |x: &Tensor, len: usize| {
            let mut dims = x.dims().to_vec();
            dims[axis] = len;
            Tensor::full(value, dims, x.device())
        };
        if before > 0 {
            x = Tensor::cat(&[&strip(&x, before)?, &x], axis)?;
        }
        if after > 0 {
            x = Tensor::cat(&[&x, &strip(&x, after)?], axis)?;
        }
    }
    x.contiguous()
}

fn convolve(x: &Tensor, weight: &Tensor, window: &Window, groups: usize) -> Result<Tensor> {
    let [sy, sx] = window.stride;
    let [dy, dx] = window.dilation;
    if dy != dx {
        candle_core::bail!("a dilation that differs down ({dy}) and across ({dx})")
    }
    let x = pad(x, window.padding, 0.0)?;
    if sy == sx {
        return x.conv2d(weight, 0, sy, dy, groups);
    }
    let y = x.conv2d(weight, 0, 1, dy, groups)?;
    every(&every(&y, 2, sy)?, 3, sx)
}

/// Every `step`-th row or column, from the first on.
fn every(x: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
    let indices: Vec<u32> = (0..x.dim(axis)? as u32).step_by(step).collect();
    x.contiguous()?.index_select(&Tensor::new(indices, x.device())?, axis)
}

fn pool(x: &Tensor, pool: &Pool) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let window = &pool.window;
    let Some((oh, ow)) = slide(h, w, window, pool.ceil) else {
        candle_core::bail!("a pool larger than its map")
    };
    let [kh, kw] = window.size;
    let [sy, sx] = window.stride;
    let [top, left, _, _] = window.padding;
    // The rows and columns that the last window needs. They may be fewer than the map has.
    let reach = |places: usize, stride: usize, size: usize| (places - 1) * stride + size;
    let (rows, columns) = (reach(oh, sy, kh), reach(ow, sx, kw));
    let fit = |x: &Tensor, value: f32| {
        let bottom = rows.saturating_sub(h + top);
        let right = columns.saturating_sub(w + left);
        pad(x, [top, left, bottom, right], value)?.narrow(2, 0, rows)?.narrow(3, 0, columns)
    };
    let mean = |x: &Tensor| x.contiguous()?.avg_pool2d_with_stride((kh, kw), (sy, sx));
    match pool.kind {
        PoolKind::Max => {
            fit(x, f32::NEG_INFINITY)?.contiguous()?.max_pool2d_with_stride((kh, kw), (sy, sx))
        }
        PoolKind::AverageWithPadding => {
            // The sum of a window that reaches beyond the padded map is divided by the number of
            // its pixels on that map.
            let [_, _, bottom, right] = window.padding;
            let ones =
                Tensor::ones((1, 1, h + top + bottom, w + left + right), DType::F32, x.device())?;
            let extra = [
                0,
                0,
                rows.saturating_sub(h + top + bottom),
                columns.saturating_sub(w + left + right),
            ];
            let ones = pad(&ones, extra, 0.0)?.narrow(2, 0, rows)?.narrow(3, 0, columns)?;
            mean(&fit(x, 0.0)?)?.broadcast_div(&mean(&ones)?)
        }
        PoolKind::Average => {
            let ones = Tensor::ones((1, 1, h, w), DType::F32, x.device())?;
            mean(&fit(x, 0.0)?)?.broadcast_div(&mean(&fit(&ones, 0.0)?)?)
        }
    }
}

/// The patches under the window as a batch of matrices, each multiplied with the matrix of its
/// place.
fn locally_connected(x: &Tensor, weight: &Tensor, window: &Window) -> Result<Tensor> {
    let (n, _, h, w) = x.dims4()?;
    let Some((oh, ow)) = slide(h, w, window, false) else {
        candle_core::bail!("a window larger than its map")
    };
    let [sy, sx] = window.stride;
    let [dy, dx] = window.dilation;
    let x = x.permute((0, 2, 3, 1))?;
    let mut taps = Vec::new();
    for ky in 0..window.size[0] {
        for kx in 0..window.size[1] {
            let tap = x.narrow(1, ky * dy, (oh - 1) * sy + 1)?;
            let tap = tap.narrow(2, kx * dx, (ow - 1) * sx + 1)?;
            taps.push(every(&every(&tap, 1, sy)?, 2, sx)?);
        }
    }
    let patches = Tensor::cat(&taps, 3)?.reshape((n, oh * ow, ()))?.transpose(0, 1)?;
    let y = patches.contiguous()?.matmul(weight)?;
    y.permute((1, 2, 0))?.contiguous()?.reshape((n, (), oh, ow))
}

/// `a + b`, both padded by zeros to the larger of each dimension first.
fn add_extended(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (mut a, mut b) = (a.clone(), b.clone());
    for axis in 1..4 {
        let (m, n) = (a.dim(axis)?, b.dim(axis)?);
        a = a.pad_with_zeros(axis, 0, m.max(n) - m)?;
        b = b.pad_with_zeros(axis, 0, m.max(n) - n)?;
    }
    a + b
}
