//! Changes become one batch of keys and values.

use std::collections::BTreeMap;
use std::path::Path;

use bincode::Encode;
use facesearch_core::{Change, ContentHash, Embedding, FaceId, FaceRecord, FileEntry, StoreError};

use super::{SledStore, unwritable};
use crate::codec;
use crate::keys;
use crate::record::{FaceOnDisk, FileOnDisk, PhotoOnDisk, State};

/// What to write so that all that `work` drafts has happened; and the counters then.
pub(super) fn draft(
    store: &SledStore,
    before: State,
    work: impl FnOnce(&mut Draft<'_>) -> Result<(), StoreError>,
) -> Result<(sled::Batch, State), StoreError> {
    let state = State { commits: before.commits + 1, ..before };
    let mut draft = Draft { store, state, writes: BTreeMap::new() };
    work(&mut draft)?;
    draft.settle_digest()?;
    let state = draft.state;
    draft.put(keys::STATE.to_vec(), &state)?;

    let mut batch = sled::Batch::default();
    for (key, value) in draft.writes {
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
    }
    Ok((batch, state))
}

/// The store as it will be: later changes of a commit see the earlier ones.
pub(super) struct Draft<'a> {
    pub(super) store: &'a SledStore,
    state: State,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Draft<'_> {
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::PutFile(path, entry) => self.put_file(path, entry),
            Change::RemoveFile(path) => self.remove_file(path),
            Change::PutPhoto(photo) => {
                let on_disk = PhotoOnDisk::new(photo).map_err(|source| StoreError::Io {
                    action: "record",
                    path: photo.path.clone(),
                    source,
                })?;
                if let Some(salt) = self.salt()? {
                    self.remove(keys::forgotten(&salt, &photo.content));
                }
                self.put(keys::photo(&photo.content), &on_disk)
            }
            Change::Forget(content) => self.forget(content),
            Change::RemovePhoto(content) => {
                self.remove(keys::photo(content));
                Ok(())
            }
            Change::AddFace(record, embedding) => self.add_face(record, embedding),
            Change::UpdateFace(record) => {
                let key = keys::face(record.id);
                assert!(self.has(&key)?, "only a face that is there is updated");
                self.put(key, &FaceOnDisk::from(record))
            }
            Change::RemoveFace(id) => self.remove_face(*id),
        }
    }

    fn forget(&mut self, content: &ContentHash) -> Result<(), StoreError> {
        let salt = match self.salt()? {
            Some(salt) => salt,
            None => {
                let mut salt = [0; 32];
                getrandom::fill(&mut salt).map_err(|error| StoreError::Io {
                    action: "get random numbers for",
                    path: self.store.dir.clone(),
                    source: error.to_string().into(),
                })?;
                self.put(keys::SALT.to_vec(), &salt)?;
                salt
            }
        };
        self.put(keys::forgotten(&salt, content), &())
    }

    /// What hashes of forgotten contents are keyed with, once there are any.
    fn salt(&self) -> Result<Option<[u8; 32]>, StoreError> {
        match self.writes.get(keys::SALT).and_then(Option::as_ref) {
            Some(salt) => self.store.decode(keys::SALT, salt).map(Some),
            None => self.store.read(keys::SALT),
        }
    }

    fn put_file(&mut self, path: &Path, entry: &FileEntry) -> Result<(), StoreError> {
        self.forget_contents(path)?;
        let io = |source| StoreError::Io { action: "record", path: path.into(), source };
        let on_disk = FileOnDisk::new(entry).map_err(io)?;
        let bytes = self.store.path_bytes(path)?;
        for content in contents(entry) {
            self.put(keys::content_path(&content, bytes), &())?;
        }
        self.put(keys::file(bytes), &on_disk)
    }

    fn remove_file(&mut self, path: &Path) -> Result<(), StoreError> {
        self.forget_contents(path)?;
        self.remove(keys::file(self.store.path_bytes(path)?));
        Ok(())
    }

    /// Removes what leads from a path's contents to the path.
    fn forget_contents(&mut self, path: &Path) -> Result<(), StoreError> {
        let bytes = self.store.path_bytes(path)?;
        let key = keys::file(bytes);
        let old: FileOnDisk = match self.writes.get(&key) {
            Some(None) => return Ok(()),
            Some(Some(value)) => self.store.decode(&key, value)?,
            None => match self.store.read(&key)? {
                Some(old) => old,
                None => return Ok(()),
            },
        };
        let old = old.into_core().map_err(|e| self.store.damaged(e))?;
        for content in contents(&old) {
            self.remove(keys::content_path(&content, bytes));
        }
        Ok(())
    }

    fn add_face(&mut self, record: &FaceRecord, embedding: &Embedding) -> Result<(), StoreError> {
        let FaceId(id) = record.id;
        let next = self.state.next_face;
        assert!(id >= next, "face {id} was added, but {next} is next");
        let dimension = self.store.contract.dimension as usize;
        assert_eq!(embedding.dim(), dimension, "embedding of another model");

        self.put(keys::face(record.id), &FaceOnDisk::from(record))?;
        for (part, numbers) in embedding.as_slice().chunks(keys::PART).enumerate() {
            let key = keys::vector(record.id, part);
            let value = codec::encode_vector(&key, numbers);
            let value = value.map_err(|e| unwritable(&self.store.dir, e))?;
            self.writes.insert(key, Some(value));
        }
        self.state.next_face = id + 1;
        self.state.faces += 1;
        Ok(())
    }

    fn remove_face(&mut self, id: FaceId) -> Result<(), StoreError> {
        if self.has(&keys::face(id))? {
            self.state.faces -= 1;
            self.remove(keys::face(id));
            self.remove(keys::said(id));
            let mut judgements = Vec::new();
            self.store.scan(&keys::judgements_of(id), &mut |key, _| {
                judgements.push(key.to_vec());
                Ok(())
            })?;
            judgements.into_iter().for_each(|key| self.remove(key));
            for part in 0..(self.store.contract.dimension as usize).div_ceil(keys::PART) {
                self.remove(keys::vector(id, part));
            }
        }
        Ok(())
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.store.get(key)?.is_some()),
        }
    }

    /// Takes out of the digest what is overwritten, and puts in what is written.
    fn settle_digest(&mut self) -> Result<(), StoreError> {
        let sum = |bytes: &[u8]| codec::sum(bytes).unwrap_or_default();
        for (key, value) in &self.writes {
            let old = self.store.get(key)?.map_or(0, |old| sum(&old));
            let new = value.as_deref().map_or(0, sum);
            self.state.digest = self.state.digest.wrapping_sub(old).wrapping_add(new);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, key: Vec<u8>, record: &impl Encode) -> Result<(), StoreError> {
        let value = codec::encode(&key, record).map_err(|e| unwritable(&self.store.dir, e))?;
        self.writes.insert(key, Some(value));
        Ok(())
    }

    /// Bytes that are a record by themselves.
    pub(super) fn put_raw(&mut self, key: Vec<u8>, payload: &[u8]) -> Result<(), StoreError> {
        let value = codec::seal(&key, payload).map_err(|e| unwritable(&self.store.dir, e))?;
        self.writes.insert(key, Some(value));
        Ok(())
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }
}

/// The contents that a ledger line names.
fn contents(entry: &FileEntry) -> impl Iterator<Item = ContentHash> {
    let kept = entry.keeps.filter(|kept| Some(*kept) != entry.content);
    entry.content.into_iter().chain(kept)
}
