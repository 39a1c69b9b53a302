//! The database written anew: a copy beside it takes its place.
//!
//! `sled.new` is being written, `sled` is the database, `sled.old` was it. Whoever opens the store
//! finds out how far a rewriting came, under the store's lock.

use std::fs;
use std::io;
use std::path::Path;

use facesearch_core::StoreError;

use super::files::sync_database;
use super::guard::guarded;
use super::{SledStore, at};
use crate::checkpoint::sync_directory;

const NEW: &str = "sled.new";
const OLD: &str = "sled.old";

/// Bytes that are written to the copy at once.
const PORTION: usize = 1 << 20;

/// Writes the copy.
pub(super) fn rewrite(store: &SledStore) -> Result<(), StoreError> {
    let dir = &store.dir;
    let path = dir.join(NEW);
    let copy = guarded(dir, || sled::Config::new().path(&path).flush_every_ms(None).open())?;
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
    guarded(dir, || copy.apply_batch(batch))?;
    guarded(dir, || copy.flush())?;
    guarded(dir, || {
        drop(copy);
        Ok(())
    })?;
    sync_database(&path).map_err(|source| at(dir, "rewrite", source))
}

/// Puts the copy in the place of the database.
pub(super) fn swap(dir: &Path) -> Result<(), StoreError> {
    let swap = || -> io::Result<()> {
        fs::rename(dir.join("sled"), dir.join(OLD))?;
        fs::rename(dir.join(NEW), dir.join("sled"))?;
        sync_directory(dir)?;
        fs::remove_dir_all(dir.join(OLD))?;
        sync_directory(dir)
    };
    swap().map_err(|source| at(dir, "rewrite", source))
}

/// Whether a rewriting was interrupted just before the copy took its place.
pub(super) fn is_between(dir: &Path) -> bool {
    dir.join(OLD).is_dir()
}

/// Ends what an interrupted rewriting left.
pub(super) fn settle(dir: &Path) -> Result<(), StoreError> {
    let settle = || -> io::Result<()> {
        let [database, new, old] = ["sled", NEW, OLD].map(|name| dir.join(name));
        if old.is_dir() {
            // The empty folder that making a store begins with is no database.
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
