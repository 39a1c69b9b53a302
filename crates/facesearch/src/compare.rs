//! Photos without an index: embeddings of their faces, and whether two show one person.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use facesearch_core::{
    Contract, Distance, Embedding, Progress, Threshold, ThresholdSource, VisionError, display_path,
};
use facesearch_query::{PhotoProbe, Probe};
use serde::Serialize;

use crate::answer::Place;
use crate::error::{Error, Result};
use crate::models::Models;
use crate::reader::Reader;
use crate::search_options::ThresholdChoice;
use crate::vision::{PORTION, Vision, listed_photo, photo_bytes};

/// The faces of a photo with their embeddings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Represented {
    /// The photo as it was named.
    pub image: String,
    /// The recognition model.
    pub model: String,
    /// Why there are no faces, where the photo could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One entry a face, the most prominent first.
    pub faces: Vec<RepresentedFace>,
}

/// A face with its embedding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepresentedFace {
    /// Where it is in the photo.
    #[serde(flatten)]
    pub place: Place,
    /// Its embedding; `None` where the network gave nothing usable.
    pub embedding: Option<Vec<f32>>,
}

/// Whether two photos show one person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// The recognition model.
    pub model: String,
    /// Whether the distance is within the threshold.
    pub verified: bool,
    /// Exact L2 distance.
    pub distance: Distance,
    /// What decided.
    pub threshold: Threshold,
}

/// The most prominent face of a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Prominent {
    /// Its embedding, or why there is none.
    pub embedding: Result<Embedding, String>,
    /// Its quality in `[0, 1]`, where that was measured.
    pub quality: Option<f32>,
    /// Whether the photo could not be read.
    pub unreadable: bool,
}

impl Models {
    /// The threshold that `choice` means for embeddings made under `contract`.
    ///
    /// # Errors
    ///
    /// [`Error::NoThreshold`] where the model has none and none is given, [`Error::Usage`] where
    /// the given one makes no sense or no preset has its name.
    pub fn threshold(&self, choice: &ThresholdChoice, contract: &Contract) -> Result<Threshold> {
        let given = match choice {
            ThresholdChoice::Own => None,
            ThresholdChoice::Given(l2) => Some(Threshold::new(*l2, ThresholdSource::Given)),
            ThresholdChoice::Preset(name) => {
                let source = ThresholdSource::Preset(name.clone());
                Some(Threshold::new(self.preset(name, contract)?, source))
            }
            ThresholdChoice::Fpir(_) => {
                return Err(Error::usage(
                    "a rate of false alarms is for a search of a calibrated index",
                ));
            }
        };
        let unusable = || Error::usage("a threshold is a finite number that is not negative");
        let given = given.map(|given| given.ok_or_else(unusable)).transpose()?;
        Ok(contract.threshold_or_own(given)?)
    }

    /// The L2 distance of a threshold that somebody published for the contract's model.
    fn preset(&self, name: &str, contract: &Contract) -> Result<f32> {
        let model = self.zoo().model(&contract.model);
        let presets = model.map(|model| &model.presets[..]).unwrap_or(&[]);
        let normalised = contract.metric.is_normalised();
        let of_metric: Vec<_> =
            presets.iter().filter(|preset| preset.metric.is_normalised() == normalised).collect();
        // Several numbers of one source need not agree: that of the very metric comes first.
        let mut fitting: Vec<_> = of_metric.iter().filter(|preset| preset.name == name).collect();
        fitting.sort_by_key(|preset| preset.metric != contract.metric);
        if let Some(found) = fitting.first() {
            return Ok(found.l2());
        }
        let known: Vec<_> = of_metric.iter().map(|preset| preset.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::usage(format!(
            "no threshold called `{name}` is known for {} and {}; known: {known}",
            contract.model, contract.metric
        )))
    }
}

impl Reader {
    /// The threshold that `choice` means for this index.
    pub(crate) fn threshold(
        &self,
        choice: &ThresholdChoice,
        contract: &Contract,
    ) -> Result<Threshold> {
        self.models().threshold(choice, contract)
    }
}

impl Vision {
    /// The faces of photos with their embeddings, in the photos' order. A photo that cannot be used
    /// has no faces, and an error.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where the model broke.
    pub fn represent(&self, photos: &[PathBuf]) -> Result<Vec<Represented>> {
        let mut represented = Vec::with_capacity(photos.len());
        for portion in photos.chunks(PORTION) {
            let probes = self.pipeline().probe_all(portion, |path| photo_bytes(path))?;
            for (path, photo) in portion.iter().zip(probes) {
                let (faces, error) = match photo {
                    Ok(photo) => (photo.faces, None),
                    Err(error) => (Vec::new(), Some(error.to_string())),
                };
                let face = |Probe { face, embedding, .. }| RepresentedFace {
                    place: Place::new(&face, None),
                    embedding: embedding.map(|embedding| embedding.as_slice().to_vec()),
                };
                represented.push(Represented {
                    image: path.to_string_lossy().into_owned(),
                    model: self.contract().model.clone(),
                    error,
                    faces: faces.into_iter().map(face).collect(),
                });
            }
        }
        Ok(represented)
    }

    /// Whether the most prominent faces of two photos are of one person.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where a photo cannot be read or has no face, [`Error::Vision`] where the
    /// model broke.
    pub fn verify(&self, a: &Path, b: &Path, threshold: Threshold) -> Result<Verified> {
        let photos = [a, b];
        let probes = self.pipeline().probe_all(&photos, |path| photo_bytes(path))?;
        let mut faces = Vec::with_capacity(2);
        for (path, photo) in photos.into_iter().zip(probes) {
            let face = prominent(photo).embedding;
            let name = display_path(path);
            faces.push(face.map_err(|why| Error::input(format!("{name}: {why}")))?);
        }
        let distance = faces[0].distance(&faces[1]);
        Ok(Verified {
            model: self.contract().model.clone(),
            verified: threshold.accepts(distance),
            distance,
            threshold,
        })
    }

    /// The most prominent face of each photo, by its name below `root`. Photos are looked at in
    /// portions, so that memory does not grow with their number.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where the model broke.
    pub fn prominent_faces<'n>(
        &self,
        names: &[&'n str],
        root: &Path,
        progress: &dyn Progress,
    ) -> Result<HashMap<&'n str, Prominent>> {
        progress.start(Some(names.len() as u64), "photos");
        let mut faces = HashMap::with_capacity(names.len());
        for portion in names.chunks(PORTION) {
            let photos =
                self.pipeline().probe_all(portion, |name| listed_photo(&root.join(name)))?;
            for (name, photo) in portion.iter().zip(photos) {
                faces.insert(*name, prominent(photo));
            }
            progress.advance(portion.len() as u64);
        }
        progress.finish();
        Ok(faces)
    }
}

fn prominent(photo: Result<PhotoProbe, VisionError>) -> Prominent {
    let photo = match photo {
        Ok(photo) => photo,
        Err(error) => {
            let embedding = Err(error.to_string());
            return Prominent { embedding, quality: None, unreadable: true };
        }
    };
    let Some(face) = photo.faces.into_iter().next() else {
        return Prominent {
            embedding: Err("no face found".into()),
            quality: None,
            unreadable: false,
        };
    };
    let embedding = face.embedding.ok_or_else(|| "the model gave no usable vector".into());
    Prominent { embedding, quality: face.quality.map(|quality| quality.0), unreadable: false }
}
