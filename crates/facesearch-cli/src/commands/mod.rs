//! One file per command: its options, and `run`, which opens, calls the libraries and prints.

pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod bench;
pub(crate) mod calibrate;
pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod index;
pub(crate) mod models;
pub(crate) mod optimize;
pub(crate) mod purge;
pub(crate) mod query;
pub(crate) mod remove;
pub(crate) mod represent;
pub(crate) mod stats;
pub(crate) mod verify;
