//! `facesearch identity`: name people, and take it back.

use std::collections::BTreeSet;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use facesearch_core::{FaceId, Gallery, IdentityIndex, Publisher, Row};
use facesearch_store::{JournalEntry, SledStore, Statement};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::imported::is_imported;
use crate::open;
use crate::printer::{Printer, count, shown, shown_name};

/// List people, name them, merge, split and undo; indexing later respects what was said
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    #[command(subcommand)]
    pub(crate) command: IdentityCommand,

    /// JSON instead of words
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Everybody in the index, with how many faces they have
    List,
    /// The faces of one person
    Show {
        /// Who
        name: String,
    },
    /// Give a person another name
    Rename {
        /// The name now
        old: String,
        /// The name from now on
        new: String,
    },
    /// Say that several people are one
    Merge {
        /// The name that stays
        name: String,
        /// The names that become it
        #[arg(required = true)]
        others: Vec<String>,
    },
    /// Say that some faces of a person are of somebody else
    Split {
        /// The person
        name: String,
        /// The faces that are not theirs, by the numbers that `show` gives
        #[arg(long, required = true, value_delimiter = ',', value_name = "FACE,...")]
        faces: Vec<u64>,
        /// Whose they are instead
        #[arg(long, value_name = "NAME")]
        into: String,
    },
    /// Say whose faces these are
    Assign {
        /// Faces by their numbers
        #[arg(required = true, value_delimiter = ',', value_name = "FACE,...")]
        faces: Vec<u64>,
        /// Whose they are
        #[arg(long, value_name = "NAME")]
        to: String,
    },
    /// Forget a name: the faces stay in the index and are nobody's
    Remove {
        /// Who
        name: String,
    },
    /// Take back the last of these, or any one that nothing later depends on
    Undo {
        /// The number of the entry, as `log` gives it
        #[arg(value_name = "N")]
        entry: Option<u64>,
    },
    /// Everything that was said
    Log,
}

/// Exits with 0, or with 3 where there is nobody of that name or nothing to take back.
pub(crate) fn run(args: &IdentityArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let json = args.json;
    match &args.command {
        IdentityCommand::List => list(json, global, out),
        IdentityCommand::Show { name } => show(name, json, global, out),
        IdentityCommand::Log => log(json, global, out),
        IdentityCommand::Undo { entry } => {
            let store = store_to_change(global)?;
            let number = store.undo(*entry).map_err(refused)?;
            publish(&store, global)?;
            if json {
                out.json(&said(&store)?)?;
            } else {
                out.line(format!("took back entry {number}"))?;
            }
            Ok(Exit::Success)
        }
        change => {
            let store = store_to_change(global)?;
            let gallery = open::gallery(global)?;
            gallery.verify()?;
            let statement = statement(change, &gallery)?;
            drop(gallery);
            say_in(&store, &statement, json, global, out)
        }
    }
}

/// Puts a statement into the store and publishes it.
pub(crate) fn say(
    statement: &Statement,
    json: bool,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    say_in(&store_to_change(global)?, statement, json, global, out)
}

fn say_in(
    store: &SledStore,
    statement: &Statement,
    json: bool,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let Some(number) = store.say(statement).map_err(refused)? else {
        out.note("nothing to change: it is so already");
        return Ok(Exit::Success);
    };
    publish(store, global)?;
    let said = said(store)?;
    if json {
        out.json(&said)?;
        return Ok(Exit::Success);
    }
    let faces = count(said.faces as u64, "face", "faces");
    let what = shown_name(&said.what);
    out.line(format!("{what} ({faces}); `facesearch identity undo {number}` takes it back"))?;
    Ok(Exit::Success)
}

/// The last entry of the journal.
fn said(store: &SledStore) -> anyhow::Result<Logged> {
    let entry = store.journal()?.pop().context("the journal is empty after something was said")?;
    Ok(Logged::of(entry))
}

fn store(global: &Global) -> anyhow::Result<SledStore> {
    // A snapshot says better than the store what is wrong with a missing index.
    let gallery = open::gallery(global)?;
    if is_imported(gallery.contract()) {
        return Err(Failure::input(format!(
            "{} was imported and keeps no names of its own; import it anew with other identities",
            shown(&global.index)
        )));
    }
    Ok(SledStore::open(&global.index.join(open::STORE))?)
}

/// The store, once all that is in it is published: an earlier change may have been interrupted.
fn store_to_change(global: &Global) -> anyhow::Result<SledStore> {
    let store = store(global)?;
    if open::publisher(global).is_behind(&store)? {
        publish(&store, global)?;
    }
    Ok(store)
}

fn publish(store: &SledStore, global: &Global) -> anyhow::Result<()> {
    facesearch_core::FaceStore::flush(store)?;
    open::publisher(global).publish(store, true)?;
    Ok(())
}

fn refused(error: facesearch_store::JournalError) -> anyhow::Error {
    match error {
        facesearch_store::JournalError::Store(error) => error.into(),
        error => Failure::input(error.to_string()),
    }
}

