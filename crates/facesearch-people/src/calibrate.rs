//! What a distance means, for this model, these people and a gallery of this size.
//!
//! - *Are these two faces one person?* The answer depends on the pair alone. A [`Calibration`]
//!   turns a distance into a probability, and [`Reliability`] shows whether to believe it.
//! - *Is somebody who is not enrolled taken for somebody who is?* The answer depends on how many
//!   people are enrolled. [`Impostors`] knows how near the nearest of N other people lies, and so
//!   which threshold keeps to a wanted false positive identification rate (FPIR).
//!
//! [`fit`] learns a calibration from an index's own faces; it is kept beside the index. [`stump`]
//! is the older method: one threshold by information gain, which ignores the number of people.

mod calibration;
mod fit;
mod impostors;
mod isotonic;
mod logistic;
mod normalised;
mod people;
mod reliability;
mod stump;
mod tail;
#[cfg(test)]
mod tests;

pub use calibration::Calibration;
pub use fit::{ErrorRates, FitOptions, FittedCalibration, fit};
pub use impostors::{Impostors, nearest_impostors};
pub use people::people_among;
pub use reliability::{Reliability, ReliabilityBin};
pub use stump::{Criterion, Stump, labelled_pairs, stump};
