//! How the program ends: a documented number for each kind of ending.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use facesearch::ErrorCode;
use facesearch_core::is_refused_write;

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
    /// The model or its device cannot be used, or threads cannot be started.
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

    /// The system allows no more threads.
    pub(crate) fn threads(error: io::Error) -> anyhow::Error {
        Self::model(format!(
            "cannot start a thread; use fewer `--threads`, or allow more processes and memory \
             (`ulimit -u`, `ulimit -v`): {error}"
        ))
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
    let is_refused = |cause: &(dyn Error + 'static)| {
        cause.is::<Unwritable>() || cause.downcast_ref().is_some_and(is_refused_write)
    };
    if error.chain().any(is_refused) {
        return Exit::Write;
    }
    error.chain().find_map(exit_for).unwrap_or(Exit::Input)
}

/// What an error says of the ending; `None` where its cause may say more.
fn exit_for(cause: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    Some(match cause.downcast_ref::<facesearch::Error>()?.code() {
        ErrorCode::Usage => Exit::Usage,
        ErrorCode::Index => Exit::Index,
        ErrorCode::Model => Exit::Model,
        ErrorCode::Disk => Exit::Write,
        _ => Exit::Input,
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn what_cannot_be_written_ends_with_7_whoever_met_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = Path::new("x");
        let write = facesearch::Error::Write { path: path.into(), source: full() };
        let read = io::Error::from(io::ErrorKind::NotFound);
        let read = facesearch::Error::Read { path: path.into(), source: read };
        for (error, exit) in [
            (anyhow::Error::new(write), Exit::Write),
            (anyhow::Error::new(read), Exit::Input),
            (Unwritable::file(path)(full()).into(), Exit::Write),
            (full().into(), Exit::Write),
            (io::Error::from(io::ErrorKind::NotFound).into(), Exit::Input),
            (facesearch::Error::Index("x".into()).into(), Exit::Index),
        ] {
            assert_eq!(exit_of(&error), exit, "{error:#}");
        }
        let wrapped: anyhow::Result<()> = Err(full()).context("cannot write x");
        assert_eq!(exit_of(&wrapped.unwrap_err()), Exit::Write);
    }
}
