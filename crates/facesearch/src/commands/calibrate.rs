//! `facesearch calibrate`: what do the distances in this index mean?

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use facesearch_core::{Gallery, Metric};
use facesearch_eval::pairs::{Columns, read_distances};
use facesearch_people::Faces;
use facesearch_people::calibrate::{
    Criterion, ErrorRates, FitOptions, FittedCalibration, Reliability, Stump, fit, labelled_pairs,
    people_in, stump,
};
use maud::html;
use serde::Serialize;

use crate::args::{Global, rate};
use crate::calibration::Stored;
use crate::commands::eval::source::{Source, by_folder, named_rows, names_below};
use crate::exit::{Exit, Failure};
use crate::open;
use crate::page::{Axis, Page, Plot, Series};
use crate::printer::{Printer, count, shown};

/// Learn what distances mean in this index: probabilities, and thresholds for rare false alarms
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// How thresholds are found
    #[arg(long, value_enum, default_value_t = Method::OpenSet)]
    pub(crate) method: Method,

    /// Photos of people who are surely not in the index, a folder each (default: the index's own
    /// people, who are strangers to each other)
    #[arg(long, value_name = "DIR", conflicts_with = "cohort_embeddings")]
    pub(crate) cohort: Option<PathBuf>,

    /// The same as embeddings of the index's model: one row of numbers a face (numpy's .npy)
    #[arg(long, value_name = "FILE.npy", requires = "cohort_names")]
    pub(crate) cohort_embeddings: Option<PathBuf>,

    /// The name of each row of --cohort-embeddings, one a line, such as `person/photo.jpg`
    #[arg(long, value_name = "FILE.txt", requires = "cohort_embeddings")]
    pub(crate) cohort_names: Option<PathBuf>,

    /// How many people to search for at most; more take longer and know rarer alarms
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub(crate) probes: usize,

    /// Say the threshold for this rate, too
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) fpir: Option<f64>,

    /// With --method stump: a CSV file of labelled distances instead of an index
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) pairs: Option<PathBuf>,

    /// Take the distances from this column of --pairs
    #[arg(long, value_name = "NAME", default_value = "distance", requires = "pairs")]
    pub(crate) distance_column: String,

    /// Take the truth from this column of --pairs
    #[arg(long, value_name = "NAME", default_value = "same", requires = "pairs")]
    pub(crate) same_column: String,

    /// With --method stump: what makes a cut good
    #[arg(long, value_enum, default_value_t = Judged::Gain)]
    pub(crate) criterion: Judged,

    /// One JSON object instead of words
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with the curves
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// How a threshold is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// By how near strangers come in a gallery of this size; kept beside the index
    OpenSet,
    /// One cut with the most information about pairs, whatever the size; only said, not kept
    Stump,
}

/// What makes a cut good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judged {
    /// Information gained
    Gain,
    /// Information gained over that of the cut itself
    GainRatio,
}

/// The false alarm rates that are always spoken of.
const RATES: [f64; 3] = [0.1, 0.01, 0.001];

#[derive(Serialize)]
struct Summary<'a> {
    kept: String,
    people: usize,
    probes: usize,
    cohort: bool,
    prior: f64,
    thresholds: Vec<ErrorRates>,
    /// What the model's own threshold means here.
    default: ErrorRates,
    reliability: Option<&'a Reliability>,
}

/// Exits with 0, or with 3 where there are too few people to learn from.
pub(crate) fn run(
    args: &CalibrateArgs,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    match args.method {
        Method::Stump => run_stump(args, global, out),
        Method::OpenSet if args.pairs.is_some() => {
            Err(Failure::usage("--pairs is for --method stump; an index is calibrated on itself"))
        }
        Method::OpenSet => run_open_set(args, global, out),
    }
}

fn run_open_set(args: &CalibrateArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    let cohort = cohort(args, &gallery, global, out)?;
    let options = FitOptions { probes: args.probes, ..FitOptions::default() };
    let fitted = fit(&gallery, cohort.as_ref(), &options);
    let fitted = match cohort {
        Some(_) => fitted?,
        None => fitted.context(
            "an index is calibrated on its labelled people, or on strangers given with --cohort",
        )?,
    };
    let people = people_in(&gallery);
    let stored = Stored::new(
        &gallery,
        people,
        fitted.probes,
        cohort.is_some(),
        fitted.calibration.clone(),
        fitted.reliability.clone(),
    );
    let kept = stored.save(&global.index)?;
    let summary = summary(args, &stored, &fitted, &kept)?;
    if args.json {
        out.json(&summary)?;
    } else {
        for line in in_words(&summary) {
            out.line(line)?;
        }
    }
    if let Some(file) = &args.html {
        page(&summary, &stored, &fitted).write(file)?;
    }
    Ok(Exit::Success)
}

