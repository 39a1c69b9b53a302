//! Several threads for one image.
//!
//! A layer of one image takes tens of microseconds. Waking a thread that sleeps takes longer. So
//! the threads of the pool that share an image stay awake until the image is done: they look for
//! work again and again instead of sleeping.

use std::sync::atomic::{AtomicBool, Ordering};

/// The most threads kept awake for one image, besides the one that runs it.
const MAX_AWAKE: usize = 7;

/// Sets the flag when it goes out of scope, after a panic too.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `work` while `others` threads of the pool stay awake, to take the parts that it hands to
/// [`join`].
pub(crate) fn with_awake_threads<T: Send>(others: usize, work: impl FnOnce() -> T + Send) -> T {
    if others == 0 {
        return work();
    }
    let done = AtomicBool::new(false);
    let work = || {
        let _done = SetOnDrop(&done);
        work()
    };
    rayon::join(work, || keep_awake(&done, others.min(MAX_AWAKE))).0
}

/// Keeps `threads` threads looking for work until `done`.
fn keep_awake(done: &AtomicBool, threads: usize) {
    if threads > 1 {
        rayon::join(|| keep_awake(done, 1), || keep_awake(done, threads - 1));
    } else {
        work_until(done);
    }
}

/// Takes work from the pool until `done`, without sleeping.
fn work_until(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => {}
            Some(rayon::Yield::Idle) => std::hint::spin_loop(),
            // This thread is not one of the pool, so it cannot take the pool's work.
            None => std::thread::yield_now(),
        }
    }
}

/// Does both, the second on another thread if one is free. Waits without sleeping.
pub(crate) fn join(first: impl FnOnce() + Send, second: impl FnOnce() + Send) {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        scope.spawn(|_| {
            let _done = SetOnDrop(&done);
            second();
        });
        first();
        work_until(&done);
    });
}
