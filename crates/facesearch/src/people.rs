//! People: who is in an index, and what was said of whose face it is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use facesearch_ann::SnapshotPublisher;
use facesearch_core::{
    BoundingBox, Distance, FaceId, FaceStore, Gallery, IdentityIndex, Judgement, Judgements,
    Publisher, Row, display_path,
};
use facesearch_store::{JournalEntry, JournalError, SledStore, Statement};
use serde::Serialize;

use crate::engine::{Engine, STORE};
use crate::error::{Error, Result};
use crate::imported::is_imported;
use crate::reader::Reader;

/// A person of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The label.
    pub identity: String,
    /// How many faces have it.
    pub faces: usize,
}

/// A face of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonFace {
    /// Its number.
    pub face: u64,
    /// The photo it is in.
    pub photo: String,
    /// Where it is in the photo.
    #[serde(rename = "box")]
    pub bbox: BoundingBox,
    /// Distance to the nearest other face of the same person; `None` where there is none.
    pub nearest_own: Option<Distance>,
    /// What was said of this face and this person; `None` where nothing was.
    pub judgement: Option<Judgement>,
    /// The photo's path as it is.
    #[serde(skip)]
    pub path: PathBuf,
}

/// An entry of the journal of statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Its number, by which it is undone.
    pub entry: u64,
    /// What was said.
    pub what: String,
    /// The entry that it took back.
    pub undoes: Option<u64>,
    /// How many faces it names, confirms or denies.
    pub faces: usize,
}

impl From<JournalEntry> for Said {
    fn from(entry: JournalEntry) -> Self {
        let faces = entry.face_count();
        let JournalEntry { number, what, undoes, .. } = entry;
        Self { entry: number, what, undoes, faces }
    }
}

/// What is said of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleChange {
    /// A person gets another name, which nobody has.
    Rename {
        /// The name now.
        old: String,
        /// The name from now on.
        new: String,
    },
    /// Several people are one.
    Merge {
        /// The name that stays.
        name: String,
        /// The names that become it.
        others: Vec<String>,
    },
    /// Some faces of a person are of somebody else.
    Split {
        /// The person.
        name: String,
        /// The faces that are not theirs.
        faces: Vec<FaceId>,
        /// Whose they are.
        into: String,
    },
    /// Whose faces these are.
    Assign {
        /// The faces.
        faces: Vec<FaceId>,
        /// Whose they are.
        to: String,
    },
    /// A face is of a person for sure: it gets the name, and no audit doubts it.
    Confirm {
        /// The face.
        face: FaceId,
        /// Whose it is.
        name: String,
    },
    /// A face is not of a person: it loses the name, and neither a cluster nor a merge nor the name
    /// of a folder gives it back.
    Deny {
        /// The face.
        face: FaceId,
        /// Whose it is not.
        name: String,
    },
    /// A name is forgotten; its faces stay and are nobody's.
    Forget {
        /// The name.
        name: String,
    },
}

impl Reader {
    /// Everybody in the index, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is missing or damaged.
    pub fn people(&self) -> Result<Vec<Person>> {
        let gallery = self.gallery()?;
        gallery.verify()?;
        let indices = (0..gallery.identity_count() as u32).map(IdentityIndex);
        let person = |index| {
            let (identity, faces) = (gallery.identity(index), gallery.rows_of(index).len());
            Person { identity: identity.to_owned(), faces }
        };
        let mut people: Vec<Person> = indices.map(person).filter(|p| p.faces > 0).collect();
        people.sort_by(|a, b| a.identity.cmp(&b.identity));
        Ok(people)
    }

    /// The faces of a person. There may be none of a name that was only denied.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where nobody has this name, [`Error::Gallery`] where the index is missing
    /// or damaged.
    pub fn faces_of(&self, name: &str) -> Result<Vec<PersonFace>> {
        let gallery = self.gallery()?;
        gallery.verify()?;
        let judgements = gallery.judgements()?;
        let rows = match known(name, &*gallery) {
            Err(_) if judgements.has_name(name) => Vec::new(),
            index => gallery.rows_of(index?),
        };
        let face = |row: &Row| person_face(&*gallery, *row, &rows, name, &judgements);
        Ok(rows.iter().map(face).collect())
    }

    /// The faces that were denied to be of a person, whoever has them now.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is missing or damaged.
    pub fn denied_faces_of(&self, name: &str) -> Result<Vec<PersonFace>> {
        let gallery = self.gallery()?;
        gallery.verify()?;
        let judgements = gallery.judgements()?;
        if !judgements.has_name(name) {
            return Ok(Vec::new());
        }
        let own = gallery.find_identity(name).map_or_else(Vec::new, |index| gallery.rows_of(index));
        let all = (0..gallery.len() as u32).map(Row);
        let denied = all.filter(|row| judgements.is_denied(gallery.face(*row).id, name));
        Ok(denied.map(|row| person_face(&*gallery, row, &own, name, &judgements)).collect())
    }

