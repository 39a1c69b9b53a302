//! From nodes to layers: constants are computed, the rest becomes a graph.
//!
//! A value that depends on the image is a layer of the graph, with the dimensions that the file
//! gives it. The graph has only channels, rows and columns. So `[1, a, b, c]` is a map of these
//! three, `[1, a, b]` a map of a single column, and `[1, a]` a vector. A transposition is only
//! recorded ([`Map::order`]). It is carried out when a layer needs the numbers in their new order;
//! most cancel out or end in the order of a flatten.
//!
//! - **Trap:** the first dimension, the batch, stays 1. A node that would mix the images of a batch
//!   is refused, because the network runs on many at once.

mod arithmetic;
mod convolution;
mod fold;
mod layout;
mod reduce;

use std::collections::HashMap;

use super::array::{Array, count};
use super::model::{Attribute, Model, Node};
use super::{ImportError, ImportedNetwork, ImportedOutput};
use crate::network::{Activation, GraphBuilder, NodeId, Shape};

/// The most numbers of a value for one image. Damaged sizes soon exceed it.
const MOST_NUMBERS: usize = 1 << 27;

/// What a name in the file stands for.
#[derive(Debug, Clone)]
enum Value {
    Constant(Array),
    Map(Map),
}

/// A value that depends on the image.
#[derive(Debug, Clone)]
struct Map {
    /// The layer that computes it.
    id: NodeId,
    /// Its dimensions in the file, after `order`. The first is 1.
    dims: Vec<usize>,
    /// Axis `i` of the value is axis `order[i]` of the layer's output. The three axes do not
    /// include the batch.
    order: [usize; 3],
}

const IN_ORDER: [usize; 3] = [0, 1, 2];

impl Map {
    /// The sizes of the value's three axes.
    fn sizes(&self) -> [usize; 3] {
        let size = |axis: usize| self.dims.get(axis).copied().unwrap_or(1);
        [size(1), size(2), size(3)]
    }

    /// Channels, rows and columns of the layer's output.
    fn layer_sizes(&self) -> [usize; 3] {
        let sizes = self.sizes();
        let mut made = [0; 3];
        (0..3).for_each(|axis| made[self.order[axis]] = sizes[axis]);
        made
    }

    fn len(&self) -> usize {
        self.dims.iter().product()
    }
}

/// Builds the graph of `model` for an image of `size`. `file_len` limits how large constants may
/// grow.
pub(super) fn lower(
    model: Model,
    size: Option<[usize; 2]>,
    file_len: usize,
) -> Result<ImportedNetwork, ImportError> {
    let Model { version, input, outputs, constants, nodes } = model;
    let (name, dims) = input.ok_or_else(|| ImportError::damaged("the network has no input"))?;
    let (map, input, g) = image_input(&dims, size)?;
    let values = constants.into_iter().map(|(name, array)| (name, Value::Constant(array)));
    let mut lowering =
        Lowering { g, version, values: values.collect(), numbers_left: file_len / 2 + (1 << 16) };
    lowering.values.insert(name, Value::Map(map));
    for node in &nodes {
        lowering.node(node)?;
    }
    lowering.finish(input, &outputs)
}

/// The image as a value: `[batch, channels, rows, columns]`, or with the channels last.
fn image_input(
    dims: &[Option<usize>],
    size: Option<[usize; 2]>,
) -> Result<(Map, [usize; 3], GraphBuilder), ImportError> {
    let [_, a, b, c] = *dims else {
        let what = format!("the network's input has {} dimensions, not 4", dims.len());
        return Err(ImportError::damaged(what));
    };
    let colours = |d: Option<usize>| matches!(d, Some(1 | 3 | 4));
    let channels_last = colours(c) && !colours(a);
    let (channels, rows, columns) = if channels_last { (c, a, b) } else { (a, b, c) };
    let (rows, columns) = match size {
        Some([rows, columns]) => (Some(rows), Some(columns)),
        None => (rows, columns),
    };
    let (Some(channels), Some(rows), Some(columns)) = (channels, rows, columns) else {
        return Err(ImportError::Size { what: "the file leaves the picture's size open".into() });
    };
    check_size(&[channels, rows, columns])?;
    let mut g = GraphBuilder::new();
    let id = g.input(channels);
    let (dims, order) = match channels_last {
        true => (vec![1, rows, columns, channels], [1, 2, 0]),
        false => (vec![1, channels, rows, columns], IN_ORDER),
    };
    Ok((Map { id, dims, order }, [channels, rows, columns], g))
}

fn check_size(dims: &[usize]) -> Result<(), ImportError> {
    match count(dims) {
        Some(1..=MOST_NUMBERS) => Ok(()),
        _ => Err(ImportError::damaged(format!("a map of {dims:?}"))),
    }
}

