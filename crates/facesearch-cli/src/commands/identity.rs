//! `facesearch identity`: name people, and take it back.

use clap::{Args, Subcommand};
use facesearch::{PeopleChange, Said};
use facesearch_core::{FaceId, Judgement};

use crate::args::Global;
use crate::exit::Exit;
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
    /// The faces of one person, and those that were denied to be
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
    /// Say that a face is of a person for sure; it gets the name, and `audit` does not doubt it
    Confirm {
        /// The face, by the number that `show` gives
        face: u64,
        /// Whose it is
        name: String,
    },
    /// Say that a face is not of a person; it loses the name, and does not get it again from
    /// `cluster`, from a merge or from the name of a folder
    Deny {
        /// The face, by the number that `show` gives
        face: u64,
        /// Whose it is not
        name: String,
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
        IdentityCommand::List => list(json, global, out)?,
        IdentityCommand::Show { name } => show(name, json, global, out)?,
        IdentityCommand::Log => log(json, global, out)?,
        IdentityCommand::Undo { entry } => {
            let said = open::engine(global, out)?.undo(*entry)?;
            print(&said, json, out)?;
        }
        IdentityCommand::Rename { old, new } => {
            let (old, new) = (old.clone(), new.clone());
            say(&PeopleChange::Rename { old, new }, json, global, out)?;
        }
        IdentityCommand::Merge { name, others } => {
            let (name, others) = (name.clone(), others.clone());
            say(&PeopleChange::Merge { name, others }, json, global, out)?;
        }
        IdentityCommand::Split { name, faces, into } => {
            let (name, into) = (name.clone(), into.clone());
            say(&PeopleChange::Split { name, faces: ids(faces), into }, json, global, out)?;
        }
        IdentityCommand::Assign { faces, to } => {
            let (faces, to) = (ids(faces), to.clone());
            say(&PeopleChange::Assign { faces, to }, json, global, out)?;
        }
        IdentityCommand::Confirm { face, name } => {
            let (face, name) = (FaceId(*face), name.clone());
            say(&PeopleChange::Confirm { face, name }, json, global, out)?;
        }
        IdentityCommand::Deny { face, name } => {
            let (face, name) = (FaceId(*face), name.clone());
            say(&PeopleChange::Deny { face, name }, json, global, out)?;
        }
        IdentityCommand::Remove { name } => {
            say(&PeopleChange::Forget { name: name.clone() }, json, global, out)?;
        }
    }
    Ok(Exit::Success)
}

fn ids(faces: &[u64]) -> Vec<FaceId> {
    faces.iter().copied().map(FaceId).collect()
}

fn say(
    change: &PeopleChange,
    json: bool,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<()> {
    match open::engine(global, out)?.say(change)? {
        Some(said) => print(&said, json, out),
        None => {
            out.note("nothing to change: it is so already");
            Ok(())
        }
    }
}

/// Says what an entry of the journal has changed.
pub(crate) fn print(said: &Said, json: bool, out: &mut Printer) -> anyhow::Result<()> {
    if json {
        return out.json(said);
    }
    if let Some(number) = said.undoes {
        return out.line(format!("took back entry {number}"));
    }
    let (what, faces) = (shown_name(&said.what), count(said.faces as u64, "face", "faces"));
    let entry = said.entry;
    out.line(format!("{what} ({faces}); `facesearch identity undo {entry}` takes it back"))
}

fn list(json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<()> {
    for person in open::reader(global, out)?.people()? {
        if json {
            out.json(&person)?;
        } else {
            let faces = count(person.faces as u64, "face", "faces");
            out.line(format!("{}: {faces}", shown_name(&person.identity)))?;
        }
    }
    Ok(())
}

fn show(name: &str, json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<()> {
    let reader = open::reader(global, out)?;
    let mut faces = reader.faces_of(name)?;
    faces.extend(reader.denied_faces_of(name)?);
    for face in faces {
        if json {
            out.json(&face)?;
        } else {
            let near = face.nearest_own.map(|d| format!(", {:.3} from the nearest other", d.get()));
            let judgement = match face.judgement {
                Some(Judgement::Confirmed) => ", confirmed",
                Some(Judgement::Denied) => ", denied",
                None => "",
            };
            let (number, near) = (face.face, near.unwrap_or_default());
            out.line(format!("face {number}: {}{near}{judgement}", shown(&face.path)))?;
        }
    }
    Ok(())
}

fn log(json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<()> {
    for said in open::reader(global, out)?.journal()? {
        if json {
            out.json(&said)?;
        } else {
            let faces = count(said.faces as u64, "face", "faces");
            out.line(format!("{}: {} ({faces})", said.entry, shown_name(&said.what)))?;
        }
    }
    Ok(())
}
