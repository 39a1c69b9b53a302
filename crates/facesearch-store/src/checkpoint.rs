//! The file `checkpoint` beside the database: the counters as of the last flush.
//!
//! sled recovers a log up to the first message it cannot read and says nothing of the rest, so
//! damage at the end of its file would look like an older, healthy store. A store that comes back
//! with fewer commits than its checkpoint has lost some, and is refused.
//!
//! The file holds the counters twice, so that one damaged place leaves the protection as it is.
//! Where neither copy can be read, the sum of all records still tells whether the store is what
//! some commit left behind, but not whether that was the last one. Such a store is opened, with a
//! warning that says so, and gets a new checkpoint.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use facesearch_core::StoreError;

use crate::codec;
use crate::record::State;

const NAME: &str = "checkpoint";
const KEY: &[u8] = b"checkpoint";

/// What there is of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// No file: nothing was ever flushed, or the file is lost.
    Missing,
    /// A file, and nothing in it that can be read.
    Unreadable,
    /// One copy; the other is damaged.
    Half(State),
    /// Both copies.
    Whole(State),
}

impl Checkpoint {
    /// The counters, where they are known.
    pub(crate) fn state(self) -> Option<State> {
        match self {
            Self::Missing | Self::Unreadable => None,
            Self::Half(state) | Self::Whole(state) => Some(state),
        }
    }
}

/// Replaces the checkpoint of the store in `dir`, durably.
pub(crate) fn write(dir: &Path, state: State) -> Result<(), StoreError> {
    let path = dir.join(NAME);
    let copy = codec::encode(KEY, &state).expect("a few numbers are within the limit");
    facesearch_disk::replace(&path, &[&copy[..], &copy].concat())
        .map_err(|error| StoreError::Write { action: "write", path, source: error.into() })
}

/// The checkpoint of the store in `dir`.
pub(crate) fn read(dir: &Path) -> Result<Checkpoint, StoreError> {
    let path = dir.join(NAME);
    let mut bytes = Vec::new();
    // A checkpoint is some 60 bytes; a file that is longer is none, and is not worth the memory.
    match File::open(&path).and_then(|file| file.take(256).read_to_end(&mut bytes)) {
        Ok(_) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Checkpoint::Missing),
        Err(error) => Err(StoreError::Io { action: "read", path, source: error.into() }),
    }
}

fn parse(bytes: &[u8]) -> Checkpoint {
    let copy = |bytes: &[u8]| codec::decode::<State>(KEY, bytes).ok();
    // The copies are at the ends, of whatever length: a file may be cut short, and that of an
    // earlier version is a single copy.
    let first = (0..=bytes.len()).find_map(|end| copy(&bytes[..end]));
    let last = (0..=bytes.len()).find_map(|start| copy(&bytes[start..]));
    match (first, last) {
        (Some(first), Some(last)) if first == last => Checkpoint::Whole(first),
        (first, last) => first.or(last).map_or(Checkpoint::Unreadable, Checkpoint::Half),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn no_damaged_byte_loses_the_counters_or_changes_them() {
        let dir = tempfile::tempdir().unwrap();
        let state = State { next_face: 70_000, faces: 300, commits: 1 << 40, digest: u64::MAX / 3 };
        assert_eq!(read(dir.path()).unwrap(), Checkpoint::Missing);
        write(dir.path(), state).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Checkpoint::Whole(state));
        let bytes = std::fs::read(dir.path().join(NAME)).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(parse(&flipped), Checkpoint::Half(state), "bit {bit} of byte {at}");
            }
            let short = parse(&bytes[..at]);
            let want = match at.cmp(&(bytes.len() / 2)) {
                Ordering::Less => Checkpoint::Unreadable,
                Ordering::Equal => Checkpoint::Whole(state),
                Ordering::Greater => Checkpoint::Half(state),
            };
            assert_eq!(short, want, "cut to {at}");
        }
        let mut both = bytes.clone();
        both[3] ^= 1;
        both[bytes.len() / 2 + 3] ^= 1;
        assert_eq!(parse(&both), Checkpoint::Unreadable);
    }
}
