//! `facesearch optimize`: one search structure over everything.

use clap::Args;
use facesearch_core::{Gallery, GalleryError, Published, Publisher};
use facesearch_store::SledStore;

use crate::args::Global;
use crate::exit::Exit;
use crate::imported::{Imported, is_imported};
use crate::open;
use crate::printer::{Printer, count, shown};

/// Merge the index's search structures into one, the fastest to search
///
/// It stays one until faces are added or removed.
#[derive(Debug, Args)]
pub(crate) struct OptimizeArgs {}

/// Exits with 0; with 4 where there is no index.
pub(crate) fn run(_: &OptimizeArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let contract = open::pinned(global)?
        .ok_or_else(|| GalleryError::NotFound { path: global.index.clone() })?;
    let published: Published = if is_imported(&contract) {
        let index = Imported::open(global)?.with_single_structure();
        let contract = index.standing().map_or(contract, |standing| standing.contract().clone());
        index.publish(&contract, true, |_, _| true, std::iter::empty())?
    } else {
        let store = SledStore::open(&global.index.join(open::STORE))?;
        open::publisher(global).with_single_structure().publish(&store, true)?
    };
    let faces = count(published.faces, "face", "faces");
    out.note(format!("{} is one structure over {faces}", shown(&global.index)));
    Ok(Exit::Success)
}
