//! The store on disk.
//!
//! - **Layout of the directory:** `lock` (held by the process that has the store open), `sled/`
//!   (the database), `checkpoint` (see `checkpoint.rs`). What can be derived is made again where it
//!   is damaged (see `repair.rs`).
//! - **Atomic:** a commit is one sled batch in one tree. sled writes a manifest with the position
//!   of the batch's last message before the batch itself; recovery stops at a manifest whose end is
//!   not there, so a batch comes back whole or not at all.
//! - **Durable:** a commit survives the death of the process once sled has written its buffer, and
//!   a power cut after [`FaceStore::flush`], which adds the fsync that sled's own flush leaves out.
//! - **Trap:** sled panics on some damaged files. Every call into it goes through `guard.rs`, which
//!   makes an error of that. A panic hook can tell these panics from others by
//!   [`facesearch_core::is_panic_caught`], but for those of sled's own threads.

mod commit;
mod files;
mod guard;
mod journal;
mod judgements;
mod repair;
mod rewrite;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod threads;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use bincode::Decode;
use facesearch_core::{
    BoxError, Change, ContentHash, Contract, FaceId, FaceRecord, FaceStore, FileEntry, Judgement,
    Judgements, PhotoRecord, StoreError,
};

use self::files::{has_log, lock, open_database, report, sync_database, write_first_records};
use self::guard::guarded;
use crate::checkpoint::{self, Checkpoint};
use crate::codec::{self, CodecError};
use crate::journal::judgement;
use crate::keys;
use crate::path_bytes;
use crate::record::{ContractOnDisk, FaceOnDisk, FileOnDisk, PhotoOnDisk, State};

/// What a [`SledStore`] may use of the machine.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Bytes of pages kept in memory; sled may exceed it by a few times.
    pub cache_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 128 << 20 }
    }
}

/// A [`FaceStore`] in a directory, held by one process at a time.
pub struct SledStore {
    dir: PathBuf,
    contract: Contract,
    /// `None` only while the store is dropped.
    db: Option<sled::Db>,
    /// The counters as of the last commit. Held while one is made, so that there is one at a time.
    progress: Mutex<Progress>,
    /// Released after the database is closed.
    _lock: File,
}

/// Called with the key and the value of a record.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>;

/// How far the store is, and how far that is known to be on disk.
#[derive(Debug, Clone, Copy)]
struct Progress {
    state: State,
    flushed: Option<u64>,
    /// Set when a commit failed half-way: what sled holds in memory is then not to be trusted.
    broken: bool,
}

impl SledStore {
    /// Opens the store in `dir`, or makes an empty one of embeddings made under `contract`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] where another process has it open, [`StoreError::Contract`] where it
    /// holds embeddings of another making, [`StoreError::Corrupt`] where it is damaged,
    /// [`StoreError::Threads`] where its threads cannot be started, [`StoreError::Io`] and
    /// [`StoreError::Write`] where the file system refuses.
    pub fn create_or_open(dir: &Path, contract: &Contract) -> Result<Self, StoreError> {
        Self::create_or_open_with(dir, contract, StoreOptions::default())
    }

