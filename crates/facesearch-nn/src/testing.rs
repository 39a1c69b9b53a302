//! What the tests of several files need.

use std::path::PathBuf;

/// A file or folder of the test data outside this repository, which `FACESEARCH_SHARED` names;
/// `None`, with a line that says so, where there is none.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("FACESEARCH_SHARED").map(|root| PathBuf::from(root).join(path));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: FACESEARCH_SHARED names no folder with {path}");
    }
    found
}

/// The folder that `FACESEARCH_REFERENCE` names, which the scripts of `models/reference` fill;
/// `None`, with a line that says so, where it lacks `file`.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn reference(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FACESEARCH_REFERENCE").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join(file).exists());
    if folder.is_none() {
        eprintln!("skipped: FACESEARCH_REFERENCE names no folder with {file}");
    }
    folder
}
