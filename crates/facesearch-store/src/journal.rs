//! What people said of faces, in order: names given, merged, split and taken back.
//!
//! Names of files suggest whose face it is; somebody who looks at it knows better. What was said
//! goes into the faces' records, is marked there so that no later indexing run takes it back, and
//! is appended to a journal with what was before. So everything said can be undone: the records are
//! then byte by byte what they were. An undoing is an entry too. The journal only grows, but for
//! what concerns people who are removed: their names are taken out of all entries, which keep their
//! numbers.
//!
//! What was said of a single face and a name, yes or no, is remembered besides
//! ([`Judgement`]). A face that was confirmed has the name; one that was denied has it not, and
//! does not get it, whatever is said of names later. Judgements follow a name that is renamed.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use facesearch_core::{FaceId, Judgement, StoreError};

use crate::codec::{self, CodecError};

/// What a face goes by, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// The label; `None` for nobody.
    pub identity: Option<String>,
    /// Whether somebody said so, rather than the name of a file.
    pub said: bool,
}

/// A face before and after an entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFace {
    /// The face.
    pub face: FaceId,
    /// What it went by.
    pub before: Naming,
    /// What it goes by since.
    pub after: Naming,
}

/// What names of files mean since an entry: photos that are indexed later go by it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLabel {
    /// The label that names of files give.
    pub label: String,
    /// The label it stood for; `None` for itself.
    pub before: Option<String>,
    /// The label it stands for since.
    pub after: Option<String>,
}

/// What was said of a face and a name, before and after an entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedFace {
    /// The face.
    pub face: FaceId,
    /// The name.
    pub name: String,
    /// What had been said; `None` for nothing.
    pub before: Option<Judgement>,
    /// What holds since.
    pub after: Option<Judgement>,
}

impl JudgedFace {
    /// Whether the face was of this person for sure, before or since.
    fn went_by(&self) -> bool {
        [self.before, self.after].contains(&Some(Judgement::Confirmed))
    }
}

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its place in the journal, from 1.
    pub number: u64,
    /// What was said, in words.
    pub what: String,
    /// The entry that this one took back.
    pub undoes: Option<u64>,
    /// Faces that were named, ids ascending.
    pub faces: Vec<NamedFace>,
    /// Labels that were renamed.
    pub labels: Vec<NamedLabel>,
    /// Faces that were confirmed or denied, or were no longer so; ids ascending, then names.
    pub judged: Vec<JudgedFace>,
}

impl JournalEntry {
    /// How many faces it named or judged.
    pub fn face_count(&self) -> usize {
        let named = self.faces.iter().map(|named| named.face);
        let faces: BTreeSet<FaceId> =
            named.chain(self.judged.iter().map(|judged| judged.face)).collect();
        faces.len()
    }

    /// Whether it changed nothing, or what it changed was forgotten.
    fn is_empty(&self) -> bool {
        self.faces.is_empty() && self.labels.is_empty() && self.judged.is_empty()
    }

    /// Every name in its faces, labels and judgements.
    fn names(&self) -> impl Iterator<Item = &String> {
        let faces = self.faces.iter().flat_map(|named| [&named.before, &named.after]);
        let faces = faces.filter_map(|naming| naming.identity.as_ref());
        let labels = self.labels.iter().flat_map(|named| {
            [Some(&named.label), named.before.as_ref(), named.after.as_ref()].into_iter().flatten()
        });
        faces.chain(labels).chain(self.judged.iter().map(|judged| &judged.name))
    }