    /// [`create_or_open`](Self::create_or_open) with another share of the machine.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn create_or_open_with(
        dir: &Path,
        contract: &Contract,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        facesearch_disk::make_dir(dir).map_err(|source| at(dir, "create", source))?;
        let store = Self::open_or(dir, options, Some(contract))?;
        let mismatch = |source| StoreError::Contract { path: dir.into(), source };
        store.contract.check(contract).map_err(mismatch)?;
        Ok(store)
    }

    /// Opens the store that is in `dir`, whatever its embeddings were made with.
    ///
    /// # Errors
    ///
    /// As [`create_or_open`](Self::create_or_open), and [`StoreError::NotFound`] where there is
    /// none, or one whose making was interrupted.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        if !Self::is_at(dir) {
            return Err(StoreError::NotFound { path: dir.into() });
        }
        Self::open_or(dir, StoreOptions::default(), None)
    }

    /// Whether there is a store in `dir`, rather than nothing or one whose making was interrupted.
    pub fn is_at(dir: &Path) -> bool {
        has_log(dir) || rewrite::is_between(dir)
    }

    /// Writes the store in `dir` anew, with nothing in its files but what it holds: sled only
    /// appends, and what was removed stays in its log until the place is used again.
    ///
    /// The old database is there until the new one is complete; a process that dies in between
    /// leaves one or the other.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn rewrite(dir: &Path) -> Result<(), StoreError> {
        let store = Self::open(dir)?;
        store.flush()?;
        rewrite::rewrite(&store)?;
        store.close_for_good()
    }

    fn close_for_good(mut self) -> Result<(), StoreError> {
        let db = self.db.take();
        guarded(&self.dir, || {
            drop(db);
            Ok(())
        })?;
        rewrite::swap(&self.dir)
    }

    fn open_or(
        dir: &Path,
        options: StoreOptions,
        create: Option<&Contract>,
    ) -> Result<Self, StoreError> {
        let lock = lock(dir)?;
        rewrite::settle(dir)?;
        let checkpoint = checkpoint::read(dir)?;
        if !has_log(dir) {
            let contract = create.ok_or_else(|| StoreError::NotFound { path: dir.into() })?;
            if checkpoint != Checkpoint::Missing {
                return Err(damaged(dir, &"its log is missing"));
            }
            rewrite::create(dir, contract)?;
        }
        let repair = repair::set_aside(dir)?;
        let db = open_database(dir, options)?;
        let (contract, state) = match first_records(dir, &db)? {
            Some(records) => records,
            // An earlier version began to make a store, and did not come to its first flush.
            None if checkpoint == Checkpoint::Missing => {
                let contract = create.ok_or_else(|| StoreError::NotFound { path: dir.into() })?;
                write_first_records(dir, &db, contract)?;
                (contract.clone(), State::default())
            }
            None => return Err(damaged(dir, &"its first records are missing")),
        };
        let flushed = checkpoint.state().map_or(0, |state| state.commits);
        if state.commits < flushed {
            let what = format!("of {flushed} commits only {} are left", state.commits);
            return Err(damaged(dir, &what));
        }
        // What is not whole is written again once the records have been checked.
        let flushed = matches!(checkpoint, Checkpoint::Whole(_)).then_some(flushed);
        let progress = Mutex::new(Progress { state, flushed, broken: false });
        let store = Self { dir: dir.into(), contract, db: Some(db), progress, _lock: lock };
        store.check_digest(state)?;
        store.flush()?;
        repair.finish();
        report(dir, checkpoint, state);
        Ok(store)
    }

    /// Reads every record once, and compares them all with what the last commit left behind.
    ///
    /// sled passes over a damaged part of its log in silence, so that single records are missing,
    /// or older, in a store that opens without complaint. The cost is one pass over the database.
    fn check_digest(&self, state: State) -> Result<(), StoreError> {
        let mut digest = 0u64;
        self.scan(b"", &mut |key, value| {
            if key != keys::STATE && key != keys::CONTRACT {
                let sum = codec::sum(value).ok_or_else(|| self.damaged("a record is cut short"))?;
                digest = digest.wrapping_add(sum);
            }
            Ok(())
        })?;
        if digest == state.digest {
            return Ok(());
        }
        Err(self.damaged("records are missing, or older ones have come back"))
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("the database is there until the store is dropped")
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no code panics while it holds the counters, but on a bug")
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        guarded(&self.dir, || self.db().get(key))
    }

    fn read<T: Decode<()>>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.get(key)?.map(|bytes| self.decode(key, &bytes)).transpose()
    }

    fn decode<T: Decode<()>>(&self, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
        codec::decode(key, bytes).map_err(|error| self.damaged(error))
    }

    fn damaged(&self, what: impl fmt::Display) -> StoreError {
        damaged(&self.dir, &what)
    }

    /// Visits all records whose key begins with `prefix`, keys ascending.
    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let mut records = guarded(&self.dir, || Ok(self.db().scan_prefix(prefix)))?;
        while let Some((key, value)) = guarded(&self.dir, || records.next().transpose())? {
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn path_bytes<'a>(&self, path: &'a Path) -> Result<&'a [u8], StoreError> {
        let io = |source| StoreError::Io { action: "record", path: path.into(), source };
        path_bytes::to_bytes(path).map_err(io)
    }

    fn vector(&self, id: FaceId) -> Result<Option<Vec<f32>>, StoreError> {
        let dimension = self.contract.dimension as usize;
        let mut vector = Vec::with_capacity(dimension);
        for part in 0..dimension.div_ceil(keys::PART) {
            let key = keys::vector(id, part);
            let Some(bytes) = self.get(&key)? else { return Ok(None) };
            codec::decode_vector(&key, &bytes, &mut vector).map_err(|e| self.damaged(e))?;
        }
        if vector.len() != dimension {
            return Err(self.damaged(format_args!("face {id} has {} numbers", vector.len())));
        }
        Ok(Some(vector))
    }

    /// Commits what `work` drafts: all of it or, should the process die, none.
    fn write(
        &self,
        work: impl FnOnce(&mut commit::Draft<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut progress = self.progress();
        if progress.broken {
            let source = "an earlier commit failed; start again".into();
            return Err(StoreError::Io { action: "write to", path: self.dir.clone(), source });
        }
        let (batch, state) = commit::draft(self, progress.state, work)?;
        progress.broken = true;
        guarded(&self.dir, || self.db().apply_batch(batch))?;
        *progress = Progress { state, broken: false, ..*progress };
        Ok(())
    }

    fn counted(&self) -> u64 {
        self.progress().state.commits
    }
}

