//! `facesearch remove`: photos and people that are to be found no more.

use std::path::PathBuf;

use clap::Args;
use facesearch::{Removal, Removed};

use crate::args::Global;
use crate::exit::Exit;
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
    let removal =
        Removal { paths: args.paths.clone(), identities: args.identity.clone(), faces: Vec::new() };
    let removed = open::engine(global, out)?.remove(&removal)?;
    for (identity, left) in &removed.left {
        note_left(identity, left, out);
    }
    match removed {
        Removed { faces: 0, files: 0, .. } => {
            let what = args.identity.first().cloned();
            let what = what.or_else(|| args.paths.first().map(|path| shown(path)));
            let what = what.unwrap_or_default();
            out.note(format!("{}: nothing there goes by `{what}`", shown(&global.index)));
            return Ok(Exit::Nobody);
        }
        Removed { faces: 0, files, .. } => {
            let files = count(files, "photo", "photos");
            out.line(format!("{files} removed that gave no face"))?;
        }
        Removed { faces, .. } => out.line(format!("{} removed", count(faces, "face", "faces")))?,
    }
    Ok(Exit::Success)
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
