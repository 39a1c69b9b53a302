//! An index of vectors that came from a file, not from photos.
//!
//! There is no store behind it: what is published is all there is, and every change publishes the
//! faces that stay and those that come. Its contract names `imported` where others name a detector.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use facesearch_ann::{Snapshot, SnapshotPublisher};
use facesearch_core::{
    ContentHash, Contract, DetectedFace, FaceId, FaceRecord, Gallery, GalleryError, Published, Row,
    StoreError, display_path,
};

use crate::error::{Error, Result};

/// Stands in a contract where photos' faces have a detector.
pub(crate) const IMPORTED: &str = "imported";

/// Whether an index of this contract holds imported vectors.
pub(crate) fn is_imported(contract: &Contract) -> bool {
    contract.detector == IMPORTED
}

/// An error where photos are meant to be looked at for an index that has none.
pub(crate) fn refuse_photos(contract: &Contract, index: &Path) -> Result<()> {
    if !is_imported(contract) {
        return Ok(());
    }
    let (index, model) = (display_path(index), &contract.model);
    Err(Error::index(format!(
        "{index} holds vectors imported as `{model}`, which no model here makes of a photo; search \
         it with `facesearch query --vector FILE`, and keep photos in another `--index`"
    )))
}

/// One face that comes from a file.
pub(crate) struct Newcomer {
    /// Its embedding, as the contract's metric wants it.
    pub(crate) vector: Vec<f32>,
    /// What it goes by where others have a photo.
    pub(crate) name: PathBuf,
    /// Who it is.
    pub(crate) identity: Option<String>,
}

/// The index, held by this process alone.
pub(crate) struct Imported {
    standing: Option<Snapshot>,
    publisher: SnapshotPublisher,
    _lock: File,
}

impl Imported {
    /// Takes hold of the index, which need not be there.
    pub(crate) fn open(index: &Path) -> Result<Self> {
        let io = |action, source: std::io::Error| StoreError::Write {
            action,
            path: index.to_owned(),
            source: source.into(),
        };
        facesearch_disk::make_dir(index).map_err(|source| io("make", source))?;
        let mut options = facesearch_disk::private();
        let lock = options.create(true).truncate(false).write(true).open(index.join("lock"));
        let lock = lock.map_err(|source| io("lock", source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: index.to_owned() }.into());
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", source).into()),
        }
        let standing = match Snapshot::open(index) {
            Ok(snapshot) => Some(snapshot),
            Err(GalleryError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(standing) = &standing {
            // Nothing damaged is carried on under new checksums.
            standing.verify()?;
        }
        Ok(Self { standing, publisher: SnapshotPublisher::new(index), _lock: lock })
    }

    /// What is published now.
    pub(crate) fn standing(&self) -> Option<&Snapshot> {
        self.standing.as_ref()
    }

    /// The rows that are published now, to compare others with.
    pub(crate) fn present(&self) -> PresentRows {
        let mut present = PresentRows::default();
        if let Some(standing) = &self.standing {
            for row in (0..standing.len() as u32).map(Row) {
                let view = standing.face(row);
                let identity = view.identity.map(|who| standing.identity(who));
                let name = standing.photo_path(view.photo);
                *present.0.entry(row_key(&name, identity, standing.vector(row))).or_default() += 1;
            }
        }
        present
    }

    /// Publishes with one search structure over everything.
    #[must_use]
    pub(crate) fn with_single_structure(mut self) -> Self {
        self.publisher = self.publisher.with_single_structure();
        self
    }

    /// Publishes the rows that stay and the faces that come.
    pub(crate) fn publish(
        &self,
        contract: &Contract,
        last: bool,
        stays: impl Fn(&Snapshot, Row) -> bool,
        comers: impl Iterator<Item = Result<Newcomer>>,
    ) -> Result<Published> {
        self.publisher.publish_with(contract, last, |writer| -> Result<()> {
            let mut next = 0;
            if let Some(standing) = &self.standing {
                next = standing.next_face_id().0;
                let rows = (0..standing.len() as u32).map(Row);
                for row in rows.filter(|row| stays(standing, *row)) {
                    let view = standing.face(row);
                    let path = standing.photo_path(view.photo);
                    let identity = view.identity.map(|who| standing.identity(who).to_owned());
                    let (photo, face, quality) = (key(&path), view.face, view.quality);
                    let record = FaceRecord { id: view.id, photo, face, quality, identity };
                    let path = || -> Result<PathBuf> { Ok(path) };
                    writer.push(record, standing.vector(row), path)?;
                }
            }
            for (id, comer) in (next..).zip(comers) {
                let Newcomer { vector, name, identity } = comer?;
                let (id, photo) = (FaceId(id), key(&name));
                let record =
                    FaceRecord { id, photo, face: DetectedFace::NOWHERE, quality: None, identity };
                writer.push(record, &vector, || -> Result<PathBuf> { Ok(name) })?;
            }
            Ok(())
        })
    }

    /// Removes every file that is not of the published state.
    pub(crate) fn forget_earlier(&self) -> Result<()> {
        Ok(self.publisher.forget_earlier()?)
    }
}

/// How often each row is in the index. Two rows are the same where name, identity and every bit of
/// the vector are. Memory: about fifty bytes a row.
#[derive(Default)]
pub(crate) struct PresentRows(HashMap<[u8; 16], u32>);

impl PresentRows {
    /// Whether the index has this row. Each of its rows stands for one row of a file, so that a row
    /// that is twice in a file has to be twice in the index.
    pub(crate) fn take(&mut self, row: &Newcomer) -> bool {
        let key = row_key(&row.name, row.identity.as_deref(), &row.vector);
        match self.0.get_mut(&key) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

/// What tells a row from others: half of a BLAKE3, which is enough for any number of rows.
fn row_key(name: &Path, identity: Option<&str>, vector: &[f32]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for text in [Some(name.as_os_str().as_encoded_bytes()), identity.map(str::as_bytes)] {
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hasher.update(&length.to_le_bytes()).update(text.unwrap_or_default());
    }
    for number in vector {
        hasher.update(&number.to_bits().to_le_bytes());
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// Faces of one name are of one photo.
fn key(name: &Path) -> ContentHash {
    ContentHash(*blake3::hash(name.as_os_str().as_encoded_bytes()).as_bytes())
}