impl FaceStore for SledStore {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn file(&self, path: &Path) -> Result<Option<FileEntry>, StoreError> {
        let file: Option<FileOnDisk> = self.read(&keys::file(self.path_bytes(path)?))?;
        file.map(|file| file.into_core().map_err(|e| self.damaged(e))).transpose()
    }

    fn for_each_file(
        &self,
        prefix: &Path,
        visit: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        let mut visit = |key: &[u8], value: &[u8]| {
            let file: FileOnDisk = self.decode(key, value)?;
            let path = path_bytes::from_bytes(keys::path_of_file(key));
            let path = path.map_err(|e| self.damaged(e))?;
            let entry = file.into_core().map_err(|e| self.damaged(e))?;
            visit(path, entry).map_err(|source| visitor_failed(&self.dir, source))
        };
        let top = path_bytes::trim(self.path_bytes(prefix)?);
        if prefix.as_os_str().is_empty() {
            return self.scan(&keys::file(b""), &mut visit);
        }
        // What is below `/a` begins with `/a/`; `/a` itself sorts before all of that.
        let itself = keys::file(top);
        if let Some(value) = self.get(&itself)? {
            visit(&itself, &value)?;
        }
        let separator = std::path::MAIN_SEPARATOR_STR.as_bytes();
        self.scan(&keys::file(&[top, separator].concat()), &mut visit)
    }

    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError> {
        let photo: Option<PhotoOnDisk> = self.read(&keys::photo(content))?;
        photo.map(|photo| photo.into_core(*content).map_err(|e| self.damaged(e))).transpose()
    }

    fn is_forgotten(&self, content: &ContentHash) -> Result<bool, StoreError> {
        let Some(salt) = self.read(keys::SALT)? else { return Ok(false) };
        Ok(self.get(&keys::forgotten(&salt, content))?.is_some())
    }