    /// The entry as it is written. What was judged follows the rest, where there is any.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let mut bytes = codec::encode_long(&EntryOnDisk::from(self))?;
        if !self.judged.is_empty() {
            bytes.extend(codec::encode_long(&JudgedOnDisk::from(&self.judged[..]))?);
        }
        Ok(bytes)
    }

    /// The entry that was written as `bytes`; `None` where it speaks of labels that it does not
    /// have.
    pub(crate) fn from_bytes(number: u64, bytes: &[u8]) -> Result<Option<Self>, CodecError> {
        let (entry, rest) = codec::decode_first::<EntryOnDisk>(bytes)?;
        let judged = match rest {
            [] => Vec::new(),
            rest => codec::decode_long::<JudgedOnDisk>(rest)?.into(),
        };
        Ok(entry.into_entry(number).map(|entry| Self { judged, ..entry }))
    }
}

/// The entries of a journal that have to change so that none speaks of `names`, as they are then.
///
/// What was said of faces that went by one of the names and are not there any more goes altogether,
/// with whatever else they went by; of other faces and of labels what has one of the names in it.
/// In the words of entries these names become `(removed)`.
pub(crate) fn forget(
    mut journal: Vec<JournalEntry>,
    names: &BTreeSet<String>,
    is_gone: impl Fn(FaceId) -> Result<bool, StoreError>,
) -> Result<Vec<JournalEntry>, StoreError> {
    let went_by = |naming: &Naming| naming.identity.as_ref().is_some_and(|n| names.contains(n));
    let mut gone = BTreeSet::new();
    for NamedFace { face, before, after } in journal.iter().flat_map(|entry| &entry.faces) {
        if (went_by(before) || went_by(after)) && !gone.contains(face) && is_gone(*face)? {
            gone.insert(*face);
        }
    }
    for judged in journal.iter().flat_map(|entry| &entry.judged) {
        let JudgedFace { face, name, .. } = judged;
        if judged.went_by() && names.contains(name) && !gone.contains(face) && is_gone(*face)? {
            gone.insert(*face);
        }
    }
    let before = journal.clone();
    let mut words = names.clone();
    for entry in &mut journal {
        entry.faces.retain(|NamedFace { face, before, after }| {
            if gone.contains(face) {
                words.extend(before.identity.iter().chain(&after.identity).cloned());
            }
            !gone.contains(face) && !went_by(before) && !went_by(after)
        });
        entry.labels.retain(|NamedLabel { label, before, after }| {
            !before.iter().chain(after).chain([label]).any(|name| names.contains(name))
        });
    }
    for entry in &mut journal {
        entry.judged.retain(|judged| {
            let is_gone = gone.contains(&judged.face);
            words.extend((is_gone && judged.went_by()).then(|| judged.name.clone()));
            !is_gone && !names.contains(&judged.name)
        });
    }
    // A name of faces that are gone may be somebody else's, too.
    let spoken_of: BTreeSet<&String> = journal.iter().flat_map(JournalEntry::names).collect();
    words.retain(|name| names.contains(name) || !spoken_of.contains(name));
    for entry in &mut journal {
        for name in &words {
            entry.what = entry.what.replace(&format!("`{name}`"), "(removed)");
        }
    }
    let changed = journal.into_iter().zip(before).filter(|(now, before)| now != before);
    Ok(changed.map(|(now, _)| now).collect())
}

/// Something to say: what faces and labels shall go by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// In words, for the journal.
    pub what: String,
    /// Faces with their labels from now on; `None` for nobody.
    pub faces: Vec<(FaceId, Option<String>)>,
    /// Labels that names of files give, with what they stand for from now on; `None` for
    /// themselves. Judgements of a label go along with it.
    pub labels: Vec<(String, Option<String>)>,
    /// Faces and names with what holds of them from now on. A face that is confirmed gets the
    /// name, one that is denied loses it.
    pub judged: Vec<(FaceId, String, Judgement)>,
}

