//! A run: the stages, side by side.

use std::fs;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use facesearch_core::{Embedder, FaceFinder, FaceStore, Progress, Publisher};

use crate::claims::Claims;
use crate::committer::Committer;
use crate::desk::Desk;
use crate::error::IndexError;
use crate::identity::IdentityRule;
use crate::pace::Pace;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::report::Report;
use crate::roots::Roots;
use crate::walk::{Scope, Walk};
use crate::worker::Vision;

/// How a run is done.
#[derive(Debug, Clone)]
pub struct IndexOptions<'a> {
    /// Photos looked at, and batches embedded, at the same time; 0 counts as 1. Reading and
    /// committing have a thread each besides, which mostly wait.
    pub threads: usize,
    /// Where labels come from.
    pub identity: IdentityRule,
    /// Whether to forget files under the roots that are not there any more.
    pub prune: bool,
    /// Whether to read every file, whatever the file system says of it.
    pub rehash: bool,
    /// Whether links out of the paths given are followed, to files and to folders. A path given
    /// that is itself a link is always followed.
    pub follow_links: bool,
    /// Whether to take in again the photos that [`remove_identity`](crate::remove_identity) took
    /// out.
    pub readmit: bool,
    /// How many bytes the photos under way may take, files and pixels together. A photo that needs
    /// more by itself is a line in the ledger, and is tried again by the next run.
    pub memory: u64,
    /// Faces of a lower quality are looked at and not stored, in `[0, 1]`; those that were never
    /// measured are. Photos that were looked at before keep what they have.
    pub min_quality: f32,
    /// Folders to pass over: that of the index itself.
    pub exclude: Vec<PathBuf>,
    /// How soon after its start a run publishes for the first time.
    pub first_publication: Duration,
    /// Set by the caller to end the run early, in order: photos in the hands of threads are
    /// finished and kept. A file system that does not answer is still waited for.
    pub stop: &'a AtomicBool,
}

impl<'a> IndexOptions<'a> {
    /// One thread for each processor, labels from folders, nothing pruned.
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self {
            threads: thread::available_parallelism().map_or(1, usize::from),
            identity: IdentityRule::default(),
            prune: false,
            rehash: false,
            follow_links: false,
            readmit: false,
            memory: u64::MAX,
            min_quality: 0.0,
            exclude: Vec::new(),
            first_publication: Duration::from_secs(5),
            stop,
        }
    }
}

/// Fills a store with the faces of photos.
pub struct Indexer<'a> {
    /// Turns photos into aligned faces.
    pub finder: &'a dyn FaceFinder,
    /// Turns aligned faces into embeddings.
    pub embedder: &'a dyn Embedder,
    /// What is filled.
    pub store: &'a dyn FaceStore,
    /// Makes it visible.
    pub publisher: &'a dyn Publisher,
    /// Who is told. Only what would survive the death of the process is reported as done.
    pub progress: &'a dyn Progress,
    /// How it is done.
    pub options: IndexOptions<'a>,
}

