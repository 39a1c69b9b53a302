//! Writing a checked file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use facesearch_core::StoreError;

use super::{BLOCK, FileSeal, Header, block_sum};

/// Files are written in pieces that end at multiples of this, the size of a huge page. Linux caches
/// what is written at once in one piece of memory, where the file system can (ext4 since 6.16,
/// XFS), and maps pieces of this size with one entry each: walks, which read at random, then wait
/// less for addresses.
const PIECE: usize = 2 << 20;

/// A file being written: room for the header, then content, then, once sealed, checksums.
pub(crate) struct DataFile {
    path: PathBuf,
    file: File,
    /// What is not in the file yet.
    rest: Vec<u8>,
    /// Bytes so far, header included.
    len: u64,
}

impl DataFile {
    /// Starts a file that must not be there yet.
    pub(crate) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let mut options = facesearch_disk::private();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|source| io_error("create", &path, source))?;
        let mut this = Self { path, file, rest: Vec::with_capacity(PIECE), len: 0 };
        this.write(&[0; Header::LEN])?;
        Ok(this)
    }

    /// Where the next byte will be.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Appends.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = PIECE - (self.len % PIECE as u64) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.rest.extend_from_slice(now);
            self.len += now.len() as u64;
            if now.len() == room {
                self.flush().map_err(|source| io_error("write", &self.path, source))?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.rest)?;
        self.rest.clear();
        Ok(())
    }

    /// Appends zeros up to the next multiple of `unit`.
    pub(crate) fn align(&mut self, unit: u64) -> Result<(), StoreError> {
        let missing = self.len.next_multiple_of(unit) - self.len;
        self.write(&vec![0; missing as usize])
    }

    /// Rewrites `count` records of `size` bytes that start at `start`, one after another.
    pub(crate) fn patch(
        &mut self,
        start: u64,
        size: usize,
        count: u64,
        mut patch: impl FnMut(u64, &mut [u8]),
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let mut run = || -> io::Result<()> {
            self.flush()?;
            let file = &mut self.file;
            let at_once = ((1 << 20) / size).max(1) as u64;
            let mut buffer = vec![0; at_once as usize * size];
            for first in (0..count).step_by(at_once as usize) {
                let records = at_once.min(count - first);
                let place = SeekFrom::Start(start + first * size as u64);
                let bytes = &mut buffer[..records as usize * size];
                file.seek(place)?;
                file.read_exact(bytes)?;
                for (i, record) in (first..).zip(bytes.chunks_exact_mut(size)) {
                    patch(i, record);
                }
                file.seek(place)?;
                file.write_all(bytes)?;
            }
            file.seek(SeekFrom::End(0)).map(drop)
        };
        run().map_err(|source| io_error("rewrite", &path, source))
    }

    /// Writes header and checksums, and returns once all would survive a power cut.
    pub(crate) fn seal(mut self, header: Header) -> Result<FileSeal, StoreError> {
        let mut run = || -> io::Result<FileSeal> {
            self.flush()?;
            let file = &mut self.file;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header.to_bytes())?;
            let sums = sums_of(file)?;
            file.write_all(&sums)?;
            file.sync_all()?;
            Ok(FileSeal { data: self.len, sums: blake3::hash(&sums).to_hex().to_string() })
        };
        run().map_err(|source| io_error("write", &self.path, source))
    }
}

/// The checksum of each block of a file; leaves the cursor at its end.
fn sums_of(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut sums = Vec::new();
    let mut block = Vec::with_capacity(BLOCK);
    loop {
        block.clear();
        reader.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(sums);
        }
        sums.extend_from_slice(&block_sum(&block));
    }
}

/// Returns once the names in `dir` would survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    facesearch_disk::sync_dir(dir).map_err(|source| io_error("sync", dir, source))
}

/// What is said where something cannot be written.
pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Write { action, path: path.to_owned(), source: source.into() }
}
