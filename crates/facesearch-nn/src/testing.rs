//! What the tests of several files need.

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

/// The folder that `FACESEARCH_REFERENCE` names and that the scripts of `models/reference` fill;
/// it must hold `file`.
pub(crate) fn reference(file: &str) -> PathBuf {
    let folder = std::env::var_os("FACESEARCH_REFERENCE")
        .map(PathBuf::from)
        .expect("FACESEARCH_REFERENCE names the folder that models/reference/make_models.sh fills");
    assert!(folder.join(file).exists(), "FACESEARCH_REFERENCE names no folder with {file}");
    folder
}
