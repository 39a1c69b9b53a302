//! `facesearch eval identify`: open-set identification over a folder for each person.

use std::path::PathBuf;

use clap::Args;
use facesearch::people_tools::Faces;
use facesearch::{photo_names, read_cohort, unnamed_rows};
use facesearch_core::Embedding;
use facesearch_eval::evidence::Fusion;
use facesearch_eval::identify::{
    CrowdKept, Extrapolated, IdentifyReport, Kept, OpenSetPoint, Protocol, Split, crowd_kept,
    extrapolated, kept, own_impostors, report, run as search, run_crowd, split,
};
use facesearch_eval::pairs::Interval;
use maud::html;
use serde::Serialize;

use super::pairs::Output;
use super::source::{Source, SourceArgs, embed};
use super::text::{about, figure};
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open;
use crate::page::{Axis, Page, Plot, Series, table};
use crate::printer::{Printer, count, shown};

/// The false alarm rates that thresholds are calibrated for.
const WANTED: [f64; 2] = [0.1, 0.01];
/// How much larger galleries are looked at that nobody has.
const BEYOND: [usize; 3] = [10, 100, 1000];

/// Enrol some people, hold others back, and count who is named rightly, wrongly, or not at all
#[derive(Debug, Args)]
pub(crate) struct IdentifyArgs {
    /// A folder of photos with a folder for each person
    #[arg(value_name = "DIR", required_unless_present = "embeddings")]
    pub(crate) folder: Option<PathBuf>,

    /// How many photos of each person are enrolled; the rest are asked about
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) enrol: usize,

    /// Share of the people who are held back as unknown
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub(crate) unknown: f64,

    /// Gallery sizes in people (default: a quarter, a half and all of the enrolled)
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    pub(crate) sizes: Vec<usize>,

    /// How a person's photos become one distance: nearest, mean-of-best-M, template
    #[arg(long, default_value = "nearest", value_parser = fusion)]
    pub(crate) fusion: Fusion,

    /// Faces of people who are surely in none of the other photos, as strangers of another
    /// population: a folder of photos, or a .npy file with an embedding a row; one face each
    #[arg(long, value_name = "DIR|FILE.npy")]
    pub(crate) strangers: Option<PathBuf>,

    /// The crowd to judge by, made by `models cohort` (default: that of the model)
    #[arg(long, value_name = "FILE")]
    pub(crate) cohort: Option<PathBuf>,

    /// Where the random choice of people and photos starts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// A way to fuse by its name.
pub(crate) fn fusion(typed: &str) -> Result<Fusion, String> {
    let best = |m: &str| m.parse().ok().filter(|m| *m > 0).map(Fusion::MeanOfBest);
    match typed {
        "nearest" => Some(Fusion::Nearest),
        "template" => Some(Fusion::Template),
        _ => typed.strip_prefix("mean-of-best-").and_then(best),
    }
    .ok_or_else(|| "one of nearest, mean-of-best-2 (or another number), template".into())
}

/// One gallery size.
#[derive(Serialize)]
struct Size {
    #[serde(flatten)]
    report: IdentifyReport,
    /// Thresholds made of the enrolled people alone, tried on the outsiders.
    calibrated: Vec<Kept>,
    /// What the crowd decides, for each kind of strangers; nothing without a cohort.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    crowd: Vec<Judged>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmc: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    det: Vec<OpenSetPoint>,
}

/// What the crowd decides about one kind of strangers.
#[derive(Serialize)]
struct Judged {
    strangers: String,
    searches: usize,
    kept: Vec<CrowdKept>,
}

#[derive(Serialize)]
struct Json<'a> {
    model: &'a str,
    people: usize,
    faces: usize,
    fusion: Fusion,
    protocol: Protocol,
    sizes: &'a [Size],
    extrapolated: &'a [Extrapolated],
}