/// What a command says of which faces.
fn statement(command: &IdentityCommand, gallery: &dyn Gallery) -> anyhow::Result<Statement> {
    let all_to = |names: &[&String], to: Option<&String>| -> anyhow::Result<Vec<_>> {
        let mut faces = Vec::new();
        for name in names {
            let rows = gallery.rows_of(known(name, gallery)?);
            faces.extend(rows.into_iter().map(|row| (gallery.face(row).id, to.cloned())));
        }
        Ok(faces)
    };
    Ok(match command {
        IdentityCommand::Rename { old, new } => {
            let new = usable(new)?;
            if old != &new && gallery.find_identity(&new).is_some() {
                let what =
                    format!("`{new}` is there already; `facesearch identity merge` makes them one");
                return Err(Failure::input(what));
            }
            Statement {
                what: format!("rename `{old}` to `{new}`"),
                faces: all_to(&[old], Some(&new))?,
                labels: vec![(old.clone(), Some(new))],
            }
        }
        IdentityCommand::Merge { name, others } => {
            let others: Vec<&String> = others.iter().filter(|other| *other != name).collect();
            known(name, gallery)?;
            Statement {
                what: format!("merge {} into `{name}`", quoted(&others)),
                faces: all_to(&others, Some(name))?,
                labels: others.into_iter().map(|o| (o.clone(), Some(name.clone()))).collect(),
            }
        }
        IdentityCommand::Split { name, faces, into } => {
            let into = usable(into)?;
            let own: BTreeSet<u64> = gallery
                .rows_of(known(name, gallery)?)
                .into_iter()
                .map(|row| gallery.face(row).id.0)
                .collect();
            if let Some(other) = faces.iter().find(|face| !own.contains(face)) {
                return Err(Failure::input(format!("face {other} is not of `{name}`")));
            }
            // Those who stay are said to stay: the two are not one person.
            let moved: BTreeSet<u64> = faces.iter().copied().collect();
            let label = |face: &u64| if moved.contains(face) { &into } else { name };
            Statement {
                what: format!("split `{into}` from `{name}`"),
                faces: own.iter().map(|f| (FaceId(*f), Some(label(f).clone()))).collect(),
                labels: Vec::new(),
            }
        }
        IdentityCommand::Assign { faces, to } => {
            let to = usable(to)?;
            Statement {
                what: format!("assign to `{to}`"),
                faces: faces.iter().map(|face| (FaceId(*face), Some(to.clone()))).collect(),
                labels: Vec::new(),
            }
        }
        IdentityCommand::Remove { name } => Statement {
            what: format!("remove `{name}`"),
            faces: all_to(&[name], None)?,
            labels: Vec::new(),
        },
        IdentityCommand::List
        | IdentityCommand::Show { .. }
        | IdentityCommand::Undo { .. }
        | IdentityCommand::Log => Statement::default(),
    })
}

/// A name that can be given.
fn usable(name: &str) -> anyhow::Result<String> {
    match name.trim() {
        "" => Err(Failure::usage("a name needs at least one letter")),
        name => Ok(name.to_owned()),
    }
}

fn known(name: &str, gallery: &dyn Gallery) -> anyhow::Result<IdentityIndex> {
    gallery.find_identity(name).ok_or_else(|| {
        Failure::input(format!("nobody is called `{name}`; `facesearch identity list` says who is"))
    })
}

fn quoted(names: &[&String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[derive(Serialize)]
struct Listed<'a> {
    identity: &'a str,
    faces: usize,
}

fn list(json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    for index in (0..gallery.identity_count() as u32).map(IdentityIndex) {
        let listed =
            Listed { identity: gallery.identity(index), faces: gallery.rows_of(index).len() };
        if json {
            out.json(&listed)?;
        } else {
            let faces = count(listed.faces as u64, "face", "faces");
            out.line(format!("{}: {faces}", shown_name(listed.identity)))?;
        }
    }
    Ok(Exit::Success)
}

#[derive(Serialize)]
struct Shown {
    face: u64,
    photo: String,
    #[serde(rename = "box")]
    bbox: facesearch_core::BoundingBox,
    /// Distance to the nearest other face of the same person; null where there is none.
    nearest_own: Option<f32>,
}

fn show(name: &str, json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    let rows = gallery.rows_of(known(name, &gallery)?);
    for row in &rows {
        let face = gallery.face(*row);
        let others = rows.iter().filter(|other| *other != row);
        let near = others.map(|other| distance(&gallery, *row, *other)).min_by(f32::total_cmp);
        let path = gallery.photo_path(face.photo);
        if json {
            let photo = path.to_string_lossy().into_owned();
            out.json(&Shown { face: face.id.0, photo, bbox: face.face.bbox, nearest_own: near })?;
        } else {
            let near = near.map(|d| format!(", {d:.3} from the nearest other")).unwrap_or_default();
            out.line(format!("face {}: {}{near}", face.id, shown(&path)))?;
        }
    }
    Ok(Exit::Success)
}

/// Exact distance of two faces of a gallery.
pub(crate) fn distance(gallery: &dyn Gallery, a: Row, b: Row) -> f32 {
    facesearch_core::distance(gallery.vector(a), gallery.vector(b)).get()
}

#[derive(Serialize)]
struct Logged {
    entry: u64,
    what: String,
    undoes: Option<u64>,
    faces: usize,
}

impl Logged {
    fn of(entry: JournalEntry) -> Self {
        let JournalEntry { number, what, undoes, faces, .. } = entry;
        Self { entry: number, what, undoes, faces: faces.len() }
    }
}

fn log(json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    for entry in store(global)?.journal()? {
        let logged = Logged::of(entry);
        if json {
            out.json(&logged)?;
        } else {
            let faces = count(logged.faces as u64, "face", "faces");
            out.line(format!("{}: {} ({faces})", logged.entry, shown_name(&logged.what)))?;
        }
    }
    Ok(Exit::Success)
}
