//! The program as its users meet it: the built binary, real weights, real photos.
//!
//! Weights and sample photos are fetched once through the program itself (`facesearch models pull`,
//! `facesearch demo`), into its ordinary cache. Tests of photos that are not the project's to ship
//! read them from the folder that `FACESEARCH_SHARED` names, and say so where it is not set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::print_stderr, reason = "what was measured, or why a test was skipped")]

mod batch;
mod browser;
mod calibrate;
mod cluster;
mod damage;
mod deepface;
mod demo;
mod distance;
mod ensemble;
mod eval;
mod exchange;
mod floods;
mod hostile;
mod identity;
mod incremental;
mod interrupted;
mod lfw;
mod models;
mod readers;
mod reports;
mod support;
mod usage;
mod verify;
