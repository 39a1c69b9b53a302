//! The files and folders that were asked for, as absolute paths, each once.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What was asked for, outermost first and in order of their bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roots {
    /// None lies within another.
    outermost: Vec<PathBuf>,
    /// All that were named, also those within another.
    named: Vec<PathBuf>,
}

impl Roots {
    /// Roots for `paths`, which need not exist.
    pub(crate) fn new(paths: &[PathBuf]) -> io::Result<Self> {
        let named: io::Result<Vec<PathBuf>> = paths.iter().map(|path| absolute(path)).collect();
        Ok(Self::from_absolute(named?))
    }

    #[cfg(test)]
    pub(crate) fn lexical(paths: &[&str]) -> Self {
        Self::from_absolute(paths.iter().map(PathBuf::from).collect())
    }

    fn from_absolute(mut named: Vec<PathBuf>) -> Self {
        named.sort_by_cached_key(|path| sort_key(path));
        named.dedup();
        let mut outermost: Vec<PathBuf> = Vec::new();
        for path in &named {
            if !outermost.iter().any(|root| path.starts_with(root)) {
                outermost.push(path.clone());
            }
        }
        Self { outermost, named }
    }

    pub(crate) fn outermost(&self) -> &[PathBuf] {
        &self.outermost
    }

    /// All that were named, also those within another.
    pub(crate) fn named(&self) -> &[PathBuf] {
        &self.named
    }

    /// Whether `path` itself was named.
    pub(crate) fn name(&self, path: &Path) -> bool {
        self.named.iter().any(|named| named == path)
    }

    /// Whether `path` is a root or below one.
    pub(crate) fn contain(&self, path: &Path) -> bool {
        self.outermost.iter().any(|root| path.starts_with(root))
    }

    /// Whether the file at `path` lies directly in an outermost root, or is one.
    pub(crate) fn hold_directly(&self, path: &Path) -> bool {
        let parent = path.parent();
        self.outermost.iter().any(|root| root == path || Some(root.as_path()) == parent)
    }
}

/// The path from the file system's root, without `.` and `..` where that can be told.
///
/// A `..` after a symbolic link does not lead back to where the link is, so such a path is asked of
/// the file system if it exists, and shortened as text if it does not.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path: PathBuf = std::path::absolute(path)?.components().collect();
    if !path.components().any(|part| part == Component::ParentDir) {
        return Ok(path);
    }
    // Only the folders are resolved: a file's name stays, also where it is a link.
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => (folder.to_owned(), name.to_owned()),
        _ => (path, OsString::new()),
    };
    let folder = fs::canonicalize(&folder).unwrap_or_else(|_| shorten(&folder));
    Ok(if name.is_empty() { folder } else { folder.join(name) })
}

fn shorten(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                short.pop();
            }
            part => short.push(part),
        }
    }
    short
}

/// Sorts files by the bytes of their path and a folder where its files would come.
fn sort_key(path: &Path) -> OsString {
    let mut key = path.as_os_str().to_owned();
    key.push(std::path::MAIN_SEPARATOR_STR);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_sorted_and_nested_ones_belong_to_the_outer() {
        let roots = Roots::lexical(&["/b", "/a/x", "/a", "/b", "/a-b"]);
        assert_eq!(roots.outermost(), ["/a-b", "/a", "/b"].map(PathBuf::from));
        assert!(roots.name(Path::new("/a/x")) && !roots.name(Path::new("/a/y")));
        assert!(roots.contain(Path::new("/a/y/z")) && !roots.contain(Path::new("/ab")));
        assert!(roots.hold_directly(Path::new("/a/1.jpg")));
        assert!(!roots.hold_directly(Path::new("/a/x/1.jpg")));
    }

    #[test]
    fn dots_are_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        assert_eq!(absolute(&dir.join("./a/../a/./x")).unwrap(), dir.join("a/x"));
        assert_eq!(absolute(&dir.join("a/..")).unwrap(), dir);
        assert_eq!(absolute(Path::new("/none/../x/")).unwrap(), Path::new("/x"));
        assert!(absolute(Path::new("x")).unwrap().is_absolute());
    }
}
