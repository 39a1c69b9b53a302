//! What an index says of the people in it.
//!
//! Everything here works on embeddings and names that are there already, seen through
//! [`facesearch_core::Gallery`]; no photo is opened, nothing is printed. [`cluster`] finds the
//! people that nobody named, [`calibrate`] learns what a distance means in a gallery of N people,
//! and [`pairs`] judges labelled pairs by a threshold.

#![forbid(unsafe_code)]

pub mod calibrate;
pub mod cluster;
mod error;
mod faces;
#[cfg(test)]
mod golden;
pub mod pairs;
mod random;

pub use error::PeopleError;
pub use faces::Faces;
pub use random::Random;
