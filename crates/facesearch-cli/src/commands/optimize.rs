//! `facesearch optimize`: one search structure over everything.

use clap::Args;

use crate::args::Global;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, count, shown};

/// Merge the index's search structures into one, the fastest to search
///
/// It stays one until faces are added or removed.
#[derive(Debug, Args)]
pub(crate) struct OptimizeArgs {}

/// Exits with 0; with 4 where there is no index.
pub(crate) fn run(_: &OptimizeArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let published = open::engine(global, out)?.optimize()?;
    let faces = count(published.faces, "face", "faces");
    out.note(format!("{} is one structure over {faces}", shown(&global.index)));
    Ok(Exit::Success)
}
