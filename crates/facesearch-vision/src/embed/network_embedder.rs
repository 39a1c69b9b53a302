//! Any network that makes an embedding of a chip, behind [`Embedder`].

use candle_core::Device;
use facesearch_core::{BoxError, Chip, Embedder, Embedding, Metric, VisionError};
use facesearch_nn::{Graph, Network, NetworkError, Precision, WeightsError};

use super::registry::RecognitionNetwork;
use crate::preprocess::{ChipInput, ColourOrder, Normalisation};

/// What a recognition model is, apart from its network.
#[derive(Debug, Clone)]
pub(crate) struct Recogniser {
    /// Its name in indexes and messages.
    pub(crate) name: String,
    /// What it is fed.
    pub(crate) input: ChipInput,
    /// How its embeddings are compared.
    pub(crate) metric: Metric,
}

impl Recogniser {
    /// One that gets what deepface gives all networks unless it is told otherwise: blue, green,
    /// red, `x / 255`. Its thresholds were measured so.
    pub(crate) fn fed_as_by_deepface(name: &str, size: [u32; 2], metric: Metric) -> Self {
        let (colours, normalisation) = (ColourOrder::Bgr, Normalisation::Base);
        let input = ChipInput { size, colours, normalisation };
        Self { name: name.to_owned(), input, metric }
    }
}

/// A network and what it is fed. The model files of this crate and the importers make it.
#[derive(Debug)]
pub struct NetworkEmbedder {
    recogniser: Recogniser,
    network: Network,
    dim: usize,
}

impl NetworkEmbedder {
    /// Runs `graph` on `device`. Its one output's numbers, however arranged, are the embedding.
    pub(crate) fn new(
        recogniser: Recogniser,
        graph: Graph,
        device: &Device,
    ) -> Result<Self, VisionError> {
        let broken = |source: BoxError| broken(&recogniser.name, source);
        let [width, height] = recogniser.input.size.map(|v| v as usize);
        let shapes = graph.shapes(height, width).map_err(|e| broken(e.into()))?;
        let [output] = graph.outputs() else {
            let what = format!("it has {} outputs; an embedding is one", graph.outputs().len());
            return Err(broken(what.into()));
        };
        if graph.input_channels() != 3 {
            let what = format!("it takes {} colours, not 3", graph.input_channels());
            return Err(broken(what.into()));
        }
        let dim = shapes[output.index()].len();
        let network = Network::new(graph, device).map_err(|e| broken(e.into()))?;
        Ok(Self { recogniser, network, dim })
    }

    /// The same with embeddings for another metric.
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.recogniser.metric = metric;
        self
    }

    /// The same with numbers of this precision.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the device refuses the weights.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self, VisionError> {
        let (graph, device) = (self.network.graph().clone(), self.network.device().clone());
        self.network = Network::with_precision(graph, &device, precision)
            .map_err(|error| broken(&self.recogniser.name, error))?;
        Ok(self)
    }

    /// What it is fed.
    pub fn input(&self) -> ChipInput {
        self.recogniser.input
    }

    /// The network itself.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

impl Embedder for NetworkEmbedder {
    fn name(&self) -> &str {
        &self.recogniser.name
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn metric(&self) -> Metric {
        self.recogniser.metric
    }

    fn batch_size(&self) -> usize {
        16
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        if chips.is_empty() {
            return Ok(Vec::new());
        }
        let broken = |source: BoxError| broken(&self.recogniser.name, source);
        let input = self.recogniser.input.tensor(chips, self.network.device());
        let outputs = input
            .map_err(|e| broken(e.into()))
            .and_then(|input| self.network.forward(&input).map_err(|e| broken(e.into())))?;
        let vectors = outputs[0].flatten_from(1).and_then(|x| x.to_vec2::<f32>());
        let vectors = vectors.map_err(|e| broken(e.into()))?;
        let metric = self.recogniser.metric;
        Ok(vectors.into_iter().map(|v| Embedding::new(v, metric).ok()).collect())
    }
}

impl RecognitionNetwork for NetworkEmbedder {
    fn network(&self) -> &Network {
        &self.network
    }

    fn input_size(&self) -> [u32; 2] {
        self.recogniser.input.size
    }
}

pub(crate) fn broken(model: &str, source: impl Into<BoxError>) -> VisionError {
    VisionError::Model { model: model.to_owned(), source: source.into() }
}

/// Why a file's arrays do not make a model's network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}
