//! Ctrl-C, `SIGTERM` and `SIGHUP` while a run is under way.
//!
//! A command that installs no handler dies of these signals at once, and may: files are replaced in
//! one step, and a store survives the death of its process at any moment. A run that wants to end
//! in order asks for a [`stop_flag`]. It has [`GRACE`] to do so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::exit::{Exit, Failure};

/// How long a run may take to end in order, before the process ends whatever it waits for: a disk
/// that does not answer, a reader of its output that does not read, a publication of millions.
const GRACE: Duration = Duration::from_secs(5);

/// A flag that the first signal sets. A second one ends the process at once, and so does the first
/// where the flag was dropped because the run is over.
///
/// # Errors
///
/// Where the threads that wait for signals cannot be started, or the process has a handler already.
pub(crate) fn stop_flag(quiet: bool) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let run = Arc::downgrade(&stop);
    let (stopped, is_stopped) = mpsc::channel();
    let patience = move || {
        if is_stopped.recv().is_ok() {
            thread::sleep(GRACE);
            end();
        }
    };
    thread::Builder::new().spawn(patience).map_err(Failure::threads)?;
    ctrlc::set_handler(move || {
        let first = run.upgrade().is_some_and(|stop| !stop.swap(true, Ordering::SeqCst));
        if !first {
            end();
        }
        // First: nobody may be reading what is said.
        let _ = stopped.send(());
        if !quiet {
            say("ending once the photos under way are done; again to end at once");
        }
    })
    .map_err(|error| match error {
        ctrlc::Error::System(error) => Failure::threads(error),
        other => other.into(),
    })?;
    Ok(stop)
}

fn end() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}

#[expect(clippy::print_stderr, reason = "the run's own voice may be what it waits for")]
fn say(line: &str) {
    eprintln!("{line}");
}
