//! `facesearch verify`: are these two the same person?

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use facesearch_core::{Embedding, Progress, Threshold, VisionError};
use facesearch_query::{PairTrial, PhotoProbe, summarise};
use serde::Serialize;

use crate::args::{Global, threshold};
use crate::exit::{Exit, Failure};
use crate::open::{self, Vision, VisionArgs};
use crate::printer::{Printer, shown};
use crate::progress::Bar;

/// Say whether two photos show the same person, by the largest face of each
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The one photo
    #[arg(required_unless_present = "pairs", conflicts_with = "pairs", requires = "b")]
    pub(crate) a: Option<PathBuf>,

    /// The other photo
    #[arg(conflicts_with = "pairs")]
    pub(crate) b: Option<PathBuf>,

    /// Judge many pairs: a CSV file with the columns a,b and, where it is known, same
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) pairs: Option<PathBuf>,

    /// Directory that the paths in --pairs start from (default: the working directory)
    #[arg(long, value_name = "DIR", requires = "pairs")]
    pub(crate) root: Option<PathBuf>,

    /// Largest distance that counts as the same person (default: the model's, 0.55)
    #[arg(long, value_name = "D", value_parser = threshold)]
    pub(crate) threshold: Option<f32>,

    #[command(flatten)]
    pub(crate) vision: VisionArgs,

    /// JSON instead of words (with --pairs it is JSON anyway)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Exits with 0 where the two are the same person and 1 where they are not. With `--pairs`, 0 once
/// all are judged, 5 where a file could not be read.
pub(crate) fn run(args: &VerifyArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let vision = open::vision(&args.vision, global, out)?;
    let threshold = args.threshold.unwrap_or(vision.contract().threshold);
    let threshold = Threshold::new(threshold).unwrap_or(Threshold::DEFAULT);
    match (&args.pairs, &args.a, &args.b) {
        (Some(pairs), _, _) => {
            let root = args.root.as_deref().unwrap_or(Path::new(""));
            run_pairs(pairs, root, &vision, threshold, out)
        }
        (None, Some(a), Some(b)) => run_two(a, b, &vision, threshold, args.json, out),
        _ => Err(Failure::usage("two photos are needed, or `--pairs FILE.csv`")),
    }
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
    distance: f32,
    threshold: f32,
}

fn run_two(
    a: &Path,
    b: &Path,
    vision: &Vision,
    threshold: Threshold,
    json: bool,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let probes = vision.pipeline().probe_all(&[a, b], |path| open::read(path))?;
    let mut faces = Vec::new();
    for (path, photo) in [a, b].into_iter().zip(probes) {
        faces
            .push(largest(photo).map_err(|why| Failure::input(format!("{}: {why}", shown(path))))?);
    }
    let distance = faces[0].distance(&faces[1]);
    let verified = threshold.accepts(distance);
    let (distance, threshold) = (distance.get(), threshold.get());
    if json {
        out.json(&Verified { verified, distance, threshold })?;
    } else if verified {
        out.line(format!("the same person: distance {distance:.3} (within {threshold})"))?;
    } else {
        out.line(format!("not the same person: distance {distance:.3} (beyond {threshold})"))?;
    }
    Ok(if verified { Exit::Success } else { Exit::Nobody })
}

/// The embedding of the largest face, or why there is none, in words.
fn largest(photo: Result<PhotoProbe, VisionError>) -> Result<Embedding, String> {
    let photo = photo.map_err(|error| error.to_string())?;
    let face = photo.faces.into_iter().next().ok_or("no face found")?;
    face.embedding.ok_or_else(|| "the model gave no usable vector".into())
}

/// One line of the pairs file.
struct Pair {
    a: String,
    b: String,
    same: Option<bool>,
}

#[derive(Serialize)]
struct PairReport<'a> {
    a: &'a str,
    b: &'a str,
    verified: bool,
    distance: Option<f32>,
    threshold: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    same: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

fn run_pairs(
    file: &Path,
    root: &Path,
    vision: &Vision,
    threshold: Threshold,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let pairs = read_pairs(file)?;
    let faces = embed_each_once(&pairs, root, vision, out)?;
    let face = |name: &str| faces[name].as_ref();
    let mut trials = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let (distance, failed) = match (face(&pair.a), face(&pair.b)) {
            (Ok(a), Ok(b)) => (Some(a.distance(b)), None),
            (Err(why), _) => (None, Some(format!("{}: {}", pair.a, why.reason))),
            (_, Err(why)) => (None, Some(format!("{}: {}", pair.b, why.reason))),
        };
        out.json(&PairReport {
            a: &pair.a,
            b: &pair.b,
            verified: distance.is_some_and(|d| threshold.accepts(d)),
            distance: distance.map(|d| d.get()),
            threshold: threshold.get(),
            same: pair.same,
            failed,
        })?;
        trials.push(PairTrial { distance: distance.map(|d| d.get()), same: pair.same });
    }
    out.json(&summarise(&trials, threshold))?;
    let unreadable = faces.values().any(|face| face.as_ref().is_err_and(|why| why.unreadable));
    Ok(if unreadable { Exit::SomeFailed } else { Exit::Success })
}

/// Why an image has no embedding.
struct NoFace {
    reason: String,
    /// Whether the file is at fault, rather than what is in the picture.
    unreadable: bool,
}

/// The largest face of every image that the pairs name, in portions, so that memory does not grow
/// with the photos.
fn embed_each_once<'p>(
    pairs: &'p [Pair],
    root: &Path,
    vision: &Vision,
    out: &Printer,
) -> anyhow::Result<HashMap<&'p str, Result<Embedding, NoFace>>> {
    let mut names: Vec<&str> = pairs.iter().flat_map(|pair| [&*pair.a, &*pair.b]).collect();
    names.sort_unstable();
    names.dedup();
    let bar = Bar::new(out.is_quiet());
    bar.start(Some(names.len() as u64), "images");
    let mut faces = HashMap::with_capacity(names.len());
    for portion in names.chunks(open::PORTION) {
        let photos = vision.pipeline().probe_all(portion, |name| open::read(&root.join(name)))?;
        for (name, photo) in portion.iter().zip(photos) {
            let unreadable = photo.is_err();
            let face = largest(photo).map_err(|reason| NoFace { reason, unreadable });
            faces.insert(*name, face);
        }
        bar.advance(portion.len() as u64);
    }
    bar.finish();
    Ok(faces)
}

fn read_pairs(file: &Path) -> anyhow::Result<Vec<Pair>> {
    let name = shown(file);
    let bad = |what: String| Failure::input(format!("{name}: {what}"));
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(file)
        .with_context(|| format!("cannot read {name}"))?;
    let header = reader.headers().map_err(|error| bad(error.to_string()))?.clone();
    let column = |wanted: &str| header.iter().position(|h| h.eq_ignore_ascii_case(wanted));
    let (Some(a), Some(b)) = (column("a"), column("b")) else {
        return Err(bad("the first line must name the columns a,b and, if known, same".into()));
    };
    let same = column("same");
    let mut pairs = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| bad(error.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let same = match same.map(|column| row[column].to_ascii_lowercase()).as_deref() {
            None | Some("") => None,
            Some("1" | "true" | "yes" | "same") => Some(true),
            Some("0" | "false" | "no" | "different") => Some(false),
            Some(other) => {
                return Err(bad(format!("line {line}: `same` is `{other}`; write 1 or 0")));
            }
        };
        pairs.push(Pair { a: row[a].to_owned(), b: row[b].to_owned(), same });
    }
    Ok(pairs)
}