    /// Everything that was said of people, oldest first. Takes the store for a moment.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where the index was imported and has no journal; [`Error::Store`] where the
    /// store is damaged or in use.
    pub fn journal(&self) -> Result<Vec<Said>> {
        refuse_imported(self)?;
        let entries = SledStore::open(&self.dir().join(STORE))?.journal()?;
        Ok(entries.into_iter().map(Said::from).collect())
    }
}

impl Engine {
    /// Says something of people; indexing later respects it. `None` where it is so already.
    ///
    /// Where an earlier call made the change and could not publish it, the same call publishes it.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where a name or a face is not there, a new name is taken, or a face was
    /// denied to have the name that it is given; [`Error::Usage`] for an empty name;
    /// [`Error::Store`] where the store cannot be written; [`Error::Unpublished`] where the change
    /// is made and readers do not see it yet.
    pub fn say(&mut self, change: &PeopleChange) -> Result<Option<Said>> {
        refuse_imported(&self.reader())?;
        let what = change.what()?;
        if let Some(entry) = self.take()?.late.take_if(|entry| change.is_said_by(entry, &what)) {
            return Ok(Some(entry.into()));
        }
        let gallery = self.reader().gallery()?;
        gallery.verify()?;
        let statement = statement(change, what, &*gallery)?;
        drop(gallery);
        self.state(&statement)
    }

    /// Puts a statement into the journal, and publishes what it changes.
    pub(crate) fn state(&mut self, statement: &Statement) -> Result<Option<Said>> {
        refuse_imported(&self.reader())?;
        self.take()?.publishing(|store, publisher| match store.say(statement).map_err(refused)? {
            None => Ok(None),
            Some(_) => publish_last(store, publisher).map(Some),
        })
    }

    /// Takes back an entry of the journal, the last that stands where none is named, and gives the
    /// entry that says so.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where there is no such entry or later ones depend on it; [`Error::Store`]
    /// where the store cannot be written; [`Error::Unpublished`] where the change is made and
    /// readers do not see it yet.
    pub fn undo(&mut self, asked: Option<u64>) -> Result<Said> {
        refuse_imported(&self.reader())?;
        let undoes = |entry: &mut JournalEntry| {
            entry.undoes.is_some_and(|number| asked.is_none_or(|asked| asked == number))
        };
        if let Some(entry) = self.take()?.late.take_if(undoes) {
            return Ok(entry.into());
        }
        self.take()?.publishing(|store, publisher| {
            store.undo(asked).map_err(refused)?;
            publish_last(store, publisher)
        })
    }
}

impl PeopleChange {
    /// What is said, in words for the journal.
    fn what(&self) -> Result<String> {
        Ok(match self {
            Self::Rename { old, new } => format!("rename `{old}` to `{}`", usable(new)?),
            Self::Merge { name, others } => {
                format!("merge {} into `{name}`", quoted(&others_than(name, others)))
            }
            Self::Split { name, into, .. } => format!("split `{}` from `{name}`", usable(into)?),
            Self::Assign { to, .. } => format!("assign to `{}`", usable(to)?),
            Self::Confirm { face, name } => format!("confirm face {face} as `{}`", usable(name)?),
            Self::Deny { face, name } => format!("deny that face {face} is `{}`", usable(name)?),
            Self::Forget { name } => format!("remove `{name}`"),
        })
    }

    /// Whether an entry of the journal says the same.
    fn is_said_by(&self, entry: &JournalEntry, what: &str) -> bool {
        let same_faces = match self {
            // Whether these faces have that name already is seen when it is said.
            Self::Assign { .. } => false,
            Self::Split { faces, .. } => {
                let moved = entry.faces.iter().filter(|f| f.before.identity != f.after.identity);
                moved.map(|face| face.face).eq(faces.iter().copied().collect::<BTreeSet<_>>())
            }
            _ => true,
        };
        same_faces && entry.undoes.is_none() && entry.what == what
    }
}

/// Publishes the last entry of the journal, and gives it back.
fn publish_last(store: &SledStore, publisher: &SnapshotPublisher) -> Result<Said> {
    store.flush().map_err(|source| Error::Unpublished {
        what: "the change may not have reached the disk; say it again, which changes nothing twice"
            .into(),
        source,
    })?;
    let last = store.journal()?.pop();
    let said = Said::from(last.ok_or_else(|| Error::index("the journal is empty after a change"))?);
    publisher.publish(store, true).map_err(|source| Error::Unpublished {
        what: format!(
            "the change is made, as entry {}, but readers do not see it yet; any command that \
             changes the index publishes it, also the same one again",
            said.entry
        ),
        source,
    })?;
    Ok(said)
}

