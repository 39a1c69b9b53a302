//! A store whose faces are made when they are asked for, so that ten million need no memory.

use std::path::{Path, PathBuf};

use facesearch_core::*;
use rayon::prelude::*;

use crate::faces::Faces;

/// Faces that are made at a time, on all cores.
const AT_ONCE: usize = 1 << 13;

/// The reading half of a store, of which publishing needs no more.
pub(crate) struct MadeUp {
    faces: Faces,
    contract: Contract,
}

impl MadeUp {
    pub(crate) fn new(faces: Faces) -> Self {
        let contract = Contract {
            model: "synthetic".into(),
            weights: String::new(),
            dimension: faces.dim as u32,
            metric: Metric::NormalisedL2,
            threshold: Some(0.55),
            detector: "none".into(),
            min_face: 0,
            preprocessing: "none".into(),
            precision: "f32".into(),
        };
        Self { faces, contract }
    }
}

impl FaceStore for MadeUp {
    fn contract(&self) -> &Contract {
        &self.contract
    }
    fn file(&self, _: &Path) -> Result<Option<FileEntry>, StoreError> {
        Ok(None)
    }
    fn for_each_file(
        &self,
        _: &Path,
        _: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError> {
        let [content, path] = [*content, *content];
        let path = PathBuf::from(path.to_string());
        let outcome = Outcome::Faces(1);
        let faces = Vec::new();
        Ok(Some(PhotoRecord { content, path, width: 0, height: 0, outcome, faces }))
    }
    fn is_forgotten(&self, _: &ContentHash) -> Result<bool, StoreError> {
        Ok(false)
    }
    fn paths_of(&self, _: &ContentHash) -> Result<Vec<PathBuf>, StoreError> {
        Ok(Vec::new())
    }
    fn face(&self, _: FaceId) -> Result<Option<FaceRecord>, StoreError> {
        Ok(None)
    }
    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        let bbox = BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let landmarks = Landmarks([[0.0; 2]; 5]);
        let face = DetectedFace { bbox, score: 1.0, landmarks };
        let n = self.faces.people.len();
        for start in (0..n).step_by(AT_ONCE) {
            let rows = start..n.min(start + AT_ONCE);
            let vectors: Vec<Vec<f32>> =
                rows.clone().into_par_iter().map(|i| self.faces.photo(i)).collect();
            for (i, vector) in rows.zip(vectors) {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&(i as u64 / 4).to_le_bytes());
                let (id, photo) = (FaceId(i as u64), ContentHash(hash));
                let record = FaceRecord { id, photo, face, quality: None, identity: None };
                visit(record, vector).map_err(|source| StoreError::Io {
                    action: "visit",
                    path: PathBuf::new(),
                    source,
                })?;
            }
        }
        Ok(())
    }
    fn next_face_id(&self) -> Result<FaceId, StoreError> {
        Ok(FaceId(self.faces.people.len() as u64))
    }
    fn commit(&self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn face_count(&self) -> Result<u64, StoreError> {
        Ok(self.faces.people.len() as u64)
    }
}
