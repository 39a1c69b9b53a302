//! Indexing folders of photos.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use facesearch_core::{FaceStore, NoProgress, Progress, display_path};
use facesearch_indexer::{IdentityRule, IndexOptions, Indexer, Report};
use serde::Serialize;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::imported::refuse_photos;

/// Memory that models, database and program take besides the photos under way.
const FIXED: u64 = 320 << 20;

/// The least that [`IndexRun::memory`] takes.
const LEAST_MEMORY: u64 = 512 << 20;

/// Memory that is left for photos where a run shall take at most `memory`.
pub(crate) fn for_photos(memory: Option<u64>) -> Result<u64> {
    match memory {
        None => Ok(u64::MAX),
        Some(memory) if memory >= LEAST_MEMORY => Ok(memory - FIXED),
        Some(_) => Err(Error::usage("models and database alone take 320M; at least 512M")),
    }
}

/// A run over files and folders of photos, made by [`Engine::index`].
pub struct IndexRun<'e> {
    engine: &'e mut Engine,
    paths: Vec<PathBuf>,
    identity: IdentityRule,
    prune: bool,
    rehash: bool,
    readmit: bool,
    follow_links: bool,
    min_quality: f32,
    memory: Option<u64>,
    progress: &'e dyn Progress,
    stop: Option<&'e AtomicBool>,
}

impl<'e> IndexRun<'e> {
    pub(crate) fn new(engine: &'e mut Engine, paths: Vec<PathBuf>) -> Self {
        Self {
            engine,
            paths,
            identity: IdentityRule::default(),
            prune: false,
            rehash: false,
            readmit: false,
            follow_links: false,
            min_quality: 0.0,
            memory: None,
            progress: &NoProgress,
            stop: None,
        }
    }

    /// Where labels come from; by default from the folders' names.
    #[must_use]
    pub fn identity(self, identity: IdentityRule) -> Self {
        Self { identity, ..self }
    }

    /// Whether to drop what was indexed from files that are no longer there.
    #[must_use]
    pub fn prune(self, prune: bool) -> Self {
        Self { prune, ..self }
    }

    /// Whether to read every file again, also those that look untouched.
    #[must_use]
    pub fn rehash(self, rehash: bool) -> Self {
        Self { rehash, ..self }
    }

    /// Whether to take in again the photos of people who were removed by name.
    #[must_use]
    pub fn readmit(self, readmit: bool) -> Self {
        Self { readmit, ..self }
    }

    /// Whether to follow symbolic links that lead out of the paths. A path that is itself a link is
    /// always followed.
    #[must_use]
    pub fn follow_links(self, follow_links: bool) -> Self {
        Self { follow_links, ..self }
    }

    /// Faces of a lower quality, in `[0, 1]`, are counted and not kept; photos that were indexed
    /// before keep what they have.
    #[must_use]
    pub fn min_quality(self, min_quality: f32) -> Self {
        Self { min_quality, ..self }
    }

    /// Most bytes of memory that the run should take, at least 512 MiB: fewer photos are looked at
    /// together where they are large. A single photo that needs more is looked at alone.
    #[must_use]
    pub fn memory(self, bytes: u64) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// Who hears how far the run is. Only what would survive a power cut is reported as done.
    #[must_use]
    pub fn progress(self, progress: &'e dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// Ends the run early, and in order, once `stop` is set.
    #[must_use]
    pub fn stop(self, stop: &'e AtomicBool) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Brings the index up to date with all photos at and below the paths, and publishes it.
    ///
    /// Files that did not change cost nothing but a look at the file system. One that cannot be
    /// read is counted, and the run goes on. A run that was stopped or killed goes on where it was
    /// when it is started again.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] where a path is not there, before anything is done; [`Error::Index`] where
    /// the index takes no photos; [`Error::Indexing`] where the model broke or the store cannot be
    /// written: what was done until then is kept.
    pub fn run(self) -> Result<IndexReport> {
        for path in &self.paths {
            path.metadata().map_err(|error| {
                Error::input(format!("cannot read {}: {error}", display_path(path)))
            })?;
        }
        let memory = for_photos(self.memory)?;
        let reader = self.engine.reader();
        if let Some(contract) = self.engine.pinned()? {
            refuse_photos(&contract, reader.dir())?;
        }
        let threads = reader.options().thread_count();
        let writer = self.engine.take()?;
        let vision = reader.vision()?;
        let never = AtomicBool::new(false);
        let report = writer.publishing(|store, publisher| {
            let indexer = Indexer {
                finder: vision.finder(),
                embedder: vision.embedder(),
                store,
                publisher,
                progress: self.progress,
                options: IndexOptions {
                    threads,
                    identity: self.identity,
                    memory,
                    prune: self.prune,
                    rehash: self.rehash,
                    readmit: self.readmit,
                    follow_links: self.follow_links,
                    min_quality: self.min_quality,
                    exclude: vec![reader.dir().to_owned()],
                    ..IndexOptions::new(self.stop.unwrap_or(&never))
                },
            };
            Ok(indexer.run(&self.paths)?)
        })?;
        let faces = writer.store().face_count()?;
        Ok(IndexReport::new(&report, reader.dir().to_string_lossy().into_owned(), faces))
    }
}

/// A run in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexReport {
    /// The directory of the index.
    pub index: String,
    /// Photos met in this run.
    pub files: u64,
    /// Faces in the index now.
    pub faces: u64,
    /// Faces embedded in this run.
    pub embedded: u64,
    /// Photos with faces.
    pub with_faces: u64,
    /// Photos without a face.
    pub no_face: u64,
    /// Photos with the same content as another.
    pub duplicates: u64,
    /// Photos that could not be read.
    pub failed: u64,
    /// Photos left unread because they look untouched.
    pub unchanged: u64,
    /// Faces that came.
    pub added_faces: u64,
    /// Faces that went.
    pub removed_faces: u64,
    /// Faces that got another label.
    pub relabelled_faces: u64,
    /// Faces found in this run that were not good enough to be kept.
    pub below_quality: u64,
    /// Files of the ledger that are not there any more.
    pub vanished: u64,
    /// Files that are no photos.
    pub not_photos: u64,
    /// Photos of people who were removed; they are read and nothing is kept of them.
    pub left_out: u64,
    /// Links that lead out of the paths.
    pub links_not_followed: u64,
    /// The publication that shows all this; `None` where nothing had to be published.
    pub generation: Option<u64>,
    /// How long it took.
    pub seconds: f64,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
}

impl IndexReport {
    fn new(report: &Report, index: String, faces: u64) -> Self {
        let outcomes = &report.outcomes;
        Self {
            index,
            files: outcomes.total(),
            faces,
            embedded: report.embedded,
            with_faces: outcomes.faces,
            no_face: outcomes.no_face,
            duplicates: outcomes.duplicates,
            failed: report.failures(),
            unchanged: report.unchanged,
            added_faces: report.faces_added,
            removed_faces: report.faces_removed,
            relabelled_faces: report.relabelled,
            below_quality: report.below_quality,
            vanished: report.vanished,
            not_photos: report.not_photos,
            left_out: report.forgotten,
            links_not_followed: report.links_not_followed,
            generation: report.published.map(|published| published.generation),
            seconds: report.elapsed.as_secs_f64(),
            interrupted: report.interrupted,
        }
    }
}
