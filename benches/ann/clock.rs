//! What Linux knows of this process: CPU time and memory. Elsewhere nothing is known.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds of this process, all threads.
pub(crate) fn cpu_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

/// CPU seconds of the calling thread.
pub(crate) fn thread_cpu_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Megabytes of this process that are in memory: those of mapped files whose names end with
/// `name`, and all.
pub(crate) fn resident_mb(name: &str) -> (f64, f64) {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let (mut of_file, mut all, mut inside) = (0.0, 0.0, false);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "Rss:" {
            let kb: f64 = words.next().and_then(|kb| kb.parse().ok()).unwrap_or(0.0);
            all += kb / 1e3;
            of_file += if inside { kb / 1e3 } else { 0.0 };
        } else if first.contains('-') {
            inside = line.ends_with(name);
        }
    }
    (of_file, all)
}
