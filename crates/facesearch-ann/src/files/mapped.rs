//! Reading a checked file through a memory map.
//!
//! **Trap:** a map of a file that somebody shortens afterwards ends the process with SIGBUS.
//! Published files are never written again, only unlinked, which a map survives.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use facesearch_core::GalleryError;
use memmap2::Mmap;

use super::{BLOCK, FileSeal, Header, Kind, SUM, block_sum};

/// A mapped file, whose blocks are checked on first use.
pub(crate) struct Mapped {
    path: PathBuf,
    map: Mmap,
    header: Header,
    /// Bytes of header and content.
    data: usize,
    /// One bit for each block that was found good.
    good: Box<[AtomicU64]>,
    /// Blocks not checked yet.
    left: AtomicUsize,
}

impl Mapped {
    /// Maps `path` and checks its size, its table of checksums and its header.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Io`] where it cannot be mapped, [`GalleryError::Corrupt`] where it is not
    /// what the manifest says.
    pub(crate) fn open(path: &Path, kind: Kind, seal: &FileSeal) -> Result<Self, GalleryError> {
        let file = File::open(path).map_err(|source| io("open", path, source))?;
        // SAFETY: the mapping is read-only, and files of a snapshot are never modified once they
        // are published: the publisher writes new ones and unlinks the old.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| io("map", path, source))?;
        if kind == Kind::Segment {
            read_in_huge_pages(&map);
        }
        let size_is_right = |data: &usize| {
            *data >= Header::LEN
                && data.div_ceil(BLOCK).checked_mul(SUM).and_then(|sums| sums.checked_add(*data))
                    == Some(map.len())
        };
        let data = usize::try_from(seal.data)
            .ok()
            .filter(size_is_right)
            .ok_or_else(|| corrupt(path, "its size is not the manifest's"))?;
        if blake3::hash(&map[data..]).to_hex().as_str() != seal.sums {
            return Err(corrupt(path, "its checksums are not the manifest's"));
        }
        let blocks = data.div_ceil(BLOCK);
        let mut mapped = Self {
            path: path.to_owned(),
            map,
            header: Header { kind, count: 0, extra: 0 },
            data,
            good: (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            left: AtomicUsize::new(blocks),
        };
        mapped.check(0..Header::LEN)?;
        mapped.header = Header::read(kind, &mapped.map[..data])
            .ok_or_else(|| mapped.corrupt("its header is of another kind"))?;
        Ok(mapped)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn header(&self) -> Header {
        self.header
    }

    /// Header and content, checked or not.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[..self.data]
    }

    /// Hashes the blocks that `range` touches, unless they were before.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a block is not as it was written, or the range is outside.
    #[inline]
    pub(crate) fn check(&self, range: Range<usize>) -> Result<(), GalleryError> {
        if range.end > self.data {
            return Err(self.corrupt("a part of it lies beyond its end"));
        }
        if self.is_whole() || range.is_empty() {
            return Ok(());
        }
        (range.start / BLOCK..=(range.end - 1) / BLOCK)
            .try_for_each(|block| self.check_block(block))
    }

    /// Hashes every block that was not before.
    ///
    /// # Errors
    ///
    /// As for [`check`](Self::check).
    pub(crate) fn check_all(&self) -> Result<(), GalleryError> {
        self.check(0..self.data)
    }

    /// Whether every block is known to be good.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// An error that names this file.
    pub(crate) fn corrupt(&self, what: &str) -> GalleryError {
        corrupt(&self.path, what)
    }

    #[inline]
    fn check_block(&self, block: usize) -> Result<(), GalleryError> {
        let (word, bit) = (&self.good[block / 64], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        self.hash_block(block)?;
        if word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cold]
    fn hash_block(&self, block: usize) -> Result<(), GalleryError> {
        let start = block * BLOCK;
        let bytes = &self.map[start..self.data.min(start + BLOCK)];
        let sum = &self.map[self.data + block * SUM..][..SUM];
        if block_sum(bytes) == sum {
            return Ok(());
        }
        Err(self.corrupt(&format!("its bytes from {start} on are not as written")))
    }
}

/// Asks that what is not in memory yet be read in huge pages, for a walk reads at random and spends
/// much of its time on finding addresses. A walk touches nearly all of them, so little is read
/// needlessly; of the exact vectors it would be.
fn read_in_huge_pages(map: &Mmap) {
    #[cfg(target_os = "linux")]
    if let Err(error) = map.advise(memmap2::Advice::HugePage) {
        tracing::debug!(%error, "no huge pages");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = map;
}

fn corrupt(path: &Path, what: &str) -> GalleryError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let path = path.parent().unwrap_or(path).to_owned();
    GalleryError::Corrupt { path, what: format!("{name}: {what}") }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> GalleryError {
    GalleryError::Io { action, path: path.to_owned(), source }
}
