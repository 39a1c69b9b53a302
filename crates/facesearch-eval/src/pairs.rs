//! Verification: are these two photos of one person?
//!
//! A [`Trial`] is a labelled pair with its distance. [`ten_fold`] is the accuracy that LFW defines,
//! [`Roc`] the trade-off at every threshold, and [`Counts`] the outcome at one. [`report`] gives
//! all of it with intervals, and [`rejection`] says what leaving out bad photos would change.
//!
//! [`read_lfw`] and [`read_csv`] read lists of pairs, [`read_distances`] pairs that were measured
//! elsewhere.

mod bootstrap;
mod folds;
mod read;
mod rejection;
mod report;
mod roc;
#[cfg(test)]
mod tests;

pub use bootstrap::{Bootstrap, Interval, intervals};
pub use folds::{FoldAccuracy, spread_folds, ten_fold};
pub use read::{Columns, LabelledPair, read_columns, read_csv, read_distances, read_lfw};
pub use rejection::{Rejection, rejection};
pub use report::{PairsReport, TarAtFar, report};
pub use roc::{OperatingPoint, Roc};

pub use facesearch_people::pairs::{BestThreshold, Counts, Trial, best_threshold};
