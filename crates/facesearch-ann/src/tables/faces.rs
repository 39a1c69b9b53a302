//! The table of faces: one fixed-width record a row.

use facesearch_core::{
    BoundingBox, DetectedFace, FaceId, FaceView, GalleryError, IdentityIndex, Landmarks,
    PhotoIndex, Quality, StoreError,
};

use crate::files::{DataFile, FileSeal, Header, Kind, Mapped, u32_at, u64_at};

/// Stands in the table for "nobody knows who".
pub(crate) const NO_IDENTITY: u32 = u32::MAX;

/// Stands in a row map for "removed since", and bounds the number of rows.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Bytes of a record: id, photo, identity, whether quality is known, and sixteen floats.
const RECORD: usize = 84;
const PHOTO_AT: usize = 8;
const IDENTITY_AT: usize = 12;
const FLOATS_AT: usize = 20;

/// The mapped table.
pub(crate) struct Faces(Mapped);

impl Faces {
    pub(crate) fn new(file: Mapped) -> Result<Self, GalleryError> {
        let content = file.bytes().len() - Header::LEN;
        let header = file.header();
        if header.count.checked_mul(RECORD as u64) != Some(content as u64)
            || header.count >= u64::from(NO_ROW)
        {
            return Err(file.corrupt("its size does not fit its number of records"));
        }
        Ok(Self(file))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.header().count as usize
    }

    pub(crate) fn file(&self) -> &Mapped {
        &self.0
    }

    pub(crate) fn check(&self, row: u32) -> Result<(), GalleryError> {
        let start = Header::LEN + row as usize * RECORD;
        self.0.check(start..start + RECORD)
    }

    /// The record of a row. Panics where there is no such row.
    pub(crate) fn get(&self, row: u32) -> FaceView {
        let record = self.record(row);
        let float = |i: usize| f32::from_bits(u32_at(record, FLOATS_AT + 4 * i));
        let identity = u32_at(record, IDENTITY_AT);
        FaceView {
            id: FaceId(u64_at(record, 0)),
            photo: PhotoIndex(u32_at(record, PHOTO_AT)),
            identity: (identity != NO_IDENTITY).then_some(IdentityIndex(identity)),
            face: DetectedFace {
                bbox: BoundingBox { x: float(0), y: float(1), width: float(2), height: float(3) },
                score: float(4),
                landmarks: Landmarks(std::array::from_fn(|i| [float(5 + 2 * i), float(6 + 2 * i)])),
            },
            quality: (u32_at(record, 16) == 1).then_some(Quality(float(15))),
        }
    }

    /// The number of its photo alone.
    pub(crate) fn photo(&self, row: u32) -> u32 {
        u32_at(self.record(row), PHOTO_AT)
    }

    /// The number of its identity alone, or [`NO_IDENTITY`].
    pub(crate) fn identity(&self, row: u32) -> u32 {
        u32_at(self.record(row), IDENTITY_AT)
    }

    /// The face's number alone.
    pub(crate) fn id(&self, row: u32) -> FaceId {
        FaceId(u64_at(self.record(row), 0))
    }

    fn record(&self, row: u32) -> &[u8] {
        assert!((row as usize) < self.len(), "no row {row} among {}", self.len());
        &self.0.bytes()[Header::LEN + row as usize * RECORD..][..RECORD]
    }
}

/// The table being written.
pub(crate) struct FacesWriter {
    file: DataFile,
    count: u64,
}

impl FacesWriter {
    pub(crate) fn new(file: DataFile) -> Self {
        Self { file, count: 0 }
    }

    /// Appends a record. Its identity may be a number that [`finish`](Self::finish) replaces.
    pub(crate) fn push(&mut self, view: &FaceView) -> Result<(), StoreError> {
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&view.id.0.to_le_bytes());
        let identity = view.identity.map_or(NO_IDENTITY, |identity| identity.0);
        let numbers = [view.photo.0, identity, u32::from(view.quality.is_some())];
        let DetectedFace { bbox, score, landmarks } = view.face;
        let floats = [bbox.x, bbox.y, bbox.width, bbox.height, score]
            .into_iter()
            .chain(landmarks.0.into_iter().flatten())
            .chain([view.quality.map_or(0.0, |quality| quality.0)])
            .map(f32::to_bits);
        let numbers = numbers.into_iter().chain(floats);
        for (place, number) in record[8..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.file.write(&record)?;
        self.count += 1;
        Ok(())
    }

    /// Replaces the identity of each row by what `identities` has for it, and seals the file.
    pub(crate) fn finish(mut self, identities: &[u32]) -> Result<FileSeal, StoreError> {
        self.file.patch(Header::LEN as u64, RECORD, self.count, |row, record| {
            let identity = identities[row as usize].to_le_bytes();
            record[IDENTITY_AT..IDENTITY_AT + 4].copy_from_slice(&identity);
        })?;
        self.file.seal(Header { kind: Kind::Faces, count: self.count, extra: RECORD as u64 })
    }
}
