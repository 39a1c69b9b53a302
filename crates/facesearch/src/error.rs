//! What can go wrong, and which kind of wrong it is.

use std::path::PathBuf;

use facesearch_core::{
    GalleryError, NoThreshold, StoreError, VisionError, display_path, is_refused_write,
};
use facesearch_exchange::ExchangeError;
use facesearch_indexer::{IdentityError, IndexError};
use facesearch_nn::WeightsError;
use facesearch_people::PeopleError;
use facesearch_store::JournalError;
use facesearch_zoo::ZooError;

/// The result of whatever this library does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of errors: what a program decides by. The command line makes its exit codes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// What was asked for makes no sense; asking again cannot help.
    Usage,
    /// The input cannot be read, or has no face.
    Input,
    /// The index is missing, damaged, in use, or of another model.
    Index,
    /// The model or its device cannot be used.
    Model,
    /// Something cannot be written: the disk is full, or fails.
    Disk,
}

/// Why something could not be done. Each message says what happened, to what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The input cannot be used.
    #[error("{0}")]
    Input(String),
    /// The index cannot be used.
    #[error("{0}")]
    Index(String),
    /// The model or its device cannot be used.
    #[error("{0}")]
    Model(String),
    /// A file cannot be read.
    #[error("cannot read {}", display_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", display_path(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The published index cannot be opened or searched.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A photo cannot be used, or a model cannot run.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A model file cannot be had.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// A file of another program cannot be read or written.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Indexing ended before its end.
    #[error(transparent)]
    Indexing(#[from] IndexError),
    /// A table of identities cannot be used.
    #[error(transparent)]
    Identities(#[from] IdentityError),
    /// A statement about faces cannot be made or undone.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A change is in the store, and its publication failed.
    #[error("{what}")]
    Unpublished {
        /// What was changed, and how to publish it.
        what: String,
        /// Why it was not published.
        source: StoreError,
    },
    /// A decision is wanted, and no threshold is known.
    #[error(transparent)]
    NoThreshold(#[from] NoThreshold),
    /// Faces cannot be clustered, or distances not calibrated.
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl Error {
    /// The kind of this error.
    pub fn code(&self) -> ErrorCode {
        // An error of writing decides, whatever else stopped because of it.
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |e| e.source());
        if causes.into_iter().any(is_of_writing) {
            return ErrorCode::Disk;
        }
        match self {
            Self::Usage(_) | Self::NoThreshold(_) => ErrorCode::Usage,
            Self::Index(_) | Self::Gallery(_) | Self::Store(_) | Self::Unpublished { .. } => {
                ErrorCode::Index
            }
            Self::People(PeopleError::Gallery(_)) => ErrorCode::Index,
            Self::Indexing(error) => code_of_run(error),
            Self::Journal(JournalError::Store(error)) => code_of_store(error),
            Self::Model(_) | Self::Zoo(_) | Self::Vision(VisionError::Model { .. }) => {
                ErrorCode::Model
            }
            _ => ErrorCode::Input,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    pub(crate) fn index(message: impl Into<String>) -> Self {
        Self::Index(message.into())
    }

    pub(crate) fn model(message: impl Into<String>) -> Self {
        Self::Model(message.into())
    }

    /// Names the file that an I/O error of reading belongs to, for `map_err`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// Names the file that an I/O error of writing belongs to, for `map_err`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

fn code_of_store(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::Threads { .. } => ErrorCode::Model,
        _ => ErrorCode::Index,
    }
}

fn code_of_run(error: &IndexError) -> ErrorCode {
    match error {
        IndexError::Store(error) => code_of_store(error),
        IndexError::Thread { .. } | IndexError::Vision(VisionError::Model { .. }) => {
            ErrorCode::Model
        }
        _ => ErrorCode::Input,
    }
}

/// Whether an error is one of writing.
fn is_of_writing(error: &(dyn std::error::Error + 'static)) -> bool {
    // Neither of these stands in the chain of causes itself.
    let store = match error.downcast_ref() {
        Some(Error::Store(error) | Error::Indexing(IndexError::Store(error))) => Some(error),
        _ => error.downcast_ref::<StoreError>(),
    };
    matches!(store, Some(StoreError::Write { .. }))
        || matches!(error.downcast_ref(), Some(Error::Write { .. }))
        || matches!(error.downcast_ref(), Some(Error::Exchange(ExchangeError::Write { .. })))
        || matches!(error.downcast_ref(), Some(Error::Zoo(ZooError::Write { .. })))
        || matches!(error.downcast_ref(), Some(WeightsError::Write { .. }))
        || error.downcast_ref::<std::io::Error>().is_some_and(is_refused_write)
}
