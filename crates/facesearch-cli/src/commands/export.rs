//! `facesearch export`: the index's embeddings for another program.

use std::path::PathBuf;

use clap::Args;

use crate::args::Global;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, count, shown};

/// Write the index's embeddings to a file: .npy, .npz, .parquet, .fvecs or .csv
///
/// .npz, .parquet and .csv have beside each embedding the face's number, its identity and its
/// photo; .npy and .fvecs have the embeddings alone, in the same order.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to write
    pub(crate) file: PathBuf,
}

/// Exits with 0; with 4 where there is no index.
pub(crate) fn run(args: &ExportArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let faces = open::reader(global, out)?.export(&args.file)?;
    let faces = count(faces, "face", "faces");
    out.note(format!("{faces} written to {}", shown(&args.file)));
    Ok(Exit::Success)
}
