//! The vocabulary and the contracts of facesearch.
//!
//! Everything above this crate speaks in its terms: an [`Embedding`] is finite and lives in the
//! space its [`Metric`] names, a [`Distance`] is L2 in that space (smaller is nearer), a
//! [`Contract`] says which model made an index. The traits are the seams between the crates: a
//! [`FaceFinder`] and an [`Embedder`] turn photos into vectors, a [`FaceStore`] keeps them, a
//! [`Publisher`] makes them readable, a [`Gallery`] is what a reader sees.
//!
//! No I/O happens here, of our crates only `facesearch-cpu` is depended on, and this crate holds
//! the only definition of distance.
//!
//! ```
//! use facesearch_core::{Embedding, Metric};
//!
//! let a = Embedding::new(vec![3.0, 4.0], Metric::NormalisedL2)?;
//! let b = Embedding::new(vec![0.6, 0.8], Metric::NormalisedL2)?;
//! assert_eq!(a.distance(&b).get(), 0.0);
//! # Ok::<(), facesearch_core::EmbeddingError>(())
//! ```

mod contract;
mod embedding;
mod error;
mod face;
mod gallery;
mod judgement;
mod kernels;
mod metric;
mod panels;
mod panics;
mod photo;
mod progress;
mod rows;
mod store;
mod text;
mod threshold;
mod topk;
mod vision;

pub use contract::{Contract, ContractMismatch};
pub use embedding::{Embedding, EmbeddingError};
pub use error::{BoxError, GalleryError, StoreError, VisionError, is_refused_write};
pub use face::{AlignedFace, BoundingBox, Chip, DetectedFace, FaceId, Landmarks, Quality};
pub use gallery::{
    Candidates, Effort, FaceView, Gallery, GalleryCounts, IdentityIndex, PhotoIndex, Row,
    SearchRequest,
};
pub use judgement::{Judgement, Judgements};
pub use kernels::squared_distance;
pub use metric::{Distance, Metric, distance};
pub use panics::{catch_panic, is_panic_caught};
pub use photo::{ContentHash, FileStat, Photo};
pub use progress::{NoProgress, Progress};
pub use rows::RowSet;
pub use store::{
    Change, FaceRecord, FaceStore, FileEntry, Outcome, PhotoRecord, Published, Publisher,
};
pub use text::{display_path, escape_text, is_disruptive};
pub use threshold::{NoThreshold, Threshold, ThresholdSource};
pub use topk::TopK;
pub use vision::{Embedder, FaceDetector, FaceFinder, FoundFaces};

/// Fast arithmetic in `f32`, for choosing candidates.
///
/// No number that anybody is shown, or that a threshold is applied to, comes from here: that is
/// [`distance`].
pub mod approximate {
    pub use crate::kernels::l2_squared;
    pub use crate::panels::{Panel, Panels, squared_length};
}
