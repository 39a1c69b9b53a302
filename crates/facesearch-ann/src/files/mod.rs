//! Checked files: what every file of a published snapshot has in common.
//!
//! A file is a 64-byte [`Header`], its content, and one checksum for each block of the two. A
//! reader maps it, and a block is hashed when it is used for the first time, so that opening costs
//! nothing and a damaged byte is still never believed. The layout is in `docs/index-format.md`.

mod mapped;
mod write;

pub(crate) use mapped::Mapped;
pub(crate) use write::{DataFile, io_error, sync_dir};

use serde::{Deserialize, Serialize};

/// The version of the whole published format; readers take no other.
pub(crate) const FORMAT: u32 = 4;

/// Bytes that share one checksum. Small, because a graph search touches a few bytes in each of
/// many blocks.
pub(crate) const BLOCK: usize = 4 * 1024;

/// Bytes of one checksum: the block's XXH3 of 64 bits, which is computed as fast as memory is read.
pub(crate) const SUM: usize = 8;

const MAGIC: [u8; 8] = *b"FACESRCH";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vectors = 1,
    Faces = 2,
    Photos = 3,
    Identities = 4,
    Segment = 5,
    Ledger = 6,
    RowMap = 7,
    Judgements = 8,
}

/// The first 64 bytes of every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// How many of what the file holds.
    pub(crate) count: u64,
    /// A second number, whose meaning is the kind's.
    pub(crate) extra: u64,
}

impl Header {
    pub(crate) const LEN: usize = 64;

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.count.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.extra.to_le_bytes());
        bytes
    }

    /// Reads a header of this kind; `None` where the bytes are anything else.
    fn read(kind: Kind, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::LEN)?;
        let header = Self { kind, count: u64_at(bytes, 16), extra: u64_at(bytes, 24) };
        (header.to_bytes() == bytes).then_some(header)
    }
}

/// What the manifest knows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSeal {
    /// Bytes before the checksums: header and content.
    pub(crate) data: u64,
    /// BLAKE3 of the checksums, lower-case hex.
    pub(crate) sums: String,
}

impl FileSeal {
    /// Bytes of the file: what is sealed, and the checksums.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        self.data + self.data.div_ceil(BLOCK as u64) * SUM as u64
    }
}

/// The checksum of one block.
pub(crate) fn block_sum(block: &[u8]) -> [u8; SUM] {
    twox_hash::XxHash3_64::oneshot(block).to_le_bytes()
}

/// The little-endian number at `at`. Panics if it reaches beyond the bytes.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let (number, _) = bytes[at..].split_first_chunk().expect("four bytes at this place");
    u32::from_le_bytes(*number)
}

/// The little-endian number at `at`. Panics if it reaches beyond the bytes.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let (number, _) = bytes[at..].split_first_chunk().expect("eight bytes at this place");
    u64::from_le_bytes(*number)
}
