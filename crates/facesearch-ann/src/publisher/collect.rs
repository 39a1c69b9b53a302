//! From faces to the tables of a snapshot, in one pass.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use facesearch_core::{
    ContentHash, Embedding, FaceId, FaceRecord, FaceStore, FaceView, IdentityIndex, PhotoIndex,
    StoreError,
};

use crate::files::{DataFile, FileSeal, Header, Kind};
use crate::manifest::{FACES, IDENTITIES, JUDGEMENTS, LEDGER, PHOTOS, VECTORS};
use crate::tables::{
    FacesWriter, NO_IDENTITY, NO_ROW, PhotosWriter, write_identities, write_judgements,
    write_ledger,
};

/// The tables written, and how many faces they have.
pub(super) struct Tables {
    pub(super) vectors: FileSeal,
    pub(super) faces: FileSeal,
    pub(super) photos: FileSeal,
    pub(super) identities: FileSeal,
    pub(super) ledger: FileSeal,
    /// `None` where there are none.
    pub(super) judgements: Option<FileSeal>,
    pub(super) count: u64,
    /// The largest id, where there is a face.
    pub(super) last_id: Option<FaceId>,
}

/// Writes the faces and the ledger of `store`.
pub(super) fn write_store(
    store: &dyn FaceStore,
    writer: &mut SnapshotWriter,
) -> Result<(), StoreError> {
    let mut failure = None;
    let visited = store.for_each_face(&mut |record, vector| {
        let (id, photo) = (record.id, record.photo);
        let path = || -> Result<PathBuf, StoreError> {
            let photo = store.photo(&photo)?.ok_or_else(|| StoreError::Corrupt {
                path: PathBuf::from("store"),
                what: format!("face {id} is in a photo that is not there"),
            })?;
            Ok(photo.path)
        };
        writer.push(record, &vector, path).map_err(|error| {
            let stop = error.to_string().into();
            failure = Some(error);
            stop
        })
    });
    // An error of ours comes back wrapped in the store's words: the original says more.
    match (failure, visited) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(())) => Ok(()),
    }
}

/// The faces of a publication, as they are written.
pub struct SnapshotWriter {
    dir: PathBuf,
    dim: usize,
    last_id: Option<FaceId>,
    vectors: DataFile,
    faces: FacesWriter,
    photos: PhotosWriter,
    photo_numbers: HashMap<ContentHash, u32>,
    /// Each label with a number in order of appearance.
    labels: BTreeMap<String, u32>,
    /// For each row the number of its label.
    identity_of_row: Vec<u32>,
}

impl SnapshotWriter {
    pub(super) fn new(dir: &Path, dim: usize) -> Result<Self, StoreError> {
        Ok(Self {
            dir: dir.to_owned(),
            dim,
            last_id: None,
            vectors: DataFile::create(dir.join(VECTORS))?,
            faces: FacesWriter::new(DataFile::create(dir.join(FACES))?),
            photos: PhotosWriter::new(DataFile::create(dir.join(PHOTOS))?),
            photo_numbers: HashMap::new(),
            labels: BTreeMap::new(),
            identity_of_row: Vec::new(),
        })
    }

    /// Appends a face; ids ascend. Of each photo the path is asked once, when its first face comes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] where the vector is of another dimension or none that
    /// [`Embedding::accepts`], or an id out of order; [`StoreError::Write`] where the disk refuses;
    /// and what `path` reports.
    pub fn push<E: From<StoreError>>(
        &mut self,
        record: FaceRecord,
        vector: &[f32],
        path: impl FnOnce() -> Result<PathBuf, E>,
    ) -> Result<(), E> {
        let bad = |what: String| StoreError::Corrupt { path: self.dir.clone(), what };
        if vector.len() != self.dim || !Embedding::accepts(vector) {
            Err(bad(format!("the vector of face {} is not an embedding", record.id)))?;
        }
        if self.last_id.is_some_and(|last| last >= record.id) {
            Err(bad(format!("face {} is out of order", record.id)))?;
        }
        if self.identity_of_row.len() + 1 >= NO_ROW as usize {
            Err(bad("a snapshot holds no more than 4,294,967,294 faces".to_owned()))?;
        }
        self.last_id = Some(record.id);
        let photo = match self.photo_numbers.get(&record.photo) {
            Some(number) => PhotoIndex(*number),
            None => self.add_photo(record.photo, &path()?)?,
        };
        let identity = record.identity.map(|label| {
            let next = self.labels.len() as u32;
            *self.labels.entry(label).or_insert(next)
        });
        self.vectors.write(bytemuck::cast_slice(vector))?;
        self.faces.push(&FaceView {
            id: record.id,
            photo,
            identity: identity.map(IdentityIndex),
            face: record.face,
            quality: record.quality,
        })?;
        self.identity_of_row.push(identity.unwrap_or(NO_IDENTITY));
        Ok(())
    }

    /// Photos are numbered as their first faces come.
    fn add_photo(&mut self, content: ContentHash, path: &Path) -> Result<PhotoIndex, StoreError> {
        self.photos.push(path)?;
        let number = self.photo_numbers.len() as u32;
        self.photo_numbers.insert(content, number);
        Ok(PhotoIndex(number))
    }

    /// Completes the tables; ledger and judgements are those of `store`, or there are none.
    pub(super) fn finish(mut self, store: Option<&dyn FaceStore>) -> Result<Tables, StoreError> {
        let mut sorted = vec![0; self.labels.len()];
        for (place, number) in (0..).zip(self.labels.values()) {
            sorted[*number as usize] = place;
        }
        for identity in self.identity_of_row.iter_mut().filter(|i| **i != NO_IDENTITY) {
            *identity = sorted[*identity as usize];
        }
        let count = self.identity_of_row.len() as u64;
        let labels = self.labels.keys().map(String::as_str);
        let identities = DataFile::create(self.dir.join(IDENTITIES))?;
        let extra = self.dim as u64;
        let judgements = store.map(|store| store.judgements()).transpose()?.unwrap_or_default();
        let judgements = match judgements.is_empty() {
            true => None,
            false => {
                let file = DataFile::create(self.dir.join(JUDGEMENTS))?;
                Some(write_judgements(&judgements, file)?)
            }
        };
        Ok(Tables {
            vectors: self.vectors.seal(Header { kind: Kind::Vectors, count, extra })?,
            faces: self.faces.finish(&self.identity_of_row)?,
            photos: self.photos.finish()?,
            identities: write_identities(identities, labels, &self.identity_of_row)?,
            ledger: write_ledger(store, DataFile::create(self.dir.join(LEDGER))?)?,
            judgements,
            count,
            last_id: self.last_id,
        })
    }
}
