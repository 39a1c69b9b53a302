//! Where the tests find data that is not in the repository.

use std::path::{Path, PathBuf};

/// A file or folder of the test data outside this repository, which `FACESEARCH_SHARED` names.
/// Tests that need it are ignored unless they are asked for.
pub(crate) fn shared(path: &str) -> PathBuf {
    let root =
        std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED names the test data");
    let found = Path::new(&root).join(path);
    assert!(found.exists(), "FACESEARCH_SHARED names no folder with {path}");
    found
}
