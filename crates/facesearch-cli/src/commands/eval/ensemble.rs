//! `facesearch eval ensemble`: whether several models together tell people apart better than the
//! best of them alone.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use facesearch::{NamedFaces, named_rows};
use facesearch_core::{Embedding, Metric};
use facesearch_eval::ensemble::{
    Booster, Contender, Distances, Kind, Study, TrainOptions, Weights, study, study_folds,
};
use facesearch_eval::pairs::{
    Bootstrap, LabelledPair, Trial, read_columns, read_csv, read_lfw, spread_folds,
};
use maud::html;
use serde::Serialize;

use super::source::{embed, exit_of};
use super::text::{about, figure};
use crate::args::Global;
use crate::exit::{Exit, Failure, Unwritable};
use crate::open::{self, VisionArgs};
use crate::page::{Page, table};
use crate::printer::{Printer, count, shown};

/// How many folds a list without folds is dealt into.
const FOLDS: usize = 10;

/// Train boosted trees on the distances of several models, and judge them beside each model alone
#[derive(Debug, Args)]
pub(crate) struct EnsembleArgs {
    /// The pairs to learn from: LFW's lists, a CSV file with the columns a,b,same, or one with
    /// distances, whose columns --columns names
    #[arg(value_name = "FILE")]
    pub(crate) train: PathBuf,

    /// The pairs to judge (default: those learnt from, each by what was learnt from the other
    /// folds)
    #[arg(long, value_name = "FILE")]
    pub(crate) test: Option<PathBuf>,

    /// Directory that the photos' names start from (default: the working directory)
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Embeddings that are there already (numpy's .npy); once for each model
    #[arg(long, value_name = "FILE.npy", requires = "names", conflicts_with = "columns")]
    pub(crate) embeddings: Vec<PathBuf>,

    /// The name of each row of every --embeddings, one a line
    #[arg(long, value_name = "FILE.txt", requires = "embeddings")]
    pub(crate) names: Option<PathBuf>,

    /// Take the distances from these columns of the CSV files
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// Take the truth from this column of a CSV file with distances
    #[arg(long, value_name = "NAME", default_value = "same", requires = "columns")]
    pub(crate) same_column: String,

    /// The models, with commas between them.
    #[command(flatten)]
    pub(crate) vision: VisionArgs,

    /// Judge this booster, in LightGBM's text format, instead of training one
    #[arg(long, value_name = "FILE", conflicts_with = "save", requires = "test")]
    pub(crate) booster: Option<PathBuf>,

    /// Write the booster, trained on all of FILE, in LightGBM's text format
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,

    /// How many trees are grown
    #[arg(long, value_name = "N", default_value_t = TrainOptions::default().trees as u32,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) trees: u32,

    /// How many questions deep each tree is
    #[arg(long, value_name = "N", default_value_t = TrainOptions::default().depth as u32,
        value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) depth: u32,

    /// How much of each tree counts
    #[arg(long, value_name = "SHARE", default_value_t = TrainOptions::default().learning_rate,
        value_parser = learning_rate)]
    pub(crate) learning_rate: f32,

    /// How often to resample for the intervals
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) resamples: usize,

    /// One JSON object instead of words
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with the figures
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

fn learning_rate(typed: &str) -> Result<f32, String> {
    let rate = typed.parse().ok().filter(|rate| *rate > 0.0 && *rate <= 1.0);
    rate.ok_or_else(|| "a number above 0 and at most 1, such as 0.1".into())
}

/// The faces of all names by one model.
struct Faces {
    name: String,
    named: NamedFaces,
    /// The model's own threshold, L2, where it is known.
    own: Option<f32>,
}

/// A list of pairs with distances.
struct Measured {
    distances: Distances,
    folds: Option<Vec<usize>>,
}

#[derive(Serialize)]
struct Json<'a> {
    pairs: &'a Path,
    test: Option<&'a Path>,
    /// Without a list to test on: how many folds there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    folds: Option<usize>,
    #[serde(flatten)]
    study: &'a Study,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<AsIndex>,
}

