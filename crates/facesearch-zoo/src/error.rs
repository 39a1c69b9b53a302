//! What can go wrong between a model's name and its bytes.

use std::fmt;
use std::path::PathBuf;

use crate::Digest;

/// Why a model file cannot be had. Each message says what happened, to what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ZooError {
    #[error(
        "no model is called `{name}`; known are, nearest first: {} (a model of a catalogue \
         of yours needs that catalogue: `--catalogue FILE`)",
        known.join(", ")
    )]
    UnknownModel { name: String, known: Vec<String> },

    #[error("`{name}` is a {found}, not a {wanted}; see `facesearch models list`")]
    WrongKind { name: String, found: &'static str, wanted: &'static str },

    #[error("the catalogue is wrong: {what}")]
    Catalogue { what: String },

    #[error(
        "this system names no cache folder; set FACESEARCH_MODELS to the folder where \
         models shall lie"
    )]
    NoCacheFolder,

    #[error(
        "{file} is not in {dir}, and being offline nothing is fetched; put the file there, or run \
         `facesearch models import FILE` with a copy of it"
    )]
    Offline { file: String, dir: PathBuf },

    #[error("{path} is damaged, its SHA-256 is not {wanted}; {advice}")]
    Damaged { path: PathBuf, wanted: Digest, advice: &'static str },

    #[error(
        "cannot get {file}; tried {}; get it by hand from one of these places and run \
         `facesearch models import FILE` (SHA-256 {sha256})",
        Attempt::list(attempts)
    )]
    Unavailable { file: String, sha256: Digest, attempts: Vec<Attempt> },

    #[error(
        "{path} (SHA-256 {found}) is no file that the catalogue knows{}",
        expected.as_ref().map(|sha| format!(
            "; it is named like one whose SHA-256 is {sha}, so it is damaged or another version"
        )).unwrap_or_default()
    )]
    Unrecognised { path: PathBuf, found: Digest, expected: Option<Digest> },

    #[error(
        "`{name}` is no name for a model; letters, digits and . _ - + @ make one, the first no dot"
    )]
    BadName { name: String },

    #[error("{path} is damaged ({reason}); import the model again with `facesearch models import`")]
    Record { path: PathBuf, reason: String },

    #[error(
        "another process has held {path} for very long; end it if it does nothing, and run this \
         again"
    )]
    Busy { path: PathBuf },

    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },

    /// The disk is full or failed, or the folder must not be written to.
    #[error("cannot {action} {path}")]
    Write { action: &'static str, path: PathBuf, source: std::io::Error },
}

impl ZooError {
    /// Names the action and the path an I/O error belongs to, for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The same for what cannot be written.
    pub(crate) fn write(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { action, path, source }
    }
}

/// One source that was tried, and why it gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source, in words.
    pub source: String,
    /// Why it failed, in words.
    pub reason: String,
}

impl Attempt {
    fn list(attempts: &[Self]) -> String {
        if attempts.is_empty() {
            return "nothing, because the catalogue names no source".into();
        }
        let attempts: Vec<String> = attempts.iter().map(Self::to_string).collect();
        attempts.join("; ")
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}
