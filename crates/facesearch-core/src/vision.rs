//! The contracts of seeing: photo bytes to faces, faces to embeddings.

use crate::embedding::Embedding;
use crate::error::VisionError;
use crate::face::{AlignedFace, Chip, DetectedFace};
use crate::metric::Metric;
use crate::photo::Photo;

/// Finds faces in upright pixels. One implementation per detector file.
pub trait FaceDetector: Send + Sync {
    /// A stable name, written into the index.
    fn name(&self) -> &str;

    /// Every face, the surest first, ties by position; none is an empty list, not an error.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the network cannot run; nothing about the photo is an error.
    fn detect(&self, photo: &Photo) -> Result<Vec<DetectedFace>, VisionError>;
}

/// What was found in one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundFaces {
    /// Pixels across of the upright photo.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The faces, the most prominent first (large, wholly inside, near the middle), ties by
    /// position from the top left: `faces[0]` is the one that a photo of one person is about.
    pub faces: Vec<AlignedFace>,
}

/// Turns the bytes of a photo into aligned faces: decode, make upright, detect, align.
pub trait FaceFinder: Send + Sync {
    /// All faces of the photo. The same bytes always give the same faces.
    ///
    /// # Errors
    ///
    /// [`VisionError::Decode`] or [`VisionError::Rejected`] where the photo is at fault and a run
    /// goes on, [`VisionError::Model`] where it cannot.
    fn find(&self, bytes: &[u8]) -> Result<FoundFaces, VisionError>;

    /// The same for a photo that somebody decoded already.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] alone.
    fn find_in(&self, photo: &Photo) -> Result<FoundFaces, VisionError>;

    /// About how many bytes of memory [`find`](Self::find) takes at most for this photo, as far as
    /// its first bytes tell; 0 where that is little, or not known.
    fn memory(&self, bytes: &[u8]) -> u64 {
        let _ = bytes;
        0
    }
}

/// Turns aligned faces into embeddings. One implementation per model file.
pub trait Embedder: Send + Sync {
    /// A stable name, written into the index; two embedders never share one.
    fn name(&self) -> &str;

    /// Length of every embedding this model returns.
    fn dim(&self) -> usize;

    /// How its embeddings are compared.
    fn metric(&self) -> Metric;

    /// How many chips at once it works best with.
    fn batch_size(&self) -> usize;

    /// Embeds a batch, in order. `None` marks a face the model gave no usable vector for, so that
    /// one bad chip never fails its batch. A chip's embedding does not depend on its neighbours in
    /// the batch.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the device or the weights failed.
    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError>;
}

impl<E: Embedder + ?Sized> Embedder for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn metric(&self) -> Metric {
        (**self).metric()
    }

    fn batch_size(&self) -> usize {
        (**self).batch_size()
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        (**self).embed(chips)
    }
}
