//! The keys of the one tree: a letter for the kind, then what identifies the record.
//!
//! | key | record |
//! |---|---|
//! | `m` `contract` | the [`Contract`](facesearch_core::Contract) |
//! | `m` `state` | counters: next face id, faces, commits |
//! | `m` `salt` | 32 random bytes, once a content was forgotten |
//! | `f` path | the ledger's line of a file |
//! | `p` hash | what was found in a content |
//! | `c` hash path | nothing: that this path's line names this content |
//! | `x` hash | nothing: that a content is to be left out; BLAKE3 of its hash, keyed with the salt |
//! | `r` id | a face without its embedding |
//! | `v` id part | up to 512 numbers of a face's embedding |
//! | `s` id | nothing: that somebody said whose face this is |
//! | `a` label | the label that this one, as names of files give it, stands for |
//! | `y` id name | whether somebody confirmed (1) or denied (0) that this face is of this person |
//! | `j` number part | up to 4096 bytes of an entry of the journal |
//!
//! Numbers are big-endian, so that keys sort as what they stand for; paths are the bytes of
//! `path_bytes.rs` and sort as those.
//!
//! An embedding of more than 512 numbers has several parts because sled keeps 16 records to a page
//! and moves a page of more than 128 KiB into a file of its own, which it does not sync and, should
//! that file be missing, passes over in silence.

use facesearch_core::{ContentHash, FaceId};

pub(crate) const CONTRACT: &[u8] = b"mcontract";
pub(crate) const STATE: &[u8] = b"mstate";
pub(crate) const SALT: &[u8] = b"msalt";
pub(crate) const LABELS: &[u8] = b"a";
pub(crate) const FACES: &[u8] = b"r";
pub(crate) const JUDGEMENTS: &[u8] = b"y";

pub(crate) const JOURNAL: &[u8] = b"j";

/// How many bytes of a journal entry are kept under one key; more would make pages too large.
pub(crate) const CHUNK: usize = 4096;

/// How many numbers of an embedding are kept under one key.
pub(crate) const PART: usize = 512;

/// The ledger's line of a path; of all paths that begin so, if used as a prefix.
pub(crate) fn file(path: &[u8]) -> Vec<u8> {
    [b"f", path].concat()
}

/// The path of a key made by [`file`].
pub(crate) fn path_of_file(key: &[u8]) -> &[u8] {
    &key[1..]
}

pub(crate) fn photo(content: &ContentHash) -> Vec<u8> {
    [b"p", &content.0[..]].concat()
}

/// That a content is to be left out. Its hash cannot be read from the key, but whoever has the
/// photo and the store can tell that it is meant.
pub(crate) fn forgotten(salt: &[u8; 32], content: &ContentHash) -> Vec<u8> {
    [b"x", &blake3::keyed_hash(salt, &content.0).as_bytes()[..]].concat()
}

/// One path of a content; all of them, if used as a prefix with an empty path.
pub(crate) fn content_path(content: &ContentHash, path: &[u8]) -> Vec<u8> {
    [b"c", &content.0[..], path].concat()
}

/// The path of a key made by [`content_path`].
pub(crate) fn path_of_content(key: &[u8]) -> &[u8] {
    &key[33..]
}

pub(crate) fn face(id: FaceId) -> Vec<u8> {
    [FACES, &id.0.to_be_bytes()].concat()
}

/// A part of an embedding, counted from 0.
pub(crate) fn vector(id: FaceId, part: usize) -> Vec<u8> {
    let part = u32::try_from(part).expect("an embedding's dimension is a u32");
    [b"v", &id.0.to_be_bytes()[..], &part.to_be_bytes()].concat()
}

/// The id of a key made by [`face`]; `None` where it has another length.
pub(crate) fn id_of(key: &[u8]) -> Option<FaceId> {
    Some(FaceId(u64::from_be_bytes(key[1..].try_into().ok()?)))
}

/// That somebody said whose face this is.
pub(crate) fn said(id: FaceId) -> Vec<u8> {
    [b"s", &id.0.to_be_bytes()[..]].concat()
}

/// What somebody said of a face and a name.
pub(crate) fn judgement(id: FaceId, name: &str) -> Vec<u8> {
    [&judgements_of(id)[..], name.as_bytes()].concat()
}

/// What the keys of all judgements of a face begin with.
pub(crate) fn judgements_of(id: FaceId) -> Vec<u8> {
    [JUDGEMENTS, &id.0.to_be_bytes()].concat()
}

/// The face and the name of a key made by [`judgement`]; `None` where it is too short, or the name
/// is no text.
pub(crate) fn parts_of_judgement(key: &[u8]) -> Option<(FaceId, &str)> {
    let (id, name) = key[1..].split_first_chunk()?;
    Some((FaceId(u64::from_be_bytes(*id)), std::str::from_utf8(name).ok()?))
}

/// What a label that names of files give stands for.
pub(crate) fn label(label: &str) -> Vec<u8> {
    [LABELS, label.as_bytes()].concat()
}

/// The label of a key made by [`label`]; `None` where it is no text.
pub(crate) fn label_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(&key[1..]).ok()
}

/// A part of a journal entry, counted from 0.
pub(crate) fn entry(number: u64, part: usize) -> Vec<u8> {
    let part = u32::try_from(part).expect("an entry has fewer bytes than a u32 can count");
    [JOURNAL, &number.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// What the keys of all parts of a journal entry begin with.
pub(crate) fn parts_of_entry(number: u64) -> Vec<u8> {
    [JOURNAL, &number.to_be_bytes()].concat()
}

/// The number of a key made by [`entry`]; `None` where it has another length.
pub(crate) fn number_of_entry(key: &[u8]) -> Option<u64> {
    let number: [u8; 12] = key[1..].try_into().ok()?;
    number.first_chunk().map(|number| u64::from_be_bytes(*number))
}
