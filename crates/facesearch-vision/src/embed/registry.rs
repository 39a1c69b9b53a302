//! A recognition model by its name in the catalogue: its network, its chips, and what else is code
//! about it. Each model's file declares one value; `RECOGNISERS` in `mod.rs` lists them.

use std::path::{Path, PathBuf};

use candle_core::Device;
use facesearch_core::{Embedder, Metric, VisionError};
use facesearch_nn::{Network, Precision, Weights};

use super::RECOGNISERS;
use super::network_embedder::{NetworkEmbedder, broken};
use super::onnx_generic::{OnnxOptions, open_network};
use super::views::Views;
use crate::align::Aligner;

/// A recogniser of the catalogue: how its files become a network, and how its chips are cut.
#[derive(Debug)]
pub struct RecogniserModel {
    /// Its name in the catalogue.
    pub name: &'static str,
    /// Opens it.
    pub(super) open: fn(&RecogniserSource<'_>) -> Result<Recognition, VisionError>,
}

impl RecogniserModel {
    /// The model of this name; `None` where no file here declares it.
    pub fn named(name: &str) -> Option<&'static Self> {
        RECOGNISERS.iter().find(|model| model.name == name).copied()
    }

    /// Opens it from its files.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where a file is missing, damaged or another model's, or the device
    /// refuses it.
    pub fn open(&self, source: &RecogniserSource<'_>) -> Result<Recognition, VisionError> {
        (self.open)(source)
    }
}

/// What a recogniser is opened from, and how it shall work.
#[derive(Debug, Clone, Copy)]
pub struct RecogniserSource<'a> {
    /// Its files, in the order of the catalogue.
    pub files: &'a [PathBuf],
    /// The files of the other models that the catalogue says it needs, in that order.
    pub needed: &'a [PathBuf],
    /// Where a file of weights in a slow format is converted to, once; name it after the file's
    /// SHA-256. Without it the file is converted each time.
    pub converted: Option<&'a Path>,
    /// Where its network runs.
    pub device: &'a Device,
    /// What its network multiplies.
    pub precision: Precision,
    /// How its embeddings are compared; `None` for the model's own way.
    pub metric: Option<Metric>,
}

impl<'a> RecogniserSource<'a> {
    /// These files on this device, in 32-bit floats and by the model's own metric.
    pub fn new(files: &'a [PathBuf], device: &'a Device) -> Self {
        let precision = Precision::F32;
        Self { files, needed: &[], converted: None, device, precision, metric: None }
    }

    /// Any network in an ONNX file or an OpenVINO IR, and what cuts its chips.
    ///
    /// # Errors
    ///
    /// As [`open_network`].
    pub fn open_network(
        &self,
        options: OnnxOptions,
        aligner: Box<dyn Aligner>,
    ) -> Result<Recognition, VisionError> {
        self.recognition(open_network(self.files, options, self.device)?, aligner)
    }

    /// The path of one of its files. `name` is the model's, for messages.
    pub(super) fn file(&self, name: &str, i: usize) -> Result<&'a Path, VisionError> {
        nth(name, "files", self.files, i)
    }

    /// The path of a file of another model that it needs.
    pub(super) fn needed(&self, name: &str, i: usize) -> Result<&'a Path, VisionError> {
        nth(name, "files of other models", self.needed, i)
    }

    /// The bytes of one of its files.
    pub(super) fn bytes(&self, name: &str, i: usize) -> Result<Vec<u8>, VisionError> {
        std::fs::read(self.file(name, i)?).map_err(|error| broken(name, error))
    }

    /// The arrays in its first file, without the layers `skip`.
    pub(super) fn weights(&self, name: &str, skip: &[&str]) -> Result<Weights, VisionError> {
        let file = self.file(name, 0)?;
        let weights = match self.converted {
            Some(converted) => Weights::open_cached(file, skip, converted),
            None => Weights::open(file, skip),
        };
        weights.map_err(|error| broken(name, error))
    }

    /// The network at the precision and for the metric asked for, and what cuts its chips.
    pub(super) fn recognition(
        &self,
        embedder: NetworkEmbedder,
        aligner: Box<dyn Aligner>,
    ) -> Result<Recognition, VisionError> {
        let input = embedder.input();
        let metric = self.metric.unwrap_or(embedder.metric());
        let embedder = match self.precision {
            Precision::F32 => embedder,
            precision => embedder.with_precision(precision)?,
        };
        Ok(Recognition {
            network: Box::new(embedder.with_metric(metric)),
            preprocessing: format!("{}, {}", aligner.name(), input.name()),
            aligner,
            mirrored: false,
            metric,
            chip_size: Some(input.size),
        })
    }
}

