//! Open-set identification: name those who are enrolled, and nobody else.
//!
//! The protocol is NIST's (Grother, Ngan and Hanaoka, *FRVT Part 2: Identification*, NISTIR 8238,
//! 2018): a gallery of N people, probes of people who are in it and of people who are not. At a
//! threshold, FPIR is the share of outsiders who are given a name, FNIR the share of enrolled
//! people who are not given their own.
//!
//! [`split`] makes such an experiment of labelled faces, [`run`] searches, and [`OpenSet`] holds
//! the outcomes. [`own_impostors`] learns a threshold from the enrolled people alone, [`kept`]
//! tries it on those who are not enrolled, and [`extrapolated`] predicts larger galleries.
//! [`run_crowd`] and [`crowd_kept`] do the same for decisions by the crowd.

mod calibrated;
mod crowd;
mod outcome;
mod protocol;
mod report;
mod search;
#[cfg(test)]
mod tests;

pub use calibrated::{Extrapolated, Kept, extrapolated, kept};
pub use crowd::{CrowdKept, crowd_kept, run_crowd};
pub use outcome::{AtThreshold, Mate, OpenSet, OpenSetPoint, Outcome};
pub use protocol::{Protocol, Split, split};
pub use report::{FnirAtFpir, IdentifyReport, report};
pub use search::{own_impostors, run};
