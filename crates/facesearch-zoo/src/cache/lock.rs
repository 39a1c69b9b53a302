//! One process at a time fetches into a cache.
//!
//! Without the lock nothing would break, because a file gets its name only when it is complete and
//! verified; two processes would merely download the same bytes. So a file system that knows no
//! locks is no error.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use facesearch_core::Progress;

use crate::ZooError;

/// Held until dropped; the system also drops it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Waits until nobody else fetches into `dir`.
pub(super) fn lock(dir: &Path, progress: &dyn Progress) -> Result<Lock, ZooError> {
    let path = dir.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ZooError::write("write", &path))?;
    let outcome = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            progress.note("another process is fetching model files; waiting for it");
            file.lock()
        }
        Err(TryLockError::Error(err)) => Err(err),
        Ok(()) => Ok(()),
    };
    if let Err(err) = outcome {
        tracing::warn!(path = %path.display(), %err, "fetching without a lock");
    }
    Ok(Lock { _file: file })
}
