//! The ledger: what became of each file, for those who ask. Searching never touches it.
//!
//! Lines follow each other as they are: a byte for the outcome, a number, then a path and a text,
//! each behind its length. Whoever reads it reads it from the start.

use std::path::{Path, PathBuf};

use facesearch_core::{BoxError, FaceStore, FileEntry, GalleryError, Outcome, StoreError};

use super::photos::{bytes_of, path_of};
use crate::files::{DataFile, FileSeal, Header, Kind, Mapped, u32_at};

const FIXED: usize = 13;

/// The greatest byte for an outcome.
const DUPLICATE: u8 = 5;

/// Writes the ledger of `store`; an empty one where there is no store.
pub(crate) fn write_ledger(
    store: Option<&dyn FaceStore>,
    mut file: DataFile,
) -> Result<FileSeal, StoreError> {
    let Some(store) = store else {
        return file.seal(Header { kind: Kind::Ledger, count: 0, extra: 0 });
    };
    let mut count = 0;
    let mut failure = None;
    let visited = store.for_each_file(Path::new(""), &mut |path, entry| {
        count += 1;
        file.write(&line(&path, &entry)).map_err(|error| -> BoxError {
            let stop = error.to_string().into();
            failure = Some(error);
            stop
        })
    });
    match failure {
        Some(error) => Err(error),
        None => visited,
    }?;
    file.seal(Header { kind: Kind::Ledger, count, extra: 0 })
}

fn line(path: &Path, entry: &FileEntry) -> Vec<u8> {
    let (kind, faces, text) = match &entry.outcome {
        Outcome::Faces(n) => (0u8, *n, Vec::new()),
        Outcome::NoFace => (1, 0, Vec::new()),
        Outcome::Rejected(why) => (2, 0, why.as_bytes().to_vec()),
        Outcome::Undecodable(why) => (3, 0, why.as_bytes().to_vec()),
        Outcome::Unreadable(why) => (4, 0, why.as_bytes().to_vec()),
        Outcome::DuplicateOf(other) => (DUPLICATE, 0, bytes_of(other).into_owned()),
    };
    let path = bytes_of(path);
    let mut line = Vec::with_capacity(FIXED + path.len() + text.len());
    line.push(kind);
    line.extend(faces.to_le_bytes());
    line.extend((path.len() as u32).to_le_bytes());
    line.extend((text.len() as u32).to_le_bytes());
    line.extend_from_slice(&path);
    line.extend(text);
    line
}

/// The mapped ledger.
pub(crate) struct Ledger {
    file: Mapped,
}

impl Ledger {
    pub(crate) fn new(file: Mapped) -> Self {
        Self { file }
    }

    pub(crate) fn len(&self) -> u64 {
        self.file.header().count
    }

    /// Checks every byte, and that they are the lines that there should be.
    pub(crate) fn check_all(&self) -> Result<(), GalleryError> {
        self.file.check_all()?;
        self.lines().try_for_each(|line| line.map(drop))
    }

    /// Every line, in order.
    pub(crate) fn read(&self) -> Result<Vec<(PathBuf, Outcome)>, GalleryError> {
        self.file.check_all()?;
        self.lines().map(|line| Ok(line?.read())).collect()
    }

    fn lines(&self) -> impl Iterator<Item = Result<Line<'_>, GalleryError>> {
        let mut rest = &self.file.bytes()[Header::LEN..];
        (0..self.len()).map(move |_| {
            let split = Line::split(rest);
            let (line, tail) = split.ok_or_else(|| self.file.corrupt("a line in it is none"))?;
            rest = tail;
            Ok(line)
        })
    }
}

/// A line as it lies in the file.
struct Line<'a> {
    outcome: u8,
    faces: u32,
    path: &'a [u8],
    text: &'a [u8],
}

impl<'a> Line<'a> {
    /// The first line of `bytes`, and what follows it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let (path, rest) = rest.split_at_checked(u32_at(fixed, 5) as usize)?;
        let (text, rest) = rest.split_at_checked(u32_at(fixed, 9) as usize)?;
        let (outcome, faces) = (fixed[0], u32_at(fixed, 1));
        (outcome <= DUPLICATE).then_some((Self { outcome, faces, path, text }, rest))
    }

    fn read(&self) -> (PathBuf, Outcome) {
        let why = || String::from_utf8_lossy(self.text).into_owned();
        let outcome = match self.outcome {
            0 => Outcome::Faces(self.faces),
            1 => Outcome::NoFace,
            2 => Outcome::Rejected(why()),
            3 => Outcome::Undecodable(why()),
            4 => Outcome::Unreadable(why()),
            _ => Outcome::DuplicateOf(path_of(self.text)),
        };
        (path_of(self.path), outcome)
    }
}