/// The work of [`lower`].
struct Lowering {
    g: GraphBuilder,
    version: i64,
    values: HashMap<String, Value>,
    /// How many more numbers computed constants may have, so that a few bytes of nodes cannot take
    /// all memory.
    numbers_left: usize,
}

impl Lowering {
    fn finish(self, input: [usize; 3], outputs: &[String]) -> Result<ImportedNetwork, ImportError> {
        let mut lowering = self;
        let mut ids = Vec::new();
        let mut named = Vec::new();
        for name in outputs {
            let Some(Value::Map(map)) = lowering.values.get(name).cloned() else {
                let what = format!("its output {name} does not depend on the picture");
                return Err(ImportError::damaged(what));
            };
            ids.push(lowering.in_order(&map)?.id);
            named.push(ImportedOutput { name: name.clone(), shape: map.dims[1..].to_vec() });
        }
        let graph = lowering.g.finish(&ids)?;
        let shapes = graph.shapes(input[1], input[2])?;
        for (id, output) in ids.iter().zip(&named) {
            if Some(shapes[id.index()].len()) != count(&output.shape) {
                let what = format!("its output {} has another size than computed", output.name);
                return Err(ImportError::damaged(what));
            }
        }
        Ok(ImportedNetwork { graph, input, outputs: named })
    }

    /// Computes the outputs of a node.
    fn node(&mut self, node: &Node) -> Result<(), ImportError> {
        if node.operator == "Split" {
            return self.split(node);
        }
        let value = match self.folded(node)? {
            Some(array) => Value::Constant(array),
            None => Value::Map(self.layers(node)?),
        };
        let name = node.outputs.first().cloned().unwrap_or_default();
        self.values.insert(name, value);
        Ok(())
    }

