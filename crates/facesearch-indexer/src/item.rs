//! What the stages hand each other.

use std::path::PathBuf;

use facesearch_core::{ContentHash, DetectedFace, Embedding, FileStat, Outcome, Quality};

/// One file, as it was found.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) path: PathBuf,
    pub(crate) stat: FileStat,
    pub(crate) read_ns: i64,
    pub(crate) reading: Reading,
}

/// What came of reading a file.
#[derive(Debug)]
pub(crate) enum Reading {
    /// It is no photo and never was one.
    NotPhoto,
    /// It is as its ledger line says, and was not read.
    Unchanged,
    /// It cannot be read, and why.
    Unreadable(String),
    /// It was read. `None` where its content was known, or was being looked at already.
    Content(ContentHash, Option<Seen>),
    /// It was met, but the run was stopped before it was looked at.
    Stopped,
}

/// What was seen in a photo.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Why there is nothing in it, where its bytes are at fault.
    pub(crate) failure: Option<Outcome>,
    /// Its faces, the most prominent first; those without a usable vector have none.
    pub(crate) faces: Vec<SeenFace>,
}

/// One face in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenFace {
    pub(crate) face: DetectedFace,
    pub(crate) quality: Option<Quality>,
    pub(crate) embedding: Option<Embedding>,
}

impl Seen {
    pub(crate) fn failed(failure: Outcome) -> Self {
        Self { width: 0, height: 0, failure: Some(failure), faces: Vec::new() }
    }
}
