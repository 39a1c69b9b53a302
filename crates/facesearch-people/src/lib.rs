//! What an index tells about the people in it.
//!
//! Everything here works on embeddings and names that an index has already, seen through
//! [`facesearch_core::Gallery`]. No photo is opened, and nothing is printed.
//!
//! - [`cluster`] groups faces into people, with or without names.
//! - [`audit`] looks for wrong names and for pictures that are in the index twice.
//! - [`calibrate`] learns what a distance means, and which threshold keeps false alarms rare in a
//!   gallery of N people.
//! - [`crowd`] says how much nearer two faces are than the crowd around them, and how likely a
//!   stranger comes so near.
//! - [`pairs`] counts how a threshold decides labelled pairs.
//!
//! ```
//! use facesearch_people::Faces;
//! use facesearch_people::cluster::{ClusterThreshold, Graph, cluster_vectors};
//!
//! let faces = Faces::new([("a", [0.0_f32, 1.0]), ("a", [0.1, 1.0]), ("b", [1.0, 0.0])])?;
//! let graph = Graph::exact(&faces, 2);
//! let clusters = cluster_vectors(&faces, &graph, ClusterThreshold::Fixed(0.5))?;
//! assert_eq!(clusters.group, [0, 0, 1]);
//! # Ok::<(), facesearch_people::PeopleError>(())
//! ```

#![forbid(unsafe_code)]

mod audit;
pub mod calibrate;
pub mod cluster;
pub mod crowd;
mod error;
mod faces;
#[cfg(test)]
mod golden;
pub mod pairs;
mod random;
#[cfg(test)]
mod testing;

pub use audit::{Finding, FindingKind, audit};
pub use error::PeopleError;
pub use faces::Faces;
pub use random::Random;

use facesearch_core::{Gallery, Row};

/// The L2 distance of two rows.
fn distance(gallery: &dyn Gallery, a: Row, b: Row) -> f32 {
    facesearch_core::distance(gallery.vector(a), gallery.vector(b)).get()
}
