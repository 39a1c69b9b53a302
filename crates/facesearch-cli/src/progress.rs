//! Progress on stderr: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use facesearch_core::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::say;

/// How often a plain line is written where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Draws what libraries report.
pub(crate) struct Bar {
    bar: ProgressBar,
    plain: bool,
    quiet: bool,
    done: AtomicU64,
    task: Mutex<Task>,
}

struct Task {
    unit: &'static str,
    total: Option<u64>,
    began: Instant,
    spoke: Instant,
}

impl Bar {
    /// A bar that is not yet drawn; it never is where `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            None,
            if terminal && !quiet {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        let now = Instant::now();
        let task = Task { unit: "", total: None, began: now, spoke: now };
        Self { bar, plain: !terminal && !quiet, quiet, done: AtomicU64::new(0), task: task.into() }
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Task> {
        self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Progress for Bar {
    fn start(&self, total: Option<u64>, unit: &'static str) {
        let now = Instant::now();
        *self.task() = Task { unit, total, began: now, spoke: now };
        self.done.store(0, Ordering::Relaxed);
        let template = match (unit, total) {
            ("bytes", Some(_)) => {
                "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left {msg}"
            }
            ("bytes", None) => "{spinner} {bytes} {bytes_per_sec} {msg}",
            (_, Some(_)) => {
                "{bar:30} {human_pos}/{human_len} {prefix} ({per_sec}, {eta} left) {msg}"
            }
            (_, None) => "{spinner} {human_pos} {prefix} ({per_sec}) {msg}",
        };
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.reset();
        self.bar.set_style(style);
        self.bar.set_prefix(unit);
        match total {
            Some(total) => self.bar.set_length(total),
            None => self.bar.unset_length(),
        }
    }

    fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        if !self.plain {
            return;
        }
        let mut task = self.task();
        if task.spoke.elapsed() < PLAIN_INTERVAL {
            return;
        }
        task.spoke = Instant::now();
        let per_second = done as f64 / task.began.elapsed().as_secs_f64().max(1e-9);
        let line = match task.total {
            Some(total) => {
                let left = total.saturating_sub(done) as f64 / per_second.max(1e-9);
                format!(
                    "{done} of {total} {} ({per_second:.1} per second, {left:.0} s left)",
                    task.unit
                )
            }
            None => format!("{done} {} ({per_second:.1} per second)", task.unit),
        };
        drop(task);
        say(&line);
    }

    fn note(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| say(line));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
