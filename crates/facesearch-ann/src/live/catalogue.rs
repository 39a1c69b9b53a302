//! Which files make up a live index, and their writing.
//!
//! As for a snapshot, one small file names all others with their seals and is replaced in one step;
//! files that it does not name are of no use and are removed when the index is opened.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::path::PathBuf;

use facesearch_core::{GalleryError, StoreError};
use serde::{Deserialize, Serialize};

use super::LiveError;
use super::bits::Bits;
use super::file;
use super::part::{Files, Part};
use crate::files::{DataFile, FORMAT, FileSeal, Header, Kind, Mapped, io_error, sync_dir};
use crate::kernels::MAX_NUMBERS;
use crate::manifest::{checked_body, with_checksum};
use crate::segment::{GraphBuilder, Rows, Segment, write_segment};
use crate::vectors::Vectors;

const NAME: &str = "LIVE";

/// The writer of a live index's files.
pub(super) struct Catalogue {
    dir: PathBuf,
    dim: usize,
    entries: Vec<Entry>,
    /// A number that no file has had.
    next: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    number: u64,
    vectors: FileSeal,
    ids: FileSeal,
    segment: Option<FileSeal>,
    /// Which items were removed, where any were: the number of the file and its seal.
    removed: Option<(u64, FileSeal)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    dim: usize,
    next: u64,
    parts: Vec<Entry>,
}

impl Catalogue {
    pub(super) fn open(dir: &Path, dim: usize) -> Result<Self, LiveError> {
        fs::create_dir_all(dir).map_err(|source| io_error("make", dir, source))?;
        let content = match fs::read(dir.join(NAME)) {
            Ok(text) => parse(dir, &text)?,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                Content { format: FORMAT, dim, next: 0, parts: Vec::new() }
            }
            Err(source) => {
                return Err(
                    GalleryError::Io { action: "read", path: dir.join(NAME), source }.into()
                );
            }
        };
        if content.dim != dim {
            return Err(LiveError::Dimension { expected: content.dim, got: dim });
        }
        let this = Self { dir: dir.to_owned(), dim, entries: content.parts, next: content.next };
        this.clean_up();
        Ok(this)
    }

    /// Maps the files of every part.
    pub(super) fn parts(&self) -> Result<Vec<Part>, GalleryError> {
        self.entries.iter().map(|entry| self.part(entry)).collect()
    }

    fn part(&self, entry: &Entry) -> Result<Part, GalleryError> {
        let number = entry.number;
        let map = |what, kind, seal| Mapped::open(&file(&self.dir, number, what), kind, seal);
        let vectors = Vectors::new(map("vectors", Kind::Vectors, &entry.vectors)?)?;
        if vectors.dim() != self.dim {
            return Err(vectors.file().corrupt("its vectors are of another length"));
        }
        let ids = map("ids", Kind::Ids, &entry.ids)?;
        let segment = match &entry.segment {
            Some(seal) => {
                let file = map("segment", Kind::Segment, seal)?;
                Some(Segment::new(file, Rows::Consecutive, 0..vectors.len() as u32)?)
            }
            None => None,
        };
        let removed = match &entry.removed {
            Some((number, seal)) => {
                let path = file(&self.dir, *number, "removed");
                Some(removals(&Mapped::open(&path, Kind::Removed, seal)?, vectors.len())?)
            }
            None => None,
        };
        Part::new(Files { number, vectors, ids, segment }, removed)
    }

    /// Writes a part: `ids` ascend, `vector` gives the vector of each.
    pub(super) fn write<'a>(
        &mut self,
        ids: &[u64],
        scanned: usize,
        vector: impl Fn(usize) -> &'a [f32],
    ) -> Result<Part, LiveError> {
        let (number, n) = (self.number(), ids.len());
        let create = |what| DataFile::create(file(&self.dir, number, what));
        let mut out = create("vectors")?;
        for item in 0..n {
            out.write(bytemuck::cast_slice(vector(item)))?;
        }
        let header = |kind, extra: usize| Header { kind, count: n as u64, extra: extra as u64 };
        let vectors = out.seal(header(Kind::Vectors, self.dim))?;
        let mut out = create("ids")?;
        for id in ids {
            out.write(&id.to_le_bytes())?;
        }
        let ids = out.seal(header(Kind::Ids, 0))?;
        let mut entry = Entry { number, vectors, ids, segment: None, removed: None };
        if n > scanned && self.dim <= MAX_NUMBERS {
            let part = self.part(&entry)?;
            let builder = GraphBuilder::default();
            let out = create("segment")?;
            let vector = |item: usize| part.vector(item as u32);
            entry.segment = Some(write_segment(out, n, self.dim, builder, vector)?);
        }
        let part = self.part(&entry)?;
        self.entries.push(entry);
        Ok(part)
    }

    /// Makes `parts` what is opened next, and removes the files of others.
    pub(super) fn save(&mut self, parts: &[Part]) -> Result<(), StoreError> {
        let mut entries = Vec::with_capacity(parts.len());
        for part in parts {
            let of_part = |entry: &&Entry| entry.number == part.number();
            let mut entry = self
                .entries
                .iter()
                .find(of_part)
                .expect("whoever has a part got it from here")
                .clone();
            entry.removed = self.write_removals(part)?;
            entries.push(entry);
        }
        let content =
            Content { format: FORMAT, dim: self.dim, next: self.next, parts: entries.clone() };
        let text = serde_json::to_string(&content).expect("a catalogue has only plain members");
        let (next, path) = (self.dir.join("LIVE.next"), self.dir.join(NAME));
        let write = || -> std::io::Result<()> {
            let mut out = fs::File::create(&next)?;
            out.write_all(&with_checksum(text))?;
            out.sync_all()?;
            fs::rename(&next, &path)
        };
        sync_dir(&self.dir)?;
        write().map_err(|source| io_error("replace", &path, source))?;
        sync_dir(&self.dir)?;
        self.entries = entries;
        self.clean_up();
        Ok(())
    }

    fn write_removals(&mut self, part: &Part) -> Result<Option<(u64, FileSeal)>, StoreError> {
        if part.removed() == 0 {
            return Ok(None);
        }
        let number = self.number();
        let mut out = DataFile::create(file(&self.dir, number, "removed"))?;
        let words = part.removals().words();
        out.write(bytemuck::cast_slice(words))?;
        let (kind, count) = (Kind::Removed, words.len() as u64);
        Ok(Some((number, out.seal(Header { kind, count, extra: 0 })?)))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Removes files that are not named, of parts that were merged or never finished.
    fn clean_up(&self) {
        let named = |name: &str| {
            name == NAME
                || name.split_once('.').is_some_and(|(number, what)| {
                    let is = |n: u64| number == n.to_string();
                    self.entries.iter().any(|entry| match what {
                        "removed" => entry.removed.as_ref().is_some_and(|(n, _)| is(*n)),
                        "segment" => entry.segment.is_some() && is(entry.number),
                        "vectors" | "ids" => is(entry.number),
                        _ => false,
                    })
                })
        };
        let Ok(files) = fs::read_dir(&self.dir) else { return };
        for path in files.flatten().map(|found| found.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !named(name)
                && is_ours(name)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(file = %path.display(), %error, "a file of no use stays");
            }
        }
    }
}

