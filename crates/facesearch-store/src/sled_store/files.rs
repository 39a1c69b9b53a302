//! The files of a store: whose they are, how they are opened, and how they are made durable.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use facesearch_core::{Contract, StoreError};

use super::guard::guarded;
use super::{StoreOptions, at, threads, unwritable};
use crate::checkpoint::Checkpoint;
use crate::codec;
use crate::keys;
use crate::record::{ContractOnDisk, State};

/// Takes the lock that says who writes, without waiting for it.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let io = |source| at(dir, "lock", source);
    let mut options = facesearch_disk::private();
    let file = options.create(true).truncate(false).write(true).open(dir.join("lock"));
    let file = file.map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.into() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Whether the store in `dir` has a log, without which nothing is in it.
pub(super) fn has_log(dir: &Path) -> bool {
    dir.join("sled/db").is_file()
}

/// sled lets go of its own lock some time after it was dropped, so that one is worth waiting for.
pub(super) fn open_database(dir: &Path, options: StoreOptions) -> Result<sled::Db, StoreError> {
    threads::check(dir)?;
    let start = Instant::now();
    loop {
        let config = sled::Config::new()
            .path(dir.join("sled"))
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(Some(1000));
        let busy = |error: &sled::Error| error.to_string().contains("could not acquire lock");
        match guarded(dir, || Ok(config.open()))? {
            Err(error) if busy(&error) && start.elapsed() > Duration::from_secs(2) => {
                return Err(StoreError::Locked { path: dir.into() });
            }
            Err(error) if busy(&error) => std::thread::sleep(Duration::from_millis(20)),
            opened => {
                let db = guarded(dir, || opened)?;
                make_private(&dir.join("sled")).map_err(|error| at(dir, "open", error))?;
                return Ok(db);
            }
        }
    }
}

pub(super) fn write_first_records(
    dir: &Path,
    db: &sled::Db,
    contract: &Contract,
) -> Result<(), StoreError> {
    let mut batch = sled::Batch::default();
    let contract = codec::encode(keys::CONTRACT, &ContractOnDisk::from(contract));
    batch.insert(keys::CONTRACT, contract.map_err(|e| unwritable(dir, e))?);
    let state = codec::encode(keys::STATE, &State::default());
    batch.insert(keys::STATE, state.map_err(|e| unwritable(dir, e))?);
    guarded(dir, || db.apply_batch(batch))
}

/// Makes sled's files and their names durable. Its log is one file; the others are few.
pub(super) fn sync_database(dir: &Path) -> io::Result<()> {
    let sync_file = &mut |path: &Path| {
        let file = File::options().write(true).open(path)?;
        facesearch_disk::make_private(&file)?;
        file.sync_all()
    };
    visit(dir, sync_file, &mut |dir| facesearch_disk::sync_dir(dir))
}

/// Takes other users' rights from sled's files; sled makes them for everybody to read.
fn make_private(dir: &Path) -> io::Result<()> {
    visit(dir, &mut |path| facesearch_disk::make_private(&File::open(path)?), &mut |_| Ok(()))
}

/// Called with a path.
type Act<'a> = &'a mut dyn FnMut(&Path) -> io::Result<()>;

/// Visits the files of a database, and each directory after what is in it.
fn visit(dir: &Path, file: Act<'_>, directory: Act<'_>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            visit(&entry.path(), file, directory)?;
            continue;
        }
        match file(&entry.path()) {
            // A file that sled has just replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    directory(dir)
}

/// Says what had to be done about the checkpoint, and what is not known since.
pub(super) fn report(dir: &Path, found: Checkpoint, state: State) {
    let store = dir.display();
    match found {
        Checkpoint::Whole(_) => {}
        // There was no flush yet: the process died while it made the store.
        Checkpoint::Missing if state.commits == 0 => {}
        Checkpoint::Half(_) => tracing::warn!(
            %store,
            "one of two copies in `checkpoint` was damaged; the file has been written again"
        ),
        Checkpoint::Missing | Checkpoint::Unreadable => tracing::warn!(
            %store,
            "`checkpoint` could not be read and has been written again: the {} commits that are \
             there are whole; whether there were later ones cannot be told",
            state.commits
        ),
    }
}
