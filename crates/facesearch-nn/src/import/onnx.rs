//! ONNX files: a protobuf message of nodes and constants.
//!
//! - **Source:** `onnx.proto`, <https://github.com/onnx/onnx>. Only the fields that inference needs
//!   are declared (`onnx/proto.rs`). The decoder skips the others.
//! - **Trap:** old exporters list every weight among the inputs too. The image is the one input
//!   that is not a constant.

pub(super) mod proto;
mod wire;

use std::collections::HashMap;

use prost::Message;
use prost::bytes::Bytes;

use super::ImportError;
use super::array::{Array, Element};
use super::model::{Attribute, Model, Node};

/// Reads the bytes of an ONNX file.
pub(super) fn read(bytes: &[u8]) -> Result<Model, ImportError> {
    if !wire::is_in_proportion(bytes) {
        let what = "its graph is out of all proportion to its length";
        return Err(ImportError::damaged(what));
    }
    // With `Bytes` the decoder can point into one copy of the file instead of copying each weight.
    let file = proto::Model::decode(Bytes::copy_from_slice(bytes))
        .map_err(|error| ImportError::damaged(format!("it is no ONNX file ({error})")))?;
    let graph = file.graph.ok_or_else(|| ImportError::damaged("it holds no graph"))?;
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let version = file.opset_import.iter().find(|set| standard(&set.domain));
    let mut model = Model {
        version: version.map_or(1, |set| set.version),
        outputs: graph.output.into_iter().map(|o| o.name).collect(),
        ..Model::default()
    };
    for tensor in graph.initializer {
        let name = tensor.name.clone();
        model.constants.insert(name, array(tensor)?);
    }
    let mut images = graph.input.into_iter().filter(|i| !model.constants.contains_key(&i.name));
    let image = images.next();
    if let Some(second) = images.next() {
        let what = format!("the network has a second input, {}", second.name);
        return Err(ImportError::damaged(what));
    }
    drop(images);
    model.input = image.map(|image| (image.name.clone(), dimensions(image)));
    for node in graph.node {
        let operator = match standard(&node.domain) {
            true => node.op_type,
            false => format!("{}.{}", node.domain, node.op_type),
        };
        let first_output = node.output.first().cloned().unwrap_or_default();
        let name = if node.name.is_empty() { first_output } else { node.name };
        let attributes =
            node.attribute.into_iter().map(attribute).collect::<Result<HashMap<_, _>, _>>()?;
        let (inputs, outputs) = (node.input, node.output);
        model.nodes.push(Node { name, operator, inputs, outputs, attributes });
    }
    Ok(model)
}

fn dimensions(value: proto::ValueInfo) -> Vec<Option<usize>> {
    let shape = value.r#type.and_then(|t| t.tensor_type).and_then(|t| t.shape);
    let dims = shape.map(|s| s.dim).unwrap_or_default();
    dims.into_iter().map(|d| usize::try_from(d.dim_value).ok().filter(|d| *d > 0)).collect()
}

fn attribute(a: proto::Attribute) -> Result<(String, Attribute), ImportError> {
    let value = match (a.kind, a.t) {
        (1, _) => Attribute::Real(a.f),
        (2, _) => Attribute::Whole(a.i),
        (3, _) => Attribute::Text(String::from_utf8_lossy(&a.s).into_owned()),
        (4, Some(tensor)) => Attribute::Array(array(tensor)?),
        (6, _) => Attribute::Array(Array::real(vec![a.floats.len()], a.floats)),
        (7, _) => Attribute::Wholes(a.ints),
        // Subgraphs and so on: the operators that have them are unknown here.
        (kind, _) => Attribute::Text(format!("an option of type {kind}")),
    };
    Ok((a.name, value))
}

/// The numbers of ONNX's data types that are read.
fn element(data_type: i32) -> Option<Element> {
    Some(match data_type {
        1 => Element::F32,
        2 | 9 => Element::U8,
        3 => Element::I8,
        6 => Element::I32,
        7 => Element::I64,
        10 => Element::F16,
        11 => Element::F64,
        16 => Element::Bf16,
        _ => return None,
    })
}

fn array(tensor: proto::Tensor) -> Result<Array, ImportError> {
    let name = &tensor.name;
    let dims = tensor.dims.iter().map(|d| usize::try_from(*d)).collect::<Result<Vec<_>, _>>();
    let dims = dims.map_err(|_| ImportError::damaged(format!("negative dimensions of {name}")))?;
    if tensor.data_location != 0 {
        let what = format!("the numbers of {name} are in another file; export it as one file");
        return Err(ImportError::damaged(what));
    }
    let element = element(tensor.data_type).ok_or_else(|| {
        let what = format!("{name} holds numbers of type {}", tensor.data_type);
        ImportError::damaged(what)
    })?;
    if !tensor.raw_data.is_empty() {
        return Array::from_bytes(dims, element, &tensor.raw_data);
    }
    let array = match element {
        Element::F32 => Array::real(dims, tensor.float_data),
        Element::F64 => {
            let numbers: Vec<f32> = tensor.double_data.iter().map(|v| *v as f32).collect();
            Array::real(dims, numbers)
        }
        Element::I64 => Array::whole(dims, tensor.int64_data),
        Element::I32 | Element::I8 | Element::U8 => {
            let numbers: Vec<i64> = tensor.int32_data.iter().map(|v| i64::from(*v)).collect();
            Array::whole(dims, numbers)
        }
        Element::F16 | Element::Bf16 => {
            let bytes: Vec<u8> =
                tensor.int32_data.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect();
            return Array::from_bytes(dims, element, &bytes);
        }
    };
    if super::array::count(&array.dims) != Some(array.len()) {
        let what = format!("{} numbers for {name} of {:?}", array.len(), array.dims);
        return Err(ImportError::damaged(what));
    }
    Ok(array)
}
