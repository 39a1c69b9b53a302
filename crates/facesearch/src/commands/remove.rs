//! `facesearch remove`: photos and people that are to be found no more.

use std::path::PathBuf;

use clap::Args;
use facesearch_core::{FaceStore, Gallery, GalleryError, Publisher};
use facesearch_store::SledStore;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::imported::{Imported, is_imported};
use crate::open;
use crate::printer::{Printer, count, shown, shown_name};

/// Take photos or people out of the index; the very next query does not find them
///
/// What is removed may stay in unused parts of the index's files until `facesearch purge`. A photo
/// that is removed by its path comes back if its folder is indexed again while it is still there.
/// The photos of an identity do not: they are left out until `facesearch index --readmit`. Where
/// others are in a photo, it stays, without the face that was removed.
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
        from_store(args, global, out)?
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

fn from_store(args: &RemoveArgs, global: &Global, out: &Printer) -> anyhow::Result<u64> {
    let store = SledStore::open(&global.index.join(open::STORE))?;
    let mut faces = 0;
    for path in &args.paths {
        faces += facesearch_indexer::remove_path(&store, path)?.faces;
    }
    for identity in &args.identity {
        let names = store.names_of(identity)?;
        let removed = facesearch_indexer::remove_identity(&store, identity, &names)?;
        // Last: an interrupted command finds the person's other names here when it is given again.
        store.forget_names(&names)?;
        faces += removed.faces;
        note_left(identity, &removed.left, out);
    }
    store.flush()?;
    let publisher = open::publisher(global);
    // Also where an earlier command was interrupted before it had published.
    if publisher.is_behind(&store)? {
        // The structures that stand are kept; those faces are left out of them.
        publisher.publish(&store, false)?;
    }
    Ok(faces)
}

/// Says which photos keep the person's name in their path.
fn note_left(identity: &str, left: &[PathBuf], out: &Printer) {
    const SHOWN: usize = 5;
    if left.is_empty() {
        return;
    }
    let photos = count(left.len() as u64, "photo stays", "photos stay");
    let who = shown_name(identity);
    out.note(format!(
        "{photos} whose path names `{who}`, because of other faces in it; `facesearch remove PATH` \
         takes a photo out with all its faces:"
    ));
    left.iter().take(SHOWN).for_each(|path| out.note(format!("  {}", shown(path))));
    if left.len() > SHOWN {
        out.note(format!("  and {} more", left.len() - SHOWN));
    }
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
