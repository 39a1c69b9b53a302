//! Convolutions, pools, dense layers and batch normalisation.

use super::{IN_ORDER, Lowering, Map, check_size};
use crate::import::ImportError;
use crate::import::model::Node;
use crate::network::{Conv2d, Dense, Pool, PoolKind, Window, slide};

impl Lowering {
    pub(super) fn convolution(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let x = self.in_order(&x)?;
        let weight = self.needed(node, 1)?;
        let (shape, groups) = match weight.dims[..] {
            [o, i, h, w] => ([o, i, h, w], node.size_or_one("group")?),
            // OpenVINO's grouped convolution: the groups come first.
            [g, o, i, h, w] => ([g.saturating_mul(o), i, h, w], g),
            _ => return Err(node.unknown_use(format!("weights of {:?}", weight.dims))),
        };
        let [channels, rows, columns] = x.sizes();
        let fits = groups > 0 && shape[0].is_multiple_of(groups) && weight.len() > 0;
        if !fits || x.dims.len() != 4 || shape[1].checked_mul(groups) != Some(channels) {
            let what = format!("weights of {shape:?} in {groups} groups on {:?}", x.dims);
            return Err(node.unknown_use(what));
        }
        let window = window(node, [shape[2], shape[3]], [rows, columns])?;
        if window.dilation[0] != window.dilation[1] {
            return Err(node.unknown_use(format!("dilation {:?}", window.dilation)));
        }
        let mut conv = Conv2d::new(shape, weight.reals()).window(window).groups(groups);
        if let Some(bias) = self.constant(node, 2)? {
            if bias.len() != shape[0] {
                return Err(node.unknown_use(format!("biases of {:?}", bias.dims)));
            }
            conv = conv.bias(bias.reals());
        }
        let made = self.slide_over(node, &x, &window, false, shape[0])?;
        Ok(Map { id: self.g.conv(x.id, conv)?, ..made })
    }

    pub(super) fn pool(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let x = self.in_order(&x)?;
        let [channels, rows, columns] = x.sizes();
        let size: [usize; 2] = node.sizes("kernel_shape", 0)?;
        let window = window(node, size, [rows, columns])?;
        let ceil = node.flag("ceil_mode");
        if window.dilation != [1, 1] || x.dims.len() != 4 {
            return Err(node.unknown_use("dilation, or a value that is no map"));
        }
        if (0..4).any(|side| window.padding[side] >= size[side % 2]) {
            return Err(node.unknown_use(format!("padding {:?}", window.padding)));
        }
        let kind = match (node.operator.as_str(), node.flag("count_include_pad")) {
            ("MaxPool", _) => PoolKind::Max,
            (_, true) => PoolKind::AverageWithPadding,
            (_, false) => PoolKind::Average,
        };
        let made = self.slide_over(node, &x, &window, ceil, channels)?;
        let whole = [rows, columns] == size && window.padding == [0; 4];
        if whole && kind != PoolKind::Max {
            return Ok(Map { id: self.g.global_average(x.id), ..made });
        }
        Ok(Map { id: self.g.pool(x.id, Pool { kind, window, ceil }), ..made })
    }

    /// The output of a sliding window over `x`, still with the layer of `x`.
    fn slide_over(
        &self,
        node: &Node,
        x: &Map,
        window: &Window,
        ceil: bool,
        channels: usize,
    ) -> Result<Map, ImportError> {
        let [_, rows, columns] = x.sizes();
        let (rows, columns) = slide(rows, columns, window, ceil)
            .ok_or_else(|| node.unknown_use(format!("{window:?} on {:?}", x.dims)))?;
        let dims = vec![1, channels, rows, columns];
        check_size(&dims)?;
        Ok(Map { id: x.id, dims, order: IN_ORDER })
    }

    pub(super) fn batch_normalisation(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let x = self.in_order(&x)?;
        let mut parts = Vec::new();
        for i in 1..5 {
            let part = self.needed(node, i)?;
            if part.len() != x.sizes()[0] {
                return Err(node.unknown_use(format!("{:?} for {:?}", part.dims, x.dims)));
            }
            parts.push(part.reals());
        }
        let eps = node.real("epsilon").unwrap_or(1e-5);
        let parts = std::array::from_fn(|i| &*parts[i]);
        Ok(Map { id: self.g.batch_norm(x.id, parts, eps)?, ..x })
    }

