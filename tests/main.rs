//! The program as its users meet it: the built binary, real weights, real photos.
//!
//! Weights and sample photos are fetched once through the program itself (`facesearch models pull`,
//! `facesearch demo`), into its ordinary cache. Tests of photos that are not the project's to ship
//! read them from the folder that `FACESEARCH_SHARED` names, and are ignored unless asked for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::print_stderr, reason = "what was measured, or why a test was skipped")]

mod batch;
mod browser;
mod calibrate;
mod catalogue;
mod cluster;
mod damage;
mod decisions;
mod deepface;
mod demo;
mod distance;
mod durable;
mod ensemble;
mod escapes;
mod eval;
mod exchange;
mod floods;
mod full_disk;
mod hostile;
mod identity;
mod incremental;
mod interrupted;
mod judgements;
mod large;
mod lfw;
mod library;
mod links;
mod models;
mod readers;
mod removal;
mod repair;
mod reports;
mod signals;
mod support;
mod threads;
mod usage;
mod verify;
