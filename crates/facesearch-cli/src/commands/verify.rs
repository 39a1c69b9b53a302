//! `facesearch verify`: are these two the same person?

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use facesearch::people_tools::pairs::{PairTrial, PairsSummary, summarise};
use facesearch::{Prominent, ThresholdChoice, Vision};
use facesearch_core::{Distance, Threshold};
use serde::Serialize;

use crate::args::{Global, threshold_or_preset};
use crate::exit::{Exit, Failure};
use crate::open::{self, VisionArgs};
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
    /// deepface-lib (default: the model's own)
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
    let names: Vec<&str> = named.split(',').map(str::trim).collect();
    if names.iter().any(|model| model.is_empty()) && names.len() > 1 {
        return Err(Failure::usage(format!("`--model {named}` names a model without a name")));
    }
    let models = open::models(global, out)?;
    let choice = args.threshold.clone().unwrap_or_default();
    let mut exit = Exit::Success;
    for name in &names {
        let name = Some(*name).filter(|name| !name.is_empty());
        let vision = VisionArgs { model: name.map(str::to_owned), ..args.vision.clone() };
        let vision = models.open(&vision.options())?;
        let threshold = models.threshold(&choice, vision.contract())?;
        let is_one_of_several = names.len() > 1;
        let ended = match (&args.pairs, &args.a, &args.b) {
            (Some(pairs), _, _) => {
                let root = args.root.as_deref().unwrap_or(Path::new(""));
                run_pairs(pairs, root, &vision, &threshold, is_one_of_several, out)?
            }
            (None, Some(a), Some(b)) => {
                let two = Two { a, b, json: args.json, is_one_of_several };
                run_two(&two, &vision, threshold, out)?
            }
            _ => return Err(Failure::usage("two photos are needed, or `--pairs FILE.csv`")),
        };
        exit = exit.max(ended);
    }
    Ok(exit)
}

/// Two photos, and how the answer is given.
struct Two<'a> {
    a: &'a Path,
    b: &'a Path,
    json: bool,
    is_one_of_several: bool,
}

fn run_two(
    two: &Two<'_>,
    vision: &Vision,
    threshold: Threshold,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let answer = vision.verify(two.a, two.b, threshold)?;
    if two.json {
        out.json(&answer)?;
    } else {
        let model =
            if two.is_one_of_several { format!("{}: ", answer.model) } else { String::new() };
        let (verdict, side) = match answer.verified {
            true => ("the same person", "within"),
            false => ("not the same person", "beyond"),
        };
        let (distance, threshold) = (answer.distance.get(), &answer.threshold);
        out.line(format!("{model}{verdict}: distance {distance:.3} ({side} {threshold})"))?;
    }
    Ok(if answer.verified { Exit::Success } else { Exit::Nobody })
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
    threshold: &'a Threshold,
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
    threshold: &Threshold,
    is_one_of_several: bool,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let pairs = read_pairs(file)?;
    let model = is_one_of_several.then_some(&*vision.contract().model);
    let mut names: Vec<&str> = pairs.iter().flat_map(|pair| [&*pair.a, &*pair.b]).collect();
    names.sort_unstable();
    names.dedup();
    let faces = vision.prominent_faces(&names, root, &Bar::new(out.is_quiet()))?;
    let mut trials = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let (distance, failed) = measured(pair, &faces);
        out.json(&PairReport {
            model,
            a: &pair.a,
            b: &pair.b,
            verified: distance.is_some_and(|distance| threshold.accepts(distance)),
            distance: distance.map(Distance::get),
            threshold,
            same: pair.same,
            failed,
        })?;
        trials.push(PairTrial { distance: distance.map(Distance::get), same: pair.same });
    }
    out.json(&Summary { model, summary: summarise(&trials, threshold) })?;
    let unreadable = faces.values().any(|face| face.unreadable);
    Ok(if unreadable { Exit::SomeFailed } else { Exit::Success })
}

/// The distance of a pair, or why there is none.
fn measured(pair: &Pair, faces: &HashMap<&str, Prominent>) -> (Option<Distance>, Option<String>) {
    let face = |name: &str| faces[name].embedding.as_ref();
    match (face(&pair.a), face(&pair.b)) {
        (Ok(a), Ok(b)) => (Some(a.distance(b)), None),
        (Err(why), _) => (None, Some(format!("{}: {why}", pair.a))),
        (_, Err(why)) => (None, Some(format!("{}: {why}", pair.b))),
    }
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