/// How near strangers come, and how the probabilities fare, as a page.
fn page(summary: &Summary<'_>, stored: &Stored, fitted: &FittedCalibration) -> Page {
    let calibration = &stored.calibration;
    let highest = 1.2 * calibration.threshold(0.9, stored.people).unwrap_or(1.0);
    let steps: Vec<f64> = (1..=200).map(|i| highest * f64::from(i) / 200.0).collect();
    let strangers = |people: usize| Series {
        name: count(people as u64, "identity", "identities"),
        points: steps.iter().map(|t| (*t, calibration.impostors.fpir(*t, people))).collect(),
    };
    let missed = Series {
        name: "enrolled people missed".into(),
        points: steps.iter().filter_map(|t| Some((*t, fitted.fnir(*t)?))).collect(),
    };
    let sizes = [stored.people, 10 * stored.people, 100 * stored.people];
    let mut rates: Vec<Series> = sizes.map(strangers).into();
    rates.push(missed);
    let mut page = Page::new("Calibration");
    page.section("Figures", html! { @for line in in_words(summary) { p { (line) } } });
    page.section(
        "Curves",
        html! { div.plots {
            (Plot { title: "Strangers who are given a name, by threshold and size of the gallery",
                x: Axis::linear("threshold"), y: Axis::linear("share"), series: rates }.draw())
            @if let Some(reliability) = &stored.reliability {
                (Plot { title: "Reliability", x: Axis::linear("said"), y: Axis::linear("came true"),
                    series: vec![
                        Series { name: "observed".into(), points: observed(reliability) },
                        Series { name: "perfect".into(), points: vec![(0.0, 0.0), (1.0, 1.0)] },
                    ] }.draw())
            }
        } },
    );
    page
}

/// The points of a reliability diagram.
fn observed(reliability: &Reliability) -> Vec<(f64, f64)> {
    reliability.bins.iter().map(|bin| (bin.predicted, bin.observed)).collect()
}

/// Strangers, where some were given.
fn cohort(
    args: &CalibrateArgs,
    gallery: &facesearch_ann::Snapshot,
    global: &Global,
    out: &Printer,
) -> anyhow::Result<Option<Faces>> {
    let metric: Metric = gallery.contract().metric;
    if let (Some(file), Some(names)) = (&args.cohort_embeddings, &args.cohort_names) {
        let rows = named_rows(file, names, metric)?;
        return Ok(Some(by_folder(rows.iter().map(|(name, face)| (&**name, face)))?));
    }
    let Some(folder) = &args.cohort else { return Ok(None) };
    let vision = open::vision_of(gallery, global, out)?;
    let names = names_below(folder)?;
    let source = Source::seen_by(&vision, names, folder, None, out)?;
    Ok(Some(source.by_folder()?))
}

fn summary<'a>(
    args: &CalibrateArgs,
    stored: &'a Stored,
    fitted: &FittedCalibration,
    kept: &Path,
) -> anyhow::Result<Summary<'a>> {
    let people = stored.people;
    let rates = RATES.into_iter().chain(args.fpir.filter(|rate| !RATES.contains(rate)));
    let thresholds = rates.map(|fpir| fitted.at_fpir(fpir, people)).collect::<Result<_, _>>()?;
    Ok(Summary {
        kept: kept.to_string_lossy().into_owned(),
        people,
        probes: stored.probes,
        cohort: stored.cohort,
        prior: stored.calibration.prior,
        thresholds,
        default: fitted.at_threshold(stored.contract.threshold.into(), people),
        reliability: stored.reliability.as_ref(),
    })
}

fn in_words(summary: &Summary<'_>) -> Vec<String> {
    let from = if summary.cohort { "strangers" } else { "people of the index itself" };
    let mut lines = vec![format!(
        "learnt from {} {from} among {}; kept in {}",
        summary.probes,
        count(summary.people as u64, "identity", "identities"),
        shown(Path::new(&summary.kept))
    )];
    let default = std::iter::once(("the model's own", &summary.default));
    let asked = summary.thresholds.iter().map(|at| ("calibrated", at));
    for (whose, at) in default.chain(asked) {
        let missed = at.fnir.map(|fnir| format!(", {fnir:.4} of the enrolled are missed"));
        lines.push(format!(
            "  threshold {:.4} ({whose}): {:.4} of strangers are given a name{}",
            at.threshold,
            at.fpir,
            missed.unwrap_or_default()
        ));
    }
    match summary.reliability {
        Some(reliability) => lines.push(format!(
            "  probabilities are off by {:.4} on average (Brier {:.4}), on people they were not \
             learnt from",
            reliability.calibration_error, reliability.brier
        )),
        None => lines.push("  no probabilities: nobody here has two labelled photos".into()),
    }
    lines
}

#[derive(Serialize)]
struct Cut {
    #[serde(flatten)]
    stump: Stump,
    pairs: usize,
}

fn run_stump(args: &CalibrateArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    for (typed, option) in [
        (args.html.is_some(), "--html"),
        (args.fpir.is_some(), "--fpir"),
        (args.cohort.is_some() || args.cohort_embeddings.is_some(), "a cohort"),
    ] {
        if typed {
            let what = format!("--method stump cuts between pairs and knows nothing of {option}");
            return Err(Failure::usage(what));
        }
    }
    let trials = match &args.pairs {
        Some(file) => {
            let columns =
                Columns { distance: args.distance_column.clone(), same: args.same_column.clone() };
            let name = shown(file);
            let open = fs::File::open(file).with_context(|| format!("cannot read {name}"))?;
            read_distances(open, &columns).context(name)?.0
        }
        None => {
            let gallery = open::gallery(global)?;
            gallery.verify()?;
            labelled_pairs(&gallery)
        }
    };
    let criterion = match args.criterion {
        Judged::Gain => Criterion::Gain,
        Judged::GainRatio => Criterion::GainRatio,
    };
    let found = stump(&trials, criterion)?;
    if args.json {
        out.json(&Cut { stump: found, pairs: trials.len() })?;
    } else {
        out.line(format!(
            "threshold {:.4}: tells {:.4} of 1 bit about {}; any number from {:.4} to below {:.4} \
             does",
            found.threshold,
            found.gain,
            count(trials.len() as u64, "pair", "pairs"),
            found.below,
            found.above
        ))?;
    }
    Ok(Exit::Success)
}
