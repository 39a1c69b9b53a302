//! The pages of a Parquet file's columns, none of which takes more memory than its file is worth.
//!
//! A page's header may claim any size, a few compressed bytes may become gigabytes, and a run of
//! one value costs a few bytes however long it is. So sizes are checked before a page is unpacked,
//! and counts before its values are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::basic::Type as Physical;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

/// Bytes of pages that may be in memory beyond a multiple of the file's length.
const PAGES: u64 = 64 << 20;
/// The multiple: embeddings can hardly be compressed, and names make up little of a file.
const PAGES_PER_BYTE: u64 = 8;

/// Numbers of vectors that a file may hold beyond a multiple of its length.
const NUMBERS: u64 = 1 << 22;
/// The multiple: a dictionary takes a byte or less for a number, and most numbers may be zero.
const NUMBERS_PER_BYTE: u64 = 64;

/// Numbers in the pages that may be opened to read a portion of one column. The largest pages that
/// programs write have 100 MB.
const NUMBERS_AT_ONCE: u64 = 1 << 25;

/// Names in a page beyond a multiple of its length. Some encodings make a list of all their
/// lengths.
const NAMES: u64 = 1 << 24;
const NAMES_PER_BYTE: u64 = 256;

/// What an entry of a dictionary of names takes in memory, in bytes, for one of the four at least
/// that it takes in its page.
const ENTRY: u64 = 10;

/// What the columns of a file may still take.
pub(super) struct Allowance {
    /// The file's length.
    length: u64,
    /// Bytes of the pages in memory.
    pages: AtomicU64,
    /// Numbers of vectors that may still come.
    numbers: AtomicU64,
    /// The same of the portion that is being read.
    at_once: AtomicU64,
}

impl Allowance {
    /// For a file of this length.
    pub(super) fn new(length: u64) -> Self {
        Self {
            length,
            pages: AtomicU64::new(0),
            numbers: AtomicU64::new(NUMBERS.saturating_add(NUMBERS_PER_BYTE * length)),
            at_once: AtomicU64::new(0),
        }
    }

    /// Says that another portion of a column of vectors is read.
    pub(super) fn next_portion(&self) {
        self.at_once.store(NUMBERS_AT_ONCE, Ordering::Relaxed);
    }

