//! Constant folding: what does not depend on the image is computed while the file is read.
//!
//! Exporters compute shapes at run time (`Shape`, `Gather`, `Concat` before a `Reshape`). Here the
//! shapes are known, so all of that becomes constants.

use super::{Lowering, Value, array_option};
use crate::import::ImportError;
use crate::import::array::{Array, Numbers, count};
use crate::import::model::{Attribute, Node};

impl Lowering {
    /// The value of a node that depends on constants alone; `None` for other nodes.
    pub(super) fn folded(&mut self, node: &Node) -> Result<Option<Array>, ImportError> {
        match node.operator.as_str() {
            "Constant" => return self.literal(node).map(Some),
            "Shape" => return self.shape_of(node).map(Some),
            _ => {}
        }
        let mut inputs = Vec::new();
        for i in 0..node.inputs.len() {
            match self.value(node, i)? {
                Some(Value::Constant(array)) => inputs.push(array.clone()),
                Some(Value::Map(_)) => return Ok(None),
                None => inputs.push(Array::whole(vec![0], [])),
            }
        }
        let Some(x) = inputs.first() else { return Ok(None) };
        let folded = match node.operator.as_str() {
            "Identity" | "Dropout" => x.clone(),
            "Cast" if is_real(node) => Array::real(x.dims.clone(), x.reals()),
            "Cast" => Array::whole(x.dims.clone(), x.wholes()),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let dims = self.new_dims(node, &x.dims)?;
                if count(&dims) != Some(x.len()) {
                    return Err(node.unknown_use(format!("{:?} becomes {dims:?}", x.dims)));
                }
                x.with_dims(dims)
            }
            "Transpose" => {
                self.allow(x.len())?;
                let axes = self.transposition(node, x.dims.len())?;
                picked(x, &axes.iter().map(|a| x.dims[*a]).collect::<Vec<_>>(), |place| {
                    let mut from = vec![0; place.len()];
                    axes.iter().zip(place).for_each(|(axis, at)| from[*axis] = *at);
                    from
                })
            }
            "Slice" => {
                self.allow(x.len())?;
                let mut starts = vec![0; x.dims.len()];
                let mut dims = x.dims.clone();
                for (axis, start, end) in self.cuts(node, &x.dims)? {
                    (starts[axis], dims[axis]) = (start, end - start);
                }
                picked(x, &dims, |place| place.iter().zip(&starts).map(|(p, s)| p + s).collect())
            }
            "Gather" => {
                let axis = self.axis(node, node.whole("axis").unwrap_or(0), x.dims.len())?;
                let chosen = inputs.get(1).ok_or_else(|| node.unknown_use("no indices"))?;
                self.gathered(node, x, chosen, axis)?
            }
            "Concat" => self.joined(node, &inputs)?,
            "Add" | "Sub" | "Mul" | "Div" => {
                let other = inputs.get(1).ok_or_else(|| node.unknown_use("no second input"))?;
                self.combined(node, x, other)?
            }
            // Real networks do nothing else on constants alone.
            _ => {
                return Err(ImportError::Operator {
                    operator: node.operator.clone(),
                    node: node.name.clone(),
                });
            }
        };
        Ok(Some(folded))
    }

    /// The value of a `Shape` node.
    fn shape_of(&self, node: &Node) -> Result<Array, ImportError> {
        let dims = match self.value(node, 0)? {
            Some(Value::Map(map)) => map.dims.clone(),
            Some(Value::Constant(array)) => array.dims.clone(),
            None => return Err(node.unknown_use("no input")),
        };
        // Negative bounds count from the end, and all are clamped to the rank.
        let rank = dims.len() as i64;
        let bound = |name, default| {
            let bound = node.whole(name).unwrap_or(default);
            let from_end = if bound < 0 { bound.saturating_add(rank) } else { bound };
            from_end.clamp(0, rank) as usize
        };
        let (start, end) = (bound("start", 0), bound("end", rank));
        let dims = dims.get(start..end).unwrap_or_default();
        let dims: Vec<i64> = dims.iter().map(|d| *d as i64).collect();
        Ok(Array::whole(vec![dims.len()], dims))
    }

    fn literal(&self, node: &Node) -> Result<Array, ImportError> {
        if let Some(array) = array_option(node, "value").or(array_option(node, "value_floats")) {
            return Ok(array);
        }
        match (
            node.attributes.get("value_float"),
            node.attributes.get("value_int"),
            node.attributes.get("value_ints"),
        ) {
            (Some(Attribute::Real(v)), ..) => Ok(Array::real(Vec::new(), [*v])),
            (_, Some(Attribute::Whole(v)), _) => Ok(Array::whole(Vec::new(), [*v])),
            (.., Some(Attribute::Wholes(v))) => Ok(Array::whole(vec![v.len()], v.as_slice())),
            _ => Err(node.unknown_use("a constant that is no array of numbers")),
        }
    }

    fn gathered(
        &mut self,
        node: &Node,
        x: &Array,
        chosen: &Array,
        axis: usize,
    ) -> Result<Array, ImportError> {
        let size = x.dims[axis];
        let indices = chosen.wholes();
        let indices = indices
            .iter()
            .map(|i| {
                let i = if *i < 0 { i.saturating_add(size as i64) } else { *i };
                usize::try_from(i).ok().filter(|i| *i < size)
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| node.unknown_use(format!("an index outside {size}")))?;
        let mut dims = x.dims.clone();
        dims.splice(axis..=axis, chosen.dims.iter().copied());
        self.allow(count(&dims).unwrap_or(usize::MAX))?;
        let (inner, rank) = (axis + chosen.dims.len(), chosen.dims.len());
        Ok(picked(x, &dims, |place| {
            let flat = place[axis..inner].iter().zip(&chosen.dims).fold(0, |i, (p, d)| i * d + p);
            let at = if rank == 0 { 0 } else { flat };
            let mut from = place.to_vec();
            from.splice(axis..inner, [indices[at]]);
            from
        }))
    }

    fn joined(&mut self, node: &Node, parts: &[Array]) -> Result<Array, ImportError> {
        let first = &parts[0];
        let axis = self.axis(node, node.whole("axis").unwrap_or(0), first.dims.len())?;
        let same = |part: &&Array| {
            part.dims.len() == first.dims.len()
                && part
                    .dims
                    .iter()
                    .zip(&first.dims)
                    .enumerate()
                    .all(|(i, (a, b))| i == axis || a == b)
        };
        if !parts.iter().all(|part| same(&part)) {
            return Err(node.unknown_use("arrays that do not fit"));
        }
        self.allow(parts.iter().map(Array::len).sum())?;
        let mut dims = first.dims.clone();
        dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
        let outer: usize = dims[..axis].iter().product();
        let rows = |part: &Array| part.len() / outer.max(1);
        if parts.iter().any(|part| matches!(part.numbers, Numbers::Real(_))) {
            let reals: Vec<_> = parts.iter().map(|part| (part.reals(), rows(part))).collect();
            let numbers: Vec<f32> = (0..outer)
                .flat_map(|o| reals.iter().flat_map(move |(v, n)| v[o * n..(o + 1) * n].to_vec()))
                .collect();
            return Ok(Array::real(dims, numbers));
        }
        let wholes: Vec<_> = parts.iter().map(|part| (part.wholes(), rows(part))).collect();
        let numbers: Vec<i64> = (0..outer)
            .flat_map(|o| wholes.iter().flat_map(move |(v, n)| v[o * n..(o + 1) * n].to_vec()))
            .collect();
        Ok(Array::whole(dims, numbers))
    }

    /// Arithmetic of two constants with the same shape, or with a single number.
    fn combined(&mut self, node: &Node, a: &Array, b: &Array) -> Result<Array, ImportError> {
        let dims = match (a.len(), b.len()) {
            _ if a.dims == b.dims => a.dims.clone(),
            (_, 1) => a.dims.clone(),
            (1, _) => b.dims.clone(),
            _ => return Err(node.unknown_use(format!("{:?} and {:?}", a.dims, b.dims))),
        };
        let n = a.len().max(b.len());
        self.allow(n)?;
        if let (Numbers::Whole(a), Numbers::Whole(b)) = (&a.numbers, &b.numbers) {
            let apply = |(a, b): (&i64, &i64)| match node.operator.as_str() {
                "Add" => a.wrapping_add(*b),
                "Sub" => a.wrapping_sub(*b),
                "Mul" => a.wrapping_mul(*b),
                _ => a.checked_div(*b).unwrap_or(0),
            };
            let numbers: Vec<i64> =
                a.iter().cycle().zip(b.iter().cycle()).take(n).map(apply).collect();
            return Ok(Array::whole(dims, numbers));
        }
        let apply = |(a, b): (&f32, &f32)| match node.operator.as_str() {
            "Add" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            _ => a / b,
        };
        let (a, b) = (a.reals(), b.reals());
        let numbers: Vec<f32> = a.iter().cycle().zip(b.iter().cycle()).take(n).map(apply).collect();
        Ok(Array::real(dims, numbers))
    }
}

