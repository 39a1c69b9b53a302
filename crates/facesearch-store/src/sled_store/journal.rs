//! The journal in the database, and statements becoming records.

use std::collections::{BTreeMap, BTreeSet};

use facesearch_core::{FaceId, Judgements, StoreError};

use super::commit::Draft;
use super::guard::guarded;
use super::{SledStore, unwritable};
use crate::codec;
use crate::journal::{forget, is_confirmed, to_undo};
use crate::keys;
use crate::record::FaceOnDisk;
use crate::{JournalEntry, JournalError, JudgedFace, NamedFace, NamedLabel, Naming, Statement};

impl SledStore {
    /// Everything that was said, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the disk or its content is bad.
    pub fn journal(&self) -> Result<Vec<JournalEntry>, StoreError> {
        let mut entries: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        self.scan(keys::JOURNAL, &mut |key, value| {
            let number = keys::number_of_entry(key)
                .ok_or_else(|| self.damaged("a journal entry has no number"))?;
            let part = codec::open(key, value).map_err(|error| self.damaged(error))?;
            entries.entry(number).or_default().extend_from_slice(part);
            Ok(())
        })?;
        let whole = |(number, bytes): (u64, Vec<u8>)| {
            let entry = JournalEntry::from_bytes(number, &bytes);
            let wrong = || self.damaged(format_args!("journal entry {number} contradicts itself"));
            entry.map_err(|error| self.damaged(error))?.ok_or_else(wrong)
        };
        entries.into_iter().map(whole).collect()
    }

    /// Says something, and returns the number of its journal entry: faces and labels go by it from
    /// now on, and indexing runs leave it alone. All of it happens or, should the process die,
    /// none; it survives a power cut once flushed. `None` where all went by it already.
    ///
    /// Judgements hold whatever is said of names: a face whose own name becomes one that it was
    /// denied to have is nobody's, and a confirmation ends when the face gets another name.
    ///
    /// # Errors
    ///
    /// [`JournalError::NoFace`] where a face is not there; [`JournalError::Denied`] where a face is
    /// given a name that it was denied to have; [`JournalError::Contradiction`] where it was
    /// confirmed and denied to be people who become one; [`JournalError::Store`] where the disk or
    /// its content is bad.
    pub fn say(&self, statement: &Statement) -> Result<Option<u64>, JournalError> {
        let plan = self.plan(statement)?;
        let judged = plan.judged();
        let mut faces = Vec::new();
        for (face, identity) in plan.faces {
            let before = self.naming(face)?.ok_or(JournalError::NoFace { face })?;
            let after = Naming { identity, said: true };
            if before != after {
                faces.push(NamedFace { face, before, after });
            }
        }
        let mut labels = Vec::new();
        for (label, after) in self.followed(&statement.labels)? {
            let before = self.stands_for(&label)?;
            let after = after.filter(|after| *after != label);
            if before != after {
                labels.push(NamedLabel { label, before, after });
            }
        }
        if faces.is_empty() && labels.is_empty() && judged.is_empty() {
            return Ok(None);
        }
        self.append(JournalEntry {
            number: self.last_entry()? + 1,
            what: statement.what.clone(),
            undoes: None,
            faces,
            labels,
            judged,
        })
        .map(Some)
    }

    /// Takes back the entry `asked` for, or the last one that still stands, and returns its number.
    /// The records it changed are then byte by byte as before. Faces that were removed meanwhile
    /// stay so.
    ///
    /// # Errors
    ///
    /// [`JournalError`] where there is no such entry, or where what it named was named again since.
    pub fn undo(&self, asked: Option<u64>) -> Result<u64, JournalError> {
        let journal = self.journal()?;
        let entry = to_undo(&journal, asked)?;
        let number = entry.number;
        let mut faces = Vec::new();
        for NamedFace { face, before, after } in &entry.faces {
            match self.naming(*face)? {
                None => {}
                Some(now) if now == *after => faces.push(NamedFace {
                    face: *face,
                    before: after.clone(),
                    after: before.clone(),
                }),
                Some(_) => return Err(JournalError::Overtaken { number, face: *face }),
            }
        }
        let mut labels = Vec::new();
        for NamedLabel { label, before, after } in entry.labels.clone() {
            if self.stands_for(&label)? != after {
                return Err(JournalError::LabelOvertaken { number, label });
            }
            labels.push(NamedLabel { label, before: after, after: before });
        }
        let judged = self.take_back_judged(entry, &faces)?;
        self.append(JournalEntry {
            number: self.last_entry()? + 1,
            what: format!("undo {number}: {}", entry.what),
            undoes: Some(number),
            faces,
            labels,
            judged,
        })?;
        Ok(number)
    }

    /// What an entry judged, the other way round, where the faces that go by another name then, as
    /// `faces` say, agree with their judgements.
    fn take_back_judged(
        &self,
        entry: &JournalEntry,
        faces: &[NamedFace],
    ) -> Result<Vec<JudgedFace>, JournalError> {
        let number = entry.number;
        let mut now: Judgements = self.all_judgements()?;
        let (mut judged, mut names) = (Vec::new(), BTreeMap::new());
        for JudgedFace { face, name, before, after } in entry.judged.clone() {
            let Some(naming) = self.naming(face)? else { continue };
            if now.get(face, &name) != after {
                return Err(JournalError::Overtaken { number, face });
            }
            now.set(face, &name, before);
            names.insert(face, naming.identity);
            judged.push(JudgedFace { face, name, before: after, after: before });
        }
        names.extend(faces.iter().map(|named| (named.face, named.after.identity.clone())));
        match names.into_iter().find(|(face, name)| !now.agree_with(*face, name.as_deref())) {
            Some((face, _)) => Err(JournalError::Overtaken { number, face }),
            None => Ok(judged),
        }
    }

