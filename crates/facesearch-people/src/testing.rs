//! A gallery in memory, for tests.

use std::path::PathBuf;

use facesearch_core::{
    BoundingBox, Candidates, Contract, DetectedFace, Embedding, FaceId, FaceView, Gallery,
    GalleryError, IdentityIndex, Judgements, Landmarks, Metric, PhotoIndex, Row, SearchRequest,
    distance,
};

/// A face of the gallery. Its id is its row.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) vector: Vec<f32>,
    pub(crate) name: Option<&'static str>,
    pub(crate) photo: u32,
}

/// A list of faces, searched by comparing with each.
pub(crate) struct Memory {
    contract: Contract,
    faces: Vec<Face>,
    names: Vec<&'static str>,
    /// Whether every search fails.
    pub(crate) is_damaged: bool,
    pub(crate) judgements: Judgements,
}

impl Memory {
    pub(crate) fn new(faces: Vec<Face>) -> Self {
        let mut names: Vec<&str> = faces.iter().filter_map(|face| face.name).collect();
        names.sort_unstable();
        names.dedup();
        let contract = Contract {
            model: "fake".into(),
            weights: String::new(),
            dimension: faces.first().map_or(0, |face| face.vector.len() as u32),
            metric: Metric::L2,
            threshold: Some(0.55),
            detector: "fake".into(),
            min_face: 1,
            preprocessing: "none".into(),
            precision: "f32".into(),
        };
        Self { contract, faces, names, is_damaged: false, judgements: Judgements::default() }
    }
}

impl Gallery for Memory {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn generation(&self) -> u64 {
        1
    }

    fn len(&self) -> usize {
        self.faces.len()
    }

    fn photo_count(&self) -> usize {
        self.faces.iter().map(|face| face.photo as usize + 1).max().unwrap_or(0)
    }

    fn identity_count(&self) -> usize {
        self.names.len()
    }

    fn fingerprint(&self) -> u64 {
        1
    }

    fn judgements(&self) -> Result<Judgements, GalleryError> {
        Ok(self.judgements.clone())
    }

    fn verify(&self) -> Result<(), GalleryError> {
        Ok(())
    }

    fn search(&self, request: &SearchRequest<'_>) -> Result<Vec<Candidates>, GalleryError> {
        if self.is_damaged {
            let (path, what) = ("index".into(), "a test".into());
            return Err(GalleryError::Corrupt { path, what });
        }
        let nearest = |probe: &Embedding| {
            let mut rows: Vec<Row> = (0..self.len() as u32).map(Row).collect();
            rows.sort_by_key(|row| distance(probe.as_slice(), self.vector(*row)));
            rows.truncate(request.k);
            Candidates { rows, exact: true, examined: self.len() as u64 }
        };
        Ok(request.probes.iter().map(nearest).collect())
    }

    fn vector(&self, row: Row) -> &[f32] {
        &self.faces[row.0 as usize].vector
    }

    fn face(&self, row: Row) -> FaceView {
        let face = &self.faces[row.0 as usize];
        FaceView {
            id: FaceId(row.0.into()),
            photo: PhotoIndex(face.photo),
            identity: face.name.and_then(|name| self.find_identity(name)),
            face: DetectedFace {
                bbox: BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 },
                score: 1.0,
                landmarks: Landmarks([[0.0; 2]; 5]),
            },
            quality: None,
        }
    }

    fn identity(&self, index: IdentityIndex) -> &str {
        self.names[index.0 as usize]
    }

    fn find_identity(&self, label: &str) -> Option<IdentityIndex> {
        self.names.iter().position(|name| *name == label).map(|i| IdentityIndex(i as u32))
    }

    fn rows_of(&self, index: IdentityIndex) -> Vec<Row> {
        let has_name = |row: &Row| self.face(*row).identity == Some(index);
        (0..self.len() as u32).map(Row).filter(has_name).collect()
    }

    fn photo_path(&self, index: PhotoIndex) -> PathBuf {
        format!("{}.jpg", index.0).into()
    }
}
