//! The manifest: which files are the published state, and what each must be.
//!
//! It is the only published file that is ever replaced, in one step, so whoever reads it sees one
//! complete publication. Its last member is the checksum of every byte before it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use facesearch_core::{Contract, GalleryError};
use serde::{Deserialize, Serialize};

use crate::files::{FORMAT, FileSeal};

/// The directory, inside the index, that readers look at.
pub(crate) const PUBLISHED: &str = "published";
/// The manifest's name in there.
pub(crate) const MANIFEST: &str = "MANIFEST";

pub(crate) const VECTORS: &str = "vectors";
pub(crate) const FACES: &str = "faces";
pub(crate) const PHOTOS: &str = "photos";
pub(crate) const IDENTITIES: &str = "identities";
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const JUDGEMENTS: &str = "judgements";

/// Ids are below this, so that there is always a next one.
pub(crate) const MOST_FACES: u64 = 1 << 62;

const CHECKSUM: &str = ",\"checksum\":\"";
const END: &str = "\"}\n";

/// What is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) generation: u64,
    pub(crate) contract: Contract,
    pub(crate) vectors: FileSeal,
    pub(crate) faces: FileSeal,
    pub(crate) photos: FileSeal,
    pub(crate) identities: FileSeal,
    pub(crate) ledger: FileSeal,
    /// What people said of single faces and names; left out where they said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) judgements: Option<FileSeal>,
    /// Search structures, in order of the faces they cover; what none covers is scanned.
    pub(crate) segments: Vec<SegmentEntry>,
    /// What the store's content was known by; `null` where it was not known by anything.
    #[serde(default)]
    pub(crate) content: Option<u64>,
    /// Whether nothing was left for a later publication to build.
    #[serde(default)]
    pub(crate) complete: bool,
    /// Every face that was ever published has a smaller id than this.
    #[serde(default)]
    pub(crate) next_face: u64,
    /// When faces came: from each id on, seconds since 1970; both ascend.
    #[serde(default)]
    pub(crate) added: Vec<(u64, i64)>,
}

/// A search structure over the faces whose ids are in `first_id..end_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentEntry {
    pub(crate) first_id: u64,
    pub(crate) end_id: u64,
    /// The rows that these faces have now.
    pub(crate) first_row: u32,
    pub(crate) end_row: u32,
    pub(crate) file: FileSeal,
    /// Where faces were removed since it was built: the file that says which row each is now.
    pub(crate) row_map: Option<FileSeal>,
}

impl SegmentEntry {
    /// The name of its file.
    pub(crate) fn name(&self) -> String {
        format!("segment-{}-{}", self.first_id, self.end_id)
    }

    /// The name of its row map.
    pub(crate) fn row_map_name(&self) -> String {
        format!("rows-{}-{}", self.first_id, self.end_id)
    }
}

impl Manifest {
    /// Reads the manifest of an index.
    ///
    /// # Errors
    ///
    /// [`GalleryError::NotFound`] where nothing is published there, [`GalleryError::Corrupt`] where
    /// the manifest is not as written, [`GalleryError::Format`] where a different program wrote it.
    pub(crate) fn read(index: &Path) -> Result<Self, GalleryError> {
        let path = published(index).join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(GalleryError::NotFound { path: index.to_owned() });
            }
            Err(source) => return Err(GalleryError::Io { action: "read", path, source }),
        };
        Self::parse(&text, index)
    }

    fn parse(text: &[u8], index: &Path) -> Result<Self, GalleryError> {
        let corrupt = |what: &str| GalleryError::Corrupt {
            path: published(index),
            what: format!("{MANIFEST}: {what}"),
        };
        let body = checked_body(text).ok_or_else(|| corrupt("it is not as written"))?;
        let format: FormatOnly = serde_json::from_slice(&body)
            .map_err(|e| corrupt(&format!("it names no format: {e}")))?;
        if format.format != FORMAT {
            let path = index.to_owned();
            return Err(GalleryError::Format { path, found: format.format, wanted: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(&body)
            .map_err(|e| corrupt(&format!("it cannot be understood: {e}")))?;
        if manifest.next_face > MOST_FACES || manifest.generation > MOST_FACES {
            return Err(corrupt("it counts more than there can be"));
        }
        Ok(manifest)
    }

    /// The manifest's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        with_checksum(serde_json::to_string(self).expect("a manifest has only plain members"))
    }
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// The JSON object `text` with one member more: the checksum of all before it.
pub(crate) fn with_checksum(mut text: String) -> Vec<u8> {
    text.pop();
    let checksum = blake3::hash(text.as_bytes()).to_hex();
    text.push_str(CHECKSUM);
    text.push_str(checksum.as_str());
    text.push_str(END);
    text.into_bytes()
}

/// The object that [`with_checksum`] was given, where the checksum is right.
pub(crate) fn checked_body(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_suffix(END.as_bytes())?;
    let (rest, checksum) = rest.split_at_checked(rest.len().checked_sub(2 * blake3::OUT_LEN)?)?;
    let body = rest.strip_suffix(CHECKSUM.as_bytes())?;
    let right = blake3::hash(body).to_hex().as_bytes() == checksum;
    right.then(|| [body, b"}"].concat())
}

/// Where an index keeps what it publishes.
pub(crate) fn published(index: &Path) -> PathBuf {
    index.join(PUBLISHED)
}

/// Where it keeps the files of one generation.
pub(crate) fn generation_dir(index: &Path, generation: u64) -> PathBuf {
    published(index).join(generation.to_string())
}
