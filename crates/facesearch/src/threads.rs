//! The one pool of threads that serves everything that runs in parallel in this process.

use std::io;
use std::sync::mpsc;
use std::thread;

use memmap2::MmapMut;
use rayon::ThreadBuilder;

/// The stack that the standard library gives a thread, and what the thread asks for before its
/// first line runs; in bytes.
const ROOM: usize = 6 << 20;

/// Starts the pool that serves everything that runs in parallel in this process, `count` threads
/// of it. [`Engine`](crate::Engine) and [`Reader`](crate::Reader) start it themselves; a program
/// calls this first to learn that it cannot be had.
///
/// # Errors
///
/// Where the system allows no more threads, or the pool was started before.
pub fn start_threads(count: usize) -> io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).spawn_handler(start);
    pool.build_global().map_err(|error| io::Error::other(error.to_string()))
}

/// Starts a thread where there is room for it, and waits until it runs.
///
/// The standard library ends the whole process where a new thread finds its stack, but no memory
/// for the small one on which it handles signals.
fn start(work: ThreadBuilder) -> io::Result<()> {
    MmapMut::map_anon(ROOM).map(drop)?;
    let (running, runs) = mpsc::sync_channel(1);
    thread::Builder::new().spawn(move || {
        // The other side waits for this.
        let _ = running.send(());
        work.run();
    })?;
    runs.recv().map_err(io::Error::other)
}
