//! What a snapshot tells of itself: counts, sizes, the ledger.

use std::path::{Path, PathBuf};

use facesearch_core::{FaceId, GalleryCounts, GalleryError, Outcome};

use super::Snapshot;
use crate::files::FileSeal;
use crate::manifest::Manifest;
use crate::segment::Certificate;

impl Snapshot {
    /// The index directory this was opened from.
    pub fn index(&self) -> &Path {
        &self.index
    }

    /// How much there is.
    pub fn counts(&self) -> GalleryCounts {
        GalleryCounts {
            faces: self.faces.len() as u64,
            photos: self.photos.len() as u64,
            identities: self.identities.len() as u64,
        }
    }

    /// What became of every file that was indexed, paths ascending.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the ledger is not as it was written.
    pub fn ledger(&self) -> Result<Vec<(PathBuf, Outcome)>, GalleryError> {
        self.ledger.read()
    }

    /// Bytes on the disk that are published.
    pub fn bytes_on_disk(&self) -> u64 {
        let Manifest { vectors, faces, photos, identities, ledger, .. } = &self.manifest;
        let tables = [vectors, faces, photos, identities, ledger].into_iter();
        let tables = tables.chain(&self.manifest.judgements);
        let segments = self.manifest.segments.iter();
        let segments =
            segments.flat_map(|segment| [&segment.file].into_iter().chain(&segment.row_map));
        tables.chain(segments).map(FileSeal::bytes_on_disk).sum()
    }

    /// The id that the next face gets, where no store gives it.
    pub fn next_face_id(&self) -> FaceId {
        FaceId(self.manifest.next_face)
    }

    /// Bytes that are mapped to be searched: the search structures, without the exact vectors.
    pub fn bytes_searched(&self) -> u64 {
        let files = self.segments.iter().flat_map(|(_, segment)| segment.files());
        files.map(|file| file.bytes().len() as u64).sum()
    }

    /// How many rows no search structure covers, so that they are always measured.
    pub fn rows_scanned(&self) -> usize {
        self.uncovered.iter().map(|rows| rows.len()).sum()
    }

    /// What was measured of each search structure when it was built, and how many faces it was
    /// built of.
    pub fn certificates(&self) -> impl Iterator<Item = (usize, Certificate)> {
        self.segments.iter().map(|(_, segment)| (segment.len(), segment.certificate()))
    }
}
