//! A folder of photos becomes a complete index, resumably.
//!
//! [`Indexer::run`] walks files and folders, reads what may have changed, finds and embeds the
//! faces of what is new, and commits one file after the other to a
//! [`FaceStore`](facesearch_core::FaceStore). It knows its neighbours only by the contracts of
//! `facesearch-core`.
//!
//! Three stages run side by side, with bounded queues between them: one thread walks, reads and
//! hashes; some look at photos and embed chips in batches that reach across photos; one commits, in
//! the order of the walk. Only the last one decides, and only from the store: what a run leaves
//! behind does not depend on how its threads met, nor on how often it was killed.

#![forbid(unsafe_code)]

mod claims;
mod committer;
mod desk;
mod enrol;
mod error;
mod file;
mod identity;
mod indexer;
mod item;
mod kind;
mod pace;
mod photos;
mod queue;
mod reader;
mod removal;
mod report;
mod roots;
mod stat;
mod walk;
mod worker;

pub use enrol::{Enrolled, EnrolledEmbedding, EnrolledPhoto, enrol, enrol_embeddings};
pub use error::{IdentityError, IndexError};
pub use file::{MAX_PHOTO, read_photo};
pub use identity::{IdentityRule, IdentityTable};
pub use indexer::{IndexOptions, Indexer};
pub use photos::{PhotosBelow, photos_below};
pub use removal::{Removed, remove_faces, remove_identity, remove_path};
pub use report::{OutcomeCounts, Report};
