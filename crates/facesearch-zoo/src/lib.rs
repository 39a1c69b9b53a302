//! Model files: what they are, where they come from, that they are the right bytes.
//!
//! The [`Zoo`] is the catalogue (`models/zoo.toml`, part of the program): models with their
//! papers, licences and thresholds, and the files they are made of. A [`Cache`] is the folder
//! where those files lie; it fetches what is missing from an ordered list of [`Source`]s and
//! lets nothing in whose SHA-256 is not the catalogue's. [`Samples`] are a handful of photos
//! of public figures, listed and fetched the same way, to try the engine with.
//!
//! This crate keeps the network, TLS, package clients and archive formats away from its
//! neighbours. It prints nothing, reads no environment variable, and tells a
//! [`Progress`](facesearch_core::Progress) what it is doing.
//!
//! ```
//! use facesearch_zoo::{Cache, Zoo};
//!
//! let zoo = Zoo::builtin();
//! let model = zoo.model("dlib")?;
//! let cache = Cache::new("/var/cache/facesearch");
//! let missing = model.artifacts.iter().filter(|file| !cache.present(file)).count();
//! assert!(missing <= model.artifacts.len());
//! # Ok::<(), facesearch_zoo::ZooError>(())
//! ```

#![forbid(unsafe_code)]

mod archive;
mod artifact;
mod cache;
mod catalogue;
mod digest;
mod error;
mod home;
mod http;
mod imported;
mod model;
mod pip;
mod samples;
mod tables;
#[cfg(test)]
mod testing;

pub use artifact::{Artifact, Package, Packed, Source};
pub use cache::{Cache, Check, FetchOptions};
pub use catalogue::Zoo;
pub use digest::Digest;
pub use error::{Attempt, ZooError};
pub use imported::{Imported, NetworkUse};
pub use model::{Accuracy, ByHand, Commercial, Input, Model, ModelKind, Output, Preset};
pub use samples::{Role, Sample, Samples};
