//! One process at a time fetches into a cache.
//!
//! Without the lock nothing would break, because a file gets its name only when it is complete and
//! verified; two processes would merely download the same bytes. So a file system that knows no
//! locks is no error.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use facesearch_core::Progress;

use crate::ZooError;

/// Held until dropped; the system also drops it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// How long another process is waited for. Whoever fetches gives up a source that sends nothing, so
/// only one that was suspended takes longer for a file.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

/// How often the lock is tried.
const GLANCE: Duration = Duration::from_millis(100);

/// Waits until nobody else fetches into `dir`, but not longer than `patience`.
pub(super) fn lock(
    dir: &Path,
    patience: Duration,
    progress: &dyn Progress,
) -> Result<Lock, ZooError> {
    let path = dir.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ZooError::write("write", &path))?;
    let mut waiting: Option<Instant> = None;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(err)) => {
                tracing::warn!(path = %path.display(), %err, "fetching without a lock");
                break;
            }
            Err(TryLockError::WouldBlock) => {}
        }
        let since = *waiting.get_or_insert_with(|| {
            progress.note("another process is fetching model files; waiting for it");
            Instant::now()
        });
        if since.elapsed() > patience {
            return Err(ZooError::Busy { path });
        }
        thread::sleep(GLANCE);
    }
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use facesearch_core::NoProgress;

    use super::*;

    #[test]
    fn a_lock_is_waited_for_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path(), Duration::ZERO, &NoProgress).unwrap();
        let err = lock(dir.path(), Duration::from_millis(200), &NoProgress).unwrap_err();
        assert!(err.to_string().contains("another process"), "{err}");
        thread::scope(|scope| {
            let waits = scope.spawn(|| lock(dir.path(), Duration::from_secs(60), &NoProgress));
            thread::sleep(Duration::from_millis(200));
            assert!(!waits.is_finished());
            drop(held);
            assert!(waits.join().unwrap().is_ok());
        });
    }
}
