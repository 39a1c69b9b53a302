//! Any recognition network in an ONNX file or an OpenVINO IR, with no entry in the catalogue.
//!
//! - **Input:** what [`OnnxOptions`] says; the file knows only the size of its picture, and not
//!   always that. insightface's networks are 112x112 in red, green, blue with
//!   [`Normalisation::ArcFace`] or nearly so.
//! - **Output:** the network's only output, as many numbers as it has.
//! - **Threshold:** unknown; measure it on pairs.
//! - **Trap:** the wrong order of colours or scale gives embeddings that are worse, and no error.

use std::path::PathBuf;

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::{ImportedNetwork, import_onnx, import_openvino};

use super::network_embedder::{NetworkEmbedder, Recogniser, broken};
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

/// What an ONNX file does not say of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxOptions {
    /// A name for indexes and messages.
    pub name: String,
    /// Width and height of its chips, where the file leaves them open or another size is wanted.
    pub size: Option<[u32; 2]>,
    /// Which colour it reads first.
    pub colours: ColourOrder,
    /// How bytes become its numbers.
    pub normalisation: Normalisation,
    /// How its embeddings are compared.
    pub metric: Metric,
}

/// An embedder from the bytes of an ONNX file.
///
/// # Errors
///
/// [`VisionError::Model`] where the file is damaged, uses an operator that is not known, or makes
/// no single vector of a picture.
pub fn onnx_embedder(
    bytes: &[u8],
    options: OnnxOptions,
    device: &Device,
) -> Result<NetworkEmbedder, VisionError> {
    let imported = import_onnx(bytes, options.rows_and_columns());
    embedder(imported.map_err(|error| broken(&options.name, error))?, options, device)
}

/// An embedder from the file of an ONNX network, or from the `.xml` and the `.bin` of an OpenVINO
/// IR, in this order.
///
/// # Errors
///
/// [`VisionError::Model`] where a file cannot be read, and as [`onnx_embedder`].
pub fn open_network(
    files: &[PathBuf],
    options: OnnxOptions,
    device: &Device,
) -> Result<NetworkEmbedder, VisionError> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| broken(&options.name, error));
    match files {
        [onnx] => onnx_embedder(&read(onnx)?, options, device),
        [xml, bin] => {
            let imported = import_openvino(&read(xml)?, &read(bin)?, options.rows_and_columns());
            embedder(imported.map_err(|error| broken(&options.name, error))?, options, device)
        }
        other => Err(broken(&options.name, format!("a network is not {} files", other.len()))),
    }
}

impl OnnxOptions {
    /// The size as networks have it: height first.
    fn rows_and_columns(&self) -> Option<[usize; 2]> {
        self.size.map(|[width, height]| [height as usize, width as usize])
    }
}

fn embedder(
    imported: ImportedNetwork,
    options: OnnxOptions,
    device: &Device,
) -> Result<NetworkEmbedder, VisionError> {
    let [_, height, width] = imported.input;
    let input = ChipInput {
        size: [width as u32, height as u32],
        colours: options.colours,
        normalisation: options.normalisation,
    };
    let recogniser = Recogniser { name: options.name, input, metric: options.metric };
    NetworkEmbedder::new(recogniser, imported.graph, device)
}
