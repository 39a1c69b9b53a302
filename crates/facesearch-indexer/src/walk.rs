//! All files below the roots, in the order of their paths' bytes.
//!
//! - **Order:** a folder is sorted as if its name ended in a separator, which makes the order of
//!   the walk that of the whole paths' bytes: `a!/x` before `a/x` before `a0`.
//! - **Links:** links to files are followed. Links to folders are followed unless they lead into
//!   what is walked anyway, and no folder is walked twice, so that no loop is endless and a photo
//!   has its own name rather than a link's.
//! - **Memory:** the names of the folders on the way down, one level each; one number a folder.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::claims::is_gone;
use crate::roots::Roots;

/// What the walk meets.
#[derive(Debug)]
pub(crate) enum Met {
    /// Something that is no folder; what it is has not been asked yet.
    File(PathBuf),
    /// A folder that cannot be read, and why.
    Unreadable(PathBuf, io::Error),
}

/// The walk, as an iterator.
pub(crate) struct Walk<'a> {
    roots: &'a Roots,
    real_roots: Vec<PathBuf>,
    excluded: HashSet<FolderId>,
    visited: HashSet<FolderId>,
    /// What is left to visit, the next one last.
    open: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Folder(PathBuf),
    File(PathBuf),
}

impl<'a> Walk<'a> {
    /// Walks `roots`, but not into the folders `excluded`.
    pub(crate) fn new(roots: &'a Roots, excluded: &[PathBuf]) -> Self {
        let step = |path: &PathBuf| match path.is_dir() {
            true => Step::Folder(path.clone()),
            false => Step::File(path.clone()),
        };
        Self {
            roots,
            real_roots: roots.outermost().iter().filter_map(|r| fs::canonicalize(r).ok()).collect(),
            excluded: excluded.iter().filter_map(|path| FolderId::of(path).ok()).collect(),
            visited: HashSet::new(),
            open: roots.outermost().iter().rev().filter(|path| !is_gone(path)).map(step).collect(),
        }
    }

    /// Puts the content of a folder before all that is left.
    fn enter(&mut self, folder: &Path) -> io::Result<()> {
        let id = FolderId::of(folder)?;
        if self.excluded.contains(&id) || !self.visited.insert(id) {
            return Ok(());
        }
        let mut inside: Vec<(OsString, Step)> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (mut key, path) = (entry.file_name(), entry.path());
            if self.is_folder(&path, entry.file_type()?) {
                key.push(std::path::MAIN_SEPARATOR_STR);
                inside.push((key, Step::Folder(path)));
            } else {
                inside.push((key, Step::File(path)));
            }
        }
        inside.sort_by(|a, b| b.0.cmp(&a.0));
        self.open.extend(inside.into_iter().map(|(_, step)| step));
        Ok(())
    }

    /// Whether to walk into it; a link into what is walked anyway counts as a file, of no use.
    fn is_folder(&self, path: &Path, file_type: FileType) -> bool {
        if !file_type.is_symlink() {
            return file_type.is_dir();
        }
        let Ok(target) = fs::canonicalize(path) else { return false };
        target.is_dir()
            && (self.roots.name(path) || !self.real_roots.iter().any(|r| target.starts_with(r)))
    }
}

impl Iterator for Walk<'_> {
    type Item = Met;

    fn next(&mut self) -> Option<Met> {
        loop {
            match self.open.pop()? {
                Step::File(path) => return Some(Met::File(path)),
                Step::Folder(path) => {
                    if let Err(error) = self.enter(&path) {
                        return Some(Met::Unreadable(path, error));
                    }
                }
            }
        }
    }
}

/// What tells one folder from another, whatever it is called.
#[cfg(unix)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct FolderId(u64, u64);

#[cfg(unix)]
impl FolderId {
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata: Metadata = fs::metadata(path)?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }
}

