//! A database written beside the one that is there, which it replaces once it is complete.
//!
//! `sled.new` is being written, `sled` is the database, `sled.old` was it. Whoever opens the store
//! finds out how far a writer came, under the store's lock: `sled`, where it is there, is complete.

use std::fs;
use std::io;
use std::path::Path;

use facesearch_core::{Contract, StoreError};

use super::files::{sync_database, write_first_records};
use super::guard::guarded;
use super::{SledStore, at, damaged};

const NEW: &str = "sled.new";
const OLD: &str = "sled.old";

/// Bytes that are written to the copy at once.
const PORTION: usize = 1 << 20;

/// Makes the first database of the store in `dir`, where there is no log.
pub(super) fn create(dir: &Path, contract: &Contract) -> Result<(), StoreError> {
    write_new(dir, |db| write_first_records(dir, db, contract))?;
    let place = || -> io::Result<()> {
        let database = dir.join("sled");
        clear(&database)?;
        facesearch_disk::rename(&dir.join(NEW), &database)
    };
    place().map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty => damaged(dir, &"its log is missing"),
        _ => at(dir, "create", error),
    })
}

/// Removes what making a database begins with: a folder, settings, no log. Where there is more,
/// nothing is removed.
fn clear(database: &Path) -> io::Result<()> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    if !database.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(database)? {
        let name = entry?.file_name();
        if name != "conf" && name != "blobs" {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
    }
    gone(fs::remove_dir(database.join("blobs")))?;
    gone(fs::remove_file(database.join("conf")))?;
    fs::remove_dir(database)
}

/// Writes a copy of all records.
pub(super) fn rewrite(store: &SledStore) -> Result<(), StoreError> {
    let dir = &store.dir;
    write_new(dir, |copy| {
        let (mut batch, mut bytes) = (sled::Batch::default(), 0);
        store.scan(b"", &mut |key, value| {
            batch.insert(key, value);
            bytes += key.len() + value.len();
            if bytes >= PORTION {
                bytes = 0;
                guarded(dir, || copy.apply_batch(std::mem::take(&mut batch)))?;
            }
            Ok(())
        })?;
        guarded(dir, || copy.apply_batch(batch))
    })
}

/// Writes `sled.new` of what `fill` puts into it, durably.
fn write_new(
    dir: &Path,
    fill: impl FnOnce(&sled::Db) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let path = dir.join(NEW);
    // sled makes both itself, but for everybody to read.
    facesearch_disk::make_dir(&path.join("blobs")).map_err(|error| at(dir, "create", error))?;
    let db = guarded(dir, || sled::Config::new().path(&path).flush_every_ms(None).open())?;
    fill(&db)?;
    guarded(dir, || db.flush())?;
    guarded(dir, || {
        drop(db);
        Ok(())
    })?;
    sync_database(&path).map_err(|source| at(dir, "write", source))
}

/// Puts the copy in the place of the database.
pub(super) fn swap(dir: &Path) -> Result<(), StoreError> {
    let swap = || -> io::Result<()> {
        fs::rename(dir.join("sled"), dir.join(OLD))?;
        facesearch_disk::rename(&dir.join(NEW), &dir.join("sled"))?;
        fs::remove_dir_all(dir.join(OLD))?;
        facesearch_disk::sync_dir(dir)
    };
    swap().map_err(|source| at(dir, "rewrite", source))
}

/// Whether a rewriting was interrupted just before the copy took its place.
pub(super) fn is_between(dir: &Path) -> bool {
    dir.join(OLD).is_dir()
}

/// Ends what an interrupted writer left.
pub(super) fn settle(dir: &Path) -> Result<(), StoreError> {
    let settle = || -> io::Result<()> {
        let [database, new, old] = ["sled", NEW, OLD].map(|name| dir.join(name));
        if old.is_dir() {
            // The empty folder that making a store began with in earlier versions is no database.
            let is_missing =
                fs::read_dir(&database).map_or(true, |mut files| files.next().is_none());
            if is_missing {
                let _ = fs::remove_dir(&database);
                fs::rename(&old, &database)?;
            } else {
                fs::remove_dir_all(&old)?;
            }
        }
        if new.is_dir() { fs::remove_dir_all(&new) } else { Ok(()) }
    };
    settle().map_err(|source| at(dir, "settle", source))
}
