//! Imports networks of other programs as a [`Graph`](crate::Graph).
//!
//! Two front ends read ONNX (`onnx.rs`) and OpenVINO's IR (`openvino.rs`) into one neutral list of
//! nodes (`model.rs`) with ONNX's operators. `lower/` goes through the list once. It computes what
//! depends on constants alone; what depends on the image becomes layers of a graph.
//!
//! - **Input size:** fixed when the file is read, because shapes are computed then. Where a file
//!   leaves it open, the caller must give it.
//! - **Trap:** the batch dimension of a file is ignored. A network is read for one image and runs
//!   on any number of them. An operation that would mix images is refused.

mod array;
mod error;
mod lower;
mod model;
mod onnx;
mod openvino;
#[cfg(test)]
mod tests;

pub use error::ImportError;

use crate::network::Graph;

/// A network that was read from a file, with its input and outputs.
#[derive(Debug, Clone)]
pub struct ImportedNetwork {
    /// The network.
    pub graph: Graph,
    /// Channels, rows and columns of an image.
    pub input: [usize; 3],
    /// The outputs, in the order of [`Graph::outputs`].
    pub outputs: Vec<ImportedOutput>,
}

/// One output of an imported network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedOutput {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions for one image in the file, without the batch: for example `[1600, 4]`.
    pub shape: Vec<usize>,
}

/// Reads an ONNX file.
///
/// - **Input:** the file's bytes. `size` is the rows and columns of the image. It replaces the size
///   in the file, and is needed where the file leaves it open.
/// - **Memory:** the weights once more, as `f32`.
///
/// # Errors
///
/// [`ImportError::Operator`] names the first unknown operator. [`ImportError::Damaged`] where the
/// bytes are cut, changed or not an ONNX file. [`ImportError::Size`] where `size` is needed.
pub fn import_onnx(bytes: &[u8], size: Option<[usize; 2]>) -> Result<ImportedNetwork, ImportError> {
    lower::lower(onnx::read(bytes)?, size, bytes.len())
}

/// Reads an OpenVINO IR: the graph (`.xml`) and its weights (`.bin`).
///
/// - **Input:** the bytes of both files; `size` as for [`import_onnx`].
///
/// # Errors
///
/// As [`import_onnx`].
pub fn import_openvino(
    xml: &[u8],
    bin: &[u8],
    size: Option<[usize; 2]>,
) -> Result<ImportedNetwork, ImportError> {
    lower::lower(openvino::read(xml, bin)?, size, xml.len() + bin.len())
}
