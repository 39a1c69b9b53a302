//! How the program ends: a documented number for each kind of ending.

use std::process::ExitCode;

use facesearch_core::{GalleryError, StoreError, VisionError};
use facesearch_people::PeopleError;
use facesearch_zoo::ZooError;

use crate::printer::Printer;

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
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if cause.is::<GalleryError>() || cause.is::<StoreError>() {
            return Exit::Index;
        }
        if let Some(PeopleError::Gallery(_)) = cause.downcast_ref() {
            return Exit::Index;
        }
        if cause.is::<ZooError>() || matches!(cause.downcast_ref(), Some(VisionError::Model { .. }))
        {
            return Exit::Model;
        }
    }
    Exit::Input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_index_ends_alike_whichever_crate_says_so() {
        let damaged = || GalleryError::Corrupt { path: "index".into(), what: "a test".into() };
        assert_eq!(exit_of(&damaged().into()), Exit::Index);
        assert_eq!(exit_of(&PeopleError::from(damaged()).into()), Exit::Index);
    }
}
