//! `facesearch purge`: what was removed is gone from every file of the index.

use clap::Args;

use crate::args::Global;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, shown};

/// Write the index anew, so that what was removed is in none of its files
///
/// After `remove --identity` that is the person's name, also in the journal of names, the paths of
/// their photos and what these photos are known by. What stays of each photo is a keyed hash, by
/// which `index` knows that it is to be left out; nothing can be read from it, but whoever has the
/// photo and the index can tell that the photo is meant.
///
/// The disk itself may keep what a deleted file held until it uses the place again.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {}

/// Exits with 0; with 4 where there is no index.
pub(crate) fn run(_: &PurgeArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    open::engine(global, out)?.purge()?;
    out.note(format!("{}: what was removed is in none of its files", shown(&global.index)));
    Ok(Exit::Success)
}
