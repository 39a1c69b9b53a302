//! All files below the roots, in the order of their paths' bytes.
//!
//! - **Order:** a folder is sorted as if its name ended in a separator, which makes the order of
//!   the walk that of the whole paths' bytes: `a!/x` before `a/x` before `a0`.
//! - **Links:** a link out of the roots is followed only where the caller asks for it; otherwise it
//!   is counted. A link to a file below a root is another name of that file. A link to a folder
//!   below a root is not followed, since that folder is walked anyway. A link that is a root itself
//!   is followed. No folder is walked twice, so that no loop is endless and a photo has its own
//!   name rather than a link's.
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

/// What belongs to a walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Folders that are not walked.
    pub(crate) exclude: &'a [PathBuf],
    /// Whether links out of the roots are followed.
    pub(crate) follow_links: bool,
}

/// The walk, as an iterator.
pub(crate) struct Walk<'a> {
    roots: &'a Roots,
    /// Where the roots are once links are resolved.
    real_roots: Vec<PathBuf>,
    follow_links: bool,
    links_not_followed: u64,
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
    /// Walks `roots`.
    pub(crate) fn new(roots: &'a Roots, scope: Scope<'_>) -> Self {
        let step = |path: &PathBuf| match path.is_dir() {
            true => Step::Folder(path.clone()),
            false => Step::File(path.clone()),
        };
        Self {
            roots,
            real_roots: roots.named().iter().filter_map(|r| fs::canonicalize(r).ok()).collect(),
            follow_links: scope.follow_links,
            links_not_followed: 0,
            excluded: scope.exclude.iter().filter_map(|path| FolderId::of(path).ok()).collect(),
            visited: HashSet::new(),
            open: roots.outermost().iter().rev().filter(|path| !is_gone(path)).map(step).collect(),
        }
    }

    /// How many links out of the roots were met so far and not followed.
    pub(crate) fn links_not_followed(&self) -> u64 {
        self.links_not_followed
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
            let Some(step) = self.step(entry.path(), entry.file_type()?) else { continue };
            let mut key = entry.file_name();
            if matches!(step, Step::Folder(_)) {
                key.push(std::path::MAIN_SEPARATOR_STR);
            }
            inside.push((key, step));
        }
        inside.sort_by(|a, b| b.0.cmp(&a.0));
        self.open.extend(inside.into_iter().map(|(_, step)| step));
        Ok(())
    }

    /// What to do with an entry of a folder; `None` for a link that is not followed.
    fn step(&mut self, path: PathBuf, file_type: FileType) -> Option<Step> {
        if file_type.is_dir() {
            return Some(Step::Folder(path));
        }
        if !file_type.is_symlink() {
            return Some(Step::File(path));
        }
        let is_root = self.roots.name(&path);
        let target = target(&path);
        let inside = target.as_ref().is_some_and(|target| self.is_below_root(target));
        if !(inside || is_root || self.follow_links) {
            self.links_not_followed += 1;
            return None;
        }
        // A link to a folder that is walked anyway counts as a file, of no use.
        let walked = (is_root || !inside) && path.is_dir();
        Some(if walked { Step::Folder(path) } else { Step::File(path) })
    }

    fn is_below_root(&self, target: &Path) -> bool {
        self.real_roots.iter().any(|root| target.starts_with(root))
    }
}

/// Where a link leads, also where there is nothing.
fn target(link: &Path) -> Option<PathBuf> {
    if let Ok(target) = fs::canonicalize(link) {
        return Some(target);
    }
    let target = link.parent()?.join(fs::read_link(link).ok()?);
    Some(fs::canonicalize(target.parent()?).ok()?.join(target.file_name()?))
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
        let exclude: Vec<PathBuf> = excluded.iter().map(|path| dir.join(path)).collect();
        walk_in(dir, roots, Scope { exclude: &exclude, follow_links: true }).0
    }

    /// The same, and how many links were not followed.
    fn walk_in(dir: &Path, roots: &[&str], scope: Scope<'_>) -> (Vec<String>, u64) {
        let roots: Vec<PathBuf> = roots.iter().map(|root| dir.join(root)).collect();
        let roots = Roots::new(&roots).unwrap();
        let shown = |path: PathBuf| path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        let mut walk = Walk::new(&roots, scope);
        let met = walk.by_ref().map(|met| match met {
            Met::File(path) => shown(path),
            Met::Unreadable(path, _) => format!("!{}", shown(path)),
        });
        (met.collect(), walk.links_not_followed())
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
    fn links_out_of_the_roots_are_followed_only_where_asked() {
        let (_temp, dir) = tree(&["t/m/1", "out/3", "out/deep/4", "t2/5"]);
        let link = |to: &str, at: &str| symlink(dir.join(to), dir.join(at)).unwrap();
        link("out", "t/folder");
        link("out/3", "t/file.jpg");
        link("gone", "t/outside-and-gone.jpg");
        symlink("nowhere.jpg", dir.join("t/broken.jpg")).unwrap();
        link("t/m/1", "t/other-name");
        link("t2/5", "t/into-another-root");
        link("t/m", "t/again");
        link("out/deep", "t/m/named");
        link("t", "root-link");
        let closed = Scope { exclude: &[], follow_links: false };
        let always = ["t/broken.jpg", "t/m/1", "t/other-name"];
        let with = |more: &[&str]| {
            let mut all: Vec<String> =
                always.iter().chain(more).map(|name| (*name).to_owned()).collect();
            all.sort();
            all
        };

        let (met, passed_over) = walk_in(&dir, &["t"], closed);
        assert_eq!((met, passed_over), (with(&["t/again"]), 5));
        // The target is in the roots, or the link is a root.
        let roots = ["t", "t2", "t/m/named"];
        let (met, passed_over) = walk_in(&dir, &roots, closed);
        let more = ["t/again", "t/into-another-root", "t/m/named/4", "t2/5"];
        assert_eq!((met, passed_over), (with(&more), 3));
        let (met, passed_over) = walk_in(&dir, &["root-link"], closed);
        assert_eq!(met.len(), 4);
        assert!(met.iter().all(|path| path.starts_with("root-link/")), "{met:?}");
        assert_eq!(passed_over, 5);

        let (met, passed_over) = walk_in(&dir, &["t"], Scope { follow_links: true, ..closed });
        let more = [
            "t/again",
            "t/file.jpg",
            "t/folder/3",
            "t/folder/deep/4",
            "t/into-another-root",
            "t/outside-and-gone.jpg",
        ];
        // The folder `deep` is met once, by the name that comes first.
        assert_eq!((met, passed_over), (with(&more), 0));
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
        let met = Walk::new(&roots, Scope { exclude: &[], follow_links: false });
        assert_eq!(met.count(), 3);
    }
}
