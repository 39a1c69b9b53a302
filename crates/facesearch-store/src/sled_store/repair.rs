//! Files of sled's that can be made again, and are, where they cannot be read.
//!
//! | file in `sled/` | what it is | from what it is made again |
//! |---|---|---|
//! | `snap.*.generating` | a snapshot that was not finished | the snapshot before it, or the log |
//! | `snap.*` | where each page is in the log, as of the last opening | the log |
//! | `conf` | sled's settings | nothing: all our databases have the same |
//!
//! sled 0.34 writes a snapshot whenever a database is opened that was changed before. It takes the
//! last `snap.*` in order of their names for the newest, also one that it never finished, and
//! refuses a database whose newest snapshot or whose settings it cannot read. So all of them are
//! checked before sled sees them, by the checksums that sled gave them. What is damaged is moved
//! out of `sled/` and is removed once the database is open and its records have been checked.
//!
//! The log, `db`, is derived from nothing; damage there is an error, which the caller finds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use facesearch_core::StoreError;

use super::at;

/// The ending of files that were moved out of `sled/`.
const DAMAGED: &str = ".damaged";

/// What was moved out of `sled/`, now or by an opening that did not come to its end.
pub(super) struct Repair {
    aside: Vec<PathBuf>,
}

/// Moves out of the database of the store in `dir` what sled could not read. The caller holds the
/// store's lock, and sled is not open.
pub(super) fn set_aside(dir: &Path) -> Result<Repair, StoreError> {
    let run = || -> io::Result<Repair> {
        for (name, path) in files(&dir.join("sled"))? {
            let is_snapshot = name.starts_with("snap.");
            if is_snapshot && name.ends_with(".generating") {
                fs::remove_file(&path)?;
                tracing::warn!(file = %path.display(), "removed a snapshot that was not finished");
            } else if (is_snapshot && !is_whole(&path, 12)?)
                || (name == "conf" && !is_whole(&path, 4)?)
            {
                fs::rename(&path, dir.join(name + DAMAGED))?;
            }
        }
        let aside = files(dir)?.into_iter().filter(|(name, _)| name.ends_with(DAMAGED));
        Ok(Repair { aside: aside.map(|(_, path)| path).collect() })
    };
    run().map_err(|source| at(dir, "repair", source))
}

impl Repair {
    /// Removes what was moved, now that sled has made it again and all records have been checked;
    /// says so.
    pub(super) fn finish(self) {
        for path in self.aside {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let store = path.parent().unwrap_or(&path).display();
            match fs::remove_file(&path) {
                Ok(()) => tracing::warn!(
                    %store,
                    "`{name}` was damaged and has been made again; all records are there"
                ),
                Err(error) => tracing::warn!(file = %path.display(), %error, "cannot be removed"),
            }
        }
    }
}

/// The files of a directory with names that are text, as all of sled's are.
fn files(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            files.push((name, entry.path()));
        }
    }
    Ok(files)
}

/// Whether a file of sled's matches its checksum: the CRC-32 at its end, of all that is before the
/// last `tail` bytes.
fn is_whole(path: &Path, tail: usize) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let content = bytes.len().checked_sub(tail).map(|end| &bytes[..end]);
    let checksum = bytes.last_chunk().map(|checksum| u32::from_le_bytes(*checksum));
    Ok(content.is_some_and(|content| !content.is_empty())
        && content.map(crc32fast::hash) == checksum)
}
