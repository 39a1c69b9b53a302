//! A detector, an aligner and a recogniser that fit together, opened from the model files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;
use facesearch_core::{Contract, Embedder, FaceDetector, FaceFinder, Photo, VisionError};
use facesearch_indexer::MAX_PHOTO;
use facesearch_query::Pipeline;
use facesearch_vision::{DecodeLimits, DetectorModel, DetectorSource, Finder, decode};
use facesearch_zoo::{Model, ModelKind};

use crate::error::{Error, Result};
use crate::models::Models;
use crate::options::{DeviceChoice, NetworkOptions, PrecisionChoice, VisionOptions};
use crate::recogniser::{Recogniser, Source};

/// How many photos are worked on together: enough to fill the recogniser's batches, few enough
/// that memory does not notice.
pub const PORTION: usize = 32;

/// Faces narrower than this are passed over where nobody says otherwise.
pub(crate) const MIN_FACE: u32 = 40;

/// No detector sees a smaller face.
pub const SMALLEST_FACE: u32 = 12;

impl VisionOptions {
    /// These options, and the index's choice for what is `None`.
    #[must_use]
    pub fn or_pinned(&self, pinned: Option<&Contract>) -> Self {
        let asked = self.clone();
        // A model that was asked for brings its own metric.
        let pinned_metric = pinned.filter(|_| asked.model.is_none()).map(|c| c.metric);
        Self {
            network: NetworkOptions {
                metric: asked.network.metric.or(pinned_metric),
                ..asked.network
            },
            model: asked.model.or_else(|| pinned.map(|c| c.model.clone())),
            precision: asked
                .precision
                .filter(|asked| pinned.is_none() || *asked != PrecisionChoice::Auto)
                .or_else(|| pinned.and_then(|c| PrecisionChoice::named(&c.precision))),
            detector: asked.detector.or_else(|| pinned.map(|c| c.detector.clone())),
            min_face: asked.min_face.or_else(|| pinned.map(|c| c.min_face)),
        }
    }
}

/// A face finder and an embedder that fit, and the contract of what they make.
pub struct Vision {
    finder: Box<dyn FaceFinder>,
    embedder: Box<dyn Embedder>,
    contract: Contract,
}

impl Vision {
    /// What finds faces and cuts the embedder's chips.
    pub fn finder(&self) -> &dyn FaceFinder {
        &*self.finder
    }

    /// What makes embeddings.
    pub fn embedder(&self) -> &dyn Embedder {
        &*self.embedder
    }

    /// Both together.
    pub fn pipeline(&self) -> Pipeline<'_> {
        Pipeline::new(&*self.finder, &*self.embedder)
    }

    /// What an index of their embeddings is pinned to.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }
}

impl Models {
    /// Opens the models that `options` name; files that are missing are fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where a file cannot be had, [`Error::Model`] or [`Error::Vision`] where it
    /// cannot be used, [`Error::Usage`] where the options do not fit each other.
    pub fn open(&self, options: &VisionOptions) -> Result<Vision> {
        self.assemble(options, None)
    }

    /// [`open`](Self::open) with another alignment than the recogniser's own.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_aligned(&self, options: &VisionOptions, align: &str) -> Result<Vision> {
        self.assemble(options, Some(align))
    }

    fn assemble(&self, options: &VisionOptions, align: Option<&str>) -> Result<Vision> {
        let device = self.device()?;
        let detector = pick(self, ModelKind::Detector, options.detector.as_deref())?;
        let min_face = options.min_face.unwrap_or(MIN_FACE);
        let files = self.fetch(&detector.artifacts)?;
        // What a query waits for is mostly this, so each model is opened on a core of its own.
        let mut detector_network = None;
        let mut recogniser = rayon::in_place_scope(|scope| {
            scope.spawn(|_| {
                detector_network = Some(open_detector(&detector.name, &files, min_face, &device));
            });
            let precision = options.precision.unwrap_or_default();
            let source = Source { models: self, device: &device, precision };
            source.open(options.model.as_deref(), &options.network)
        })?;
        let detector_network =
            detector_network.ok_or_else(|| Error::model("the detector was not opened"))??;
        if let Some(align) = align {
            recogniser = recogniser.aligned_by(align)?;
        }
        let contract = contract(&recogniser, &detector.name, min_face);
        let finder = Finder::new(detector_network, recogniser.aligner);
        Ok(Vision { finder: Box::new(finder), embedder: recogniser.embedder, contract })
    }

    pub(crate) fn device(&self) -> Result<Device> {
        match self.device_choice() {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            choice @ DeviceChoice::Cuda(number) => Device::new_cuda(number).map_err(|error| {
                Error::model(format!("{choice} cannot be used: {error}; `--device cpu` always can"))
            }),
        }
    }
}