impl Indexer<'_> {
    /// Brings the store up to date with all photos at and below `paths`.
    ///
    /// Files are committed in the order of their paths' bytes, one commit each, whatever the
    /// threads do: the same files always make the same store, also when the run was killed and
    /// started again any number of times. Faces are numbered in that order.
    ///
    /// A file with another's content, or one that was moved, renamed or touched, costs no
    /// embedding; one that was overwritten replaces its old content, unless its new bytes are no
    /// photo. A photo that cannot be indexed is a line in the ledger and does not end the run.
    ///
    /// # Errors
    ///
    /// [`IndexError::Root`] where a path does not exist, before anything is done;
    /// [`IndexError::Thread`] where a thread cannot be started; [`IndexError::Vision`] where the
    /// model broke and [`IndexError::Store`] where the store or its publication did: what was
    /// committed until then is kept.
    pub fn run(&self, paths: &[PathBuf]) -> Result<Report, IndexError> {
        let start = Instant::now();
        let roots = self.check(paths)?;
        let IndexOptions { identity, first_publication, min_quality, readmit, .. } = &self.options;
        let claims = Claims { store: self.store, rule: identity, roots: &roots };
        let vision = Vision { finder: self.finder, embedder: self.embedder };
        let stop = self.options.stop;
        let (min_quality, readmit) = (*min_quality, *readmit);
        let desk = Desk { claims, vision, min_quality, readmit, stop };
        let pace = Pace::new(*first_publication, start);
        let mut committer = Committer::new(desk, self.publisher, self.progress, pace);

        self.progress.start(self.count(&roots), "files");
        let done = self.run_stages(&roots, vision, &mut committer);
        let done = done.and_then(|()| match committer.is_stopped() {
            true => Ok(()),
            false => committer.sweep(&roots, self.options.prune),
        });
        // Also after a failure: what was committed is good, and may be searched.
        let ended = match &done {
            Err(IndexError::Store(_)) => Ok(()),
            Err(_) => committer.end(false),
            Ok(()) => {
                let complete = !committer.is_stopped();
                committer.end(complete)
            }
        };
        self.progress.finish();
        done.and(ended)?;
        Ok(Report { elapsed: start.elapsed(), ..committer.report })
    }

    fn check(&self, paths: &[PathBuf]) -> Result<Roots, IndexError> {
        let (expected, got) = (self.store.contract().dimension, self.embedder.dim());
        if expected as usize != got {
            return Err(IndexError::Dimension { expected, got });
        }
        if paths.is_empty() {
            return Err(IndexError::NothingToIndex);
        }
        for path in paths {
            let root = |source| IndexError::Root { path: path.clone(), source };
            let known = |path: &PathBuf| {
                let roots = Roots::new(std::slice::from_ref(path)).map_err(root)?;
                let mut known = false;
                for root in roots.outermost() {
                    self.store.for_each_file(root, &mut |_, _| {
                        known = true;
                        Ok(())
                    })?;
                }
                Ok::<bool, IndexError>(known)
            };
            match fs::symlink_metadata(path) {
                Ok(_) => {}
                // What was indexed and is gone altogether can still be pruned.
                Err(_) if self.options.prune && known(path)? => {}
                Err(error) => return Err(root(error)),
            }
        }
        let first = paths[0].clone();
        Roots::new(paths).map_err(|source| IndexError::Root { path: first, source })
    }

    fn scope(&self) -> Scope<'_> {
        Scope { exclude: &self.options.exclude, follow_links: self.options.follow_links }
    }

    /// How many files the walk will meet; `None` where the run is stopped meanwhile.
    fn count(&self, roots: &Roots) -> Option<u64> {
        let mut count = 0;
        for _ in Walk::new(roots, self.scope()) {
            if self.options.stop.load(Ordering::Relaxed) {
                return None;
            }
            count += 1;
        }
        Some(count)
    }

    fn run_stages(
        &self,
        roots: &Roots,
        vision: Vision<'_>,
        committer: &mut Committer<'_>,
    ) -> Result<(), IndexError> {
        let queue = Queue::new(self.options.stop, self.options.memory);
        let reader = Reader {
            store: self.store,
            roots,
            scope: self.scope(),
            rehash: self.options.rehash,
            readmit: self.options.readmit,
            queue: &queue,
            stop: self.options.stop,
            finder: self.finder,
        };
        thread::scope(|scope| {
            // Whatever ends this, an error or a panic, ends all waits of the threads that were
            // started, which the scope joins.
            let _abandon = OnDrop(|| queue.abandon());
            let no_thread = |source| IndexError::Thread { source };
            let threads = 0..self.options.threads.max(1);
            let workers = threads
                .map(|_| thread::Builder::new().spawn_scoped(scope, || work(vision, &queue)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(no_thread)?;
            let reading = thread::Builder::new().spawn_scoped(scope, || {
                // Also when the reader panics: the others must not wait for it for ever.
                let _drain = OnDrop(|| queue.drain());
                reader.run()
            });
            let reading = reading.map_err(no_thread)?;
            let committed = committer.run(&queue);
            committer.report.interrupted |= committed.is_ok() && !queue.is_finished();
            queue.abandon();
            let walked = join(reading);
            committer.report.embedded += workers.into_iter().map(join).sum::<u64>();
            committed?;
            if let Some(failure) = queue.failure() {
                return Err(failure.into());
            }
            let walked = walked?;
            committer.report.interrupted |= !walked.complete;
            committer.report.links_not_followed = walked.links_not_followed;
            Ok(())
        })
    }
}

/// What a worker's thread does. Returns how many chips were embedded.
fn work(vision: Vision<'_>, queue: &Queue<'_>) -> u64 {
    // A worker that panics takes a file with it, for which the committer would wait.
    let _abandon = OnDrop(|| {
        if thread::panicking() {
            queue.abandon();
        }
    });
    // Each worker is a pool of its own: networks would otherwise divide each photo among all
    // threads, which are busy with photos of their own.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    match alone.build() {
        Ok(pool) => pool.install(|| vision.work(queue)),
        Err(_) => vision.work(queue),
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs something on every way out.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
