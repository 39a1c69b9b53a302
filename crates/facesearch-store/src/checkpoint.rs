//! The file `checkpoint` beside the database: the counters as of the last flush.
//!
//! sled recovers a log up to the first message it cannot read and says nothing of the rest, so
//! damage in the middle of its file would look like an older, healthy store. A store that comes
//! back with fewer commits than its checkpoint has lost some, and is refused.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use facesearch_core::StoreError;

use crate::codec;
use crate::record::State;

const NAME: &str = "checkpoint";
const KEY: &[u8] = b"checkpoint";

/// Replaces the checkpoint of the store in `dir`, durably.
pub(crate) fn write(dir: &Path, state: State) -> Result<(), StoreError> {
    let path = dir.join(NAME);
    let fresh = dir.join("checkpoint.new");
    let bytes = codec::encode(KEY, &state).expect("a few numbers are within the limit");
    let replace = || -> io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&fresh, &path)?;
        sync_directory(dir)
    };
    replace().map_err(|error| StoreError::Write { action: "write", path, source: error.into() })
}

/// The checkpoint of the store in `dir`; `None` where there is none yet.
pub(crate) fn read(dir: &Path) -> Result<Option<State>, StoreError> {
    let path = dir.join(NAME);
    let mut bytes = Vec::new();
    // A checkpoint is some 20 bytes; a file that is longer is none, and is not worth the memory.
    match File::open(&path).and_then(|file| file.take(256).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::Io { action: "read", path, source: error.into() }),
    }
    codec::decode(KEY, &bytes)
        .map(Some)
        .map_err(|error| StoreError::Corrupt { path: dir.into(), what: format!("{NAME}: {error}") })
}

/// Makes renames and new names in `dir` durable; directories can be synced on Unix only.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
