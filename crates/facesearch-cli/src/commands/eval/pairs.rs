//! `facesearch eval pairs`: verification over labelled pairs.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use facesearch_eval::pairs::{
    Bootstrap, Columns, LabelledPair, OperatingPoint, PairsReport, Rejection, Roc, Trial, read_csv,
    read_distances, read_lfw, rejection, report, spread_folds,
};
use maud::html;
use serde::Serialize;

use super::source::{Source, SourceArgs};
use super::text::{about, figure};
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::page::{Axis, Page, Plot, Series};
use crate::printer::{Printer, count, shown};

/// How many folds a list without folds is dealt into, as LFW has them.
const FOLDS: usize = 10;

/// Judge labelled pairs: accuracy over folds, ROC, true accept rates, thresholds
#[derive(Debug, Args)]
pub(crate) struct PairsArgs {
    /// The pairs: LFW's lists, a CSV file with the columns a,b,same, or one with the columns
    /// distance,same, which needs no photos
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Directory that the photos' names start from (default: the working directory)
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Take the distances from this column of the CSV file
    #[arg(long, value_name = "NAME", default_value = "distance")]
    pub(crate) distance_column: String,

    /// Take the truth from this column of a CSV file with distances
    #[arg(long, value_name = "NAME", default_value = "same")]
    pub(crate) same_column: String,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// How figures are given
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// How often to resample for the intervals
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) resamples: usize,

    /// One JSON object instead of words
    #[arg(long)]
    pub(crate) json: bool,

    /// With --json: every point of the curves, too
    #[arg(long, requires = "json")]
    pub(crate) points: bool,

    /// A page with the curves
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

impl Output {
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        Bootstrap { resamples: self.resamples, ..Bootstrap::default() }
    }
}

/// Labelled distances, and where they are from.
struct Judged {
    model: String,
    threshold: Option<f64>,
    trials: Vec<Trial>,
    folds: Option<Vec<usize>>,
    /// How good the worse face of each pair is, where that was measured.
    quality: Option<Vec<f32>>,
    exit: Exit,
}

/// Shares of the pairs that are left out, the worst first.
const SHARES: [f64; 6] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3];
/// The false match rate at which that is looked at, or as near as so many pairs allow.
const FALSE_MATCHES: f64 = 0.001;

/// What leaving out the worst pairs does, at a false match rate.
#[derive(Serialize)]
struct Rejections {
    false_match_rate: f64,
    by_share: Vec<Rejection>,
}

impl Judged {
    fn rejections(&self) -> anyhow::Result<Option<Rejections>> {
        let Some(quality) = &self.quality else { return Ok(None) };
        // With fewer than ten strangers' pairs to accept, the rate would be that of single pairs.
        let strangers = self.trials.iter().filter(|trial| !trial.same()).count().max(1);
        let false_match_rate = FALSE_MATCHES.max(10.0 / strangers as f64).min(1.0);
        let by_share = rejection(&self.trials, quality, false_match_rate, &SHARES);
        // With few pairs nothing may be left of a kind, and there is no curve.
        Ok(by_share.ok().map(|by_share| Rejections { false_match_rate, by_share }))
    }
}

#[derive(Serialize)]
struct Json<'a> {
    pairs: &'a Path,
    model: &'a str,
    /// Whether the folds are the list's own.
    folds_of_the_list: bool,
    #[serde(flatten)]
    report: &'a PairsReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejections: Option<Rejections>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roc: Option<&'a [OperatingPoint]>,
}

/// Exits with 0 once all pairs are judged, with 5 where photos could not be read.
pub(crate) fn run(args: &PairsArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let judged = judge(args, global, out)?;
    let own = judged.folds.is_some();
    let folds = judged.folds.clone().or_else(|| dealt(&judged.trials));
    let how = args.output.bootstrap();
    let threshold = judged.threshold;
    let figures = report(&judged.trials, folds.as_deref(), threshold, &how)?;
    if args.output.json {
        let roc = Roc::new(&judged.trials)?;
        out.json(&Json {
            pairs: &args.file,
            model: &judged.model,
            folds_of_the_list: own,
            report: &figures,
            rejections: judged.rejections()?,
            roc: args.output.points.then(|| roc.points()),
        })?;
    } else {
        for line in in_words(&judged.model, &figures, own, &how) {
            out.line(line)?;
        }
        if let Some(rejections) = judged.rejections()? {
            out.line(rejections.in_words())?;
        }
    }
    if let Some(file) = &args.output.html {
        page(&judged, &figures, own, &how)?.write(file)?;
    }
    Ok(judged.exit)
}