    fn take_numbers(&self, count: u64) -> Result<()> {
        for left in [&self.numbers, &self.at_once] {
            let now = left.load(Ordering::Relaxed).checked_sub(count);
            let now = now.ok_or_else(|| refused("more numbers than its length allows"))?;
            left.store(now, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts `new` bytes of pages in the place of `old` ones.
    fn hold(&self, old: u64, new: u64) -> Result<()> {
        let others = self.pages.load(Ordering::Relaxed).saturating_sub(old);
        let all = others.saturating_add(new);
        if all > PAGES.saturating_add(PAGES_PER_BYTE * self.length) {
            return Err(refused("larger pages than its length allows"));
        }
        self.pages.store(all, Ordering::Relaxed);
        Ok(())
    }
}

fn refused(what: &str) -> ParquetError {
    ParquetError::General(format!("it claims {what}"))
}

/// What a column is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Vectors,
    Names,
}

/// What the pages of one column take.
struct Held {
    allowance: Arc<Allowance>,
    dictionary: AtomicU64,
    page: AtomicU64,
    /// Bytes of a dictionary in memory for each in its page.
    spread: u64,
}

impl Held {
    /// Counts a page, in whose place the one before goes.
    fn take(&self, header: Sizes) -> Result<()> {
        let (place, unpacked) = match header.is_dictionary {
            true => (&self.dictionary, header.unpacked.saturating_mul(1 + self.spread)),
            false => (&self.page, header.unpacked),
        };
        let bytes = unpacked.saturating_add(header.packed);
        self.allowance.hold(place.load(Ordering::Relaxed), bytes)?;
        place.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let all = self.dictionary.load(Ordering::Relaxed) + self.page.load(Ordering::Relaxed);
        // Less is always allowed.
        let _ = self.allowance.hold(all, 0);
    }
}

/// A column's pages, checked one after another.
pub(super) struct Pages {
    inner: SerializedPageReader<Source>,
    held: Arc<Held>,
    used_for: Use,
}

impl Pages {
    /// Those of the column that `meta` describes, in a row group of `rows`.
    pub(super) fn new(
        file: &Arc<File>,
        (meta, rows): (&ColumnChunkMetaData, usize),
        used_for: Use,
        allowance: &Arc<Allowance>,
    ) -> Result<Self> {
        let dictionary = meta.dictionary_page_offset().unwrap_or(0);
        if meta.data_page_offset() < 0 || dictionary < 0 || meta.compressed_size() < 0 {
            return Err(refused("a column before its beginning"));
        }
        let held = Arc::new(Held {
            allowance: Arc::clone(allowance),
            dictionary: AtomicU64::new(0),
            page: AtomicU64::new(0),
            spread: if meta.column_type() == Physical::BYTE_ARRAY { ENTRY } else { 1 },
        });
        let source = Arc::new(Source { file: Arc::clone(file), held: Arc::clone(&held) });
        let inner = SerializedPageReader::new(source, meta, rows, None)?;
        Ok(Self { inner, held, used_for })
    }

    fn check(&self, page: &Page) -> Result<()> {
        let (count, length) = (u64::from(page.num_values()), page.buffer().len() as u64);
        match (page.is_dictionary_page(), self.used_for) {
            // Each value has four bytes at least: a number, or the length of a text.
            (true, _) if count > length / 4 => Err(refused("more values than its dictionary has")),
            (true, _) => Ok(()),
            (false, Use::Vectors) => self.held.allowance.take_numbers(count),
            (false, Use::Names) if count > NAMES + NAMES_PER_BYTE * length => {
                Err(refused("more names than its length allows"))
            }
            (false, Use::Names) => Ok(()),
        }
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        page.map(|page| self.check(&page).map(|()| page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// The file as the pages of one column are read from it.
struct Source {
    file: Arc<File>,
    held: Arc<Held>,
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.held.allowance.length
    }
}

impl ChunkReader for Source {
    type T = Header;

    fn get_read(&self, start: u64) -> Result<Header> {
        let (bytes, held) = (self.file.get_read(start)?, Arc::clone(&self.held));
        Ok(Header { bytes, held, is_checked: false })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(start, length)
    }
}

/// The bytes from the header of a page on. Its sizes are checked when the first byte is read, which
/// is before room is made for what they claim.
struct Header {
    bytes: BufReader<File>,
    held: Arc<Held>,
    is_checked: bool,
}

impl Read for Header {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_checked {
            let header = Sizes::read(self.bytes.fill_buf()?);
            let header = header.ok_or_else(|| io::Error::other("a page has no header"))?;
            self.held.take(header).map_err(io::Error::other)?;
            self.is_checked = true;
        }
        self.bytes.read(buffer)
    }
}

/// What the header of a page begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    is_dictionary: bool,
    unpacked: u64,
    packed: u64,
}

impl Sizes {
    /// Thrift's compact protocol: each of the three fields is a byte for "the next field, an
    /// `i32`", then the number. `None` where there is anything else.
    fn read(bytes: &[u8]) -> Option<Self> {
        const NEXT_I32: u8 = 0x15;
        const DICTIONARY: u64 = 2;
        let mut bytes = bytes.iter();
        let mut number = || {
            bytes.next().filter(|byte| **byte == NEXT_I32)?;
            let mut number = 0u64;
            for shift in (0..35).step_by(7) {
                let byte = *bytes.next()?;
                number |= u64::from(byte & 0x7F) << shift;
                if byte & 0x80 == 0 {
                    // Numbers below zero are the odd ones.
                    return (number & 1 == 0).then_some(number / 2);
                }
            }
            None
        };
        let kind = number()?;
        let (unpacked, packed) = (number()?, number()?);
        Some(Self { is_dictionary: kind == DICTIONARY, unpacked, packed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_start_of_a_header() {
        let of = |bytes: &[u8]| {
            Sizes::read(bytes).map(|sizes| (sizes.is_dictionary, sizes.unpacked, sizes.packed))
        };
        assert_eq!(of(&[0x15, 4, 0x15, 8, 0x15, 12, 0x4C]), Some((true, 4, 6)));
        assert_eq!(of(&[0x15, 0, 0x15, 0xA6, 6, 0x15, 94, 0]), Some((false, 403, 47)));
        let most = [0xFE, 0xFF, 0xFF, 0xFF, 0x0F];
        let claim = [&[0x15, 0, 0x15][..], &most, &[0x15], &most].concat();
        assert_eq!(of(&claim), Some((false, (1 << 31) - 1, (1 << 31) - 1)));
        for bad in [&[][..], &[0x15, 0], &[0x15, 0, 0x15, 1, 0x15, 2], &[0x25, 0, 0x15, 2, 0x15, 2]]
        {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(of(&[0x15, 0, 0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 1]), None);
    }
}
