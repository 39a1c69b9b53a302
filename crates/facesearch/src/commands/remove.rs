//! `facesearch remove`: photos and people that are to be found no more.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use facesearch_core::{FaceStore, Gallery, GalleryError, Publisher, RowSet};
use facesearch_indexer::Removed;
use facesearch_query::Filter;
use facesearch_store::SledStore;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::imported::{Imported, is_imported};
use crate::open;
use crate::printer::{Printer, count, shown};

/// Take photos or people out of the index; the very next query does not find them
///
/// What is removed may stay in unused parts of the index's files until `facesearch purge`. A photo
/// that is removed by its path comes back if its folder is indexed again while it is still there.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Photos, or folders of them, as the index has them
    #[arg(required_unless_present = "identity", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Every face of this identity; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Vec<String>,
}

/// Exits with 0 where something was removed and 1 where there was nothing to remove.
pub(crate) fn run(args: &RemoveArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    open::set_threads(global);
    let contract = open::pinned(global)?
        .ok_or_else(|| GalleryError::NotFound { path: global.index.clone() })?;
    let removed = if is_imported(&contract) {
        from_imported(args, global)?
    } else {
        from_store(args, global)?
    };
    match removed {
        Removed { faces: 0, files: 0 } => {
            let what = args.identity.first().cloned();
            let what = what.or_else(|| args.paths.first().map(|path| shown(path)));
            let what = what.unwrap_or_default();
            out.note(format!("{}: nothing there goes by `{what}`", shown(&global.index)));
            return Ok(Exit::Nobody);
        }
        Removed { faces: 0, files } => {
            let files = count(files, "photo", "photos");
            out.line(format!("{files} removed that gave no face"))?;
        }
        Removed { faces, .. } => out.line(format!("{} removed", count(faces, "face", "faces")))?,
    }
    Ok(Exit::Success)
}

fn from_store(args: &RemoveArgs, global: &Global) -> anyhow::Result<Removed> {
    let store = SledStore::open(&global.index.join(open::STORE))?;
    let mut removed = Removed::default();
    let mut add = |more: Removed| {
        removed.faces += more.faces;
        removed.files += more.files;
    };
    for path in &args.paths {
        add(facesearch_indexer::remove_path(&store, path)?);
    }
    for identity in &args.identity {
        add(facesearch_indexer::remove_identity(&store, identity)?);
    }
    let publisher = open::publisher(global);
    // Also where an earlier command was interrupted before it had published.
    if removed != Removed::default() || publisher.is_behind(&store)? {
        removed.faces = removed.faces.max(gone(args, &store, global).unwrap_or_default());
        // The structures that stand are kept; those faces are left out of them.
        publisher.publish(&store, false).context(
            "what was asked for is removed from the store, but readers still find it; any command \
             that changes the index publishes it, also the same one again",
        )?;
    }
    Ok(removed)
}

/// How many of the faces asked for readers see although the store has them no more: an earlier
/// command may have removed them without publishing.
fn gone(args: &RemoveArgs, store: &SledStore, global: &Global) -> anyhow::Result<u64> {
    let gallery = open::gallery(global)?;
    let mut gone = 0;
    for row in asked_for(args, &gallery)?.iter() {
        gone += u64::from(store.face(gallery.face(row).id)?.is_none());
    }
    Ok(gone)
}

/// The rows of what is to be removed.
fn asked_for(args: &RemoveArgs, gallery: &dyn Gallery) -> anyhow::Result<RowSet> {
    let mut rows = RowSet::none(gallery.len());
    let mut add = |filter: Filter| -> anyhow::Result<()> {
        filter.rows(gallery)?.iter().for_each(|row| rows.insert(row));
        Ok(())
    };
    // Names that an imported file had are kept as they are; all other paths are full ones.
    let full = args.paths.iter().filter_map(|path| std::path::absolute(path).ok());
    for path in args.paths.iter().cloned().chain(full) {
        add(Filter { path_prefix: Some(path), ..Filter::default() })?;
    }
    if !args.identity.is_empty() {
        add(Filter { within: args.identity.clone(), ..Filter::default() })?;
    }
    Ok(rows)
}

fn from_imported(args: &RemoveArgs, global: &Global) -> anyhow::Result<Removed> {
    let index = Imported::open(global)?;
    let Some(standing) = index.standing() else {
        return Err(Failure::index(format!("{} is gone", shown(&global.index))));
    };
    let goes = asked_for(args, standing)?;
    if !goes.is_empty() {
        let contract = standing.contract().clone();
        index.publish(&contract, false, |_, row| !goes.contains(row), std::iter::empty())?;
    }
    Ok(Removed { faces: goes.len() as u64, files: 0 })
}