/// The ROC as a page: misses against false accepts, where few of them can be told apart.
fn page(
    judged: &Judged,
    figures: &PairsReport,
    own: bool,
    how: &Bootstrap,
) -> anyhow::Result<Page> {
    let roc = Roc::new(&judged.trials)?;
    let curve = |x: &dyn Fn(&OperatingPoint) -> f64, y: &dyn Fn(&OperatingPoint) -> f64| {
        let points = roc.points().iter().map(|point| (x(point), y(point))).collect();
        vec![Series { name: judged.model.clone(), points }]
    };
    let (far, tar) =
        (|p: &OperatingPoint| p.false_accept_rate, |p: &OperatingPoint| p.true_accept_rate);
    let plot = |title, x, y, series| Plot { title, x, y, series }.draw();
    let mut page = Page::new("Verification");
    let words = in_words(&judged.model, figures, own, how);
    page.section("Figures", html! { @for line in words { p { (line) } } });
    page.section(
        "Curves",
        html! {
            div.plots {
                (plot("ROC", Axis::linear("false accepts"), Axis::linear("true accepts"),
                    curve(&far, &tar)))
                (plot("DET", Axis::logarithmic("false accepts"), Axis::logarithmic("false rejects"),
                    curve(&far, &|p| 1.0 - tar(p))))
            }
        },
    );
    if let Some(Rejections { false_match_rate, by_share }) = judged.rejections()? {
        let points =
            by_share.iter().map(|at| (at.rejected, at.false_non_match_rate)).collect::<Vec<_>>();
        page.section(
            "Quality",
            html! { div.plots {
                (plot("Errors against rejected pairs", Axis::linear("rejected, worst first"),
                    Axis::logarithmic("false non-matches"),
                    vec![Series {
                        name: format!("at a false match rate of {false_match_rate:.4}"),
                        points,
                    }]))
            } },
        );
    }
    Ok(page)
}

impl Rejections {
    fn in_words(&self) -> String {
        let at = |at: &Rejection| {
            format!("{:.4} ({:.0} %)", at.false_non_match_rate, 100.0 * at.rejected)
        };
        let all: Vec<String> = self.by_share.iter().map(at).collect();
        format!(
            "  false non-matches at a false match rate of {:.4}, with the worst pairs left out: {}",
            self.false_match_rate,
            all.join(", ")
        )
    }
}

/// Folds of our own making; `None` where there are too few pairs to make them.
fn dealt(trials: &[Trial]) -> Option<Vec<usize>> {
    let same = trials.iter().filter(|trial| trial.same()).count();
    let enough = same >= FOLDS && trials.len() - same >= FOLDS;
    enough.then(|| spread_folds(trials, FOLDS))
}

