//! Where the tests find data that is not in the repository.

use std::path::{Path, PathBuf};

/// A file or folder below `FACESEARCH_SHARED`; `None`, with a word about it, where it is not there.
#[expect(clippy::print_stdout, reason = "a skipped test must say so, and only stdout is kept")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("FACESEARCH_SHARED")
        .map(|shared| Path::new(&shared).join(path))
        .filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: set FACESEARCH_SHARED to a folder with {path}");
    }
    found
}