    fn paths_of(&self, content: &ContentHash) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = Vec::new();
        self.scan(&keys::content_path(content, b""), &mut |key, value| {
            self.decode::<()>(key, value)?;
            let path = path_bytes::from_bytes(keys::path_of_content(key));
            paths.push(path.map_err(|e| self.damaged(e))?);
            Ok(())
        })?;
        Ok(paths)
    }

    fn face(&self, id: FaceId) -> Result<Option<FaceRecord>, StoreError> {
        Ok(self.read(&keys::face(id))?.map(|face: FaceOnDisk| face.into_core(id)))
    }

    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        let Progress { state: before, .. } = *self.progress();
        let mut seen = 0;
        self.scan(keys::FACES, &mut |key, value| {
            let face: FaceOnDisk = self.decode(key, value)?;
            let id = keys::id_of(key).ok_or_else(|| self.damaged("a face has no id"))?;
            let Some(vector) = self.vector(id)? else {
                // It may have been removed between the two reads, but only by a commit.
                return match self.counted() == before.commits {
                    true => Err(self.damaged(format_args!("face {id} has no embedding"))),
                    false => Ok(()),
                };
            };
            seen += 1;
            visit(face.into_core(id), vector).map_err(|source| visitor_failed(&self.dir, source))
        })?;
        if seen != before.faces && self.counted() == before.commits {
            let faces = before.faces;
            return Err(self.damaged(format_args!("of {faces} faces only {seen} are left")));
        }
        Ok(())
    }

    fn next_face_id(&self) -> Result<FaceId, StoreError> {
        Ok(FaceId(self.progress().state.next_face))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write(|draft| changes.iter().try_for_each(|change| draft.apply(change)))
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut progress = self.progress();
        if progress.flushed == Some(progress.state.commits) {
            return Ok(());
        }
        guarded(&self.dir, || self.db().flush())?;
        sync_database(&self.dir.join("sled")).map_err(|e| at(&self.dir, "flush", e))?;
        checkpoint::write(&self.dir, progress.state)?;
        progress.flushed = Some(progress.state.commits);
        Ok(())
    }

    fn face_count(&self) -> Result<u64, StoreError> {
        Ok(self.progress().state.faces)
    }

    fn commits(&self) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.counted()))
    }

    fn is_said(&self, id: FaceId) -> Result<bool, StoreError> {
        Ok(self.get(&keys::said(id))?.is_some())
    }

    fn goes_by(&self, label: &str) -> Result<Option<String>, StoreError> {
        self.stands_for(label)
    }

    fn judgement(&self, face: FaceId, name: &str) -> Result<Option<Judgement>, StoreError> {
        Ok(self.read(&keys::judgement(face, name))?.map(judgement))
    }

    fn judgements(&self) -> Result<Judgements, StoreError> {
        self.all_judgements()
    }

    fn fingerprint(&self) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.progress().state.digest))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.db.is_none() {
            return;
        }
        // Flushed, so that the checkpoint names all that is there: damage is told by it.
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the store could not be flushed when it was closed");
        }
        let db = self.db.take();
        let close = || {
            drop(db);
            Ok(())
        };
        if let Err(error) = guarded(&self.dir, close) {
            tracing::warn!(%error, "the store could not be closed in order");
        }
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// The contract and the counters in `db`; `None` where it has no records at all.
fn first_records(dir: &Path, db: &sled::Db) -> Result<Option<(Contract, State)>, StoreError> {
    let get = |key: &[u8]| guarded(dir, || db.get(key));
    let corrupt = |what: &dyn fmt::Display| damaged(dir, what);
    match (get(keys::CONTRACT)?, get(keys::STATE)?) {
        (Some(contract), Some(state)) => {
            let contract: ContractOnDisk =
                codec::decode(keys::CONTRACT, &contract).map_err(|e| corrupt(&e))?;
            let state: State = codec::decode(keys::STATE, &state).map_err(|e| corrupt(&e))?;
            Ok(Some((Contract::try_from(contract).map_err(|e| corrupt(&e))?, state)))
        }
        (None, None) if guarded(dir, || db.iter().next().transpose())?.is_none() => Ok(None),
        _ => Err(corrupt(&"its first records are missing")),
    }
}

fn damaged(dir: &Path, what: &dyn fmt::Display) -> StoreError {
    StoreError::Corrupt { path: dir.into(), what: what.to_string() }
}

fn unwritable(dir: &Path, error: CodecError) -> StoreError {
    StoreError::Io { action: "write to", path: dir.into(), source: error.into() }
}

fn visitor_failed(dir: &Path, source: BoxError) -> StoreError {
    StoreError::Io { action: "go through", path: dir.into(), source }
}

fn at(dir: &Path, action: &'static str, source: io::Error) -> StoreError {
    StoreError::Write { action, path: dir.into(), source: source.into() }
}
