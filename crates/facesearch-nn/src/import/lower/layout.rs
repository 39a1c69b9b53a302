//! What moves numbers without changing them: reshaping, transposing, cutting, joining, padding,
//! enlarging.

use super::{IN_ORDER, Lowering, Map, Value, check_size};
use crate::import::ImportError;
use crate::import::array::count;
use crate::import::model::Node;
use crate::network::{Conv2d, Window};

impl Lowering {
    pub(super) fn reshape(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let dims = self.new_dims(node, &x.dims)?;
        if count(&dims) != Some(x.len()) {
            return Err(node.unknown_use(format!("{:?} becomes {dims:?}", x.dims)));
        }
        self.with_dims(&x, dims, node)
    }

    /// The dimensions after a `Reshape`, `Flatten`, `Squeeze` or `Unsqueeze` of `dims`.
    pub(super) fn new_dims(&self, node: &Node, dims: &[usize]) -> Result<Vec<usize>, ImportError> {
        match node.operator.as_str() {
            "Reshape" => {
                let wanted = self.wholes(node, 1, "shape")?;
                let wanted = wanted.ok_or_else(|| node.unknown_use("no shape"))?;
                reshaped(node, dims, &wanted)
            }
            "Flatten" => {
                let axis = node.whole("axis").unwrap_or(1);
                let axis = match axis == dims.len() as i64 {
                    true => dims.len(),
                    false => self.axis(node, axis, dims.len())?,
                };
                let product = |dims: &[usize]| dims.iter().product();
                Ok(vec![product(&dims[..axis]), product(&dims[axis..])])
            }
            "Squeeze" => {
                let axes = self.wholes(node, 1, "axes")?;
                let gone = match axes {
                    Some(axes) => axes
                        .iter()
                        .map(|axis| self.axis(node, *axis, dims.len()))
                        .collect::<Result<Vec<_>, _>>()?,
                    None => (0..dims.len()).filter(|axis| dims[*axis] == 1).collect(),
                };
                if gone.iter().any(|axis| dims[*axis] != 1) {
                    return Err(node.unknown_use(format!("axes {gone:?} of {dims:?}")));
                }
                let kept = (0..dims.len()).filter(|axis| !gone.contains(axis));
                Ok(kept.map(|axis| dims[axis]).collect())
            }
            _ => {
                let axes = self.wholes(node, 1, "axes")?.unwrap_or_default();
                if dims.len() + axes.len() > 8 {
                    return Err(node.unknown_use("too many dimensions"));
                }
                let rank = dims.len() + axes.len();
                let new = axes
                    .iter()
                    .map(|axis| self.axis(node, *axis, rank))
                    .collect::<Result<Vec<_>, _>>()?;
                let mut old = dims.iter().copied();
                let dim = |axis| if new.contains(&axis) { Some(1) } else { old.next() };
                let made: Option<Vec<_>> = (0..rank).map(dim).collect();
                made.ok_or_else(|| node.unknown_use(format!("axes {axes:?}")))
            }
        }
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let rank = x.dims.len();
        let axes = self.transposition(node, rank)?;
        if axes[0] != 0 {
            return Err(node.unknown_use("it moves the batch"));
        }
        let dims = axes.iter().map(|axis| x.dims[*axis]).collect();
        let mut order = x.order;
        (1..rank).for_each(|axis| order[axis - 1] = x.order[axes[axis] - 1]);
        Ok(Map { id: x.id, dims, order })
    }

    /// The order of axes that a `Transpose` asks for.
    pub(super) fn transposition(
        &self,
        node: &Node,
        rank: usize,
    ) -> Result<Vec<usize>, ImportError> {
        let axes = match self.wholes(node, 1, "perm")? {
            Some(axes) => {
                let axes = axes.iter().map(|axis| self.axis(node, *axis, rank));
                axes.collect::<Result<Vec<_>, _>>()?
            }
            None => (0..rank).rev().collect(),
        };
        let complete = axes.len() == rank && (0..rank).all(|axis| axes.contains(&axis));
        if !complete || rank == 0 {
            return Err(node.unknown_use(format!("axes {axes:?} of {rank}")));
        }
        Ok(axes)
    }

    /// The value with `axis`, not counting the batch, as the channels of a layer.
    fn with_channels(&mut self, x: &Map, axis: usize) -> Result<Map, ImportError> {
        if x.order[axis] == 0 {
            return Ok(x.clone());
        }
        let rest: Vec<usize> = (0..3).filter(|other| *other != axis).collect();
        self.reordered(x, [axis, rest[0], rest[1]])
    }

    /// An axis of the file as an axis of a map, where the batch is not counted.
    fn map_axis(&self, node: &Node, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let axis = self.axis(node, axis, rank)?;
        axis.checked_sub(1).ok_or_else(|| node.unknown_use("it works across the batch"))
    }

