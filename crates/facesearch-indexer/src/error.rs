//! What ends a run. A bad photo is none of these: it is a line in the ledger.

use std::io;
use std::path::PathBuf;

use facesearch_core::{StoreError, VisionError, display_path};

/// Why a run ended before its end, or did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum IndexError {
    #[error("there is nothing to index; name at least one file or folder")]
    NothingToIndex,
    #[error("cannot index {}", display_path(path))]
    Root { path: PathBuf, source: io::Error },
    #[error(
        "the model makes embeddings of {got} numbers, the index holds embeddings of {expected}; \
         choose the model it was made with"
    )]
    Dimension { expected: u32, got: usize },
    #[error(
        "cannot start a thread; use fewer `--threads`, or allow more processes and memory \
         (`ulimit -u`, `ulimit -v`)"
    )]
    Thread { source: io::Error },
    /// The model or its device broke. What was committed until then is kept and published.
    #[error(transparent)]
    Vision(#[from] VisionError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a table of identities cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum IdentityError {
    #[error("cannot read the identities in {}", display_path(path))]
    Read { path: PathBuf, source: csv::Error },
    #[error(
        "{} has no column `{column}`; its first line must name the columns `path` and `identity`",
        display_path(path)
    )]
    Column { path: PathBuf, column: &'static str },
    #[error("{} line {line}: {what}", display_path(path))]
    Line { path: PathBuf, line: u64, what: String },
}