/// Why an entry cannot be taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum JournalError {
    #[error("nothing was said that could be taken back")]
    Empty,
    #[error("the journal has no entry {number}; `facesearch identity log` lists them")]
    Unknown { number: u64 },
    #[error("entry {number} was taken back already, by entry {by}")]
    Undone { number: u64, by: u64 },
    #[error("face {face} was named again since entry {number}; take back what came later first")]
    Overtaken { number: u64, face: FaceId },
    #[error("`{label}` was renamed again since entry {number}; take back what came later first")]
    LabelOvertaken { number: u64, label: String },
    #[error("entry {number} was of people who were removed; there is nothing to take back")]
    Forgotten { number: u64 },
    #[error(
        "face {face} was denied to be `{name}`; `facesearch identity confirm {face} NAME` says \
         otherwise"
    )]
    Denied { face: FaceId, name: String },
    #[error(
        "face {face} was confirmed as one person and denied to be the other, who would both be \
         `{name}`; take one of the two back first"
    )]
    Contradiction { face: FaceId, name: String },
    #[error("there is no face {face} in this index")]
    NoFace { face: FaceId },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The entry to take back: the one asked for, or the last that still stands and is no undoing.
pub(crate) fn to_undo(
    journal: &[JournalEntry],
    asked: Option<u64>,
) -> Result<&JournalEntry, JournalError> {
    let undone: BTreeMap<u64, u64> =
        journal.iter().filter_map(|entry| Some((entry.undoes?, entry.number))).collect();
    // An undoing that was itself undone leaves its entry standing again, and so on.
    let stands = |entry: &JournalEntry| {
        let undoings = std::iter::successors(undone.get(&entry.number), |by| undone.get(by));
        undoings.count().is_multiple_of(2)
    };
    match asked {
        None => {
            let said = |entry: &&JournalEntry| entry.undoes.is_none() && !entry.is_empty();
            let mut standing = journal.iter().rev().filter(said);
            standing.find(|entry| stands(entry)).ok_or(JournalError::Empty)
        }
        Some(number) => {
            let entry = journal.iter().find(|entry| entry.number == number);
            let entry = entry.ok_or(JournalError::Unknown { number })?;
            match undone.get(&number) {
                Some(by) if !stands(entry) => Err(JournalError::Undone { number, by: *by }),
                _ if entry.is_empty() => Err(JournalError::Forgotten { number }),
                _ => Ok(entry),
            }
        }
    }
}

/// An entry as it is written: labels once, in a table.
#[derive(Encode, Decode)]
struct EntryOnDisk {
    what: String,
    undoes: Option<u64>,
    table: Vec<String>,
    faces: Vec<(u64, NamingOnDisk, NamingOnDisk)>,
    labels: Vec<(u32, Option<u32>, Option<u32>)>,
}

/// A place in the table, and whether somebody said so.
#[derive(Encode, Decode)]
struct NamingOnDisk(Option<u32>, bool);

impl From<&JournalEntry> for EntryOnDisk {
    fn from(entry: &JournalEntry) -> Self {
        let mut places: BTreeMap<String, u32> = BTreeMap::new();
        let mut table = Vec::new();
        let mut place = |label: &String| {
            *places.entry(label.clone()).or_insert_with(|| {
                table.push(label.clone());
                table.len() as u32 - 1
            })
        };
        let mut faces = Vec::with_capacity(entry.faces.len());
        for NamedFace { face, before, after } in &entry.faces {
            let [before, after] = [before, after]
                .map(|naming| NamingOnDisk(naming.identity.as_ref().map(&mut place), naming.said));
            faces.push((face.0, before, after));
        }
        let mut labels = Vec::with_capacity(entry.labels.len());
        for NamedLabel { label, before, after } in &entry.labels {
            let [before, after] = [before, after].map(|label| label.as_ref().map(&mut place));
            labels.push((place(label), before, after));
        }
        Self { what: entry.what.clone(), undoes: entry.undoes, table, faces, labels }
    }
}

