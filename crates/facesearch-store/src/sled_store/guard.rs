//! Calls into sled, with its panics and its errors made ours.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use facesearch_core::StoreError;

/// Runs `call`. A panic is damage: sled panics where its files contradict each other, and on
/// nothing else that a caller could do.
pub(super) fn guarded<T>(
    dir: &Path,
    call: impl FnOnce() -> Result<T, sled::Error>,
) -> Result<T, StoreError> {
    // Unwind safe: what sled left in disorder is not looked at again, since every caller gives up
    // the store, or the commit and with it the store, on an error.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(translate(dir, error)),
        Err(panic) => {
            let what = format!("sled broke: {}", message(panic.as_ref()));
            Err(StoreError::Corrupt { path: dir.into(), what })
        }
    }
}

fn translate(dir: &Path, error: sled::Error) -> StoreError {
    match error {
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

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a word").lines().next().unwrap_or_default().to_owned()
}
