//! `facesearch remove`: photos and people that are to be found no more.

use std::path::PathBuf;

use clap::Args;
use facesearch_core::{Gallery, GalleryError, Publisher};
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
    let contract = open::pinned(global)?
        .ok_or_else(|| GalleryError::NotFound { path: global.index.clone() })?;
    let removed = if is_imported(&contract) {
        from_imported(args, global)?
    } else {
        from_store(args, global)?
    };
    if removed == 0 {
        let what = args.identity.first().cloned();
        let what = what.or_else(|| args.paths.first().map(|path| shown(path))).unwrap_or_default();
        out.note(format!("{}: nothing there goes by `{what}`", shown(&global.index)));
        return Ok(Exit::Nobody);
    }
    out.line(format!("{} removed", count(removed, "face", "faces")))?;
    Ok(Exit::Success)
}

fn from_store(args: &RemoveArgs, global: &Global) -> anyhow::Result<u64> {
    let store = SledStore::open(&global.index.join(open::STORE))?;
    let (mut faces, mut files) = (0, 0);
    for path in &args.paths {
        let removed = facesearch_indexer::remove_path(&store, path)?;
        (faces, files) = (faces + removed.faces, files + removed.files);
    }
    for identity in &args.identity {
        faces += facesearch_indexer::remove_identity(&store, identity)?.faces;
    }
    let publisher = open::publisher(global);
    // Also where an earlier command was interrupted before it had published.
    if faces + files > 0 || publisher.is_behind(&store)? {
        // The structures that stand are kept; those faces are left out of them.
        publisher.publish(&store, false)?;
    }
    Ok(faces)
}

fn from_imported(args: &RemoveArgs, global: &Global) -> anyhow::Result<u64> {
    let index = Imported::open(global)?;
    let Some(standing) = index.standing() else {
        return Err(Failure::index(format!("{} is gone", shown(&global.index))));
    };
    let paths = facesearch_query::Filter::default();
    let mut goes = facesearch_core::RowSet::none(standing.len());
    let mut mark = |filter: facesearch_query::Filter| -> anyhow::Result<()> {
        filter.rows(standing)?.iter().for_each(|row| goes.insert(row));
        Ok(())
    };
    for path in &args.paths {
        mark(facesearch_query::Filter { path_prefix: Some(path.clone()), ..paths.clone() })?;
    }
    if !args.identity.is_empty() {
        mark(facesearch_query::Filter { within: args.identity.clone(), ..paths })?;
    }
    if !goes.is_empty() {
        let contract = standing.contract().clone();
        index.publish(&contract, false, |_, row| !goes.contains(row), std::iter::empty())?;
    }
    Ok(goes.len() as u64)
}
