//! What can go wrong behind the contracts. Each message says what happened, to what, and, where
//! the user can do something, what to do next.

use std::path::PathBuf;

use crate::contract::ContractMismatch;

/// A cause from a library that this crate does not know.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whether an error can only come from writing: the disk or a quota is full, a file would be too
/// large, or the file system is read-only. Other errors come from reading as well.
pub fn is_refused_write(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::WriteZero
    )
}

/// Why a photo gave no faces, or a model no embeddings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum VisionError {
    /// The file's bytes cannot be had. The photo's fault; a run goes on.
    #[error("cannot read: {reason}")]
    Read { reason: String },
    /// The bytes are no picture we can read. The photo's fault; a run goes on.
    #[error("cannot decode: {reason}")]
    Decode { reason: String },
    /// The picture could be read but must not be: too large, say. The photo's fault.
    #[error("rejected: {reason}")]
    Rejected { reason: String },
    /// The model or its device broke. Not the photo's fault; a run ends.
    #[error("the model `{model}` cannot run; check its weights with `facesearch models verify`")]
    Model { model: String, source: BoxError },
}

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum StoreError {
    #[error("the index at {path} is being written by another process; wait for it to finish")]
    Locked { path: PathBuf },
    #[error("there is no store at {path}; make one with `facesearch index`")]
    NotFound { path: PathBuf },
    #[error("the store at {path} is damaged ({what}); restore a backup or build the index again")]
    Corrupt { path: PathBuf, what: String },
    #[error(
        "the index at {path} cannot take these embeddings; pass the options it was made \
         with, or choose another `--index`"
    )]
    Contract { path: PathBuf, source: ContractMismatch },
    /// The system is short of processes or memory. Nothing was changed.
    #[error(
        "cannot start the threads of the store at {path}; allow more processes and memory \
         (`ulimit -u`, `ulimit -v`)"
    )]
    Threads { path: PathBuf, source: BoxError },
    /// Something could not be read, or was of no use.
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: BoxError },
    /// Something could not be written: the disk is full or failed, or must not be written to.
    #[error("cannot {action} {path}")]
    Write { action: &'static str, path: PathBuf, source: BoxError },
}

/// What can go wrong when a published index is opened or searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum GalleryError {
    #[error("no index at {path}; make one with `facesearch index <PHOTOS> --index {path}`")]
    NotFound { path: PathBuf },
    #[error(
        "the published index at {path} is damaged ({what}); run `facesearch index` to publish \
         it again, or import again what was imported"
    )]
    Corrupt { path: PathBuf, what: String },
    #[error(
        "the index at {path} is of format {found}, this program reads format {wanted}; {}",
        if found < wanted {
            "`facesearch optimize` publishes it anew from its store; where it was imported and has \
             none, import again, if need be what the program that wrote it exports"
        } else {
            "a newer facesearch wrote it, so use that one"
        }
    )]
    Format { path: PathBuf, found: u32, wanted: u32 },
    #[error("the index holds vectors of {expected} numbers, the probe has {got}")]
    Dimension { expected: usize, got: usize },
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
}
