//! The store as plain maps: the definition of the contract, for tests and trials.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use facesearch_core::{
    BoxError, Change, ContentHash, Contract, Embedding, FaceId, FaceRecord, FaceStore, FileEntry,
    PhotoRecord, StoreError,
};

use crate::path_bytes;

/// A [`FaceStore`] that forgets everything when it is dropped.
#[derive(Debug)]
pub struct MemoryStore {
    contract: Contract,
    tables: Mutex<Tables>,
}

/// Paths are keyed as [`OsString`], which sorts byte by byte; a `PathBuf` sorts by component.
#[derive(Debug, Default, Clone)]
struct Tables {
    files: BTreeMap<OsString, FileEntry>,
    photos: BTreeMap<ContentHash, PhotoRecord>,
    forgotten: BTreeSet<ContentHash>,
    faces: BTreeMap<FaceId, (FaceRecord, Vec<f32>)>,
    next_face: u64,
    commits: u64,
}

impl MemoryStore {
    /// An empty store of embeddings made under `contract`.
    pub fn new(contract: Contract) -> Self {
        Self { contract, tables: Mutex::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no code panics while it holds the tables, but on a bug")
    }
}

impl FaceStore for MemoryStore {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn file(&self, path: &Path) -> Result<Option<FileEntry>, StoreError> {
        Ok(self.tables().files.get(path.as_os_str()).cloned())
    }

    fn for_each_file(
        &self,
        prefix: &Path,
        visit: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        let bytes = |path: &Path| path_bytes::to_bytes(path).map(<[u8]>::to_vec);
        let io = |source| StoreError::Io { action: "visit", path: prefix.into(), source };
        let wanted = bytes(prefix).map_err(io)?;
        let files = self.tables().files.clone();
        for (path, entry) in files {
            let path = PathBuf::from(path);
            if path_bytes::is_below(&bytes(&path).map_err(io)?, &wanted) {
                visit(path, entry).map_err(io)?;
            }
        }
        Ok(())
    }

    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError> {
        Ok(self.tables().photos.get(content).cloned())
    }

    fn is_forgotten(&self, content: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.tables().forgotten.contains(content))
    }

    fn paths_of(&self, content: &ContentHash) -> Result<Vec<PathBuf>, StoreError> {
        let names = |entry: &FileEntry| [entry.content, entry.keeps].contains(&Some(*content));
        let tables = self.tables();
        let paths = tables.files.iter().filter(|(_, entry)| names(entry));
        Ok(paths.map(|(path, _)| PathBuf::from(path)).collect())
    }

    fn face(&self, id: FaceId) -> Result<Option<FaceRecord>, StoreError> {
        Ok(self.tables().faces.get(&id).map(|(record, _)| record.clone()))
    }

    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        let faces = self.tables().faces.clone();
        for (record, vector) in faces.into_values() {
            visit(record, vector).map_err(|source| StoreError::Io {
                action: "visit the faces of",
                path: PathBuf::from("memory"),
                source,
            })?;
        }
        Ok(())
    }

    fn next_face_id(&self) -> Result<FaceId, StoreError> {
        Ok(FaceId(self.tables().next_face))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.commits += u64::from(!changes.is_empty());
        for change in changes {
            tables.apply(change, self.contract.dimension);
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn face_count(&self) -> Result<u64, StoreError> {
        Ok(self.tables().faces.len() as u64)
    }

    fn commits(&self) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.tables().commits))
    }
}

impl Tables {
    fn apply(&mut self, change: &Change, dimension: u32) {
        match change {
            Change::PutFile(path, entry) => {
                self.files.insert(path.clone().into(), entry.clone());
            }
            Change::RemoveFile(path) => {
                self.files.remove(path.as_os_str());
            }
            Change::PutPhoto(photo) => {
                self.forgotten.remove(&photo.content);
                self.photos.insert(photo.content, photo.clone());
            }
            Change::RemovePhoto(content) => {
                self.photos.remove(content);
            }
            Change::Forget(content) => {
                self.forgotten.insert(*content);
            }
            Change::AddFace(record, embedding) => self.add(record, embedding, dimension),
            Change::UpdateFace(record) => {
                let face = self.faces.get_mut(&record.id);
                face.expect("only a face that is there is updated").0 = record.clone();
            }
            Change::RemoveFace(id) => {
                self.faces.remove(id);
            }
        }
    }

    fn add(&mut self, record: &FaceRecord, embedding: &Embedding, dimension: u32) {
        let FaceId(id) = record.id;
        assert!(id >= self.next_face, "face {id} was added, but {} is next", self.next_face);
        assert_eq!(embedding.dim(), dimension as usize, "embedding of another model");
        self.next_face = id + 1;
        self.faces.insert(record.id, (record.clone(), embedding.as_slice().to_vec()));
    }
}