/// Exits with 0 once all is counted, with 5 where photos could not be read.
pub(crate) fn run(args: &IdentifyArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let source = match (Source::stored(&args.source)?, &args.folder) {
        (Some(stored), _) => stored,
        (None, Some(folder)) => {
            let names = photo_names(folder)?;
            Source::photos(&args.source, names, folder, global, out)?
        }
        (None, None) => return Err(Failure::usage("a folder or --embeddings is needed")),
    };
    let faces = source.named.by_folder()?;
    let protocol = Protocol { enrol: args.enrol, unknown: args.unknown, seed: args.seed };
    let experiment = split(&faces, &protocol)?;
    let (mut sizes, beyond) = measure(args, &source, &faces, &experiment)?;
    let crowds = judge(args, &source, &faces, &experiment, (&sizes, global, out))?;
    sizes.iter_mut().zip(crowds).for_each(|(size, crowd)| size.crowd = crowd);
    if args.output.json {
        out.json(&Json {
            model: &source.named.model,
            people: faces.people(),
            faces: faces.len(),
            fusion: args.fusion,
            protocol,
            sizes: &sizes,
            extrapolated: &beyond,
        })?;
    } else {
        let people = count(faces.people() as u64, "person", "people");
        let photos = count(faces.len() as u64, "face", "faces");
        out.line(format!("{people}, {photos} ({})", source.named.model))?;
        for line in sizes.iter().flat_map(in_words).chain(beyond.iter().map(beyond_in_words)) {
            out.line(line)?;
        }
        out.line(about(&args.output.bootstrap()))?;
    }
    if let Some(file) = &args.output.html {
        page(&source, &sizes, &beyond).write(file)?;
    }
    Ok(source.exit())
}

/// Ranks and trade-offs of all gallery sizes as a page.
fn page(source: &Source, sizes: &[Size], beyond: &[Extrapolated]) -> Page {
    let named = |size: &Size| count(size.report.people as u64, "person", "people");
    let cmc = |size: &Size| Series {
        name: named(size),
        points: (1..).zip(&size.cmc).map(|(rank, share)| (f64::from(rank), *share)).collect(),
    };
    let det = |size: &Size| Series {
        name: named(size),
        points: size.det.iter().map(|point| (point.fpir, point.fnir)).collect(),
    };
    let mut page = Page::new("Identification");
    let headings = ["people", "wanted FPIR", "threshold", "observed FPIR", "FNIR"];
    let rows: Vec<Vec<String>> = sizes
        .iter()
        .flat_map(|size| size.calibrated.iter().map(move |kept| (size, kept)))
        .map(|(size, kept)| {
            let observed = &kept.observed;
            let cells = [observed.threshold, observed.fpir, observed.fnir];
            let mut row = vec![size.report.people.to_string(), kept.wanted.to_string()];
            row.extend(cells.map(|cell| format!("{cell:.4}")));
            row
        })
        .collect();
    let calibrated = if rows.is_empty() {
        html! { p.soft { "None: learning one takes at least 21 enrolled people." } }
    } else {
        table(&headings, &rows)
    };
    page.section("Calibrated thresholds", calibrated);
    page.section(
        "Curves",
        html! { div.plots {
            (Plot { title: "CMC", x: Axis::logarithmic("rank"), y: Axis::linear("found by then"),
                series: sizes.iter().map(cmc).collect() }.draw())
            (Plot { title: "DET", x: Axis::logarithmic("FPIR"), y: Axis::logarithmic("FNIR"),
                series: sizes.iter().map(det).collect() }.draw())
        } },
    );
    let headings = ["people", "figure", "value", "95 % interval", "distance", "searches"];
    let rows: Vec<Vec<String>> = sizes.iter().flat_map(|size| figures(&size.report)).collect();
    page.section("Figures", html! { p.soft { (source.named.model) } (table(&headings, &rows)) });
    if !beyond.is_empty() {
        page.section(
            "Larger galleries, extrapolated",
            html! {
                @for line in beyond.iter().map(beyond_in_words) { p { (line) } }
            },
        );
    }
    page
}