/// Whether a `Cast` makes floating point numbers of any width. All are `f32` here.
pub(super) fn is_real(cast: &Node) -> bool {
    matches!(cast.whole("to"), Some(1 | 10 | 11 | 16))
}

/// An array of `dims`. Its number at each place is that of `x` at the place that `from` returns,
/// which must lie in `x`.
fn picked(x: &Array, dims: &[usize], from: impl Fn(&[usize]) -> Vec<usize>) -> Array {
    let n = count(dims).expect("the caller has counted them");
    let mut place = vec![0; dims.len()];
    let indices: Vec<usize> = (0..n)
        .map(|_| {
            let source = from(&place);
            for axis in (0..dims.len()).rev() {
                place[axis] += 1;
                if place[axis] < dims[axis] {
                    break;
                }
                place[axis] = 0;
            }
            source.iter().zip(&x.dims).fold(0, |i, (p, d)| i * d + p)
        })
        .collect();
    match &x.numbers {
        Numbers::Real(v) => {
            Array::real(dims.to_vec(), indices.iter().map(|i| v[*i]).collect::<Vec<_>>())
        }
        Numbers::Whole(v) => {
            Array::whole(dims.to_vec(), indices.iter().map(|i| v[*i]).collect::<Vec<_>>())
        }
    }
}
