//! Several threads at one image.
//!
//! A layer of one image takes tens of microseconds, and waking a thread that sleeps takes longer than
//! that. So the threads of the pool that share an image stay awake for as long as it takes: they look
//! for work again and again instead of lying down.

use std::sync::atomic::{AtomicBool, Ordering};

/// Threads kept awake for one image, besides the one that it came on.
const MOST: usize = 7;

/// Set when it goes out of scope, after a panic too.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `work`, with `others` threads of the pool awake to take the parts that it hands to [`both`].
pub(crate) fn awake<T: Send>(others: usize, work: impl FnOnce() -> T + Send) -> T {
    if others == 0 {
        return work();
    }
    let done = AtomicBool::new(false);
    let work = || {
        let _done = Flag(&done);
        work()
    };
    rayon::join(work, || look_out(&done, others.min(MOST))).0
}

/// Keeps so many threads looking for work until `done`.
fn look_out(done: &AtomicBool, threads: usize) {
    if threads > 1 {
        rayon::join(|| look_out(done, 1), || look_out(done, threads - 1));
    } else {
        wait(done);
    }
}

fn wait(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => {}
            Some(rayon::Yield::Idle) => std::hint::spin_loop(),
            // Not a thread of the pool, whose work it cannot take.
            None => std::thread::yield_now(),
        }
    }
}

/// Does both, the second on another thread if one is free, and does not sleep while it waits.
pub(crate) fn both(first: impl FnOnce() + Send, second: impl FnOnce() + Send) {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        scope.spawn(|_| {
            let _done = Flag(&done);
            second();
        });
        first();
        wait(&done);
    });
}