    pub(super) fn concat(&mut self, node: &Node) -> Result<Map, ImportError> {
        let mut maps = Vec::new();
        for i in 0..node.inputs.len() {
            maps.push(self.map(node, i)?);
        }
        let first = maps.first().ok_or_else(|| node.unknown_use("no input"))?.clone();
        let axis = self.map_axis(node, node.whole("axis").unwrap_or(1), first.dims.len())?;
        let mut dims = first.dims.clone();
        dims[axis + 1] = 0;
        let mut parts = Vec::new();
        let mut order = None;
        for map in &maps {
            let same = map.dims.len() == dims.len()
                && (0..dims.len()).all(|a| a == axis + 1 || map.dims[a] == dims[a]);
            if !same {
                return Err(node.unknown_use(format!("{:?} and {:?}", first.dims, map.dims)));
            }
            let wanted = order.unwrap_or(first.order);
            let part = match map.order == wanted && map.order[axis] == 0 {
                true => map.clone(),
                false => {
                    let rest: Vec<usize> = (0..3).filter(|other| *other != axis).collect();
                    self.reordered(map, [axis, rest[0], rest[1]])?
                }
            };
            // All parts must have the order of the first.
            let part = match order {
                Some(order) if part.order != order => {
                    return Err(node.unknown_use("parts in different orders"));
                }
                _ => part,
            };
            order = Some(part.order);
            dims[axis + 1] += map.dims[axis + 1];
            parts.push(part.id);
        }
        check_size(&dims)?;
        let order = order.unwrap_or(IN_ORDER);
        Ok(Map { id: self.g.concat(&parts), dims, order })
    }

    pub(super) fn slice(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let mut made = x.clone();
        for (axis, start, end) in self.cuts(node, &x.dims)? {
            if (start, end) == (0, x.dims[axis]) {
                continue;
            }
            let part = axis.checked_sub(1).ok_or_else(|| node.unknown_use("it cuts the batch"))?;
            made = self.part(&made, part, start, end - start)?;
        }
        Ok(made)
    }

    /// `len` places from `start` along an axis, not counting the batch.
    fn part(&mut self, x: &Map, axis: usize, start: usize, len: usize) -> Result<Map, ImportError> {
        let x = self.with_channels(x, axis)?;
        let id = self.g.slice(x.id, start, len)?;
        let mut dims = x.dims;
        dims[axis + 1] = len;
        Ok(Map { id, dims, order: x.order })
    }

