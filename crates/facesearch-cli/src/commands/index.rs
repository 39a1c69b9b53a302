//! `facesearch index`: every face of your photos, kept and ready to be searched.

use std::path::{Path, PathBuf};

use clap::Args;
use facesearch::{Engine, IdentityRule, IdentityTable, IndexReport};

use crate::args::{Global, LinkArgs};
use crate::exit::{Exit, Failure};
use crate::interrupt;
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
    #[arg(
        long,
        default_value = "folder",
        value_name = "folder|stem|none|csv:FILE",
        value_parser = identity
    )]
    pub(crate) identity: Identity,

    #[command(flatten)]
    pub(crate) vision: VisionArgs,

    #[command(flatten)]
    pub(crate) memory: MemoryArgs,

    #[command(flatten)]
    pub(crate) links: LinkArgs,

    /// Drop what was indexed from files that are no longer there
    #[arg(long)]
    pub(crate) prune: bool,

    /// Take in again the photos that `remove --identity` took out
    #[arg(long)]
    pub(crate) readmit: bool,

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
    let mut options = open::options(global, out)?;
    options.vision = args.vision.options();
    let mut engine = Engine::create(&global.index, options)?;
    let stop = interrupt::stop_flag(out.is_quiet())?;
    let bar = Bar::new(out.is_quiet());
    let mut run = engine
        .index(&args.paths)
        .identity(identity)
        .prune(args.prune)
        .rehash(args.rehash)
        .readmit(args.readmit)
        .follow_links(args.links.follow_links)
        .min_quality(args.min_quality)
        .progress(&bar)
        .stop(&stop);
    if let Some(memory) = args.memory.memory {
        run = run.memory(memory);
    }
    let report = run.run()?;
    // From here on a signal ends the process at once.
    drop(stop);
    if args.json {
        out.json(&report)?
    } else {
        out.lines(lines(&report))?
    }
    match report {
        IndexReport { interrupted: true, .. } => Ok(Exit::Interrupted),
        IndexReport { failed: 1.., .. } => Ok(Exit::SomeFailed),
        IndexReport { files: 0, links_not_followed: 1.., .. } => Err(Failure::input(
            "there is no photo in the paths given, only links out of them; --follow-links follows",
        )),
        IndexReport { files: 0, left_out: 0, .. } => {
            Err(Failure::input("there is no photo in the paths given"))
        }
        _ => Ok(Exit::Success),
    }
}

/// What happened, in a few lines; what did not happen is left out.
fn lines(report: &IndexReport) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} looked at, {} with faces, {} without, in {:.1} s",
        shown(Path::new(&report.index)),
        count(report.files, "photo", "photos"),
        report.with_faces,
        report.no_face,
        report.seconds
    )];
    let mut say = |n: u64, one: &str, many: &str| {
        if n > 0 {
            lines.push(format!("  {}", count(n, one, many)));
        }
    };
    say(report.unchanged, "was as before", "were as before");
    say(report.duplicates, "has another's content", "have another's content");
    say(report.failed, "failed", "failed");
    say(report.vanished, "is gone; --prune forgets it", "are gone; --prune forgets them");
    say(report.added_faces, "face added", "faces added");
    say(report.removed_faces, "face removed", "faces removed");
    say(report.below_quality, "face below --min-quality", "faces below --min-quality");
    say(report.relabelled_faces, "face renamed", "faces renamed");
    say(
        report.links_not_followed,
        "link out of these paths was not followed; --follow-links does",
        "links out of these paths were not followed; --follow-links does",
    );
    if report.interrupted {
        lines.push("  interrupted; run it again to go on".into());
    }
    lines.push(format!("  the index now holds {}", count(report.faces, "face", "faces")));
    lines
}
