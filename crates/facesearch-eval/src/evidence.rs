//! From faces to people: what a person's several photos say together, and what the several faces
//! of one photo say of each other.
//!
//! [`Fusion`] makes one score of a probe's distances to all photos of an identity;
//! [`assign_jointly`] names the faces of one photo so that no two of them are one person.

mod assign;
mod fusion;

pub use assign::{Naming, assign_jointly};
pub use fusion::{Fusion, template};
