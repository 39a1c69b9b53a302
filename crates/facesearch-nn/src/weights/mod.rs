//! Reads files of weights without trusting them: arrays by name, and nothing is executed.

pub(crate) mod dlib;
mod format;
mod keras;
mod mapped;
mod packed;
mod pickle;
mod torch;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use format::{ModelFormat, recognise_model};
pub use keras::read_keras;
pub use mapped::{MappedWeights, map_file, write_safetensors};
pub use packed::unpack;
pub use torch::read_torch;

/// One array of a weights file, row-major (the last index runs fastest).
#[derive(Debug, Clone, PartialEq)]
pub struct WeightArray {
    /// Size of each dimension; empty for a single number.
    pub shape: Vec<usize>,
    /// As many numbers as the shape has places, as `f32`.
    pub values: Vec<f32>,
}

/// The arrays of a model by the names of its author's framework (`conv1.weight`).
pub type StateDict = BTreeMap<String, WeightArray>;

/// Why a file of weights cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum WeightsError {
    #[error("the weights are damaged: {what}; fetch them again with `facesearch models pull`")]
    Damaged { what: String },
    #[error(
        "the weights hold {what}, which is no plain state dict; save `model.state_dict()` instead"
    )]
    NotPlain { what: String },
    #[error("the weights have no {name}; they belong to another model")]
    Missing { name: String },
    #[error("{name} has the shape {found:?}, the model needs {wanted:?}")]
    Shape { name: String, found: Vec<usize>, wanted: Vec<usize> },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl WeightsError {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// Weights in memory or in a mapped file. A model takes its arrays one by one.
#[derive(Debug)]
pub enum Weights {
    /// In memory, as an importer reads them.
    Read(StateDict),
    /// In a file of the cache, mapped.
    Mapped(MappedWeights),
}

impl Weights {
    /// Opens a file of Keras, of PyTorch or of the cache, recognised by its content. Layers named
    /// in `skip` are not read from a Keras file, to save time and memory.
    ///
    /// # Errors
    ///
    /// [`WeightsError`] where there is no such file, or it is damaged or of no such format.
    pub fn open(path: &Path, skip: &[&str]) -> Result<Self, WeightsError> {
        let unread = |source| WeightsError::Read { path: path.to_owned(), source };
        let mut start = Vec::new();
        let file = std::fs::File::open(path).map_err(unread)?;
        file.take(512).read_to_end(&mut start).map_err(unread)?;
        match recognise_model(&start) {
            Some(ModelFormat::Keras) => read_keras(path, skip).map(Self::Read),
            Some(ModelFormat::Safetensors) => MappedWeights::open(path).map(Self::Mapped),
            Some(ModelFormat::Torch) => {
                read_torch(&std::fs::read(path).map_err(unread)?).map(Self::Read)
            }
            Some(other) => {
                let what = format!("a file of {}, not arrays by name", other.name());
                Err(WeightsError::NotPlain { what })
            }
            None => Err(WeightsError::damaged("they are of no known format")),
        }
    }

    /// As [`open`](Self::open), but a file of another program is converted into `cached` once, and
    /// mapped from there whenever `cached` exists. Name `cached` after the content of the file, for
    /// example its SHA-256: nothing else says whether the two belong together.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`WeightsError::Write`] where `cached` cannot be written.
    pub fn open_cached(path: &Path, skip: &[&str], cached: &Path) -> Result<Self, WeightsError> {
        if let Ok(mapped) = MappedWeights::open(cached) {
            return Ok(Self::Mapped(mapped));
        }
        match Self::open(path, skip)? {
            Self::Read(weights) => {
                tracing::info!(from = %path.display(), "weights converted, once");
                write_safetensors(&weights, cached)?;
                MappedWeights::open(cached).map(Self::Mapped)
            }
            mapped => Ok(mapped),
        }
    }

    /// The names of all arrays, in no order.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Read(weights) => weights.keys().cloned().collect(),
            Self::Mapped(weights) => weights.names().map(str::to_owned).collect(),
        }
    }

    /// Whether there is an array of this name. An array in memory that was taken is gone.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Read(weights) => weights.contains_key(name),
            Self::Mapped(weights) => weights.has(name),
        }
    }

    /// The array of this name, which must have exactly this shape. Each can be taken once.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Missing`] or [`WeightsError::Shape`].
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>, WeightsError> {
        match self {
            Self::Read(weights) => take_array(weights, name, shape).map(Into::into),
            Self::Mapped(weights) => weights.array(name, shape),
        }
    }
}

/// Takes an array out of a state dict. It must have exactly this shape.
///
/// # Errors
///
/// [`WeightsError::Missing`] or [`WeightsError::Shape`].
pub fn take_array(
    weights: &mut StateDict,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, WeightsError> {
    let array =
        weights.remove(name).ok_or_else(|| WeightsError::Missing { name: name.to_owned() })?;
    if array.shape != shape {
        return Err(WeightsError::Shape {
            name: name.to_owned(),
            found: array.shape,
            wanted: shape.to_vec(),
        });
    }
    Ok(array.values)
}
