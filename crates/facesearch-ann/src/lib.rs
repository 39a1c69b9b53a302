//! Candidates, fast, and the published snapshot that readers map.
//!
//! A [`SnapshotPublisher`] turns what a store holds into an immutable directory of checked files
//! and makes it the published one in a single step. A [`Snapshot`] maps that directory: many
//! processes read at once, copy nothing and lock nothing, while the next one is written. Neither
//! knows what the store is made of. `docs/index-format.md` has every byte of the files.

mod files;
#[cfg(test)]
mod forged;
mod kernels;
mod live;
mod manifest;
mod publisher;
mod scan;
mod segment;
mod snapshot;
mod tables;
#[cfg(test)]
mod testing;
mod vectors;

pub use live::{LiveCounts, LiveGallery, LiveView};
pub use publisher::{SnapshotPublisher, SnapshotWriter};
pub use segment::Certificate;
pub use snapshot::Snapshot;
