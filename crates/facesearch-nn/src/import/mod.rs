//! Networks in the formats that other programs write, as a [`Graph`](crate::Graph).
//!
//! Two front ends read ONNX (`onnx.rs`) and OpenVINO's IR (`openvino.rs`) into one neutral list of
//! nodes (`model.rs`), in ONNX's vocabulary. `lower/` walks the list once: what depends on
//! constants alone it computes, what depends on the picture becomes layers of the project's own.
//!
//! - **Input size:** fixed when the file is read, because shapes are computed then. A file that
//!   leaves it open needs it said.
//! - **Trap:** a file's batch dimension means nothing here. A network is read for one picture and
//!   runs on any number; an operation that would mix pictures is refused.

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

/// A network that was read from a file, and what goes in and comes out.
#[derive(Debug, Clone)]
pub struct ImportedNetwork {
    /// The network.
    pub graph: Graph,
    /// Channels, rows and columns of a picture.
    pub input: [usize; 3],
    /// What comes out, in the order of [`Graph::outputs`].
    pub outputs: Vec<ImportedOutput>,
}

/// One output of an imported network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedOutput {
    /// Its name in the file.
    pub name: String,
    /// Its size for one picture, as the file counts it, without the batch: `[1600, 4]`, say.
    pub shape: Vec<usize>,
}

/// Reads an ONNX file.
///
/// - **Input:** the file's bytes; `size` is the rows and columns of the picture, needed where the
///   file leaves them open, and used in place of the file's own where it does not.
/// - **Memory:** the weights once more, as `f32`.
///
/// # Errors
///
/// [`ImportError::Operator`] names the first operator that is not known; [`ImportError::Damaged`]
/// where the bytes are cut, changed or no ONNX file.
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
