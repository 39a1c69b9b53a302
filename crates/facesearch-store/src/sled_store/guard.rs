//! Calls into sled, with its panics and its errors made ours.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use facesearch_core::{StoreError, catch_panic, is_refused_write};

/// Runs `call`. A panic is damage: sled panics where its files contradict each other, and on
/// nothing else that a caller could do.
pub(super) fn guarded<T>(
    dir: &Path,
    call: impl FnOnce() -> Result<T, sled::Error>,
) -> Result<T, StoreError> {
    // Unwind safe: what sled left in disorder is not looked at again, since every caller gives up
    // the store, or the commit and with it the store, on an error.
    match catch_panic(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(translate(dir, error)),
        Err(panic) => {
            let what = format!("sled broke: {panic}");
            Err(StoreError::Corrupt { path: dir.into(), what })
        }
    }
}

fn translate(dir: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if is_refused_write(&error) => {
            StoreError::Write { action: "write to", path: dir.into(), source: error.into() }
        }
        sled::Error::Io(error) if !tells_of_damage(&error) => {
            StoreError::Io { action: "use", path: dir.into(), source: error.into() }
        }
        error => StoreError::Corrupt { path: dir.into(), what: error.to_string() },
    }
}

/// sled reports what it cannot make sense of as input/output errors of its own making, which carry
/// no error number of the operating system.
fn tells_of_damage(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Other, io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
    error.raw_os_error().is_none() && kinds.contains(&error.kind())
}
