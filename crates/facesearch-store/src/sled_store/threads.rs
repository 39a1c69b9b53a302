//! Whether the threads that sled needs can be started.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

use facesearch_core::StoreError;

/// sled starts seven threads that write and one that flushes.
const NEEDED: usize = 8;

/// An error where the system allows no more threads. sled passes over a thread that writes and
/// cannot be started, and without any it waits for ever for what none of them writes.
pub(super) fn check(dir: &Path) -> Result<(), StoreError> {
    start(NEEDED).map_err(|error| StoreError::Threads { path: dir.into(), source: error.into() })
}

/// Starts so many threads that are all there at the same time, and ends them.
fn start(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            Builder::new().spawn_scoped(scope, || drop(gate.lock()))?;
        }
        Ok(())
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD: &str = "FACESEARCH_STORE_TEST_THREADS";

    #[test]
    fn threads_that_cannot_be_started_are_an_error() {
        if std::env::var_os(CHILD).is_some() {
            // Their stacks take 4 GB of addresses; there is 1.
            assert!(start(2_000).is_err());
            assert!(check(Path::new("store")).is_ok(), "all of them have ended");
            return;
        }
        let test = "sled_store::threads::tests::threads_that_cannot_be_started_are_an_error";
        let status = Command::new("sh")
            .args(["-c", "ulimit -v 1000000 && exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env(CHILD, "1")
            .status();
        assert!(status.unwrap().success());
    }
}
