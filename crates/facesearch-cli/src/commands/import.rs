//! `facesearch import`: embeddings of another program become an index.

use std::path::{Path, PathBuf};

use clap::Args;
use facesearch::{Engine, ImportOptions, ImportReport};
use facesearch_core::Metric;

use crate::args::{self, Global};
use crate::exit::Exit;
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

/// Exits with 0; with 3 where the file cannot be used, with 4 where the index cannot take it.
/// Either all of a file is taken or nothing.
pub(crate) fn run(args: &ImportArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let options = ImportOptions {
        column: args.column.clone(),
        ids: args.ids.clone(),
        identities: args.identities.clone(),
        model: args.model.clone(),
        metric: args.metric,
        threshold: args.threshold,
    };
    let report = Engine::import(&global.index, &args.file, &options)?;
    if args.json {
        out.json(&report)?;
    } else {
        out.line(in_words(&report, &args.file, &global.index))?;
    }
    Ok(Exit::Success)
}

fn in_words(report: &ImportReport, file: &Path, index: &Path) -> String {
    let (file, index) = (shown(file), shown(index));
    let ImportReport { imported, present, faces, seconds, .. } = *report;
    let faces = count(faces, "face", "faces");
    let rows = |n| count(n, "embedding", "embeddings");
    match (imported, present) {
        (0, _) => {
            let all = match present {
                1 => "the embedding".into(),
                _ => format!("all {}", rows(present)),
            };
            format!("{index} has {all} of {file} already; nothing is imported, it holds {faces}")
        }
        (_, 0) => {
            let imported = rows(imported);
            format!("{imported} of {file} in {seconds:.1} s; {index} now holds {faces}")
        }
        _ => format!(
            "{} of {file} in {seconds:.1} s, {present} more were there already; {index} now holds \
             {faces}",
            rows(imported)
        ),
    }
}
