//! What people said of single faces and names, for those who cluster and audit. Searching never
//! touches it, and an index without judgements has no such file.
//!
//! Records follow each other as they are: the face, what was said, the length of the name, the
//! name. Whoever reads it reads it from the start.

use facesearch_core::{FaceId, GalleryError, Judgement, Judgements, StoreError};

use crate::files::{DataFile, FileSeal, Header, Kind, Mapped, u32_at, u64_at};

/// Bytes of a record before its name.
const FIXED: usize = 13;

const DENIED: u8 = 0;
const CONFIRMED: u8 = 1;

/// Writes judgements, faces ascending, then names.
pub(crate) fn write_judgements(
    judgements: &Judgements,
    mut file: DataFile,
) -> Result<FileSeal, StoreError> {
    let mut record = Vec::new();
    for (face, name, judgement) in judgements.iter() {
        record.clear();
        record.extend(face.0.to_le_bytes());
        record.push(match judgement {
            Judgement::Denied => DENIED,
            Judgement::Confirmed => CONFIRMED,
        });
        record.extend((name.len() as u32).to_le_bytes());
        record.extend_from_slice(name.as_bytes());
        file.write(&record)?;
    }
    let count = judgements.len() as u64;
    file.seal(Header { kind: Kind::Judgements, count, extra: 0 })
}

/// The mapped judgements.
pub(crate) struct JudgementTable {
    file: Mapped,
}

impl JudgementTable {
    pub(crate) fn new(file: Mapped) -> Self {
        Self { file }
    }

    /// Every judgement; checks every byte.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written, or a record is none.
    pub(crate) fn read(&self) -> Result<Judgements, GalleryError> {
        self.file.check_all()?;
        let mut judgements = Judgements::default();
        let mut rest = &self.file.bytes()[Header::LEN..];
        for _ in 0..self.file.header().count {
            let record = split(rest).ok_or_else(|| self.file.corrupt("a record in it is none"))?;
            let ((face, name, judgement), tail) = record;
            judgements.set(face, name, Some(judgement));
            rest = tail;
        }
        Ok(judgements)
    }
}

/// A judgement, and the bytes behind its record.
type Split<'a> = ((FaceId, &'a str, Judgement), &'a [u8]);

/// The first record of `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let (fixed, rest) = bytes.split_at_checked(FIXED)?;
    let (name, rest) = rest.split_at_checked(u32_at(fixed, 9) as usize)?;
    let judgement = match fixed[8] {
        DENIED => Judgement::Denied,
        CONFIRMED => Judgement::Confirmed,
        _ => return None,
    };
    Some(((FaceId(u64_at(fixed, 0)), std::str::from_utf8(name).ok()?, judgement), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The judgements, or the error, of a file with this content.
    fn read(count: u64, content: &[u8]) -> Result<Judgements, GalleryError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("judgements");
        let mut file = DataFile::create(path.clone()).unwrap();
        file.write(content).unwrap();
        let seal = file.seal(Header { kind: Kind::Judgements, count, extra: 0 }).unwrap();
        JudgementTable::new(Mapped::open(&path, Kind::Judgements, &seal).unwrap()).read()
    }

    #[test]
    fn judgements_come_back_as_they_were_written() {
        let mut judgements = Judgements::default();
        judgements.set(FaceId(1 << 40), "Zo\u{eb}", Some(Judgement::Confirmed));
        judgements.set(FaceId(7), "", Some(Judgement::Denied));
        judgements.set(FaceId(7), "Anna", Some(Judgement::Denied));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("judgements");
        let seal = write_judgements(&judgements, DataFile::create(path.clone()).unwrap()).unwrap();
        let table = JudgementTable::new(Mapped::open(&path, Kind::Judgements, &seal).unwrap());
        assert_eq!(table.read().unwrap(), judgements);
    }

    #[test]
    fn a_record_that_lies_is_an_error() {
        let record = |judgement: u8, len: u8, name: &[u8]| {
            [&[3, 0, 0, 0, 0, 0, 0, 0, judgement, len, 0, 0, 0], name].concat()
        };
        assert!(read(1, &record(1, 2, b"Al")).unwrap().is_confirmed(FaceId(3), "Al"));
        for (count, bytes) in [
            (1, record(2, 2, b"Al")),
            (1, record(1, 3, b"Al")),
            (2, record(1, 2, b"Al")),
            (1, record(1, 1, b"\xff")),
        ] {
            let found = read(count, &bytes);
            assert!(matches!(found, Err(GalleryError::Corrupt { .. })), "{bytes:?}: {found:?}");
        }
    }
}
