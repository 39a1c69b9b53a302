//! Sums and products of two values, or of a value and a constant.

use super::{IN_ORDER, Lowering, Map, Value};
use crate::import::ImportError;
use crate::import::array::Array;
use crate::import::model::Node;
use crate::network::Shape;

impl Lowering {
    pub(super) fn arithmetic(&mut self, node: &Node) -> Result<Map, ImportError> {
        let (a, b) = (self.value(node, 0)?.cloned(), self.value(node, 1)?.cloned());
        match (a, b) {
            (Some(Value::Map(a)), Some(Value::Map(b))) => self.combine_maps(node, a, b),
            (Some(Value::Map(x)), Some(Value::Constant(c))) => {
                let c = self.broadcast(node, &c, &x)?;
                match node.operator.as_str() {
                    "Add" => self.scale_and_shift(x, c, |c| (1.0, c)),
                    "Sub" => self.scale_and_shift(x, c, |c| (1.0, -c)),
                    "Mul" => self.scale_and_shift(x, c, |c| (c, 0.0)),
                    _ => self.scale_and_shift(x, c, |c| (1.0 / c, 0.0)),
                }
            }
            (Some(Value::Constant(c)), Some(Value::Map(x))) => {
                let c = self.broadcast(node, &c, &x)?;
                match node.operator.as_str() {
                    "Add" => self.scale_and_shift(x, c, |c| (1.0, c)),
                    "Sub" => self.scale_and_shift(x, c, |c| (-1.0, c)),
                    "Mul" => self.scale_and_shift(x, c, |c| (c, 0.0)),
                    _ => Err(node.unknown_use("a constant divided by a value")),
                }
            }
            _ => Err(node.unknown_use("an input is left out")),
        }
    }

    /// Two values that depend on the image.
    fn combine_maps(&mut self, node: &Node, a: Map, b: Map) -> Result<Map, ImportError> {
        let (a, b) = match a.order == b.order {
            true => (a, b),
            false => (self.in_order(&a)?, self.in_order(&b)?),
        };
        let same = a.dims == b.dims;
        let scales = |x: &Map, v: &Map| {
            x.order == IN_ORDER && v.sizes() == [x.sizes()[0], 1, 1] && x.dims.len() == v.dims.len()
        };
        match node.operator.as_str() {
            "Add" if same => Ok(Map { id: self.g.add(a.id, b.id), ..a }),
            "Sub" if same => {
                let minus = self.scale_and_shift(b, Broadcast::Everywhere(0.0), |_| (-1.0, 0.0))?;
                Ok(Map { id: self.g.add(a.id, minus.id), ..a })
            }
            "Mul" if same || scales(&a, &b) => Ok(Map { id: self.g.multiply(a.id, b.id), ..a }),
            "Mul" if scales(&b, &a) => Ok(Map { id: self.g.multiply(b.id, a.id), ..b }),
            _ => Err(node.unknown_use(format!("values of {:?} and {:?}", a.dims, b.dims))),
        }
    }

    /// `x * scale + shift`, where `pair` makes scale and shift from each number of the constant.
    fn scale_and_shift(
        &mut self,
        x: Map,
        constant: Broadcast,
        pair: impl Fn(f32) -> (f32, f32),
    ) -> Result<Map, ImportError> {
        match constant {
            Broadcast::Everywhere(c) => {
                let (scale, shift) = pair(c);
                let channels = x.layer_sizes()[0];
                let (scale, shift) = (vec![scale; channels], vec![shift; channels]);
                Ok(Map { id: self.g.affine(x.id, scale, shift)?, ..x })
            }
            Broadcast::Along(axis, numbers) => {
                let others = |skip: usize| (0..3).filter(move |a| *a != skip);
                let x = match x.order[axis] {
                    0 => x,
                    _ => {
                        let rest: Vec<usize> = others(axis).collect();
                        self.reordered(&x, [axis, rest[0], rest[1]])?
                    }
                };
                let (scale, shift): (Vec<_>, Vec<_>) = numbers.into_iter().map(pair).unzip();
                Ok(Map { id: self.g.affine(x.id, scale, shift)?, ..x })
            }
            Broadcast::Each(numbers) => {
                let x = self.in_order(&x)?;
                let [c, h, w] = x.sizes();
                let (scale, shift): (Vec<_>, Vec<_>) = numbers.into_iter().map(pair).unzip();
                let flat = self.g.reshape(x.id, Shape::new(c * h * w, 1, 1));
                let flat = self.g.affine(flat, scale, shift)?;
                Ok(Map { id: self.g.reshape(flat, Shape::new(c, h, w)), ..x })
            }
        }
    }

    /// Broadcasts a constant to `x`: dimensions are aligned at the end, and those of size 1 are
    /// repeated.
    fn broadcast(&mut self, node: &Node, c: &Array, x: &Map) -> Result<Broadcast, ImportError> {
        let numbers = c.reals();
        if let [number] = *numbers
            && c.dims.len() <= x.dims.len()
        {
            return Ok(Broadcast::Everywhere(number));
        }
        let refuse = || node.unknown_use(format!("a constant of {:?} and {:?}", c.dims, x.dims));
        let missing = x.dims.len().checked_sub(c.dims.len()).ok_or_else(refuse)?;
        let dims: Vec<usize> =
            std::iter::repeat_n(1, missing).chain(c.dims.iter().copied()).collect();
        if dims.iter().zip(&x.dims).any(|(c, x)| *c != 1 && c != x) {
            return Err(refuse());
        }
        let varies: Vec<usize> = (0..dims.len()).filter(|axis| dims[*axis] != 1).collect();
        if let [axis] = varies[..] {
            return Ok(Broadcast::Along(axis - 1, numbers.to_vec()));
        }
        self.allow(x.len())?;
        let mut strides = vec![0; dims.len()];
        let mut step = 1;
        for axis in (0..dims.len()).rev() {
            strides[axis] = if dims[axis] == 1 { 0 } else { step };
            step *= dims[axis];
        }
        let at = |mut i: usize| {
            let mut place = 0;
            for axis in (0..dims.len()).rev() {
                place += i % x.dims[axis] * strides[axis];
                i /= x.dims[axis];
            }
            numbers[place]
        };
        Ok(Broadcast::Each((0..x.len()).map(at).collect()))
    }
}

/// How the numbers of a constant are broadcast to a value.
enum Broadcast {
    /// The same number everywhere.
    Everywhere(f32),
    /// A number for each place along one axis. The batch is not counted as an axis.
    Along(usize, Vec<f32>),
    /// A number for each number of the value.
    Each(Vec<f32>),
}
