//! The neutral form of a network's file: nodes with ONNX's operators, and constants by name.

use std::collections::HashMap;

use super::ImportError;
use super::array::Array;

/// A network as its file describes it.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The version of ONNX's operators.
    pub(super) version: i64,
    /// Name and dimensions of the image; `None` for a dimension that is left open.
    pub(super) input: Option<(String, Vec<Option<usize>>)>,
    /// The names of the outputs.
    pub(super) outputs: Vec<String>,
    /// Weights and other constants.
    pub(super) constants: HashMap<String, Array>,
    /// The operations, each after those that it reads.
    pub(super) nodes: Vec<Node>,
}

/// One operation.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// For messages.
    pub(super) name: String,
    /// ONNX's name of the operator.
    pub(super) operator: String,
    /// The names of its inputs. An optional input that is left out has an empty name.
    pub(super) inputs: Vec<String>,
    /// The names of its outputs.
    pub(super) outputs: Vec<String>,
    /// Its options.
    pub(super) attributes: HashMap<String, Attribute>,
}

/// An option of an operation.
#[derive(Debug, Clone)]
pub(super) enum Attribute {
    Real(f32),
    Whole(i64),
    Text(String),
    Wholes(Vec<i64>),
    Array(Array),
}

/// The largest stride, padding and so on. Larger ones come from damage, and would overflow later.
const LARGEST_OPTION: i64 = 1 << 16;

impl Node {
    /// An error about this node's operator.
    pub(super) fn unknown_use(&self, what: impl Into<String>) -> ImportError {
        ImportError::Use {
            operator: self.operator.clone(),
            node: self.name.clone(),
            what: what.into(),
        }
    }

    pub(super) fn whole(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Attribute::Whole(v)) => Some(*v),
            _ => None,
        }
    }

    pub(super) fn real(&self, name: &str) -> Option<f32> {
        match self.attributes.get(name) {
            Some(Attribute::Real(v)) => Some(*v),
            Some(Attribute::Whole(v)) => Some(*v as f32),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::Text(v)) => Some(v),
            _ => None,
        }
    }

    pub(super) fn wholes(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Wholes(v)) => Some(v),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.whole(name).unwrap_or(0) != 0
    }

    /// `N` sizes, which must be neither negative nor huge; `default` where the option is left out.
    pub(super) fn sizes<const N: usize>(
        &self,
        name: &str,
        default: usize,
    ) -> Result<[usize; N], ImportError> {
        let Some(values) = self.wholes(name) else { return Ok([default; N]) };
        let values: &[i64; N] =
            values.try_into().map_err(|_| self.unknown_use(format!("{name} {values:?}")))?;
        if values.iter().any(|v| !(0..=LARGEST_OPTION).contains(v)) {
            return Err(self.unknown_use(format!("{name} {values:?}")));
        }
        Ok(values.map(|v| v as usize))
    }
}
