//! Networks and detectors by themselves, to be measured.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use facesearch_core::{Embedder, FaceDetector, Metric};
use facesearch_nn::{LayerTime, Network, import_onnx};
use facesearch_vision::{
    ColourOrder, Normalisation, OnnxOptions, Precision, RecogniserSource, Recognition,
    onnx_embedder,
};
use facesearch_zoo::ModelKind;

use crate::error::{Error, Result};
use crate::models::Models;
use crate::recogniser::open_entry;
use crate::vision::{MIN_FACE, open_detector, read};

/// Width and height of the chips that a network in an ONNX file is measured with.
const ONNX_SIZE: [u32; 2] = [112, 112];

/// A network by itself, and the files of its weights.
pub struct BenchNetwork {
    /// The network.
    pub network: Box<dyn Embedder>,
    /// The files of its weights.
    pub files: Vec<PathBuf>,
}

impl Models {
    /// The network of a recogniser of the catalogue, without the views that a search adds; with
    /// weights from `file` where one is given.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where nothing is called so or a file cannot be had, [`Error::Vision`] where
    /// it cannot be opened.
    pub fn bench_recogniser(
        &self,
        name: &str,
        file: Option<&Path>,
        precision: Precision,
    ) -> Result<BenchNetwork> {
        let (opened, files) = self.bench_open(name, file, (&self.device()?, precision))?;
        Ok(BenchNetwork { network: opened.network, files })
    }

    /// A recogniser of 112x112 chips in an ONNX file.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where it cannot be read or opened.
    pub fn bench_onnx(&self, file: &Path, precision: Precision) -> Result<BenchNetwork> {
        let options = OnnxOptions {
            name: "onnx".into(),
            size: Some(ONNX_SIZE),
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::ArcFace,
            metric: Metric::L2,
        };
        let network = onnx_embedder(&read(file)?, options, &self.device()?)?;
        let network = Box::new(network.with_precision(precision)?);
        Ok(BenchNetwork { network, files: vec![file.to_owned()] })
    }

    /// A detector of the catalogue.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where nothing is called so or a file cannot be had, [`Error::Vision`] where
    /// it cannot be opened.
    pub fn bench_detector(&self, name: &str) -> Result<Box<dyn FaceDetector>> {
        let model = self.zoo().model_of(ModelKind::Detector, name)?;
        let files = self.fetch(&model.artifacts)?;
        open_detector(name, &files, MIN_FACE, &self.device()?)
    }

    /// A recogniser of the catalogue, and the files of its weights.
    fn bench_open(
        &self,
        name: &str,
        file: Option<&Path>,
        (device, precision): (&Device, Precision),
    ) -> Result<(Recognition, Vec<PathBuf>)> {
        let model = self.zoo().model_of(ModelKind::Recogniser, name)?;
        let (files, needed) = match file {
            Some(file) => (vec![file.to_owned()], self.fetch_needed(model)?),
            None => self.fetch_model(model)?,
        };
        let source = RecogniserSource::new(&files, device);
        let opened = open_entry(model, &RecogniserSource { needed: &needed, precision, ..source })?;
        Ok((opened, files))
    }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::model(format!("the network cannot be used: {error}"))
}

/// Which network's layers are timed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BenchGraph {
    /// A recogniser of the catalogue.
    Recogniser {
        /// Its name there.
        name: String,
        /// The file of its weights; `None` for the catalogue's.
        file: Option<PathBuf>,
    },
    /// A recogniser of 112x112 chips in an ONNX file.
    Onnx(PathBuf),
}

impl Models {
    /// Times each layer of a network on one thread: `images` at once, the best of `runs`.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where its file cannot be had, [`Error::Vision`] where it cannot be opened.
    pub fn layer_times(
        &self,
        graph: &BenchGraph,
        precision: Precision,
        images: usize,
        runs: usize,
    ) -> Result<Vec<LayerTime>> {
        match graph {
            BenchGraph::Onnx(file) => {
                let [width, height] = ONNX_SIZE.map(|side| side as usize);
                let imported = import_onnx(&read(file)?, Some([height, width]));
                let graph = imported.map_err(unusable)?.graph;
                let network = Network::with_precision(graph, &Device::Cpu, precision);
                profile(&network.map_err(unusable)?, ONNX_SIZE, images, runs)
            }
            BenchGraph::Recogniser { name, file } => {
                let how = (&Device::Cpu, precision);
                let (opened, _) = self.bench_open(name, file.as_deref(), how)?;
                let network = opened.network;
                profile(network.network(), network.input_size(), images, runs)
            }
        }
    }
}

fn profile(
    network: &Network,
    [width, height]: [u32; 2],
    images: usize,
    runs: usize,
) -> Result<Vec<LayerTime>> {
    let shape = (images, height as usize, width as usize, 3);
    let input = Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let input = input.and_then(|input| input.permute((0, 3, 1, 2))).map_err(unusable)?;
    network.profile(&input, runs).map_err(unusable)
}
