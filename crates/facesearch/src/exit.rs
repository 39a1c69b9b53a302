//! How the program ends: a documented number for each kind of ending.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use facesearch_core::{GalleryError, StoreError, VisionError, is_refused_write};
use facesearch_exchange::ExchangeError;
use facesearch_indexer::IndexError;
use facesearch_vision::WeightsError;
use facesearch_zoo::ZooError;

use crate::printer::{Printer, shown};

/// The documented endings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Found, verified, done.
    Success = 0,
    /// Nobody found, not the same person.
    Nobody = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The input cannot be read, or has no face.
    Input = 3,
    /// The index is missing, damaged or of another model.
    Index = 4,
    /// Finished, with files that failed.
    SomeFailed = 5,
    /// The model or its device cannot be used.
    Model = 6,
    /// Something cannot be written: the disk is full or failed, or must not be written to.
    Write = 7,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

/// An error whose ending is not told by its type.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// The options given do not go together.
    pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Usage, message: message.into() }.into()
    }

    /// The input cannot be used.
    pub(crate) fn input(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Input, message: message.into() }.into()
    }

    /// The model or device cannot be used.
    pub(crate) fn model(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Model, message: message.into() }.into()
    }

    /// The index cannot be used.
    pub(crate) fn index(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Index, message: message.into() }.into()
    }
}

/// A file, or standard output, that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {what}")]
pub(crate) struct Unwritable {
    what: String,
    source: io::Error,
}

impl Unwritable {
    /// Names the file that an error of writing belongs to, for `map_err`.
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self { what: shown(path), source }
    }

    /// An error of writing to standard output.
    pub(crate) fn stdout(source: io::Error) -> Self {
        Self { what: "to standard output".into(), source }
    }
}

/// Words the error, if there is one, and gives the number to exit with.
pub(crate) fn conclude(ended: anyhow::Result<Exit>, out: &Printer) -> ExitCode {
    let exit = match ended {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::Success,
        Err(error) => {
            out.error(&error);
            exit_of(&error)
        }
    };
    ExitCode::from(exit as u8)
}

/// Whoever read our output has enough of it, as `head` does: no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if error.chain().any(is_write) {
        return Exit::Write;
    }
    error.chain().find_map(exit_for).unwrap_or(Exit::Input)
}

/// Whether an error is one of writing. That decides, whatever else stopped because of it.
fn is_write(cause: &(dyn Error + 'static)) -> bool {
    if let Some(IndexError::Store(error)) = cause.downcast_ref() {
        // It does not stand in the chain of causes itself.
        return is_write(error);
    }
    cause.is::<Unwritable>()
        || cause.downcast_ref::<io::Error>().is_some_and(is_refused_write)
        || matches!(cause.downcast_ref(), Some(StoreError::Write { .. }))
        || matches!(cause.downcast_ref(), Some(ExchangeError::Write { .. }))
        || matches!(cause.downcast_ref(), Some(WeightsError::Write { .. }))
        || matches!(cause.downcast_ref(), Some(ZooError::Write { .. }))
}

/// What another error says of the ending; `None` where its cause may say more.
fn exit_for(cause: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    match cause.downcast_ref() {
        // Neither stands in the chain of causes itself.
        Some(IndexError::Store(_)) => return Some(Exit::Index),
        Some(IndexError::Vision(error)) => return exit_for(error),
        _ => {}
    }
    if cause.is::<GalleryError>() || cause.is::<StoreError>() {
        return Some(Exit::Index);
    }
    let is_model = matches!(cause.downcast_ref(), Some(VisionError::Model { .. }));
    (is_model || cause.is::<ZooError>()).then_some(Exit::Model)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn full() -> io::Error {
        io::Error::from(io::ErrorKind::StorageFull)
    }

    #[test]
    fn what_cannot_be_written_ends_with_7_whoever_met_it() {
        let path = Path::new("x").to_path_buf();
        let write = || StoreError::Write {
            action: "write",
            path: path.clone(),
            source: io::Error::from(io::ErrorKind::PermissionDenied).into(),
        };
        let read = || StoreError::Io {
            action: "read",
            path: path.clone(),
            source: io::Error::from(io::ErrorKind::PermissionDenied).into(),
        };
        let zoo = ZooError::Write { action: "write", path: path.clone(), source: full() };
        let exchange = ExchangeError::Write { path: path.clone(), source: full().into() };
        for (error, exit) in [
            (anyhow::Error::new(write()), Exit::Write),
            (anyhow::Error::new(write()).context("more words"), Exit::Write),
            (IndexError::from(write()).into(), Exit::Write),
            (IndexError::from(read()).into(), Exit::Index),
            (anyhow::Error::new(read()), Exit::Index),
            (zoo.into(), Exit::Write),
            (exchange.into(), Exit::Write),
            (Unwritable::file(&path)(full()).into(), Exit::Write),
            (full().into(), Exit::Write),
            (io::Error::from(io::ErrorKind::NotFound).into(), Exit::Input),
        ] {
            assert_eq!(exit_of(&error), exit, "{error:#}");
        }
        let model = VisionError::Model { model: "m".into(), source: "broke".into() };
        assert_eq!(exit_of(&IndexError::from(model).into()), Exit::Model);
        let converted = WeightsError::Write { path, source: full() };
        let model = VisionError::Model { model: "m".into(), source: converted.into() };
        assert_eq!(exit_of(&model.into()), Exit::Write);
        let wrapped: anyhow::Result<()> = Err(full()).context("cannot write x");
        assert_eq!(exit_of(&wrapped.unwrap_err()), Exit::Write);
    }
}
