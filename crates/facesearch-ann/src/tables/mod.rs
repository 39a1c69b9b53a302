//! The tables of a snapshot: what is known of each face, photo and identity.
//!
//! Those that a search needs are fixed-width or an array of offsets into bytes, so that nothing is
//! parsed when one is opened and a line is found by arithmetic.

mod faces;
mod identities;
mod judgements;
mod ledger;
mod photos;

pub(crate) use faces::{Faces, FacesWriter, NO_IDENTITY, NO_ROW};
pub(crate) use identities::{Identities, write_identities};
pub(crate) use judgements::{JudgementTable, write_judgements};
pub(crate) use ledger::{Ledger, write_ledger};
pub(crate) use photos::{Photos, PhotosWriter};

use std::ops::Range;

use facesearch_core::GalleryError;

use crate::files::{Header, Mapped, u64_at};

/// Strings of any bytes, one after another, and after them where each begins.
struct Strings {
    count: usize,
    /// Where in the file the offsets are.
    offsets: usize,
    /// Where in the file they end.
    end: usize,
}

impl Strings {
    /// The layout that the header announces: `count` strings of `extra` bytes together.
    fn layout(file: &Mapped) -> Result<Self, GalleryError> {
        let header = file.header();
        let place = || {
            let count = usize::try_from(header.count).ok()?;
            let bytes = usize::try_from(header.extra).ok()?;
            let offsets = bytes.checked_add(Header::LEN)?.checked_next_multiple_of(8)?;
            let end = count.checked_add(1)?.checked_mul(8)?.checked_add(offsets)?;
            (end <= file.bytes().len()).then_some(Self { count, offsets, end })
        };
        place().ok_or_else(|| file.corrupt("its strings reach beyond its end"))
    }

    /// Where in the file the offsets of string `i` are.
    fn offsets_of(&self, i: usize) -> Range<usize> {
        assert!(i < self.count, "no string {i} among {}", self.count);
        self.offsets + i * 8..self.offsets + i * 8 + 16
    }

    /// Where in the file string `i` is; `None` where its offsets make no sense.
    fn range(&self, file: &Mapped, i: usize) -> Option<Range<usize>> {
        let place = self.offsets_of(i);
        let [start, end] = [place.start, place.start + 8].map(|at| {
            let offset = usize::try_from(u64_at(file.bytes(), at)).unwrap_or(usize::MAX);
            offset.saturating_add(Header::LEN)
        });
        (start <= end && end <= self.offsets).then_some(start..end)
    }

    /// Checks string `i` and what says where it is. Panics where there is no such string.
    fn check(&self, file: &Mapped, i: usize) -> Result<(), GalleryError> {
        file.check(self.offsets_of(i))?;
        let range = self.range(file, i);
        file.check(range.ok_or_else(|| file.corrupt("a string in it lies outside"))?)
    }

    /// String `i`; empty where [`check`](Self::check) would fail.
    fn get<'a>(&self, file: &'a Mapped, i: usize) -> &'a [u8] {
        self.range(file, i).and_then(|range| file.bytes().get(range)).unwrap_or_default()
    }
}
