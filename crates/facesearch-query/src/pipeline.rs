//! Photos become probes: the faces in them and their embeddings.

use facesearch_core::{Chip, DetectedFace, Embedder, Embedding, FaceFinder, VisionError};
use rayon::prelude::*;

/// One face to search for.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Where it is in its photo.
    pub face: DetectedFace,
    /// What the model makes of it; `None` where the model gave no usable vector.
    pub embedding: Option<Embedding>,
}

/// What one photo holds.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoProbe {
    /// Pixels across of the upright photo.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Its faces, the most prominent first.
    pub faces: Vec<Probe>,
}

/// A finder and an embedder that belong together.
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    finder: &'a dyn FaceFinder,
    embedder: &'a dyn Embedder,
}

impl<'a> Pipeline<'a> {
    /// `finder` must cut the chips that `embedder` was trained on.
    pub fn new(finder: &'a dyn FaceFinder, embedder: &'a dyn Embedder) -> Self {
        Self { finder, embedder }
    }

    /// The faces of many photos, in order: each is loaded and searched for faces on whatever core is
    /// free, then all faces are embedded together.
    ///
    /// `load` gives the bytes of a photo's file. The chips of all `photos` are held at once, so
    /// callers with many photos pass them in portions.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] alone; what is wrong with a photo is the photo's own result.
    pub fn probe_all<T: Sync>(
        &self,
        photos: &[T],
        load: impl Fn(&T) -> Result<Vec<u8>, VisionError> + Sync,
    ) -> Result<Vec<Result<PhotoProbe, VisionError>>, VisionError> {
        let found: Vec<_> =
            photos.par_iter().map(|photo| self.finder.find(&load(photo)?)).collect();
        let mut chips: Vec<Chip> = Vec::new();
        let mut probes = Vec::with_capacity(found.len());
        for result in found {
            probes.push(match result {
                Ok(photo) => {
                    let mut faces = Vec::with_capacity(photo.faces.len());
                    for aligned in photo.faces {
                        faces.push(Probe { face: aligned.face, embedding: None });
                        chips.push(aligned.chip);
                    }
                    Ok(PhotoProbe { width: photo.width, height: photo.height, faces })
                }
                Err(error @ VisionError::Model { .. }) => return Err(error),
                Err(error) => Err(error),
            });
        }
        let mut embeddings = self.embedder.embed(&chips)?.into_iter();
        let faces = probes.iter_mut().flatten().flat_map(|photo| &mut photo.faces);
        for face in faces {
            face.embedding = embeddings.next().flatten();
        }
        Ok(probes)
    }
}
