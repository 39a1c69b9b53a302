//! How good is it, and how sure can one be?
//!
//! Everything here works on distances and embeddings that somebody else made; no photo is opened,
//! nothing is printed. [`pairs`] judges verification ("are these two the same?"): accuracy over
//! LFW's ten folds, ROC and what is read off it, intervals by bootstrap. Every figure is compared
//! with scikit-learn in the tests. [`identify`] judges open-set identification over labelled
//! [`Faces`]; [`evidence`] turns a person's photos into one score and names the faces of one photo
//! together; [`ensemble`] judges the distances of several models together.
//!
//! ```
//! use facesearch_eval::pairs::{Roc, Trial};
//!
//! let trials = [(0.2, true), (0.4, true), (0.5, false), (0.9, false)]
//!     .map(|(distance, same)| Trial::new(Some(distance), same));
//! assert_eq!(Roc::new(&trials)?.auc(), 1.0);
//! # Ok::<(), facesearch_eval::EvalError>(())
//! ```

#![forbid(unsafe_code)]

pub mod ensemble;
mod error;
pub mod evidence;
pub mod identify;
pub mod pairs;
#[cfg(test)]
mod test_data;

pub use error::EvalError;
pub use facesearch_people::Faces;