/// The figures of one gallery size as rows of a table.
fn figures(report: &IdentifyReport) -> Vec<Vec<String>> {
    let row =
        |figure: String, value: f64, interval: Option<Interval>, distance, searches: usize| {
            let around = interval.map(|at| format!("[{:.4}, {:.4}]", at.low, at.high));
            let distance: Option<f64> = distance;
            vec![
                report.people.to_string(),
                figure,
                format!("{value:.4}"),
                around.unwrap_or_default(),
                distance.map(|distance| format!("{distance:.4}")).unwrap_or_default(),
                searches.to_string(),
            ]
        };
    let mut rows = Vec::new();
    for (rank, share, interval) in &report.ranks {
        rows.push(row(format!("rank {rank}"), *share, *interval, None, report.known));
    }
    for fnir in &report.fnir {
        let doubt = if fnir.supported { "" } else { " (too few outsiders to mean it)" };
        let figure = format!("FNIR at FPIR {}{doubt}", fnir.wanted);
        let at = Some(fnir.point.threshold);
        rows.push(row(figure, fnir.point.fnir, fnir.interval, at, report.known));
    }
    if let Some(fixed) = report.fixed {
        let at = report.threshold;
        rows.push(row("FPIR at the fixed threshold".into(), fixed.fpir, None, at, report.unknown));
        rows.push(row("FNIR at the fixed threshold".into(), fixed.fnir, None, at, report.known));
    }
    rows
}

fn measure(
    args: &IdentifyArgs,
    source: &Source,
    faces: &Faces,
    experiment: &Split,
) -> anyhow::Result<(Vec<Size>, Vec<Extrapolated>)> {
    let (how, metric) = (args.output.bootstrap(), source.named.metric);
    let people = experiment.gallery.len();
    let asked = match &args.sizes[..] {
        [] => vec![people.div_ceil(4), people.div_ceil(2), people],
        sizes => sizes.to_vec(),
    };
    let sets = search(faces, experiment, &asked, args.fusion, metric);
    let threshold = source.threshold.as_ref().map(|threshold| f64::from(threshold.l2()));
    let (mut sizes, mut beyond) = (Vec::new(), Vec::new());
    for (i, set) in sets.iter().enumerate() {
        // Too few people to learn from leave a gallery without a threshold of its own.
        let impostors = own_impostors(faces, experiment, set.people, args.fusion, metric).ok();
        let both = set.known() > 0 && set.unknown() > 0;
        let calibrated = match &impostors {
            Some(impostors) if both => kept(set, impostors, &WANTED, &how)?,
            _ => Vec::new(),
        };
        let points = args.output.points || args.output.html.is_some();
        sizes.push(Size {
            report: report(set, threshold, &how),
            calibrated,
            crowd: Vec::new(),
            cmc: if points { set.cmc(100.min(set.people)) } else { Vec::new() },
            det: if points { set.det() } else { Vec::new() },
        });
        if let Some(impostors) = impostors.filter(|_| i + 1 == sets.len() && set.known() > 0) {
            for (times, fpir) in BEYOND.iter().flat_map(|times| WANTED.map(|fpir| (times, fpir))) {
                beyond.push(extrapolated(set, &impostors, set.people * times, fpir)?);
            }
        }
    }
    Ok((sizes, beyond))
}

