//! Files that survive a power cut and that only their owner can read.
//!
//! - **Durable:** a file's content is on the disk after `fsync` of the file, its name only after
//!   `fsync` of its directory. Without the second, a power cut can take a new file, a new directory
//!   or a rename back, although the program that made it has long ended with success.
//! - **Private:** what is made here has the mode 0600 (a file) or 0700 (a directory) on Unix. A
//!   directory that was there before keeps the mode that somebody gave it.
//!
//! On other systems than Unix a directory cannot be synced, and a new file has the rights of its
//! directory.
//!
//! ```
//! # let top = tempfile::tempdir()?;
//! # let top = top.path();
//! let dir = top.join("index/published");
//! facesearch_disk::make_dir(&dir)?;
//! facesearch_disk::replace(&dir.join("MANIFEST"), b"one\n")?;
//! facesearch_disk::replace(&dir.join("MANIFEST"), b"two\n")?;
//! assert_eq!(std::fs::read(dir.join("MANIFEST"))?, b"two\n");
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Makes `dir` and the directories above it that are missing, and returns once all their names
/// would survive a power cut.
///
/// The name of the innermost directory that was there already is synced too: whoever made it may
/// have died before it was.
///
/// # Errors
///
/// Where a directory cannot be made or synced, or something else has its name.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    let named = |dir: &&Path| !dir.as_os_str().is_empty();
    let missing: Vec<&Path> =
        dir.ancestors().filter(named).take_while(|dir| !dir.is_dir()).collect();
    if let Some(standing) = dir.ancestors().filter(named).nth(missing.len()) {
        match sync_parent(standing) {
            // A directory that may be passed through but not read; it is not one of ours.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    for dir in missing.into_iter().rev() {
        match private_dir().create(dir) {
            // Another process was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
            made => made?,
        }
        sync_parent(dir)?;
    }
    Ok(())
}

/// Returns once the names in `dir` would survive a power cut.
///
/// # Errors
///
/// Where the directory cannot be opened or synced. A file system that knows no syncing of
/// directories is no error.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(dir)?.sync_all() {
        Err(error) if is_unsupported(error.kind()) => Ok(()),
        synced => synced,
    }
}

fn is_unsupported(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// Returns once the name of `path` would survive a power cut.
///
/// # Errors
///
/// As [`sync_dir`], of the directory that `path` is in.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        None => Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
    }
}

/// Options to open a file with that is made for its owner alone where it is not there yet. The
/// caller adds `read`, `write`, `create` and the like.
pub fn private() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes everybody's rights but the owner's from a file that somebody else's code has made.
///
/// # Errors
///
/// Where the rights cannot be read or changed. A file of another user is left as it is.
pub fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = file.metadata()?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(permissions.mode() & 0o700);
            match file.set_permissions(permissions) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                changed => changed?,
            }
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Renames a file or directory, in place of the file that has the name, and returns once that would
/// survive a power cut. Both names are in one directory.
///
/// The content is the caller's to sync before.
///
/// # Errors
///
/// Where it cannot be renamed, or its directory not be synced.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)
}

/// Makes `bytes` the content of the file `path`, all at once and durably: whoever opens the file,
/// also after a power cut, finds the content before or this one. Meanwhile there is a file with
/// `.next` behind its name.
///
/// # Errors
///
/// Where the file cannot be written, renamed or synced; then the content before is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    let mut file = private().write(true).create(true).truncate(true).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    rename(&next, path)
}

fn private_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn directories_are_made_on_any_beginning_and_twice() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a/b/c");
        for already in ["", "a", "a/b", "a/b/c"] {
            let _ = fs::remove_dir_all(top.path().join("a"));
            fs::create_dir_all(top.path().join(already)).unwrap();
            make_dir(&dir).unwrap();
            make_dir(&dir).unwrap();
            assert!(dir.is_dir(), "{already}");
        }
        fs::write(dir.join("file"), b"").unwrap();
        assert!(make_dir(&dir.join("file/d")).is_err());
        assert!(make_dir(&dir.join("file")).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn what_is_made_is_the_owners_alone_and_what_was_there_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let top = tempfile::tempdir().unwrap();
        let open = top.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        make_dir(&open.join("a/b")).unwrap();
        assert_eq!(
            [mode(&open), mode(&open.join("a")), mode(&open.join("a/b"))],
            [0o755, 0o700, 0o700]
        );
        let file = open.join("file");
        replace(&file, b"x").unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        make_private(&File::open(&file).unwrap()).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        // What a process left that died before its rename.
        fs::write(top.path().join("file.next"), b"longer than what comes").unwrap();
        for content in ["one", "two"] {
            replace(&file, content.as_bytes()).unwrap();
            assert_eq!(fs::read(&file).unwrap(), content.as_bytes());
        }
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1);
    }
}
