//! The truth of an index: which files were seen, what was found in them, and the exact embeddings.
//!
//! [`SledStore`] keeps it on disk, for one process at a time; [`MemoryStore`] keeps the same
//! contract in memory, as the definition that the tests hold the other to. Readers of an index
//! open neither of them: they have the published snapshot.
//!
//! sled is used with care: one tree, so that one batch makes a commit atomic; a checksum of our own
//! on every record; a checkpoint file beside it, so that records sled silently gave up while
//! recovering a damaged log are missed and named; and an fsync after its flush, which is none.
//!
//! What people say of faces ([`Statement`]) is kept in a journal beside the records, and can be
//! taken back ([`SledStore::undo`]).
//!
//! ```
//! use facesearch_core::{Contract, FaceStore, Metric};
//! use facesearch_store::SledStore;
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("store");
//!
//! let contract = Contract {
//!     model: "dlib-resnet".into(),
//!     weights: String::new(),
//!     dimension: 128,
//!     metric: Metric::L2,
//!     threshold: Some(0.55),
//!     detector: "mtcnn".into(),
//!     min_face: 20,
//!     preprocessing: "dlib-5-point-150".into(),
//!     precision: "f32".into(),
//! };
//! let store = SledStore::create_or_open(&dir, &contract)?;
//! assert_eq!(store.face_count()?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod checkpoint;
mod codec;
mod journal;
mod keys;
mod memory;
mod path_bytes;
mod record;
mod sled_store;

pub use journal::{
    JournalEntry, JournalError, JudgedFace, NamedFace, NamedLabel, Naming, Statement,
};
pub use memory::MemoryStore;
pub use sled_store::{SledStore, StoreOptions};