/// What the crowd decides about the people held back, and about the strangers given; for each size.
fn judge(
    args: &IdentifyArgs,
    source: &Source,
    faces: &Faces,
    experiment: &Split,
    (sizes, global, out): (&[Size], &Global, &Printer),
) -> anyhow::Result<Vec<Vec<Judged>>> {
    let given = args.cohort.as_deref().map(read_cohort).transpose()?;
    let Some(cohort) = given.as_ref().or(source.cohort.as_ref()) else { return Ok(Vec::new()) };
    if cohort.facts().dimension != faces.dim() {
        let (cohort, faces) = (cohort.facts().dimension, faces.dim());
        return Err(Failure::usage(format!(
            "the cohort is for embeddings of {cohort} numbers, and these have {faces}"
        )));
    }
    let threshold = source.threshold.as_ref().map_or(f64::INFINITY, |own| own.l2().into());
    let counts: Vec<usize> = sizes.iter().map(|size| size.report.people).collect();
    let given = args.strangers.as_deref().map(|path| -> anyhow::Result<(String, Faces)> {
        let metric = source.named.metric;
        let faces: Vec<Embedding> = if path.is_dir() {
            let vision = open::vision(&args.source.vision, global, out)?;
            let named = embed(&vision, photo_names(path)?, path, out)?;
            named.faces.into_iter().filter_map(|(_, face)| face).collect()
        } else {
            unnamed_rows(path, metric)?
        };
        let names: Vec<String> = (0..faces.len()).map(|number| format!("{number:09}")).collect();
        let named = names.iter().map(String::as_str).zip(faces.iter().map(Embedding::as_slice));
        Ok((shown(path), Faces::new(named)?))
    });
    let given = given.transpose()?;
    let kinds = [("the people held back".to_owned(), None)]
        .into_iter()
        .chain(given.as_ref().map(|(name, faces)| (name.clone(), Some(faces))));
    let mut judged: Vec<Vec<Judged>> = counts.iter().map(|_| Vec::new()).collect();
    for (strangers, faces_of) in kinds {
        let sets = run_crowd(faces, experiment, faces_of, &counts, (cohort, threshold));
        for (set, judged) in sets.iter().zip(&mut judged) {
            if set.known() > 0 && set.unknown() > 0 {
                let kept = crowd_kept(set, cohort.tail(), &WANTED, &args.output.bootstrap())?;
                judged.push(Judged { strangers: strangers.clone(), searches: set.unknown(), kept });
            }
        }
    }
    Ok(judged)
}

fn crowd_in_words(judged: &Judged) -> Vec<String> {
    let Judged { strangers, searches, kept } = judged;
    let head = format!("  by the crowd, strangers: {strangers} ({searches} searches)");
    let lines = kept.iter().map(|kept| {
        format!(
            "    asked for {:<5} FPIR {}, FNIR {}; FNIR {:.4} at a true FPIR of {}",
            kept.wanted,
            figure(Some(kept.observed.fpir), kept.fpir_interval),
            figure(Some(kept.observed.fnir), kept.fnir_interval),
            kept.fnir_at_true,
            kept.wanted
        )
    });
    [head].into_iter().chain(lines).collect()
}

fn in_words(size: &Size) -> Vec<String> {
    let Size { report, calibrated, crowd, .. } = size;
    let mut lines = vec![format!(
        "gallery of {}: {} searches for enrolled people, {} for outsiders",
        count(report.people as u64, "person", "people"),
        report.known,
        report.unknown
    )];
    for (rank, share, interval) in &report.ranks {
        lines.push(format!("  rank {rank:<14}  {}", figure(Some(*share), *interval)));
    }
    for fnir in &report.fnir {
        let doubt = if fnir.supported { "" } else { ", too few outsiders to mean it" };
        lines.push(format!(
            "  FNIR at FPIR {:<6}  {} (at distance {:.4}{doubt})",
            fnir.wanted,
            figure(Some(fnir.point.fnir), fnir.interval),
            fnir.point.threshold
        ));
    }
    if let Some(fixed) = report.fixed {
        lines.push(format!(
            "  fixed at {:<9}  FPIR {:.4}, FNIR {:.4}",
            fixed.threshold as f32, fixed.fpir, fixed.fnir
        ));
    }
    for kept in calibrated {
        lines.push(format!(
            "  calibrated to {:<5} FPIR {}, FNIR {:.4} (at distance {:.4})",
            kept.wanted,
            figure(Some(kept.observed.fpir), kept.interval),
            kept.observed.fnir,
            kept.observed.threshold
        ));
    }
    lines.extend(crowd.iter().flat_map(crowd_in_words));
    lines
}

fn beyond_in_words(beyond: &Extrapolated) -> String {
    format!(
        "extrapolated to {}: FNIR {:.4} at FPIR {} (at distance {:.4})",
        count(beyond.people as u64, "person", "people"),
        beyond.fnir,
        beyond.fpir,
        beyond.threshold
    )
}