fn judge(args: &PairsArgs, global: &Global, out: &Printer) -> anyhow::Result<Judged> {
    let name = shown(&args.file);
    let text = fs::read_to_string(&args.file).with_context(|| format!("cannot read {name}"))?;
    let header = text.lines().next().unwrap_or_default();
    let header = header.trim_start_matches('\u{feff}');
    let heads = || header.split(',').map(|head| head.trim().trim_matches('"'));
    let has = |column: &str| heads().any(|head| head.eq_ignore_ascii_case(column));
    if has(&args.distance_column) {
        let columns =
            Columns { distance: args.distance_column.clone(), same: args.same_column.clone() };
        let (trials, folds) = read_distances(Cursor::new(&text), &columns).context(name)?;
        return Ok(Judged {
            model: format!("column `{}`", columns.distance),
            threshold: args.source.threshold.map(as_written),
            trials,
            folds,
            quality: None,
            exit: Exit::Success,
        });
    }
    let pairs = if header.contains(',') { read_csv(Cursor::new(&text)) } else { read_lfw(&text) };
    let pairs = pairs.context(name)?;
    let source = match Source::stored(&args.source)? {
        Some(stored) => {
            all_there(&pairs, &stored)?;
            stored
        }
        None => {
            let names = pairs.iter().flat_map(|pair| [pair.a.clone(), pair.b.clone()]).collect();
            let root = args.root.as_deref().unwrap_or(Path::new(""));
            Source::photos(&args.source, names, root, global, out)?
        }
    };
    let faces = source.named.by_name();
    let trial = |pair: &LabelledPair| {
        let both = faces[&*pair.a].zip(faces[&*pair.b]);
        Trial::new(both.map(|(a, b)| a.distance(b).get().into()), pair.same)
    };
    let trials = pairs.iter().map(trial).collect();
    let named = &source.named;
    let quality = |pair: &LabelledPair| Some(named.quality(&pair.a)?.min(named.quality(&pair.b)?));
    let quality = pairs.iter().map(quality).collect();
    let folds: Option<Vec<usize>> = pairs.iter().map(|pair| pair.fold).collect();
    let exit = source.exit();
    let threshold = source.threshold.as_ref().map(|threshold| f64::from(threshold.l2()));
    let model = source.named.model.clone();
    Ok(Judged { model, threshold, trials, folds, quality, exit })
}

/// The decimal number that was meant: distances in a list are decimals too, and one that equals
/// the threshold is within it.
fn as_written(threshold: f32) -> f64 {
    threshold.to_string().parse().unwrap_or(threshold.into())
}

/// A name that stored embeddings do not have is a mistake in the lists, not a missing face.
fn all_there(pairs: &[LabelledPair], stored: &Source) -> anyhow::Result<()> {
    let faces = stored.named.by_name();
    let mut names = pairs.iter().flat_map(|pair| [&pair.a, &pair.b]);
    match names.find(|name| !faces.contains_key(&***name)) {
        Some(name) => Err(Failure::input(format!("`{name}` is not among the names given"))),
        None => Ok(()),
    }
}

fn in_words(model: &str, report: &PairsReport, own: bool, how: &Bootstrap) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} of one person, {} of two people, {} without a distance ({model})",
        count((report.same + report.different) as u64, "pair", "pairs"),
        report.same,
        report.different,
        report.failed
    )];
    if let Some(folds) = &report.folds {
        let whose = if own { "folds of the list" } else { "folds made here, not the list's" };
        let (mean, error) = (folds.mean, folds.standard_error);
        let n = folds.folds.len();
        lines.push(format!("  {n}-fold accuracy    {mean:.4} ± {error:.4} ({whose})"));
    }
    lines.push(format!("  area under ROC      {}", figure(Some(report.auc), report.auc_interval)));
    lines.push(format!("  equal error rate    {}", figure(Some(report.eer), report.eer_interval)));
    for tar in &report.tar {
        let doubt = if tar.supported { "" } else { ", too few pairs to mean it" };
        let at = if tar.threshold.is_finite() {
            format!("at distance {:.4}", tar.threshold)
        } else {
            "no distance has so few false matches".into()
        };
        let rate = figure(Some(tar.tar), tar.interval);
        lines.push(format!("  TAR at FAR {:<7}  {rate} ({at}{doubt})", tar.far));
    }
    if let Some(best) = report.best {
        let (threshold, accuracy) = (best.threshold, best.accuracy);
        lines.push(format!("  best threshold      {threshold:.4}, accuracy {accuracy:.4} there"));
    }
    if let Some(threshold) = report.threshold {
        lines.push(format!(
            "  at {:<15}  accuracy {}, precision {}, recall {}, F1 {}",
            threshold as f32,
            figure(report.accuracy, report.accuracy_interval),
            figure(report.precision, None),
            figure(report.recall, None),
            figure(report.f1, report.f1_interval)
        ));
    } else {
        lines.push("  no threshold is known to decide by; `--threshold` gives one".into());
    }
    lines.push(format!("  {}", about(how)));
    lines
}
