//! `facesearch import`: embeddings of another program become an index.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use clap::Args;
use facesearch_core::{Contract, Embedding, Gallery, Metric, Threshold};
use facesearch_exchange::{Beside, Columns, ExchangeError, Format, Row, Rows, read, read_beside};
use serde::Serialize;

use crate::args::{self, Global};
use crate::exit::{Exit, Failure};
use crate::imported::{IMPORTED, Imported, Newcomer, is_imported};
use crate::open;
use crate::printer::{Printer, count, shown};

/// Take embeddings from a file: .npy, .npz, .parquet, .fvecs, .csv, or deepface's .pkl
///
/// What is in the index already, by name, identity and numbers, is not taken again: importing a
/// file twice changes nothing. A row without a name is called by the file's path and its number.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file of embeddings
    pub(crate) file: PathBuf,

    /// Which array or column has the embeddings (default: `embedding`, or the only one that can; of
    /// a CSV file, all columns of numbers together)
    #[arg(long, value_name = "NAME")]
    pub(crate) column: Option<String>,

    /// What each is called: a column or array, or a file with a name a line (or .npy)
    #[arg(long, value_name = "FILE|COLUMN")]
    pub(crate) ids: Option<String>,

    /// Who each is: a column or array, or a file with a name a line (or .npy)
    #[arg(long, value_name = "FILE|COLUMN")]
    pub(crate) identities: Option<String>,

    /// What the embeddings' model is called (default: the index's, or imported)
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,

    /// How they are compared (default: the index's, or normalised-l2)
    #[arg(long, value_name = "l2|normalised-l2|cosine|angular", value_parser = args::metric)]
    pub(crate) metric: Option<Metric>,

    /// Largest distance that counts as the same person (default: the index's, or 0.55)
    #[arg(long, value_name = "D", value_parser = args::threshold)]
    pub(crate) threshold: Option<f32>,

    /// The summary as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Summary {
    imported: u64,
    /// Rows of the file that the index had already.
    present: u64,
    faces: u64,
    generation: u64,
    seconds: f64,
}

/// Exits with 0; with 3 where the file cannot be used, with 4 where the index cannot take it. Either
/// all of a file is taken or nothing.
pub(crate) fn run(args: &ImportArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let start = std::time::Instant::now();
    open::set_threads(global);
    let mut rows = rows(args)?.peekable();
    let first = match rows.peek() {
        Some(Ok(row)) => row.vector.len(),
        Some(Err(_)) => 0,
        None => {
            let file = shown(&args.file);
            return Err(Failure::input(format!("{file} holds no embeddings; nothing is imported")));
        }
    };
    if first == 0
        && let Some(row) = rows.next()
    {
        let file = shown(&args.file);
        row?;
        return Err(Failure::input(format!("the first vector of {file} has no numbers")));
    }
    open::refuse_store(global)?;
    let index = Imported::open(global)?;
    let contract = contract(args, global, &index, first)?;
    let mut summary = take(rows, args, &index, &contract)?;
    summary.seconds = start.elapsed().as_secs_f64();
    if args.json {
        out.json(&summary)?;
    } else {
        out.line(summary.for_people(&args.file, &global.index))?;
    }
    Ok(Exit::Success)
}

impl Summary {
    fn for_people(&self, file: &Path, index: &Path) -> String {
        let (file, index) = (shown(file), shown(index));
        let Self { imported, present, faces, seconds, .. } = *self;
        let faces = count(faces, "face", "faces");
        let rows = |n| count(n, "embedding", "embeddings");
        match (imported, present) {
            (0, _) => format!(
                "{index} has {} of {file} already; nothing is imported, it holds {faces}",
                if present == 1 {
                    "the embedding".into()
                } else {
                    format!("all {}", rows(present))
                }
            ),
            (_, 0) => {
                let imported = rows(imported);
                format!("{imported} of {file} in {seconds:.1} s; {index} now holds {faces}")
            }
            _ => format!(
                "{} of {file} in {seconds:.1} s, {present} more were there already; {index} now \
                 holds {faces}",
                rows(imported)
            ),
        }
    }
}