    /// Axis, start and end of each cut of a `Slice`. Steps other than 1 are refused.
    pub(super) fn cuts(
        &self,
        node: &Node,
        dims: &[usize],
    ) -> Result<Vec<(usize, usize, usize)>, ImportError> {
        let needed = |what: Option<Vec<i64>>| what.ok_or_else(|| node.unknown_use("no bounds"));
        let starts = needed(self.wholes(node, 1, "starts")?)?;
        let ends = needed(self.wholes(node, 2, "ends")?)?;
        let axes = self.wholes(node, 3, "axes")?;
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.constant(node, 4)?.map(|a| a.wholes()).unwrap_or_default();
        if starts.len() != ends.len() || axes.len() != ends.len() || steps.iter().any(|s| *s != 1) {
            return Err(node.unknown_use("bounds of different lengths, or steps"));
        }
        let mut cuts = Vec::new();
        for ((axis, start), end) in axes.iter().zip(starts).zip(ends) {
            let axis = self.axis(node, *axis, dims.len())?;
            let size = dims[axis] as i64;
            let place = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size);
            let (start, end) = (place(start), place(end));
            if start >= end {
                return Err(node.unknown_use(format!("{start} to {end} of {size}")));
            }
            cuts.push((axis, start as usize, end as usize));
        }
        Ok(cuts)
    }

    pub(super) fn split(&mut self, node: &Node) -> Result<(), ImportError> {
        let x = self.map(node, 0)?;
        let axis = self.map_axis(node, node.whole("axis").unwrap_or(0), x.dims.len())?;
        let size = x.dims[axis + 1];
        let lengths = match self.wholes(node, 1, "split")? {
            Some(lengths) => lengths,
            None => {
                let each = size.div_ceil(node.outputs.len().max(1));
                let rest = |i: usize| size.saturating_sub(i * each).min(each) as i64;
                (0..node.outputs.len()).map(rest).collect()
            }
        };
        let mut start = 0usize;
        for (name, length) in node.outputs.iter().zip(lengths) {
            let length = usize::try_from(length).ok().filter(|l| *l > 0 && *l <= size - start);
            let length = length.ok_or_else(|| node.unknown_use(format!("parts of {size}")))?;
            let part = self.part(&x, axis, start, length)?;
            self.values.insert(name.clone(), Value::Map(part));
            start += length;
        }
        Ok(())
    }

    /// Pads a map with zeros.
    pub(super) fn pad(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let x = self.in_order(&x)?;
        let pads = self.wholes(node, 1, "pads")?.unwrap_or_default();
        let value = self.bound(node, 2, "value", 0.0)?;
        let mode = node.text("mode").unwrap_or("constant");
        let small = |v: &i64| (0..1 << 12).contains(v);
        let fits = pads.len() == 8 && x.dims.len() == 4 && pads.iter().all(small);
        if !fits || value != 0.0 || mode != "constant" || [0, 1, 4, 5].iter().any(|i| pads[*i] != 0)
        {
            return Err(node.unknown_use(format!("{mode} padding {pads:?} by {value}")));
        }
        let [channels, rows, columns] = x.sizes();
        let [top, left, bottom, right] = [2, 3, 6, 7].map(|i| pads[i] as usize);
        let dims = vec![1, channels, rows + top + bottom, columns + left + right];
        check_size(&dims)?;
        let window = Window { padding: [top, left, bottom, right], ..Window::new(1, 1) };
        let conv = Conv2d::new([channels, 1, 1, 1], vec![1.0; channels]);
        let id = self.g.conv(x.id, conv.window(window).groups(channels))?;
        Ok(Map { id, dims, order: IN_ORDER })
    }

    /// Enlarges a map by a whole factor, by repeating each number.
    pub(super) fn resize(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let x = self.in_order(&x)?;
        let [channels, rows, columns] = x.sizes();
        let last = node.inputs.len().saturating_sub(1);
        let refuse = |what: String| node.unknown_use(what);
        let to: Vec<f32> = match (node.operator.as_str(), last) {
            ("Resize", 3) => {
                let sizes = self.needed(node, 3)?.reals();
                sizes.iter().zip(&x.dims).map(|(to, from)| to / *from as f32).collect()
            }
            ("Resize", 2) => self.needed(node, 2)?.reals().to_vec(),
            _ => match super::array_option(node, "scales") {
                Some(scales) => scales.reals().to_vec(),
                None => self.needed(node, last)?.reals().to_vec(),
            },
        };
        let factor = to.get(2).copied().unwrap_or_default();
        let repeats = match (
            node.text("coordinate_transformation_mode").unwrap_or("half_pixel"),
            node.text("nearest_mode").unwrap_or("round_prefer_floor"),
        ) {
            _ if node.operator == "Upsample" => true,
            ("asymmetric", "floor") => true,
            ("asymmetric", "round_prefer_floor") => factor <= 2.0,
            ("half_pixel" | "pytorch_half_pixel", "round_prefer_floor" | "round_prefer_ceil") => {
                true
            }
            _ => false,
        };
        let nearest = node.text("mode").unwrap_or("nearest") == "nearest";
        let whole = (1.0..=64.0).contains(&factor) && factor.fract() == 0.0;
        if !repeats || !nearest || !whole || to != [1.0, 1.0, factor, factor] || x.dims.len() != 4 {
            return Err(refuse(format!("factors {to:?}, or other than by repeating")));
        }
        let factor = factor as usize;
        let dims = vec![1, channels, rows * factor, columns * factor];
        check_size(&dims)?;
        Ok(Map { id: self.g.upsample(x.id, factor), dims, order: IN_ORDER })
    }

    pub(super) fn softmax(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let rank = x.dims.len();
        let newer = self.version >= 13;
        let axis = node.whole("axis").unwrap_or(if newer { -1 } else { 1 });
        let axis = self.axis(node, axis, rank)?;
        if !newer && x.dims[axis + 1..].iter().any(|d| *d != 1) {
            return Err(node.unknown_use("a sum over several axes"));
        }
        let axis = axis.checked_sub(1).ok_or_else(|| node.unknown_use("across the batch"))?;
        let x = self.with_channels(&x, axis)?;
        Ok(Map { id: self.g.softmax(x.id), ..x })
    }
}

/// The dimensions by ONNX's rules: 0 keeps a dimension, -1 takes what is left.
fn reshaped(node: &Node, dims: &[usize], wanted: &[i64]) -> Result<Vec<usize>, ImportError> {
    let refuse = || node.unknown_use(format!("{dims:?} becomes {wanted:?}"));
    let mut made = Vec::new();
    let mut open = None;
    for (axis, size) in wanted.iter().enumerate() {
        made.push(match *size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !node.flag("allowzero") => *dims.get(axis).ok_or_else(refuse)?,
            size => usize::try_from(size).map_err(|_| refuse())?,
        });
    }
    if let Some(axis) = open {
        let rest = count(&made).filter(|n| *n > 0).ok_or_else(refuse)?;
        made[axis] = dims.iter().product::<usize>() / rest;
    }
    Ok(made)
}