/// The blend as options of `index`.
#[derive(Serialize)]
struct AsIndex {
    model: String,
    threshold: f64,
}

/// Exits with 0 once all is judged, with 5 where photos could not be read.
pub(crate) fn run(args: &EnsembleArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let (train, test, faces) = if args.columns.is_empty() {
        embedded(args, global, out)?
    } else {
        let read = |file: &Path| columns(file, args);
        (read(&args.train)?, args.test.as_deref().map(read).transpose()?, Vec::new())
    };
    let how = Bootstrap { resamples: args.resamples, ..Bootstrap::default() };
    let options = TrainOptions {
        trees: args.trees as usize,
        depth: args.depth as usize,
        learning_rate: args.learning_rate,
        ..TrainOptions::default()
    };
    let grown = args.booster.as_deref().map(read_booster).transpose()?;
    let fold = train.folds.clone().unwrap_or_else(|| dealt(&train.distances));
    let found = match &test {
        Some(test) => study(&train.distances, &test.distances, grown.as_ref(), &options, &how)?,
        None => study_folds(&train.distances, &fold, &options, &how)?,
    };
    if let Some(file) = &args.save {
        let whole = train.distances.complete();
        let booster = Booster::train(&whole.names, &whole.rows, &whole.same, &options)?;
        fs::write(file, booster.to_text()).map_err(Unwritable::file(file))?;
    }
    let folds = test.is_none().then(|| fold.iter().max().map_or(0, |last| last + 1));
    let index = found.blend.as_ref().and_then(|blend| as_index(blend, &faces));
    let words = in_words(&found, folds, index.as_ref(), &how);
    if args.json {
        let (pairs, test) = (args.train.as_path(), args.test.as_deref());
        out.json(&Json { pairs, test, folds, study: &found, index })?;
    } else {
        words.iter().try_for_each(|line| out.line(line))?;
    }
    if let Some(file) = &args.html {
        page(&found, &words).write(file)?;
    }
    let exits = faces.iter().map(|faces| exit_of(&faces.named));
    Ok(exits.max().unwrap_or(Exit::Success))
}

/// Distances that were measured elsewhere.
fn columns(file: &Path, args: &EnsembleArgs) -> anyhow::Result<Measured> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", shown(file)))?;
    let read = read_columns(Cursor::new(text), &args.columns, &args.same_column);
    let (rows, same, folds) = read.with_context(|| shown(file))?;
    let (names, summed) = (args.columns.clone(), (0..args.columns.len()).collect());
    Ok(Measured { distances: Distances { names, summed, rows, same }, folds })
}

/// Distances between faces that every model embeds.
fn embedded(
    args: &EnsembleArgs,
    global: &Global,
    out: &Printer,
) -> anyhow::Result<(Measured, Option<Measured>, Vec<Faces>)> {
    let train = pairs_of(&args.train)?;
    let test = args.test.as_deref().map(pairs_of).transpose()?;
    let names: Vec<String> = train
        .iter()
        .chain(test.iter().flatten())
        .flat_map(|pair| [pair.a.clone(), pair.b.clone()])
        .collect();
    let faces = if args.embeddings.is_empty() {
        seen(args, &names, global, out)?
    } else {
        stored(args, &names)?
    };
    let all: Vec<_> = faces.iter().map(|faces| (faces, faces.named.by_name())).collect();
    let test = test.map(|pairs| measure(&all, &pairs));
    let train = measure(&all, &train);
    drop(all);
    Ok((train, test, faces))
}

fn pairs_of(file: &Path) -> anyhow::Result<Vec<LabelledPair>> {
    let name = shown(file);
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let header = text.lines().next().unwrap_or_default();
    let pairs = if header.contains(',') { read_csv(Cursor::new(&text)) } else { read_lfw(&text) };
    pairs.context(name)
}