/// What tells one folder from another, whatever it is called.
#[cfg(not(unix))]
#[derive(Debug, PartialEq, Eq, Hash)]
struct FolderId(PathBuf);

#[cfg(not(unix))]
impl FolderId {
    fn of(path: &Path) -> io::Result<Self> {
        let _: Metadata = fs::metadata(path)?;
        fs::canonicalize(path).map(Self)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The paths below `dir` that a walk of `roots` meets, `!` before what is unreadable.
    fn walk(dir: &Path, roots: &[&str], excluded: &[&str]) -> Vec<String> {
        let roots: Vec<PathBuf> = roots.iter().map(|root| dir.join(root)).collect();
        let excluded: Vec<PathBuf> = excluded.iter().map(|path| dir.join(path)).collect();
        let roots = Roots::new(&roots).unwrap();
        let shown = |path: PathBuf| path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        Walk::new(&roots, &excluded)
            .map(|met| match met {
                Met::File(path) => shown(path),
                Met::Unreadable(path, _) => format!("!{}", shown(path)),
            })
            .collect()
    }

    fn tree(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(temp.path()).unwrap();
        for file in files {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        (temp, dir)
    }

    #[test]
    fn the_order_is_that_of_the_paths_bytes() {
        let (_temp, dir) = tree(&["a/x", "a!/x", "a-b", "a0", "a/b/c", "B", "é", "a", "z/\n"][..7]);
        let met = walk(&dir, &["."], &[]);
        let mut sorted = met.clone();
        sorted.sort();
        assert_eq!(met, sorted);
        assert_eq!(met, ["B", "a!/x", "a-b", "a/b/c", "a/x", "a0", "é"]);
    }

    #[test]
    fn nested_and_repeated_roots_are_walked_once_and_exclusions_not() {
        let (_temp, dir) = tree(&["a/1", "a/b/2", "a/skip/3", "c/4"]);
        let met = walk(&dir, &["c", "a/b", "a", "a", "c/4"], &["a/skip"]);
        assert_eq!(met, ["a/1", "a/b/2", "c/4"]);
    }

    #[test]
    fn links_never_loop_and_never_hide_a_name() {
        let (temp, dir) = tree(&["t/m/1", "t/m/deep/2", "out/3"]);
        symlink(dir.join("t"), dir.join("t/m/loop")).unwrap();
        symlink(dir.join("t/m"), dir.join("t/a-link-that-sorts-first")).unwrap();
        symlink(dir.join("out"), dir.join("t/outside")).unwrap();
        symlink(dir.join("out"), dir.join("t/outside-again")).unwrap();
        symlink(dir.join("out/3"), dir.join("t/z-file")).unwrap();
        symlink("nowhere", dir.join("t/broken")).unwrap();
        symlink("self", dir.join("t/self")).unwrap();
        let met = walk(&dir, &["t"], &[]);
        let files = ["t/m/1", "t/m/deep/2", "t/outside-again/3", "t/z-file"];
        let useless = ["t/a-link-that-sorts-first", "t/broken", "t/m/loop", "t/self"];
        let mut want: Vec<&str> = files.into_iter().chain(useless).collect();
        want.sort_unstable();
        assert_eq!(met, want);
        drop(temp);
    }

    #[test]
    fn any_depth_and_any_name_will_do() {
        let (_temp, dir) = tree(&[]);
        let mut deep = dir.clone();
        for _ in 0..60 {
            deep.push("folder");
        }
        fs::create_dir_all(&deep).unwrap();
        let names: [&[u8]; 3] = [b"new\nline.jpg", b"\xff\xfe.jpg", b" "];
        for name in names {
            fs::write(deep.join(std::ffi::OsStr::from_bytes(name)), b"").unwrap();
        }
        let roots = Roots::new(std::slice::from_ref(&dir)).unwrap();
        let met: Vec<_> = Walk::new(&roots, &[]).collect();
        assert_eq!(met.len(), 3);
    }
}
