//! From the store's faces to the tables of a snapshot, in one pass over the store.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use facesearch_core::{
    ContentHash, FaceId, FaceRecord, FaceStore, FaceView, IdentityIndex, PhotoIndex, StoreError,
};

use crate::files::{DataFile, FileSeal, Header, Kind};
use crate::manifest::{FACES, IDENTITIES, LEDGER, PHOTOS, VECTORS};
use crate::tables::{
    FacesWriter, NO_IDENTITY, NO_ROW, PhotosWriter, write_identities, write_ledger,
};

/// The tables written, and how many faces they have.
pub(super) struct Tables {
    pub(super) vectors: FileSeal,
    pub(super) faces: FileSeal,
    pub(super) photos: FileSeal,
    pub(super) identities: FileSeal,
    pub(super) ledger: FileSeal,
    pub(super) count: u64,
}

/// Writes the five tables of `store` into `dir`.
pub(super) fn write_tables(store: &dyn FaceStore, dir: &Path) -> Result<Tables, StoreError> {
    let mut collector = Collector::new(store, dir)?;
    let mut failure = None;
    let visited = store.for_each_face(&mut |record, vector| {
        collector.push(record, &vector).map_err(|error| {
            let stop = error.to_string().into();
            failure = Some(error);
            stop
        })
    });
    // An error of ours comes back wrapped in the store's words: the original says more.
    match (failure, visited) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(())) => collector.finish(),
    }
}

struct Collector<'a> {
    store: &'a dyn FaceStore,
    dir: &'a Path,
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

impl<'a> Collector<'a> {
    fn new(store: &'a dyn FaceStore, dir: &'a Path) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            dir,
            dim: store.contract().dimension as usize,
            last_id: None,
            vectors: DataFile::create(dir.join(VECTORS))?,
            faces: FacesWriter::new(DataFile::create(dir.join(FACES))?),
            photos: PhotosWriter::new(DataFile::create(dir.join(PHOTOS))?),
            photo_numbers: HashMap::new(),
            labels: BTreeMap::new(),
            identity_of_row: Vec::new(),
        })
    }

    fn push(&mut self, record: FaceRecord, vector: &[f32]) -> Result<(), StoreError> {
        let bad = |what: String| StoreError::Corrupt { path: self.dir.to_owned(), what };
        if vector.len() != self.dim || vector.iter().any(|number| !number.is_finite()) {
            return Err(bad(format!("the vector of face {} is not an embedding", record.id)));
        }
        if self.last_id.is_some_and(|last| last >= record.id) {
            return Err(bad(format!("face {} is out of order", record.id)));
        }
        if self.identity_of_row.len() + 1 >= NO_ROW as usize {
            return Err(bad("a snapshot holds no more than 4,294,967,294 faces".to_owned()));
        }
        self.last_id = Some(record.id);
        let photo = PhotoIndex(self.photo_number(&record)?);
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
    fn photo_number(&mut self, record: &FaceRecord) -> Result<u32, StoreError> {
        if let Some(number) = self.photo_numbers.get(&record.photo) {
            return Ok(*number);
        }
        let photo = self.store.photo(&record.photo)?.ok_or_else(|| StoreError::Corrupt {
            path: self.dir.to_owned(),
            what: format!("face {} is in a photo that is not there", record.id),
        })?;
        self.photos.push(&photo.path)?;
        let number = self.photo_numbers.len() as u32;
        self.photo_numbers.insert(record.photo, number);
        Ok(number)
    }

    fn finish(mut self) -> Result<Tables, StoreError> {
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
        Ok(Tables {
            vectors: self.vectors.seal(Header { kind: Kind::Vectors, count, extra })?,
            faces: self.faces.finish(&self.identity_of_row)?,
            photos: self.photos.finish()?,
            identities: write_identities(identities, labels, &self.identity_of_row)?,
            ledger: write_ledger(self.store, DataFile::create(self.dir.join(LEDGER))?)?,
            count,
        })
    }
}