/// The most prominent face of every photo, by each model.
fn seen(
    args: &EnsembleArgs,
    names: &[String],
    global: &Global,
    out: &Printer,
) -> anyhow::Result<Vec<Faces>> {
    let typed = args.vision.model.as_deref().unwrap_or_default();
    let models: Vec<&str> =
        typed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if models.len() < 2 {
        return Err(Failure::usage(
            "an ensemble has several models: `--model dlib,retail-0095`, or `--embeddings` for \
             each",
        ));
    }
    let root = args.root.as_deref().unwrap_or(Path::new(""));
    let one = |model: &&str| {
        let vision = VisionArgs { model: Some((*model).to_owned()), ..args.vision.clone() };
        let vision = open::vision(&vision, global, out)?;
        let (name, own) = (vision.contract().model.clone(), vision.contract().threshold);
        let named = embed(&vision, names.to_vec(), root, out)?;
        Ok(Faces { name, named, own })
    };
    unlike(models.iter().map(one).collect::<anyhow::Result<_>>()?)
}

fn stored(args: &EnsembleArgs, names: &[String]) -> anyhow::Result<Vec<Faces>> {
    let Some(list) = &args.names else { return Err(Failure::usage("--names is needed")) };
    let metric = args.vision.network.metric.unwrap_or(Metric::L2);
    let one = |file: &PathBuf| {
        let rows = named_rows(file, list, metric)?;
        let there: HashSet<&str> = rows.iter().map(|(name, _)| &**name).collect();
        if let Some(name) = names.iter().find(|name| !there.contains(&***name)) {
            let list = shown(list);
            return Err(Failure::input(format!("`{name}` is not among the names of {list}")));
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let named = NamedFaces::new(name.clone(), metric, rows);
        Ok(Faces { name, named, own: None })
    };
    unlike(args.embeddings.iter().map(one).collect::<anyhow::Result<_>>()?)
}

/// Two columns of one name could not be told apart.
fn unlike(faces: Vec<Faces>) -> anyhow::Result<Vec<Faces>> {
    let mut seen = HashSet::new();
    match faces.iter().find(|faces| !seen.insert(&faces.name)) {
        Some(twice) => Err(Failure::usage(format!("`{}` is given twice", twice.name))),
        None => Ok(faces),
    }
}

type ByName<'a> = HashMap<&'a str, Option<&'a Embedding>>;

/// Every distance of every pair. On unit vectors the cosine distance is half the square of L2,
/// which says nothing new; elsewhere it is a column of its own.
fn measure(all: &[(&Faces, ByName<'_>)], pairs: &[LabelledPair]) -> Measured {
    let mut distances = Distances {
        names: Vec::new(),
        summed: Vec::new(),
        rows: vec![Vec::new(); pairs.len()],
        same: pairs.iter().map(|pair| pair.same).collect(),
    };
    for (faces, by_name) in all {
        distances.summed.push(distances.names.len());
        distances.names.push(format!("{}_l2", faces.name));
        let with_cosine = !faces.named.faces.iter().flat_map(|(_, face)| face).all(is_unit);
        if with_cosine {
            distances.names.push(format!("{}_cosine", faces.name));
        }
        for (pair, row) in pairs.iter().zip(&mut distances.rows) {
            let face = |name: &str| by_name.get(name).copied().flatten();
            let both = face(&pair.a).zip(face(&pair.b));
            row.push(both.map_or(f64::NAN, |(a, b)| a.distance(b).get().into()));
            if with_cosine {
                row.push(both.map_or(f64::NAN, |(a, b)| cosine(a, b)));
            }
        }
    }
    let folds = pairs.iter().map(|pair| pair.fold).collect();
    Measured { distances, folds }
}

fn dot(a: &Embedding, b: &Embedding) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn is_unit(face: &Embedding) -> bool {
    (dot(face, face) - 1.0).abs() < 1e-3
}

fn cosine(a: &Embedding, b: &Embedding) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (1.0 - dot(a, b) / lengths).max(0.0) } else { f64::NAN }
}

/// Folds of our own making.
fn dealt(distances: &Distances) -> Vec<usize> {
    let trials: Vec<_> = distances.same.iter().map(|same| Trial::new(None, *same)).collect();
    spread_folds(&trials, FOLDS)
}

fn read_booster(file: &Path) -> anyhow::Result<Booster> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", shown(file)))?;
    Booster::parse(&text).with_context(|| shown(file))
}