/// Publishes those rows that the index does not have; nothing, where it has all of them.
///
/// So a run that died at any moment, also just after it had published, can be repeated.
fn take(
    rows: impl Iterator<Item = Result<Row, ExchangeError>>,
    args: &ImportArgs,
    index: &Imported,
    contract: &Contract,
) -> anyhow::Result<Summary> {
    // The name of a row without one is the same wherever the command is given.
    let file = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let (imported, present) = (Cell::new(0), Cell::new(0));
    let mut known = index.present();
    let rows = (0u64..).zip(rows).map(|(i, row)| newcomer(i, row?, &file, contract));
    let mut comers = rows
        .filter(|row| {
            let is_known = row.as_ref().is_ok_and(|row| known.take(row));
            let counted = if is_known { &present } else { &imported };
            counted.set(counted.get() + 1);
            !is_known
        })
        .peekable();
    let (faces, generation) = match index.standing() {
        Some(standing) if comers.peek().is_none() && standing.contract() == contract => {
            (standing.len() as u64, standing.generation())
        }
        _ => {
            let published = index.publish(contract, true, |_, _| true, comers)?;
            (published.faces, published.generation)
        }
    };
    let (imported, present) = (imported.get(), present.get());
    Ok(Summary { imported, present, faces, generation, seconds: 0.0 })
}

/// The rows of the file, with names and identities from files of their own where those were named.
fn rows(args: &ImportArgs) -> anyhow::Result<Rows> {
    let is_file =
        |named: &Option<String>| named.as_ref().is_some_and(|name| Path::new(name).is_file());
    let column = |named: &Option<String>| named.clone().filter(|_| !is_file(named));
    let columns = Columns {
        vectors: args.column.clone(),
        names: column(&args.ids),
        identities: column(&args.identities),
    };
    let format = Format::of(&args.file)?;
    if matches!(format, Format::Npy | Format::Fvecs | Format::Pickle) {
        let file = shown(&args.file);
        if let Some(missing) = columns.names.as_ref().or(columns.identities.as_ref()) {
            return Err(Failure::input(format!(
                "{file} has no columns, and there is no file `{missing}` either"
            )));
        }
        if columns.vectors.is_some() {
            return Err(Failure::usage(format!("{file} has no columns; leave --column out")));
        }
    }
    let mut rows = read(&args.file, format, &columns)?;
    for (named, what) in [(&args.ids, Beside::Names), (&args.identities, Beside::Identities)] {
        let Some(file) = named.as_ref().filter(|_| is_file(named)) else { continue };
        rows = read_beside(rows, Path::new(file), what)?;
    }
    Ok(rows)
}

/// What the index is pinned to, or will be.
fn contract(
    args: &ImportArgs,
    global: &Global,
    index: &Imported,
    dimension: usize,
) -> anyhow::Result<Contract> {
    let pinned = index.standing().map(|standing| standing.contract());
    let typed = Contract {
        model: args.model.clone().unwrap_or_else(|| IMPORTED.into()),
        weights: String::new(),
        dimension: u32::try_from(dimension)?,
        metric: args.metric.unwrap_or(Metric::NormalisedL2),
        threshold: args.threshold.unwrap_or(Threshold::DEFAULT.get()),
        detector: IMPORTED.into(),
        min_face: 0,
        preprocessing: IMPORTED.into(),
        precision: "f32".into(),
    };
    let Some(pinned) = pinned else { return Ok(typed) };
    let shown_index = shown(&global.index);
    if !is_imported(pinned) {
        return Err(Failure::index(format!(
            "{shown_index} holds faces of photos; import into another `--index`"
        )));
    }
    let wanted = Contract {
        model: args.model.clone().unwrap_or_else(|| pinned.model.clone()),
        metric: args.metric.unwrap_or(pinned.metric),
        ..typed
    };
    pinned.check(&wanted).map_err(|mismatch| {
        Failure::index(format!(
            "{shown_index} cannot take {}: {mismatch}; import into another `--index`",
            shown(&args.file)
        ))
    })?;
    let threshold = args.threshold.unwrap_or(pinned.threshold);
    Ok(Contract { threshold, ..pinned.clone() })
}

fn newcomer(i: u64, row: Row, file: &Path, contract: &Contract) -> anyhow::Result<Newcomer> {
    let (got, wanted) = (row.vector.len(), contract.dimension as usize);
    let bad = |why: String| {
        let file = shown(file);
        Failure::input(format!("vector {i} of {file} {why}; nothing was imported"))
    };
    if got != wanted {
        return Err(bad(format!("has {got} numbers, those before it {wanted}")));
    }
    let embedding = Embedding::new(row.vector, contract.metric)
        .map_err(|error| bad(format!("cannot be taken: {error}")))?;
    Ok(Newcomer {
        vector: embedding.as_slice().to_vec(),
        name: row.name.unwrap_or_else(|| format!("{}#{i}", file.display())).into(),
        identity: row.identity,
    })
}
