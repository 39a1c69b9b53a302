//! `facesearch calibrate`: what do the distances in this index mean?

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use facesearch::people_tools::Faces;
use facesearch::people_tools::calibrate::{Criterion, FitOptions, Stump, stump};
use facesearch::{CalibrationReport, Reader, by_folder, named_rows, photo_names};
use facesearch_eval::pairs::{Columns, read_distances};
use maud::html;
use serde::Serialize;

use crate::args::{Global, rate};
use crate::exit::{Exit, Failure};
use crate::open;
use crate::page::{Axis, Page, Plot, Series};
use crate::printer::{Printer, count, shown};
use crate::progress::Bar;

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
    let reader = open::reader(global, out)?;
    let cohort = cohort(args, &reader, out)?;
    let options = FitOptions { probes: args.probes, ..FitOptions::default() };
    let report = reader.calibrate(&options, cohort.as_ref(), args.fpir)?;
    if args.json {
        out.json(&report)?;
    } else {
        out.lines(in_words(&report))?;
    }
    if let Some(file) = &args.html {
        page(&report).write(file)?;
    }
    Ok(Exit::Success)
}

/// How near strangers come, and how the probabilities fare, as a page.
fn page(report: &CalibrationReport) -> Page {
    let fitted = &report.fitted;
    let calibration = &fitted.calibration;
    let highest = 1.2 * calibration.threshold(0.9, report.people).unwrap_or(1.0);
    let steps: Vec<f64> = (1..=200).map(|i| highest * f64::from(i) / 200.0).collect();
    let strangers = |people: usize| Series {
        name: count(people as u64, "identity", "identities"),
        points: steps.iter().map(|t| (*t, calibration.impostors.fpir(*t, people))).collect(),
    };
    let missed = Series {
        name: "enrolled people missed".into(),
        points: steps.iter().filter_map(|t| Some((*t, fitted.fnir(*t)?))).collect(),
    };
    let sizes = [report.people, 10 * report.people, 100 * report.people];
    let mut rates: Vec<Series> = sizes.map(strangers).into();
    rates.push(missed);
    let mut page = Page::new("Calibration");
    page.section("Figures", html! { @for line in in_words(report) { p { (line) } } });
    page.section(
        "Curves",
        html! { div.plots {
            (Plot { title: "Strangers who are given a name, by threshold and size of the gallery",
                x: Axis::linear("threshold"), y: Axis::linear("share"), series: rates }.draw())
            @if let Some(reliability) = &report.reliability {
                (Plot { title: "Reliability", x: Axis::linear("said"), y: Axis::linear("came true"),
                    series: vec![
                        Series { name: "observed".into(),
                            points: reliability.bins.iter()
                                .map(|bin| (bin.predicted, bin.observed)).collect() },
                        Series { name: "perfect".into(), points: vec![(0.0, 0.0), (1.0, 1.0)] },
                    ] }.draw())
            }
        } },
    );
    page
}

/// Strangers, where some were given.
fn cohort(args: &CalibrateArgs, reader: &Reader, out: &Printer) -> anyhow::Result<Option<Faces>> {
    if let (Some(file), Some(names)) = (&args.cohort_embeddings, &args.cohort_names) {
        let rows = named_rows(file, names, reader.contract()?.metric)?;
        return Ok(Some(by_folder(rows.iter().map(|(name, face)| (&**name, face)))?));
    }
    let Some(folder) = &args.cohort else { return Ok(None) };
    let names = photo_names(folder)?;
    let vision = reader.vision()?;
    let faces = vision.named_faces(names, folder, &Bar::new(out.is_quiet()))?;
    super::eval::source::note_missing(&faces, out);
    Ok(Some(faces.by_folder()?))
}

fn in_words(report: &CalibrationReport) -> Vec<String> {
    let from = if report.cohort { "strangers" } else { "people of the index itself" };
    let mut lines = vec![format!(
        "learnt from {} {from} among {}; kept in {}",
        report.probes,
        count(report.people as u64, "identity", "identities"),
        shown(Path::new(&report.kept))
    )];
    let default = report.default.iter().map(|at| ("the model's own", at));
    let asked = report.thresholds.iter().map(|at| ("calibrated", at));
    for (whose, at) in default.chain(asked) {
        let missed = at.fnir.map(|fnir| format!(", {fnir:.4} of the enrolled are missed"));
        lines.push(format!(
            "  threshold {:.4} ({whose}): {:.4} of strangers are given a name{}",
            at.threshold,
            at.fpir,
            missed.unwrap_or_default()
        ));
    }
    match &report.reliability {
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
        None => open::reader(global, out)?.labelled_pairs()?,
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
