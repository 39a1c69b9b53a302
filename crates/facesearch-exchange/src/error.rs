//! What can go wrong with a file of another program. Each message says what happened, to what, and
//! what to do next.

use std::path::{Path, PathBuf};

/// A cause from one of the libraries that know the formats.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ExchangeError {
    #[error(
        "{path} ends with none of .npy, .npz, .parquet, .fvecs, .csv and .pkl; give it the \
         ending of what it is"
    )]
    Unknown { path: PathBuf },
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is not {format} as it can be read here: {why}")]
    Content { path: PathBuf, format: &'static str, why: String },
    #[error(
        "pickles are only read, so {path} is not written; choose .npy, .npz, .parquet, .csv or \
         .fvecs"
    )]
    ReadOnly { path: PathBuf },
    /// The disk is full or failed, or must not be written to.
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: BoxError },
}

impl ExchangeError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn write<E: Into<BoxError>>(path: &Path) -> impl Fn(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path: path.clone(), source: source.into() }
    }
}

/// Names a file in errors of its content.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) format: &'static str,
}

impl Place {
    pub(crate) fn bad(&self, why: impl std::fmt::Display) -> ExchangeError {
        let Self { path, format } = self.clone();
        ExchangeError::Content { path, format, why: why.to_string() }
    }
}
