//! `facesearch export`: the index's embeddings for another program.

use std::path::PathBuf;

use clap::Args;
use facesearch_core::{Gallery, Row};
use facesearch_exchange::{Format, Row as Exported, Writer};

use crate::args::Global;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, count, shown};

/// Write the index's embeddings to a file: .npy, .npz, .parquet, .fvecs or .csv
///
/// .npz, .parquet and .csv have beside each embedding the face's number, its identity and its photo;
/// .npy and .fvecs have the embeddings alone, in the same order.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to write
    pub(crate) file: PathBuf,
}

/// Exits with 0; with 4 where there is no index.
pub(crate) fn run(args: &ExportArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let format = Format::of(&args.file)?;
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    let dim = gallery.contract().dimension as usize;
    let mut writer = Writer::create(&args.file, format, dim, gallery.len() as u64)?;
    for row in (0..gallery.len() as u32).map(Row) {
        let face = gallery.face(row);
        writer.push(&Exported {
            vector: gallery.vector(row).to_vec(),
            id: Some(face.id.0),
            name: Some(gallery.photo_path(face.photo).to_string_lossy().into_owned()),
            identity: face.identity.map(|identity| gallery.identity(identity).to_owned()),
        })?;
    }
    writer.finish()?;
    let faces = count(gallery.len() as u64, "face", "faces");
    out.note(format!("{faces} written to {}", shown(&args.file)));
    Ok(Exit::Success)
}