fn contract(recogniser: &Recogniser, detector: &str, min_face: u32) -> Contract {
    Contract {
        model: recogniser.name.clone(),
        weights: recogniser.weights.clone(),
        dimension: recogniser.embedder.dim() as u32,
        metric: recogniser.embedder.metric(),
        threshold: recogniser.threshold,
        detector: detector.to_owned(),
        min_face,
        preprocessing: recogniser.preprocessing.clone(),
        precision: recogniser.precision.name().into(),
    }
}

/// A detector of the catalogue with the weights in its files.
pub(crate) fn open_detector(
    name: &str,
    files: &[PathBuf],
    min_face: u32,
    device: &Device,
) -> Result<Box<dyn FaceDetector>> {
    if min_face < SMALLEST_FACE {
        return Err(Error::usage(format!(
            "faces from {min_face} pixels are asked for, and none is found below {SMALLEST_FACE}"
        )));
    }
    let code = DetectorModel::named(name);
    let code =
        code.ok_or_else(|| Error::model(format!("`{name}` cannot be opened by this version")))?;
    Ok(code.open(&DetectorSource { files, min_face, device })?)
}

/// The model of this name, or the one its kind uses by default.
fn pick<'m>(models: &'m Models, kind: ModelKind, name: Option<&str>) -> Result<&'m Model> {
    match name {
        Some(name) => Ok(models.zoo().model_of(kind, name)?),
        None => {
            let default = models.zoo().default_of(kind);
            default.ok_or_else(|| Error::model("the catalogue has no default model"))
        }
    }
}

/// The bytes of a model file, or why there are none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, VisionError> {
    std::fs::read(path).map_err(|error| VisionError::Read { reason: reason(&error) })
}

/// The bytes of a photo that somebody named: a file, or a pipe from another program, which is read
/// until it ends. More bytes than a photo has are refused: a device may have no end.
///
/// # Errors
///
/// [`VisionError::Read`] where it cannot be read, [`VisionError::Rejected`] where it is too large.
pub fn photo_bytes(path: &Path) -> Result<Vec<u8>, VisionError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PHOTO + 1).read_to_end(&mut bytes));
    read.map_err(|error| VisionError::Read { reason: reason(&error) })?;
    if bytes.len() as u64 > MAX_PHOTO {
        let reason = format!("it is larger than {} MiB", MAX_PHOTO >> 20);
        return Err(VisionError::Rejected { reason });
    }
    Ok(bytes)
}

/// The bytes of a photo from a list, which must be a file: nobody waits for the other end of a pipe
/// in the middle of a list.
///
/// # Errors
///
/// [`VisionError::Read`] where it cannot be read.
pub fn listed_photo(path: &Path) -> Result<Vec<u8>, VisionError> {
    facesearch_indexer::read_photo(path)
        .map_err(|error| VisionError::Read { reason: reason(&error) })
}

/// The pixels of a file, upright, or why there are none. The limits are those of every decoder
/// here, so that it makes no difference who decodes.
///
/// # Errors
///
/// [`VisionError::Read`], [`VisionError::Decode`] or [`VisionError::Rejected`].
pub fn read_photo(path: &Path) -> Result<Photo, VisionError> {
    decode(&photo_bytes(path)?, &DecodeLimits::default())
}

/// What the system says, without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
