//! Paths as bytes that sort, compare and come back unchanged.
//!
//! On Unix a path is bytes, and any bytes will do. Elsewhere it is UTF-8, and a name that is not
//! Unicode is refused.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use facesearch_core::BoxError;

#[cfg(unix)]
pub(crate) fn to_bytes(path: &Path) -> Result<&[u8], BoxError> {
    use std::os::unix::ffi::OsStrExt;
    Ok(path.as_os_str().as_bytes())
}

#[cfg(not(unix))]
pub(crate) fn to_bytes(path: &Path) -> Result<&[u8], BoxError> {
    let name = path.to_str().ok_or("its name is not Unicode; rename it")?;
    Ok(name.as_bytes())
}

#[cfg(unix)]
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<PathBuf, BoxError> {
    use std::os::unix::ffi::OsStrExt;
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<PathBuf, BoxError> {
    Ok(PathBuf::from(OsStr::new(std::str::from_utf8(bytes)?)))
}

/// Whether `path` is `prefix` or below it, by whole components; everything is below an empty one.
pub(crate) fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = trim(prefix);
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || is_separator(rest[0]),
        None => false,
    }
}

/// A prefix without the separators at its end, save for the root itself, which becomes empty.
pub(crate) fn trim(prefix: &[u8]) -> &[u8] {
    let end = prefix.iter().rposition(|byte| !is_separator(*byte)).map_or(0, |last| last + 1);
    &prefix[..end]
}

fn is_separator(byte: u8) -> bool {
    std::path::is_separator(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_by_whole_components() {
        for (path, prefix, below) in [
            ("/a/b", "/a/b", true),
            ("/a/b/c", "/a/b", true),
            ("/a/b/c", "/a/b/", true),
            ("/a/bc", "/a/b", false),
            ("/a", "/a/b", false),
            ("/a", "/", true),
            ("/a", "", true),
        ] {
            assert_eq!(is_below(path.as_bytes(), prefix.as_bytes()), below, "{path} {prefix}");
        }
    }
}