/// Whether a name is one that files here have; what else lies in the directory is not touched.
fn is_ours(name: &str) -> bool {
    let kinds = ["removed", "segment", "vectors", "ids"];
    let is_part = |(number, what): (&str, &str)| {
        kinds.contains(&what) && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    name == "LIVE.next" || name.split_once('.').is_some_and(is_part)
}

fn parse(dir: &Path, text: &[u8]) -> Result<Content, GalleryError> {
    let corrupt = |what: &str| GalleryError::Corrupt {
        path: dir.to_owned(),
        what: format!("{NAME}: {what}"),
    };
    let body = checked_body(text).ok_or_else(|| corrupt("it is not as written"))?;
    let content: Content =
        serde_json::from_slice(&body).map_err(|e| corrupt(&format!("it makes no sense: {e}")))?;
    if content.format != FORMAT {
        let (path, found) = (dir.to_owned(), content.format);
        return Err(GalleryError::Format { path, found, wanted: FORMAT });
    }
    Ok(content)
}

fn removals(map: &Mapped, items: usize) -> Result<Bits, GalleryError> {
    map.check_all()?;
    let words: Vec<u64> = map.bytes()[Header::LEN..]
        .chunks_exact(8)
        .map(|word| crate::files::u64_at(word, 0))
        .collect();
    let beyond =
        !items.is_multiple_of(64) && words.last().is_some_and(|last| last >> (items % 64) != 0);
    if words.len() != items.div_ceil(64) || beyond {
        return Err(map.corrupt("it has not one bit for each face"));
    }
    Ok(Bits::from_words(words))
}
