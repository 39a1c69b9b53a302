//! `facesearch verify`: are these two the same person?

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use facesearch_core::{Embedding, Progress, Threshold, VisionError};
use facesearch_people::pairs::{PairTrial, PairsSummary, summarise};
use facesearch_query::PhotoProbe;
use serde::Serialize;

use crate::args::{Global, ThresholdChoice, threshold_or_preset};
use crate::exit::{Exit, Failure};
use crate::open::{self, Vision, VisionArgs};
use crate::printer::{Printer, shown};
use crate::progress::Bar;

/// Say whether two photos show the same person, by the most prominent face of each
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

    /// Largest distance that counts as the same person, or the name of a published preset such as
    /// deepface-lib (default: the model's, 0.55)
    #[arg(long, value_name = "D|PRESET", value_parser = threshold_or_preset)]
    pub(crate) threshold: Option<ThresholdChoice>,

    /// With several models, as in `--model dlib,deepface`, each gives a line of its own.
    #[command(flatten)]
    pub(crate) vision: VisionArgs,

    /// JSON instead of words (with --pairs it is JSON anyway)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Exits with 0 where every model says that the two are the same person and 1 where one does not.
/// With `--pairs`, 0 once all are judged, 5 where a file could not be read.
pub(crate) fn run(args: &VerifyArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    // Several models are named with commas between them; a path has none of its own.
    let named = args.vision.model.as_deref().unwrap_or_default();
    let models: Vec<&str> = named.split(',').map(str::trim).collect();
    if models.iter().any(|model| model.is_empty()) && models.len() > 1 {
        return Err(Failure::usage(format!("`--model {named}` names a model without a name")));
    }
    let mut exit = Exit::Success;
    for model in &models {
        let model = Some(*model).filter(|model| !model.is_empty());
        let vision = VisionArgs { model: model.map(str::to_owned), ..args.vision.clone() };
        let vision = open::vision(&vision, global, out)?;
        let threshold = match &args.threshold {
            Some(choice) => choice.of(vision.contract())?,
            None => vision.contract().threshold,
        };
        let threshold = Threshold::new(threshold).unwrap_or(Threshold::DEFAULT);
        let is_one_of_several = models.len() > 1;
        let ended = match (&args.pairs, &args.a, &args.b) {
            (Some(pairs), _, _) => {
                let root = args.root.as_deref().unwrap_or(Path::new(""));
                run_pairs(pairs, root, &vision, threshold, is_one_of_several, out)?
            }
            (None, Some(a), Some(b)) => {
                let two = Two { a, b, threshold, json: args.json, is_one_of_several };
                run_two(&two, &vision, out)?
            }
            _ => return Err(Failure::usage("two photos are needed, or `--pairs FILE.csv`")),
        };
        exit = exit.max(ended);
    }
    Ok(exit)
}

#[derive(Serialize)]
struct Verified<'a> {
    model: &'a str,
    verified: bool,
    distance: f32,
    threshold: f32,
}

/// Two photos and how they are judged.
struct Two<'a> {
    a: &'a Path,
    b: &'a Path,
    threshold: Threshold,
    json: bool,
    is_one_of_several: bool,
}

fn run_two(two: &Two<'_>, vision: &Vision, out: &mut Printer) -> anyhow::Result<Exit> {
    let photos = [two.a, two.b];
    let probes = vision.pipeline().probe_all(&photos, |path| open::read(path))?;
    let mut faces = Vec::new();
    for (path, photo) in photos.into_iter().zip(probes) {
        faces.push(
            prominent(photo).map_err(|why| Failure::input(format!("{}: {why}", shown(path))))?,
        );
    }
    let distance = faces[0].distance(&faces[1]);
    let verified = two.threshold.accepts(distance);
    let (distance, threshold) = (distance.get(), two.threshold.get());
    let model = &vision.contract().model;
    if two.json {
        out.json(&Verified { model, verified, distance, threshold })?;
    } else {
        let model = if two.is_one_of_several { format!("{model}: ") } else { String::new() };
        let (verdict, side) = if verified {
            ("the same person", "within")
        } else {
            ("not the same person", "beyond")
        };
        out.line(format!("{model}{verdict}: distance {distance:.3} ({side} {threshold})"))?;
    }
    Ok(if verified { Exit::Success } else { Exit::Nobody })
}

/// The embedding of the most prominent face, or why there is none, in words.
fn prominent(photo: Result<PhotoProbe, VisionError>) -> Result<Embedding, String> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
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

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(flatten)]
    summary: PairsSummary,
}

fn run_pairs(
    file: &Path,
    root: &Path,
    vision: &Vision,
    threshold: Threshold,
    is_one_of_several: bool,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let pairs = read_pairs(file)?;
    let model = is_one_of_several.then_some(&*vision.contract().model);
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
            model,
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
    out.json(&Summary { model, summary: summarise(&trials, threshold) })?;
    let unreadable = faces.values().any(|face| face.as_ref().is_err_and(|why| why.unreadable));
    Ok(if unreadable { Exit::SomeFailed } else { Exit::Success })
}

/// Why an image has no embedding.
struct NoFace {
    reason: String,
    /// Whether the file is at fault, rather than what is in the picture.
    unreadable: bool,
}

/// The most prominent face of every image that the pairs name, in portions, so that memory does not grow
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
            let face = prominent(photo).map_err(|reason| NoFace { reason, unreadable });
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
