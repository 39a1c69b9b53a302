//! What the tests of several files need.

use std::path::PathBuf;

/// A file or folder of the test data outside this repository, which `FACESEARCH_SHARED` names; `None`, with
/// a line that says so, where there is none.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("FACESEARCH_SHARED").map(|root| PathBuf::from(root).join(path));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: FACESEARCH_SHARED names no folder with {path}");
    }
    found
}