    /// `name`, and the labels that names of files give and that stand for it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the disk or its content is bad.
    pub fn names_of(&self, name: &str) -> Result<BTreeSet<String>, StoreError> {
        let mut names = BTreeSet::from([name.to_owned()]);
        self.scan(keys::LABELS, &mut |key, value| {
            if self.decode::<String>(key, value)? == name {
                names.extend(keys::label_of(key).map(str::to_owned));
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// Takes `names` out of the journal, out of what labels stand for and out of what was said of
    /// single faces, all at once, and returns whether there was anything. For people whose faces
    /// have been removed: of what was said of them nothing can be taken back afterwards. Entries
    /// keep their numbers.
    ///
    /// What is forgotten may stay in unused parts of the files until [`rewrite`](Self::rewrite).
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the disk or its content is bad.
    pub fn forget_names(&self, names: &BTreeSet<String>) -> Result<bool, StoreError> {
        let is_gone = |face: FaceId| -> Result<bool, StoreError> {
            Ok(self.get(&keys::face(face))?.is_none())
        };
        let entries = forget(self.journal()?, names, is_gone)?;
        let mut old = Vec::new();
        for entry in &entries {
            self.scan(&keys::parts_of_entry(entry.number), &mut |key, _| {
                old.push(key.to_vec());
                Ok(())
            })?;
        }
        self.scan(keys::LABELS, &mut |key, value| {
            let stands_for = self.decode::<String>(key, value)?;
            if names.contains(&stands_for) || keys::label_of(key).is_some_and(|l| names.contains(l))
            {
                old.push(key.to_vec());
            }
            Ok(())
        })?;
        for (face, name, _) in self.all_judgements()?.iter() {
            if names.contains(name) {
                old.push(keys::judgement(face, name));
            }
        }
        if old.is_empty() {
            return Ok(false);
        }
        self.write(|draft| {
            old.into_iter().for_each(|key| draft.remove(key));
            entries.iter().try_for_each(|entry| draft.put_entry(entry))
        })?;
        Ok(true)
    }

    /// The labels, and those that earlier statements made stand for one of them: they go along.
    fn followed(
        &self,
        labels: &[(String, Option<String>)],
    ) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let said: BTreeMap<String, Option<String>> = labels.iter().cloned().collect();
        let mut all = said.clone();
        if said.is_empty() {
            return Ok(all);
        }
        for NamedLabel { label, .. } in self.journal()?.into_iter().flat_map(|entry| entry.labels) {
            if let Some(now) = self.stands_for(&label)?
                && let Some(after) = said.get(&now)
            {
                all.entry(label).or_insert_with(|| Some(after.clone().unwrap_or(now)));
            }
        }
        Ok(all)
    }

    /// What a face goes by; `None` where it is not there.
    pub(super) fn naming(&self, face: FaceId) -> Result<Option<Naming>, StoreError> {
        let Some(record) = self.read::<FaceOnDisk>(&keys::face(face))? else { return Ok(None) };
        let identity = record.into_core(face).identity;
        let said = self.read::<()>(&keys::said(face))?.is_some();
        Ok(Some(Naming { identity, said }))
    }

    pub(super) fn stands_for(&self, label: &str) -> Result<Option<String>, StoreError> {
        self.read(&keys::label(label))
    }

    fn last_entry(&self) -> Result<u64, StoreError> {
        let last =
            guarded(&self.dir, || self.db().scan_prefix(keys::JOURNAL).next_back().transpose())?;
        Ok(last.and_then(|(key, _)| keys::number_of_entry(&key)).unwrap_or(0))
    }

    fn append(&self, entry: JournalEntry) -> Result<u64, JournalError> {
        self.write(|draft| draft.append(&entry))?;
        Ok(entry.number)
    }
}

impl Draft<'_> {
    fn put_entry(&mut self, entry: &JournalEntry) -> Result<(), StoreError> {
        let bytes = entry.to_bytes();
        let bytes = bytes.map_err(|error| unwritable(&self.store.dir, error))?;
        for (part, chunk) in bytes.chunks(keys::CHUNK).enumerate() {
            self.put_raw(keys::entry(entry.number, part), chunk)?;
        }
        Ok(())
    }

    /// Writes an entry, and what it says into the records it speaks of.
    fn append(&mut self, entry: &JournalEntry) -> Result<(), StoreError> {
        self.put_entry(entry)?;
        for NamedFace { face, after, .. } in &entry.faces {
            let key = keys::face(*face);
            let Some(record) = self.store.read::<FaceOnDisk>(&key)? else { continue };
            let record = record.into_core(*face);
            let named = facesearch_core::FaceRecord { identity: after.identity.clone(), ..record };
            self.put(key, &FaceOnDisk::from(&named))?;
            match after.said {
                true => self.put(keys::said(*face), &())?,
                false => self.remove(keys::said(*face)),
            }
        }
        for NamedLabel { label, after, .. } in &entry.labels {
            match after {
                Some(after) => self.put(keys::label(label), after)?,
                None => self.remove(keys::label(label)),
            }
        }
        for JudgedFace { face, name, after, .. } in &entry.judged {
            let key = keys::judgement(*face, name);
            match after {
                Some(after) => self.put(key, &is_confirmed(*after))?,
                None => self.remove(key),
            }
        }
        Ok(())
    }
}
