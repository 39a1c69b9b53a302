//! What a distance means: for this model, these people, and a gallery of this size.
//!
//! Two questions, two answers. *Are these two the same?* depends on the pair: [`Probability`] turns
//! a distance into the chance of it, [`Reliability`] shows whether to believe that. *Is this
//! stranger taken for somebody?* depends on how many people the stranger is compared with:
//! [`Impostors`] knows how near the nearest of N wrong people lies, and so which threshold keeps to
//! a wanted false alarm rate. Both together are a [`Calibration`], which is kept beside an index; [`learn`] makes one
//! of the index's own faces.
//! [`stump`] is the older way, one threshold by information gain, blind to N.

mod calibration;
mod comparisons;
mod impostors;
mod isotonic;
mod learn;
mod logistic;
mod reliability;
mod stump;
mod tail;
#[cfg(test)]
mod tests;

pub use calibration::{Calibration, Probability};
pub use impostors::{ImpostorTable, Impostors, nearest_impostors};
pub use isotonic::Isotonic;
pub use learn::{Learnt, learn, learn_from_cohort, people_among, people_in};
pub use logistic::Logistic;
pub use reliability::{Reliability, ReliabilityBin};
pub use stump::{Criterion, Stump, stump};
pub use tail::Tail;
