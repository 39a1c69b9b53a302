//! The last stage: commits each file in the order of the walk, and says so once it is on disk.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use facesearch_core::{FaceStore, Progress, Publisher, StoreError};

use crate::desk::{Desk, Settled, Unfinished};
use crate::error::IndexError;
use crate::item::Reading;
use crate::pace::Pace;
use crate::queue::Queue;
use crate::report::Report;
use crate::roots::Roots;

/// How long a commit may wait until it is on disk, and reported.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The last stage, and all that is counted in it.
pub(crate) struct Committer<'a> {
    pub(crate) store: &'a dyn FaceStore,
    pub(crate) publisher: &'a dyn Publisher,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) desk: Desk<'a>,
    pub(crate) pace: Pace,
    pub(crate) report: Report,
    /// What is done but not yet known to survive.
    unreported: Unreported,
    /// Whether readers see less than was committed, as far as this run knows.
    unpublished: bool,
    /// Files and folders that could not be read in this run.
    unreadable: HashSet<PathBuf>,
}

struct Unreported {
    files: u64,
    notes: Vec<String>,
    since: Instant,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(
        desk: Desk<'a>,
        publisher: &'a dyn Publisher,
        progress: &'a dyn Progress,
        pace: Pace,
    ) -> Self {
        let unreported = Unreported { files: 0, notes: Vec::new(), since: Instant::now() };
        Self {
            store: desk.claims.store,
            publisher,
            progress,
            desk,
            pace,
            report: Report::default(),
            unreported,
            unpublished: false,
            unreadable: HashSet::new(),
        }
    }

    /// Commits what comes out of the queue until nothing does.
    pub(crate) fn run(&mut self, queue: &Queue<'_>) -> Result<(), IndexError> {
        while let Some(item) = queue.next() {
            let content = match &item.reading {
                // All that follows waits for this one, so the run ends here.
                Reading::Stopped => {
                    self.report.interrupted = true;
                    return Ok(());
                }
                Reading::Unreadable(_) => {
                    self.unreadable.insert(item.path.clone());
                    None
                }
                Reading::Content(content, Some(_)) => Some(*content),
                _ => None,
            };
            let settled = self.desk.settle(item)?;
            if settled.stopped {
                self.report.interrupted = true;
                return Ok(());
            }
            self.report.forgotten += u64::from(settled.forgotten);
            self.report.not_photos += u64::from(settled.outcome.is_none() && !settled.forgotten);
            self.report.unchanged += u64::from(settled.unchanged);
            self.report.embedded += settled.embedded;
            self.report.below_quality += settled.below_quality;
            self.commit(settled)?;
            if let Some(content) = content {
                queue.committed(&content);
            }
            self.unreported.files += 1;
            self.keep_up()?;
        }
        Ok(())
    }

    /// Finishes what can only be decided once every file was met, unless the run is stopped first.
    pub(crate) fn sweep(&mut self, roots: &Roots, prune: bool) -> Result<(), IndexError> {
        let mut unfinished = Unfinished::default();
        for root in roots.outermost() {
            unfinished.collect(self.store, root, &self.unreadable)?;
        }
        for path in &unfinished.leaving {
            if self.is_stopped() {
                return Ok(());
            }
            self.finish(path, false)?;
        }
        for path in &unfinished.vanished {
            if self.is_stopped() {
                return Ok(());
            }
            let dropped = self.report.dropped;
            self.finish(path, prune)?;
            self.report.vanished += u64::from(self.report.dropped == dropped);
        }
        Ok(())
    }

    /// Whether the caller wants no more; the run then counts as interrupted.
    pub(crate) fn is_stopped(&mut self) -> bool {
        self.report.interrupted |= self.desk.stop.load(Ordering::Relaxed);
        self.report.interrupted
    }

    fn finish(&mut self, path: &Path, prune: bool) -> Result<(), IndexError> {
        let settled = self.desk.sweep(path, prune)?;
        self.commit(settled)?;
        self.keep_up()
    }

    fn commit(&mut self, settled: Settled) -> Result<(), StoreError> {
        if !settled.changes.is_empty() {
            self.store.commit(&settled.changes)?;
            self.unpublished = true;
            self.report.count_changes(&settled.changes);
        }
        if let Some(outcome) = &settled.outcome {
            self.report.outcomes.count(outcome);
        }
        self.unreported.notes.extend(settled.notes);
        Ok(())
    }

    /// Flushes and publishes when it is time.
    fn keep_up(&mut self) -> Result<(), IndexError> {
        let now = Instant::now();
        if self.unpublished && self.pace.is_due(now) {
            self.publish(false)?;
        } else if now.duration_since(self.unreported.since) >= FLUSH_EVERY {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes all commits durable, and only then reports them.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()?;
        for note in self.unreported.notes.drain(..) {
            self.progress.note(&note);
        }
        if self.unreported.files > 0 {
            self.progress.advance(self.unreported.files);
        }
        self.unreported.files = 0;
        self.unreported.since = Instant::now();
        Ok(())
    }

    fn publish(&mut self, last: bool) -> Result<(), IndexError> {
        self.flush()?;
        let start = Instant::now();
        self.report.published = Some(self.publisher.publish(self.store, last)?);
        self.unpublished = false;
        self.pace.published(start.elapsed(), Instant::now());
        Ok(())
    }

    /// Flushes, and publishes unless readers see all of it already: for good where the run came to
    /// its end, else only what it has added.
    pub(crate) fn end(&mut self, complete: bool) -> Result<(), IndexError> {
        self.flush()?;
        if self.publisher.is_current(self.store)? || !(complete || self.unpublished) {
            return Ok(());
        }
        self.publish(complete)
    }
}
