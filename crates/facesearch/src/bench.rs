//! Networks and detectors by themselves, to be measured.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use facesearch_core::{Embedder, FaceDetector, Metric};
use facesearch_nn::{LayerTime, Network, Weights, import_onnx};
use facesearch_vision::{
    ColourOrder, DeepFace, DlibResNet, Mtcnn, MtcnnOptions, NetworkEmbedder, Normalisation,
    OnnxOptions, Precision, onnx_embedder, open_recogniser,
};
use facesearch_zoo::ModelKind;

use crate::error::{Error, Result};
use crate::models::Models;
use crate::vision::read;

/// A network by itself, and the files of its weights.
pub struct BenchNetwork {
    /// The network.
    pub network: Box<dyn Embedder>,
    /// The files of its weights.
    pub files: Vec<PathBuf>,
}

impl Models {
    /// dlib's network, without the views that a search adds.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where its file cannot be had, [`Error::Vision`] where it cannot be opened.
    pub fn bench_dlib(&self, precision: Precision) -> Result<BenchNetwork> {
        let model = self.zoo().model_of(ModelKind::Recogniser, "dlib")?;
        let files = self.fetch(&model.artifacts)?;
        let network = DlibResNet::open_at(&files[0], &self.device()?, precision)?;
        Ok(BenchNetwork { network: Box::new(network), files })
    }

    /// A recogniser of 112x112 chips in an ONNX file.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where it cannot be read or opened.
    pub fn bench_onnx(&self, file: &Path, precision: Precision) -> Result<BenchNetwork> {
        let network = self.onnx_network(file, Metric::L2)?.with_precision(precision)?;
        Ok(BenchNetwork { network: Box::new(network), files: vec![file.to_owned()] })
    }

    /// A recogniser of the catalogue with weights from a file.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where it cannot be opened, [`Error::Model`] where no network has this
    /// name.
    pub fn bench_weights(
        &self,
        name: &str,
        file: &Path,
        precision: Precision,
    ) -> Result<BenchNetwork> {
        let network = self.weights_network(name, file)?.with_precision(precision)?;
        Ok(BenchNetwork { network: Box::new(network), files: vec![file.to_owned()] })
    }

    /// The detector MTCNN.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where its files cannot be had, [`Error::Vision`] where they cannot be opened.
    pub fn bench_mtcnn(&self) -> Result<Box<dyn FaceDetector>> {
        let model = self.zoo().model_of(ModelKind::Detector, "mtcnn")?;
        let files = self.fetch(&model.artifacts)?;
        let folder = files[0].parent().unwrap_or(Path::new(""));
        Ok(Box::new(Mtcnn::open(folder, MtcnnOptions::default(), &self.device()?)?))
    }

    pub(crate) fn onnx_network(&self, file: &Path, metric: Metric) -> Result<NetworkEmbedder> {
        let options = OnnxOptions {
            name: "onnx".into(),
            size: Some([112, 112]),
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::ArcFace,
            metric,
        };
        Ok(onnx_embedder(&read(file)?, options, &self.device()?)?)
    }

    pub(crate) fn weights_network(&self, name: &str, file: &Path) -> Result<NetworkEmbedder> {
        let file = [file.to_owned()];
        let opened = open_recogniser(name, &file, None, &self.device()?)?;
        let opened = opened.ok_or_else(|| Error::model(format!("no network is called {name}")))?;
        Ok(opened.embedder)
    }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::model(format!("the network cannot be used: {error}"))
}

/// Which network's layers are timed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BenchGraph {
    /// dlib's ResNet.
    Dlib,
    /// A recogniser of 112x112 chips in an ONNX file.
    Onnx(PathBuf),
    /// DeepFace, with weights from a Keras file.
    DeepFace(PathBuf),
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
        let (graph, side) = match graph {
            BenchGraph::Onnx(file) => {
                let imported = import_onnx(&read(file)?, Some([112, 112])).map_err(unusable)?;
                (imported.graph, 112)
            }
            BenchGraph::DeepFace(file) => {
                let weights = Weights::open(file, &DeepFace::UNUSED_LAYERS).map_err(unusable)?;
                (DeepFace::graph(weights).map_err(unusable)?, 152)
            }
            BenchGraph::Dlib => {
                let model = self.zoo().model_of(ModelKind::Recogniser, "dlib")?;
                let files = self.fetch(&model.artifacts)?;
                (DlibResNet::graph(&read(&files[0])?).map_err(unusable)?, 150)
            }
        };
        let network = Network::with_precision(graph, &Device::Cpu, precision);
        let network = network.map_err(unusable)?;
        let input = Tensor::zeros((images, side, side, 3), DType::F32, &Device::Cpu);
        let input = input.and_then(|input| input.permute((0, 3, 1, 2))).map_err(unusable)?;
        network.profile(&input, runs).map_err(unusable)
    }
}