/// The blend in the units of an index, which divides each model's distance by the model's own
/// threshold.
fn as_index(blend: &Weights, faces: &[Faces]) -> Option<AsIndex> {
    let rescaled: Vec<(&str, f64)> = blend
        .parts
        .iter()
        .zip(faces)
        .map(|(part, faces)| {
            let own = f64::from(faces.own?);
            Some((&*faces.name, part.weight * (own / part.unit).powi(2)))
        })
        .collect::<Option<_>>()?;
    let whole: f64 = rescaled.iter().map(|(_, weight)| weight).sum();
    let part = |(name, weight): &(&str, f64)| format!("{name}@{:.3}", weight / whole);
    (rescaled.len() > 1 && whole > 0.0).then(|| AsIndex {
        model: rescaled.iter().map(part).collect::<Vec<_>>().join("+"),
        threshold: blend.threshold / whole.sqrt(),
    })
}

fn in_words(
    study: &Study,
    folds: Option<usize>,
    index: Option<&AsIndex>,
    how: &Bootstrap,
) -> Vec<String> {
    let pairs = |n: usize| count(n as u64, "pair", "pairs");
    let learnt = match folds {
        Some(folds) => format!("in {folds} folds, each judged by what the others teach"),
        None => format!("by what {} teach", pairs(study.train_pairs)),
    };
    let mut lines = vec![format!(
        "{} judged {learnt}; {} without all distances",
        pairs(study.test_pairs),
        study.failed
    )];
    let widest = study.contenders.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
    for one in &study.contenders {
        lines.push(format!(
            "  {:<widest$}  accuracy {} (training {:.4}), AUC {}, TAR at FAR 0.01 {:.4}",
            one.name,
            figure(Some(one.accuracy), one.accuracy_interval),
            one.train_accuracy,
            figure(Some(one.auc), one.auc_interval),
            one.tar
        ));
    }
    lines.push(format!("  gain over {}, the best single distance in training:", study.best_single));
    for one in study.contenders.iter().filter(|one| is_ensemble(one)) {
        let gain = figure(Some(one.gain), one.gain_interval);
        lines.push(format!("    {:<widest$}  {gain}", one.name));
    }
    if let Some(AsIndex { model, threshold }) = index {
        lines.push(format!("  the blend as an index: --model {model} --threshold {threshold:.3}"));
    }
    lines.push(format!("  {}", about(how)));
    lines
}

fn is_ensemble(one: &Contender) -> bool {
    one.kind != Kind::Single
}

fn page(study: &Study, words: &[String]) -> Page {
    let headings =
        ["judged by", "accuracy", "from", "to", "training", "AUC", "TAR at FAR 0.01", "gain"];
    let cell = |value: f64| format!("{value:.4}");
    let rows: Vec<Vec<String>> = study
        .contenders
        .iter()
        .map(|one| {
            let ends = one.accuracy_interval.map_or([String::new(), String::new()], |around| {
                [cell(around.low), cell(around.high)]
            });
            let [low, high] = ends;
            let mut row = vec![one.name.clone(), cell(one.accuracy), low, high];
            row.extend([one.train_accuracy, one.auc, one.tar, one.gain].map(cell));
            row
        })
        .collect();
    let mut page = Page::new("Ensemble");
    page.section("Contenders", table(&headings, &rows));
    page.section("Figures", html! { @for line in words { p { (line) } } });
    page
}