    /// `Gemm` and `MatMul` by a constant: a dense layer, or one for each row of `[1, rows, n]`.
    pub(super) fn product(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let weight = self.needed(node, 1)?;
        let [a, b] = weight.dims[..] else {
            return Err(node.unknown_use(format!("weights of {:?}", weight.dims)));
        };
        let transposed = node.flag("transB");
        let (inputs, outputs) = if transposed { (b, a) } else { (a, b) };
        let last = x.dims.last().copied().unwrap_or_default();
        if node.flag("transA") || inputs != last || weight.len() == 0 {
            return Err(node.unknown_use(format!("{:?} times {:?}", x.dims, weight.dims)));
        }
        let scale = node.real("alpha").unwrap_or(1.0);
        let weight = match (transposed, scale) {
            (true, 1.0) => weight.reals(),
            (true, _) => weight.reals().iter().map(|w| w * scale).collect(),
            (false, _) => {
                let rows = weight.reals();
                let column = |o: usize| rows.iter().skip(o).step_by(outputs);
                (0..outputs).flat_map(column).map(|w| w * scale).collect()
            }
        };
        let bias = self.constant(node, 2)?;
        let bias_scale = node.real("beta").unwrap_or(1.0);
        let bias = match bias {
            Some(bias) if bias.len() == outputs => {
                Some(bias.reals().iter().map(|b| b * bias_scale).collect::<Vec<_>>())
            }
            Some(bias) => return Err(node.unknown_use(format!("biases of {:?}", bias.dims))),
            None => None,
        };
        let mut dims = x.dims.clone();
        *dims.last_mut().expect("a value has dimensions") = outputs;
        check_size(&dims)?;
        if x.dims.len() == 2 {
            let dense = Dense::new(outputs, inputs, weight);
            let dense = match bias {
                Some(bias) => dense.bias(bias),
                None => dense,
            };
            return Ok(Map { id: self.g.dense(x.id, dense)?, dims, order: IN_ORDER });
        }
        // The multiplied numbers become channels. A convolution of 1x1 multiplies them everywhere.
        let wanted = if x.dims.len() == 3 { [1, 0, 2] } else { [2, 0, 1] };
        let x = self.reordered(&x, wanted)?;
        let conv = Conv2d::new([outputs, inputs, 1, 1], weight);
        let conv = match bias {
            Some(bias) => conv.bias(bias),
            None => conv,
        };
        Ok(Map { id: self.g.conv(x.id, conv)?, dims, order: x.order })
    }
}

impl Node {
    /// A size, 1 where the option is left out.
    fn size_or_one(&self, name: &str) -> Result<usize, ImportError> {
        let value = self.whole(name).unwrap_or(1);
        usize::try_from(value).map_err(|_| self.unknown_use(format!("{name} {value}")))
    }
}

/// The window of a convolution or pool of `size` on a map of `map`.
fn window(node: &Node, size: [usize; 2], map: [usize; 2]) -> Result<Window, ImportError> {
    let stride: [usize; 2] = node.sizes("strides", 1)?;
    let dilation: [usize; 2] = node.sizes("dilations", 1)?;
    if let Some(kernel) = node.wholes("kernel_shape")
        && kernel.iter().map(|v| usize::try_from(*v).ok()).ne(size.map(Some))
    {
        return Err(node.unknown_use(format!("kernel_shape {kernel:?} with weights of {size:?}")));
    }
    if size.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
        return Err(node.unknown_use(format!("window {size:?}, stride {stride:?}")));
    }
    let padding = match node.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" => node.sizes("pads", 0)?,
        "VALID" => [0; 4],
        side @ ("SAME_UPPER" | "SAME_LOWER") => {
            let total = |axis: usize| {
                let places = map[axis].div_ceil(stride[axis]);
                let reach = (size[axis] - 1) * dilation[axis] + 1;
                ((places - 1) * stride[axis] + reach).saturating_sub(map[axis])
            };
            let totals = [total(0), total(1)];
            let less = totals.map(|t| t / 2);
            let more = [totals[0] - less[0], totals[1] - less[1]];
            let (before, after) = if side == "SAME_UPPER" { (less, more) } else { (more, less) };
            [before[0], before[1], after[0], after[1]]
        }
        other => return Err(node.unknown_use(format!("auto_pad {other}"))),
    };
    Ok(Window { size, stride, padding, dilation })
}