impl EntryOnDisk {
    /// The entry; `None` where it speaks of labels that its table does not have.
    fn into_entry(self, number: u64) -> Option<JournalEntry> {
        let at = |place: u32| self.table.get(place as usize).cloned();
        let maybe = |place: Option<u32>| match place {
            None => Some(None),
            Some(place) => at(place).map(Some),
        };
        let naming = |disk: &NamingOnDisk| Some(Naming { identity: maybe(disk.0)?, said: disk.1 });
        let face = |(id, before, after): &(u64, NamingOnDisk, NamingOnDisk)| {
            Some(NamedFace { face: FaceId(*id), before: naming(before)?, after: naming(after)? })
        };
        let label = |(label, before, after): &(u32, Option<u32>, Option<u32>)| {
            Some(NamedLabel { label: at(*label)?, before: maybe(*before)?, after: maybe(*after)? })
        };
        Some(JournalEntry {
            number,
            what: self.what.clone(),
            undoes: self.undoes,
            faces: self.faces.iter().map(face).collect::<Option<_>>()?,
            labels: self.labels.iter().map(label).collect::<Option<_>>()?,
            judged: Vec::new(),
        })
    }
}

/// What an entry judged, as it is written behind the rest: faces and names with what was said
/// before and what holds since; `true` for confirmed, `false` for denied.
#[derive(Encode, Decode)]
struct JudgedOnDisk(Vec<(u64, String, Option<bool>, Option<bool>)>);

impl From<&[JudgedFace]> for JudgedOnDisk {
    fn from(judged: &[JudgedFace]) -> Self {
        let one = |JudgedFace { face, name, before, after }: &JudgedFace| {
            (face.0, name.clone(), before.map(is_confirmed), after.map(is_confirmed))
        };
        Self(judged.iter().map(one).collect())
    }
}

impl From<JudgedOnDisk> for Vec<JudgedFace> {
    fn from(JudgedOnDisk(judged): JudgedOnDisk) -> Self {
        let one = |(face, name, before, after): (u64, String, Option<bool>, Option<bool>)| {
            let (before, after) = (before.map(judgement), after.map(judgement));
            JudgedFace { face: FaceId(face), name, before, after }
        };
        judged.into_iter().map(one).collect()
    }
}

/// A judgement as it is written.
pub(crate) fn is_confirmed(judgement: Judgement) -> bool {
    judgement == Judgement::Confirmed
}

/// What [`is_confirmed`] was given.
pub(crate) fn judgement(is_confirmed: bool) -> Judgement {
    if is_confirmed { Judgement::Confirmed } else { Judgement::Denied }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_judgements_is_written_as_before_there_were_any() {
        let entry = JournalEntry {
            number: 4,
            what: "a".into(),
            undoes: None,
            faces: vec![NamedFace {
                face: FaceId(1),
                before: Naming::default(),
                after: Naming { identity: Some("x".into()), said: true },
            }],
            labels: Vec::new(),
            judged: Vec::new(),
        };
        // The words, no number, a table of one label, one face, no labels.
        let bytes = [1, b'a', 0, 1, 1, b'x', 1, 1, 0, 0, 1, 0, 1, 0];
        assert_eq!(entry.to_bytes().unwrap(), bytes);
        assert_eq!(JournalEntry::from_bytes(4, &bytes).unwrap(), Some(entry));
    }

    #[test]
    fn judgements_come_back_behind_the_rest() {
        let judged =
            |before, after| JudgedFace { face: FaceId(7), name: "Zo\u{eb}".into(), before, after };
        let entry = JournalEntry {
            number: 1,
            what: "w".into(),
            undoes: Some(3),
            faces: Vec::new(),
            labels: Vec::new(),
            judged: vec![
                judged(None, Some(Judgement::Confirmed)),
                judged(Some(Judgement::Confirmed), Some(Judgement::Denied)),
                judged(Some(Judgement::Denied), None),
            ],
        };
        let mut bytes = entry.to_bytes().unwrap();
        assert_eq!(JournalEntry::from_bytes(1, &bytes).unwrap(), Some(entry));
        bytes.push(0);
        assert!(JournalEntry::from_bytes(1, &bytes).is_err(), "nothing follows");
    }
}