/// A face as one of `name`, who has the faces in `own`.
fn person_face(
    gallery: &dyn Gallery,
    row: Row,
    own: &[Row],
    name: &str,
    judgements: &Judgements,
) -> PersonFace {
    let view = gallery.face(row);
    let others = own.iter().filter(|other| **other != row);
    let apart =
        |other: &Row| facesearch_core::distance(gallery.vector(row), gallery.vector(*other));
    let path = gallery.photo_path(view.photo);
    PersonFace {
        face: view.id.0,
        photo: path.to_string_lossy().into_owned(),
        bbox: view.face.bbox,
        nearest_own: others.map(apart).min(),
        judgement: judgements.get(view.id, name),
        path,
    }
}

fn others_than<'a>(name: &str, names: &'a [String]) -> Vec<&'a String> {
    names.iter().filter(|other| *other != name).collect()
}

fn refuse_imported(reader: &Reader) -> Result<()> {
    // A published index says better than the store what is wrong with a missing one.
    if is_imported(reader.gallery()?.contract()) {
        return Err(Error::input(format!(
            "{} was imported and keeps no names of its own; import it anew with other identities",
            display_path(reader.dir())
        )));
    }
    Ok(())
}

fn refused(error: JournalError) -> Error {
    match error {
        JournalError::Store(error) => error.into(),
        error => Error::input(error.to_string()),
    }
}

/// What a change says of which faces.
fn statement(change: &PeopleChange, what: String, gallery: &dyn Gallery) -> Result<Statement> {
    let all_to = |names: &[&String], to: Option<&String>| -> Result<Vec<_>> {
        let mut faces = Vec::new();
        for name in names {
            let rows = gallery.rows_of(known(name, gallery)?);
            faces.extend(rows.into_iter().map(|row| (gallery.face(row).id, to.cloned())));
        }
        Ok(faces)
    };
    Ok(match change {
        PeopleChange::Rename { old, new } => {
            let new = usable(new)?;
            if old != &new && gallery.find_identity(&new).is_some() {
                return Err(Error::input(format!(
                    "`{new}` is there already; `facesearch identity merge` makes them one"
                )));
            }
            Statement {
                what,
                faces: all_to(&[old], Some(&new))?,
                labels: vec![(old.clone(), Some(new))],
                judged: Vec::new(),
            }
        }
        PeopleChange::Merge { name, others } => {
            let others = others_than(name, others);
            known(name, gallery)?;
            Statement {
                what,
                faces: all_to(&others, Some(name))?,
                labels: others.into_iter().map(|o| (o.clone(), Some(name.clone()))).collect(),
                judged: Vec::new(),
            }
        }
        PeopleChange::Split { name, faces, into } => split(what, [name, into], faces, gallery)?,
        PeopleChange::Assign { faces, to } => {
            let to = usable(to)?;
            Statement {
                what,
                faces: faces.iter().map(|face| (*face, Some(to.clone()))).collect(),
                ..Statement::default()
            }
        }
        PeopleChange::Confirm { face, name } => {
            let judged = vec![(*face, usable(name)?, Judgement::Confirmed)];
            Statement { what, judged, ..Statement::default() }
        }
        PeopleChange::Deny { face, name } => {
            let name = usable(name)?;
            if !gallery.judgements()?.has_name(&name) {
                known(&name, gallery)?;
            }
            let judged = vec![(*face, name, Judgement::Denied)];
            Statement { what, judged, ..Statement::default() }
        }
        PeopleChange::Forget { name } => {
            Statement { what, faces: all_to(&[name], None)?, ..Statement::default() }
        }
    })
}

fn split(
    what: String,
    [name, into]: [&String; 2],
    faces: &[FaceId],
    gallery: &dyn Gallery,
) -> Result<Statement> {
    let into = usable(into)?;
    let rows = gallery.rows_of(known(name, gallery)?);
    let own: BTreeSet<FaceId> = rows.into_iter().map(|row| gallery.face(row).id).collect();
    if let Some(other) = faces.iter().find(|face| !own.contains(face)) {
        return Err(Error::input(format!("face {other} is not of `{name}`")));
    }
    // The statement names those who stay, too: the two are not one person.
    let moved: BTreeSet<FaceId> = faces.iter().copied().collect();
    let label = |face: &FaceId| if moved.contains(face) { &into } else { name };
    Ok(Statement {
        what,
        faces: own.iter().map(|face| (*face, Some(label(face).clone()))).collect(),
        ..Statement::default()
    })
}

/// A name that can be given.
fn usable(name: &str) -> Result<String> {
    match name.trim() {
        "" => Err(Error::usage("a name needs at least one letter")),
        name => Ok(name.to_owned()),
    }
}

fn known(name: &str, gallery: &dyn Gallery) -> Result<IdentityIndex> {
    gallery.find_identity(name).ok_or_else(|| {
        Error::input(format!("nobody is called `{name}`; `facesearch identity list` says who is"))
    })
}

fn quoted(names: &[&String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