    fn layers(&mut self, node: &Node) -> Result<Map, ImportError> {
        match node.operator.as_str() {
            "Identity" | "Dropout" => self.map(node, 0),
            // Half precision becomes `f32`, as for the weights.
            "Cast" if fold::is_real(node) => self.map(node, 0),
            "Cast" => Err(node.unknown_use("numbers of the picture made whole")),
            "Relu" => self.activation(node, Activation::Relu),
            "Sigmoid" => self.activation(node, Activation::Sigmoid),
            "Exp" => self.activation(node, Activation::Exp),
            "LeakyRelu" => {
                let slope = node.real("alpha").unwrap_or(0.01);
                self.activation(node, Activation::LeakyRelu(slope))
            }
            "Clip" => {
                let low = self.bound(node, 1, "min", f32::MIN)?;
                let high = self.bound(node, 2, "max", f32::MAX)?;
                self.activation(node, Activation::Clip(low, high))
            }
            "PRelu" => self.prelu(node),
            "Conv" | "GroupConvolution" => self.convolution(node),
            "BatchNormalization" => self.batch_normalisation(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" | "ReduceMean" => self.mean(node),
            "Gemm" | "MatMul" => self.product(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Concat" => self.concat(node),
            "Slice" => self.slice(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Transpose" => self.transpose(node),
            "Pad" => self.pad(node),
            "Resize" | "Upsample" => self.resize(node),
            "Softmax" => self.softmax(node),
            _ => Err(ImportError::Operator {
                operator: node.operator.clone(),
                node: node.name.clone(),
            }),
        }
    }

    /// The value of input `i`; `None` where it is left out.
    fn value(&self, node: &Node, i: usize) -> Result<Option<&Value>, ImportError> {
        let Some(name) = node.inputs.get(i).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let missing = || {
            let what = format!("{} reads {name}, which nothing before it makes", node.name);
            ImportError::damaged(what)
        };
        self.values.get(name).map(Some).ok_or_else(missing)
    }

    /// Input `i`, which must depend on the image.
    fn map(&self, node: &Node, i: usize) -> Result<Map, ImportError> {
        match self.value(node, i)? {
            Some(Value::Map(map)) => Ok(map.clone()),
            Some(Value::Constant(_)) => Err(node.unknown_use(format!("input {i} is a constant"))),
            None => Err(node.unknown_use(format!("input {i} is left out"))),
        }
    }

    /// Input `i`, which must be a constant; `None` where it is left out.
    fn constant(&self, node: &Node, i: usize) -> Result<Option<Array>, ImportError> {
        match self.value(node, i)? {
            Some(Value::Constant(array)) => Ok(Some(array.clone())),
            Some(Value::Map(_)) => {
                Err(node.unknown_use(format!("input {i} depends on the picture")))
            }
            None => Ok(None),
        }
    }

    /// Input `i`, which must be a constant and must not be left out.
    fn needed(&self, node: &Node, i: usize) -> Result<Array, ImportError> {
        let missing = || node.unknown_use(format!("input {i} is left out"));
        self.constant(node, i)?.ok_or_else(missing)
    }

    /// Integers that newer files give as input `i` and older ones as an option.
    fn wholes(&self, node: &Node, i: usize, name: &str) -> Result<Option<Vec<i64>>, ImportError> {
        if let Some(values) = node.wholes(name) {
            return Ok(Some(values.to_vec()));
        }
        Ok(self.constant(node, i)?.map(|array| array.wholes().to_vec()))
    }

    /// A bound that newer files give as input `i` and older ones as an option.
    fn bound(&self, node: &Node, i: usize, name: &str, default: f32) -> Result<f32, ImportError> {
        let given = match node.real(name) {
            Some(v) => Some(v),
            None => self.constant(node, i)?.and_then(|array| array.reals().first().copied()),
        };
        Ok(given.unwrap_or(default))
    }

    /// An axis of the file. A negative one counts from the end.
    fn axis(&self, node: &Node, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let from_end = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        let inside = usize::try_from(from_end).ok().filter(|axis| *axis < rank);
        inside.ok_or_else(|| node.unknown_use(format!("axis {axis} of {rank}")))
    }

    fn activation(&mut self, node: &Node, activation: Activation) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        Ok(Map { id: self.g.activation(x.id, activation), ..x })
    }

    fn prelu(&mut self, node: &Node) -> Result<Map, ImportError> {
        let x = self.map(node, 0)?;
        let x = self.in_order(&x)?;
        let slope = self.needed(node, 1)?;
        let channels = x.sizes()[0];
        let per_channel = node.flag("per_channel") || {
            // Dimensions are aligned at the end. Channels are axis 1, and all sizes after it are 1.
            let rank = slope.dims.len();
            rank + 1 >= x.dims.len()
                && slope.dims[rank + 1 - x.dims.len()..][1..].iter().all(|d| *d == 1)
        };
        let slopes = match slope.reals() {
            single if single.len() == 1 => vec![single[0]; channels].into(),
            slopes if slopes.len() == channels && per_channel => slopes,
            _ => return Err(node.unknown_use(format!("slopes of {:?}", slope.dims))),
        };
        Ok(Map { id: self.g.prelu(x.id, slopes)?, ..x })
    }

    /// The same value, computed by a layer with the value's order of axes.
    fn in_order(&mut self, x: &Map) -> Result<Map, ImportError> {
        self.reordered(x, IN_ORDER)
    }

    /// The same value, computed by a layer whose axis `i` is the value's axis `wanted[i]`.
    fn reordered(&mut self, x: &Map, wanted: [usize; 3]) -> Result<Map, ImportError> {
        let order = wanted.map(|axis| x.order[axis]);
        let id = match order == IN_ORDER {
            true => x.id,
            false => self.g.permute(x.id, order, x.sizes()[wanted[0]])?,
        };
        let mut back = IN_ORDER;
        (0..3).for_each(|axis| back[wanted[axis]] = axis);
        Ok(Map { id, dims: x.dims.clone(), order: back })
    }

    /// A value with other dimensions and as many numbers. The first dimension must still be 1.
    fn with_dims(&mut self, x: &Map, dims: Vec<usize>, node: &Node) -> Result<Map, ImportError> {
        if dims.first() != Some(&1) || dims.len() > 4 || dims.len() < 2 {
            return Err(node.unknown_use(format!("{:?} becomes {dims:?}", x.dims)));
        }
        let made = Map { id: x.id, dims, order: IN_ORDER };
        if x.order == IN_ORDER && made.sizes() == x.sizes() {
            return Ok(made);
        }
        if x.order == [1, 2, 0] && made.dims.len() == 2 {
            let id = self.g.flatten(x.id, crate::network::FlattenOrder::RowsColumnsChannels);
            // The reshape costs nothing and makes the length of the vector known.
            let [c, h, w] = made.sizes();
            return Ok(Map { id: self.g.reshape(id, Shape::new(c, h, w)), ..made });
        }
        let x = self.in_order(x)?;
        let [c, h, w] = made.sizes();
        Ok(Map { id: self.g.reshape(x.id, Shape::new(c, h, w)), ..made })
    }

    /// Takes `n` numbers from the allowance for computed constants.
    fn allow(&mut self, n: usize) -> Result<(), ImportError> {
        let left = self.numbers_left.checked_sub(n);
        self.numbers_left = left.ok_or_else(|| {
            ImportError::damaged("its constants grow beyond all measure when computed")
        })?;
        Ok(())
    }
}

/// An option that is an array.
fn array_option(node: &Node, name: &str) -> Option<Array> {
    match node.attributes.get(name) {
        Some(Attribute::Array(array)) => Some(array.clone()),
        _ => None,
    }
}
