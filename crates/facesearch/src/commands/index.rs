//! `facesearch index`: every face of your photos, kept and ready to be searched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use facesearch_core::FaceStore;
use facesearch_indexer::{IdentityRule, IdentityTable, IndexError, IndexOptions, Indexer, Report};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::imported;
use crate::open::{self, MemoryArgs, VisionArgs};
use crate::printer::{Printer, count, shown};
use crate::progress::Bar;

/// Find every face in folders of photos, and keep it
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// Photos, and folders of photos
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// What a photo's person is called: by its folder, its file's stem, not at all, or by a CSV
    /// file with the columns path,identity
    #[arg(long, default_value = "folder", value_name = "folder|stem|none|csv:FILE", value_parser = identity)]
    pub(crate) identity: Identity,

    #[command(flatten)]
    pub(crate) vision: VisionArgs,

    #[command(flatten)]
    pub(crate) memory: MemoryArgs,

    /// Drop what was indexed from files that are no longer there
    #[arg(long)]
    pub(crate) prune: bool,

    /// Read every file again, also those that look untouched
    #[arg(long)]
    pub(crate) rehash: bool,

    /// Faces of a lower quality, in 0..1, are counted and not kept; photos that were indexed before
    /// keep what they have
    #[arg(long, value_name = "Q", default_value_t = 0.0, value_parser = quality)]
    pub(crate) min_quality: f32,

    /// The summary as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn quality(typed: &str) -> Result<f32, String> {
    let number = typed.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 1".into())
}

/// How photos are labelled, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Folder,
    Stem,
    None,
    Csv(PathBuf),
}

fn identity(typed: &str) -> Result<Identity, String> {
    match typed {
        "folder" => Ok(Identity::Folder),
        "stem" => Ok(Identity::Stem),
        "none" => Ok(Identity::None),
        other => match other.strip_prefix("csv:") {
            Some(file) if !file.is_empty() => Ok(Identity::Csv(file.into())),
            _ => Err("one of folder, stem, none, csv:FILE".into()),
        },
    }
}

/// Exits with 0 where every file was read, with 5 where some were not, with 3 where there was
/// nothing to read at all.
pub(crate) fn run(args: &IndexArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    for path in &args.paths {
        path.metadata()
            .map_err(|error| Failure::input(format!("cannot read {}: {error}", shown(path))))?;
    }
    let identity = match &args.identity {
        Identity::Folder => IdentityRule::Folder,
        Identity::Stem => IdentityRule::Stem,
        Identity::None => IdentityRule::None,
        Identity::Csv(file) => IdentityRule::Table(IdentityTable::read(file)?),
    };
    let pinned = open::pinned(global)?;
    if let Some(contract) = &pinned {
        imported::refuse_photos(contract, global)?;
    }
    let vision = open::vision(&args.vision.or_pinned(pinned.as_ref()), global, out)?;
    let store = open::store(global, vision.contract())?;
    let publisher = open::publisher(global);
    let bar = Bar::new(out.is_quiet());
    let stop = stop_on_ctrl_c()?;
    let options = IndexOptions {
        threads: open::threads(global),
        identity,
        memory: args.memory.for_photos(),
        prune: args.prune,
        rehash: args.rehash,
        min_quality: args.min_quality,
        exclude: vec![global.index.clone()],
        ..IndexOptions::new(&stop)
    };
    let indexer = Indexer {
        finder: vision.finder(),
        embedder: vision.embedder(),
        store: &store,
        publisher: &publisher,
        progress: &bar,
        options,
    };
    let report = indexer.run(&args.paths).map_err(|error| match error {
        IndexError::Store(_) => anyhow::Error::from(error)
            .context("the run ended early; what was indexed is kept, and the same command goes on"),
        error => error.into(),
    })?;
    let summary = Summary::new(&report, global, store.face_count()?);
    if args.json {
        out.json(&summary)?;
    } else {
        out.lines(summary.for_people())?;
    }
    match summary {
        Summary { interrupted: true, .. } => Ok(Exit::Interrupted),
        Summary { failed: 1.., .. } => Ok(Exit::SomeFailed),
        Summary { files: 0, .. } => Err(Failure::input("there is no photo in the paths given")),
        _ => Ok(Exit::Success),
    }
}

/// The first Ctrl-C asks the run to end well; a second ends it at once.
fn stop_on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted as i32);
        }
    })?;
    Ok(stop)
}

/// The run in numbers.
#[derive(Debug, Serialize)]
struct Summary {
    index: String,
    /// Photos met in this run.
    files: u64,
    /// Faces in the index now.
    faces: u64,
    /// Faces embedded in this run.
    embedded: u64,
    with_faces: u64,
    no_face: u64,
    duplicates: u64,
    failed: u64,
    unchanged: u64,
    added_faces: u64,
    removed_faces: u64,
    relabelled_faces: u64,
    /// Faces found in this run that were not good enough to be kept.
    below_quality: u64,
    /// Files of the ledger that are not there any more.
    vanished: u64,
    not_photos: u64,
    /// The publication that shows all this; null where nothing had to be published.
    generation: Option<u64>,
    seconds: f64,
    interrupted: bool,
}

impl Summary {
    fn new(report: &Report, global: &Global, faces: u64) -> Self {
        let outcomes = &report.outcomes;
        Self {
            index: global.index.to_string_lossy().into_owned(),
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
            generation: report.published.map(|published| published.generation),
            seconds: report.elapsed.as_secs_f64(),
            interrupted: report.interrupted,
        }
    }

    /// What happened, in a few lines; what did not happen is left out.
    fn for_people(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{}: {} looked at, {} with faces, {} without, in {:.1} s",
            shown(Path::new(&self.index)),
            count(self.files, "photo", "photos"),
            self.with_faces,
            self.no_face,
            self.seconds
        )];
        let mut say = |n: u64, one: &str, many: &str| {
            if n > 0 {
                lines.push(format!("  {}", count(n, one, many)));
            }
        };
        say(self.unchanged, "was as before", "were as before");
        say(self.duplicates, "has another's content", "have another's content");
        say(self.failed, "failed", "failed");
        say(self.vanished, "is gone; --prune forgets it", "are gone; --prune forgets them");
        say(self.added_faces, "face added", "faces added");
        say(self.removed_faces, "face removed", "faces removed");
        say(self.below_quality, "face below --min-quality", "faces below --min-quality");
        say(self.relabelled_faces, "face renamed", "faces renamed");
        if self.interrupted {
            lines.push("  interrupted; run it again to go on".into());
        }
        lines.push(format!("  the index now holds {}", count(self.faces, "face", "faces")));
        lines
    }
}
