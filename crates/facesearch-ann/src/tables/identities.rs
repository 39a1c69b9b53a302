//! The table of identities: their labels, in order of their bytes, and the rows of each.

use std::ops::Range;

use facesearch_core::{GalleryError, Row, StoreError};

use super::{NO_IDENTITY, Strings};
use crate::files::{DataFile, FileSeal, Header, Kind, Mapped, u32_at, u64_at};

/// The mapped table. What is reached from a row is checked by [`check`](Self::check); a label is
/// looked up all over it, so that this checks it whole.
pub(crate) struct Identities {
    file: Mapped,
    labels: Strings,
    /// Where in the file the rows are.
    rows: usize,
}

impl Identities {
    pub(crate) fn new(file: Mapped) -> Result<Self, GalleryError> {
        let labels = Strings::layout(&file)?;
        let rows = labels.end + (labels.count + 1) * 8;
        let this = Self { file, labels, rows };
        let len = this.file.bytes().len();
        if this.labels.count > NO_IDENTITY as usize || this.rows > len {
            return Err(this.file.corrupt("its size does not fit its number of identities"));
        }
        let last = this.labels.end + this.labels.count * 8;
        this.file.check(last..last + 8)?;
        let ends = |count| usize::try_from(u64_at(this.file.bytes(), this.labels.end + count * 8));
        let listed = ends(this.labels.count).ok().and_then(|rows| rows.checked_mul(4));
        if listed.and_then(|bytes| bytes.checked_add(this.rows)) != Some(len) {
            return Err(this.file.corrupt("its size does not fit its number of rows"));
        }
        Ok(this)
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.count
    }

    /// How many rows have an identity.
    pub(crate) fn labelled(&self) -> usize {
        (self.file.bytes().len() - self.rows) / 4
    }

    pub(crate) fn file(&self) -> &Mapped {
        &self.file
    }

    /// Checks an identity's label and that the list of its rows lies inside.
    pub(crate) fn check(&self, identity: u32) -> Result<(), GalleryError> {
        let at = self.labels.end + identity as usize * 8;
        self.labels.check(&self.file, identity as usize)?;
        if std::str::from_utf8(self.labels.get(&self.file, identity as usize)).is_err() {
            return Err(self.file.corrupt("a label is no text"));
        }
        self.file.check(at..at + 16)?;
        self.file.check(self.place_of_rows(identity))
    }

    /// Checks everything: labels ascend, and so do the rows of each. What the rows say of their
    /// identities is not looked at.
    pub(crate) fn check_all(&self) -> Result<(), GalleryError> {
        self.file.check_all()?;
        for identity in 0..self.len() as u32 {
            self.check(identity)?;
            if identity > 0 && self.label(identity - 1) >= self.label(identity) {
                return Err(self.file.corrupt("its labels are out of order"));
            }
            if !self.rows(identity).is_sorted_by(|a, b| a.0 < b.0) {
                return Err(self.file.corrupt("the rows of an identity are out of order"));
            }
        }
        Ok(())
    }

    /// Where in the file the rows of an identity are.
    fn place_of_rows(&self, identity: u32) -> Range<usize> {
        let at = self.labels.end + identity as usize * 8;
        let [start, end] = [at, at + 8].map(|at| {
            let rows = usize::try_from(u64_at(self.file.bytes(), at)).unwrap_or(usize::MAX);
            self.rows.saturating_add(rows.saturating_mul(4))
        });
        start..end.max(start)
    }

    /// The label of an identity. Panics where there is no such identity.
    pub(crate) fn label(&self, identity: u32) -> &str {
        let bytes = self.labels.get(&self.file, identity as usize);
        // Only `str`s are written, and a label is checked before it is asked for.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The identity with this label; nobody, where the table is damaged.
    pub(crate) fn find(&self, label: &str) -> Option<u32> {
        self.file.check_all().ok()?;
        let mut range: Range<usize> = 0..self.len();
        while !range.is_empty() {
            let middle = range.start + range.len() / 2;
            match self.labels.get(&self.file, middle).cmp(label.as_bytes()) {
                std::cmp::Ordering::Less => range.start = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle as u32),
                std::cmp::Ordering::Greater => range.end = middle,
            }
        }
        None
    }

    /// The rows of an identity, ascending. Panics where there is no such identity.
    pub(crate) fn rows(&self, identity: u32) -> impl ExactSizeIterator<Item = Row> {
        assert!((identity as usize) < self.len(), "no identity {identity} among {}", self.len());
        let rows = self.file.bytes().get(self.place_of_rows(identity)).unwrap_or_default();
        rows.chunks_exact(4).map(|row| Row(u32_at(row, 0)))
    }
}

/// Writes the table: `labels` ascending, and for each row the number of its label.
pub(crate) fn write_identities<'a>(
    mut file: DataFile,
    labels: impl ExactSizeIterator<Item = &'a str>,
    of_rows: &[u32],
) -> Result<FileSeal, StoreError> {
    let count = labels.len();
    let mut offsets = vec![0];
    for label in labels {
        file.write(label.as_bytes())?;
        offsets.push(file.len() - Header::LEN as u64);
    }
    let extra = file.len() - Header::LEN as u64;
    file.align(8)?;

    let mut starts = vec![0u64; count + 1];
    for identity in of_rows.iter().filter(|identity| **identity != NO_IDENTITY) {
        starts[*identity as usize + 1] += 1;
    }
    for i in 0..count {
        starts[i + 1] += starts[i];
    }
    for number in offsets.iter().chain(&starts) {
        file.write(&number.to_le_bytes())?;
    }
    let mut rows = vec![0u32; starts[count] as usize];
    let mut next = starts;
    for (row, identity) in (0..).zip(of_rows) {
        if *identity != NO_IDENTITY {
            rows[next[*identity as usize] as usize] = row;
            next[*identity as usize] += 1;
        }
    }
    for row in rows {
        file.write(&row.to_le_bytes())?;
    }
    file.seal(Header { kind: Kind::Identities, count: count as u64, extra })
}
