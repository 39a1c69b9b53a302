//! `facesearch import`: embeddings of another program become an index.

use std::path::{Path, PathBuf};

use clap::Args;
use facesearch_core::{Contract, Embedding, Gallery, Metric};
use facesearch_exchange::{Columns, ExchangeError, Format, Row, Rows, read, read_names};
use serde::Serialize;

use crate::args::{self, Global};
use crate::exit::{Exit, Failure};
use crate::imported::{IMPORTED, Imported, Newcomer, is_imported};
use crate::open;
use crate::printer::{Printer, count, shown};

/// Take embeddings from a file: .npy, .npz, .parquet, .fvecs, .csv, or deepface's .pkl
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file of embeddings
    pub(crate) file: PathBuf,

    /// Which array or column has the embeddings (default: `embedding`, or the only one that can)
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

    /// Largest distance that counts as the same person (default: the index's, if it has one)
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
    let mut imported = 0;
    let comers = (0u64..).zip(rows).map(|(i, row)| {
        imported += 1;
        newcomer(i, row?, &args.file, &contract)
    });
    let published = index.publish(&contract, true, |_, _| true, comers)?;
    let summary = Summary {
        imported,
        faces: published.faces,
        generation: published.generation,
        seconds: start.elapsed().as_secs_f64(),
    };
    if args.json {
        out.json(&summary)?;
    } else {
        let (file, index) = (shown(&args.file), shown(&global.index));
        let imported = count(summary.imported, "embedding", "embeddings");
        let faces = count(summary.faces, "face", "faces");
        let seconds = summary.seconds;
        out.line(format!("{imported} of {file} in {seconds:.1} s; {index} now holds {faces}"))?;
    }
    Ok(Exit::Success)
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
    if let Some(missing) = columns.names.as_ref().or(columns.identities.as_ref())
        && matches!(format, Format::Npy | Format::Fvecs | Format::Pickle)
    {
        let file = shown(&args.file);
        return Err(Failure::input(format!(
            "{file} has no columns, and there is no file `{missing}` either"
        )));
    }
    let mut rows = read(&args.file, format, &columns)?;
    for (named, is_name) in [(&args.ids, true), (&args.identities, false)] {
        let Some(file) = named.as_ref().filter(|_| is_file(named)) else { continue };
        rows = beside(rows, PathBuf::from(file), is_name)?;
    }
    Ok(rows)
}

/// Puts the names of a file beside the rows; there must be as many.
fn beside(rows: Rows, file: PathBuf, is_name: bool) -> anyhow::Result<Rows> {
    let names = read_names(&file)?;
    let total = names.len();
    let mut names = names.into_iter();
    let mut rows = rows;
    Ok(Box::new(std::iter::from_fn(move || {
        let uneven = |what: &str| ExchangeError::Content {
            path: file.clone(),
            format: "a list of names",
            why: format!("it has {total} names, and there are {what} vectors"),
        };
        let mut row = match (rows.next(), names.next()) {
            (None, None) => return None,
            (Some(Err(error)), _) => return Some(Err(error)),
            (None, Some(_)) => return Some(Err(uneven("fewer"))),
            (Some(Ok(_)), None) => return Some(Err(uneven("more"))),
            (Some(Ok(row)), Some(name)) if is_name => Row { name: Some(name), ..row },
            (Some(Ok(row)), Some(name)) => Row { identity: Some(name), ..row },
        };
        row.identity = row.identity.filter(|label| !label.is_empty());
        Some(Ok(row))
    })))
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
        threshold: args.threshold,
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
    let threshold = args.threshold.or(pinned.threshold);
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