fn nth<'a>(
    name: &str,
    what: &str,
    files: &'a [PathBuf],
    i: usize,
) -> Result<&'a Path, VisionError> {
    let missing = || broken(name, format!("it has {} {what}, not {}", files.len(), i + 1));
    files.get(i).map(PathBuf::as_path).ok_or_else(missing)
}

/// A recogniser's network by itself.
pub trait RecognitionNetwork: Embedder {
    /// The network.
    fn network(&self) -> &Network;

    /// Width and height of what it takes, in pixels.
    fn input_size(&self) -> [u32; 2];
}

/// A recogniser that is ready: its network, and the aligner that cuts its chips.
pub struct Recognition {
    /// The network, for one view of a face.
    pub network: Box<dyn RecognitionNetwork>,
    /// What cuts the chips.
    pub aligner: Box<dyn Aligner>,
    /// Whether it takes the mean over each view of a face and its mirror image ([`Views`]).
    pub mirrored: bool,
    /// How its embeddings are compared.
    pub metric: Metric,
    /// What happens to a face before and after the network, in words. An index is pinned to it.
    pub preprocessing: String,
    /// Width and height of its chips, in pixels; `None` where a chip is several views, so that no
    /// other aligner can cut it.
    pub chip_size: Option<[u32; 2]>,
}

impl Recognition {
    /// The same with each view in the mirror, too.
    pub(super) fn mirrored(self) -> Self {
        let preprocessing = format!("{}, mirrored", self.preprocessing);
        Self { mirrored: true, preprocessing, ..self }
    }

    /// What cuts chips, and what makes embeddings of them.
    pub fn into_parts(self) -> (Box<dyn Aligner>, Box<dyn Embedder>) {
        let embedder: Box<dyn Embedder> = match self.mirrored {
            true => Box::new(Views::new(self.network).with_metric(self.metric)),
            false => self.network,
        };
        (self.aligner, embedder)
    }
}

#[cfg(test)]
mod tests {
    use facesearch_core::{BoundingBox, DetectedFace, Landmarks, Photo};

    use super::*;
    use crate::testing::{reference, shared};

    /// The chips of a model's aligner fit its network, and an embedding comes of them.
    fn check(name: &str, files: &[PathBuf], dim: usize) {
        let model = RecogniserModel::named(name).unwrap();
        let opened = model.open(&RecogniserSource::new(files, &Device::Cpu)).unwrap();
        assert_eq!(opened.network.name(), name);
        assert_eq!(opened.chip_size, Some(opened.network.input_size()));
        let photo = Photo::new(200, 180, (0..200 * 180 * 3).map(|i| (i / 7) as u8).collect());
        let points = [[80.0, 80.0], [120.0, 80.0], [100.0, 100.0], [85.0, 125.0], [115.0, 125.0]];
        let bbox = BoundingBox { x: 60.0, y: 50.0, width: 80.0, height: 100.0 };
        let face = DetectedFace { bbox, score: 1.0, landmarks: Landmarks(points) };
        let (aligner, embedder) = opened.into_parts();
        let chip = aligner.chip(&photo, &face);
        let embedding = embedder.embed(&[chip]).unwrap().remove(0).unwrap();
        assert_eq!(embedding.dim(), dim);
    }

    #[test]
    #[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_SHARED"]
    fn a_model_and_its_aligner_fit_each_other() {
        let stem = "models/openvino-reid0095/face-reidentification-retail-0095";
        let files = [shared(&format!("{stem}.xml")), shared(&format!("{stem}.bin"))];
        check("retail-0095", &files, 256);
        for (name, file, dim) in [
            ("deepid", "deepid.h5", 160),
            ("facenet-128", "facenet-128.h5", 128),
            ("facenet-512", "facenet-512.h5", 512),
            ("openface", "openface.h5", 128),
            ("arcface", "arcface.h5", 512),
            ("ghostfacenet", "ghostfacenet.h5", 512),
            ("sface", "sface.onnx", 128),
            ("deepface", "deepface.h5", 4096),
        ] {
            check(name, &[reference(file).join(file)], dim);
        }
    }

    #[test]
    fn each_name_is_one_model_and_missing_files_are_errors_that_name_it() {
        for model in RECOGNISERS {
            let found = RecogniserModel::named(model.name).unwrap();
            assert!(std::ptr::eq(found, *model), "{} stands there twice", model.name);
            let source = RecogniserSource::new(&[], &Device::Cpu);
            let error = model.open(&source).err().unwrap().to_string();
            assert!(error.contains(model.name), "{error}");
        }
        assert!(RecogniserModel::named("nobody's").is_none());
    }
}
