//! What the tests share: a store in memory, vectors out of a seed, the slow definition of search.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use facesearch_core::*;

/// Repeatable numbers (Steele et al., SplitMix64, OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal: mean 0, deviation 1.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// `n` unit vectors in groups of about five around random centres, as faces of people are.
pub(crate) fn clustered(n: usize, dim: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    let mut centre = Vec::new();
    let mut vectors = Vec::with_capacity(n);
    for i in 0..n {
        if i % 5 == 0 {
            centre = (0..dim).map(|_| random.normal()).collect::<Vec<f32>>();
        }
        vectors.push(unit(centre.iter().map(|c| c + 0.3 * random.normal()).collect()));
    }
    vectors
}

pub(crate) fn unit(v: Vec<f32>) -> Vec<f32> {
    Embedding::new(v, Metric::NormalisedL2).unwrap().as_slice().to_vec()
}

/// The definition of search: measure everything in `f64`, sort, cut.
pub(crate) fn oracle(vectors: &[Vec<f32>], probe: &[f32], k: usize) -> Vec<u32> {
    let measure = |v: &Vec<f32>| {
        v.iter().zip(probe).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>()
    };
    let mut rows: Vec<(f64, u32)> = vectors.iter().map(measure).zip(0..).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    rows.into_iter().take(k).map(|(_, row)| row).collect()
}

/// A store in memory, of which publishing needs only the reading half.
pub(crate) struct FakeStore {
    contract: Contract,
    pub(crate) faces: BTreeMap<FaceId, (FaceRecord, Vec<f32>)>,
    pub(crate) photos: BTreeMap<ContentHash, PhotoRecord>,
    pub(crate) files: BTreeMap<PathBuf, FileEntry>,
}

impl FakeStore {
    pub(crate) fn new(dim: usize) -> Self {
        let contract = Contract {
            model: "test".into(),
            weights: String::new(),
            dimension: dim as u32,
            metric: Metric::L2,
            threshold: Some(0.55),
            detector: "none".into(),
            min_face: 20,
            preprocessing: "none".into(),
            precision: "f32".into(),
        };
        Self { contract, faces: BTreeMap::new(), photos: BTreeMap::new(), files: ledger() }
    }

    /// Face `i` has the `i`th vector, photo `i / 2`, and for two of three an identity `i / 7`.
    pub(crate) fn with(dim: usize, vectors: &[Vec<f32>]) -> Self {
        let mut store = Self::new(dim);
        vectors.iter().for_each(|vector| store.add(vector));
        store
    }

    /// Adds one face more, in the manner of [`with`](Self::with).
    pub(crate) fn add(&mut self, vector: &[f32]) {
        let i = self.faces.keys().next_back().map_or(0, |id| id.0 + 1);
        let id = FaceId(i);
        let photo = self.add_photo(i / 2, id);
        let f = i as f32;
        let face = DetectedFace {
            bbox: BoundingBox { x: f, y: -f, width: 20.5, height: 30.5 },
            score: 0.25,
            landmarks: Landmarks([[f, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, -9.0]]),
        };
        let quality = i.is_multiple_of(2).then_some(Quality(0.5));
        let identity = (!i.is_multiple_of(3)).then(|| format!("person {}", i / 7));
        self.faces.insert(id, (FaceRecord { id, photo, face, quality, identity }, vector.to_vec()));
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.faces.remove(&FaceId(id)).expect("a face that is there");
    }

    fn add_photo(&mut self, number: u64, face: FaceId) -> ContentHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        let content = ContentHash(hash);
        let record = self.photos.entry(content).or_insert_with(|| PhotoRecord {
            content,
            path: photo_path(number),
            width: 10,
            height: 10,
            outcome: Outcome::Faces(0),
            faces: Vec::new(),
        });
        record.faces.push(face);
        content
    }
}

/// A ledger with one line of each outcome; a path in it is no text.
fn ledger() -> BTreeMap<PathBuf, FileEntry> {
    let outcomes = [
        Outcome::Faces(3),
        Outcome::NoFace,
        Outcome::Rejected("too large".into()),
        Outcome::Undecodable("it ends early".into()),
        Outcome::Unreadable("é".into()),
        Outcome::DuplicateOf(photo_path(0)),
    ];
    let entry = |outcome| FileEntry {
        stat: FileStat { size: 1, modified_ns: 2, changed_ns: 3, inode: 4 },
        read_ns: 5,
        content: None,
        outcome,
        keeps: None,
    };
    (0..).map(photo_path).zip(outcomes.map(entry)).collect()
}

/// The path of the fake store's photo; every third is no text.
pub(crate) fn photo_path(number: u64) -> PathBuf {
    let path = Path::new("/photos").join(format!("{number}.jpg"));
    #[cfg(unix)]
    if number.is_multiple_of(3) {
        use std::os::unix::ffi::OsStringExt;
        return path.join(OsString::from_vec(vec![b'a', 0xFF, 0xFE]));
    }
    path.join(OsString::from("ü"))
}

impl FaceStore for FakeStore {
    fn contract(&self) -> &Contract {
        &self.contract
    }
    fn file(&self, _: &Path) -> Result<Option<FileEntry>, StoreError> {
        unimplemented!("publishing asks for no single file")
    }
    fn for_each_file(
        &self,
        _: &Path,
        visit: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        for (path, entry) in &self.files {
            visit(path.clone(), entry.clone()).unwrap();
        }
        Ok(())
    }
    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError> {
        Ok(self.photos.get(content).cloned())
    }
    fn is_forgotten(&self, _: &ContentHash) -> Result<bool, StoreError> {
        unimplemented!("publishing looks for no new photos")
    }
    fn paths_of(&self, _: &ContentHash) -> Result<Vec<PathBuf>, StoreError> {
        unimplemented!("publishing reads no ledger")
    }
    fn face(&self, id: FaceId) -> Result<Option<FaceRecord>, StoreError> {
        Ok(self.faces.get(&id).map(|(record, _)| record.clone()))
    }
    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        for (record, vector) in self.faces.values() {
            visit(record.clone(), vector.clone()).map_err(|source| StoreError::Io {
                action: "visit the faces of",
                path: "memory".into(),
                source,
            })?;
        }
        Ok(())
    }
    fn next_face_id(&self) -> Result<FaceId, StoreError> {
        Ok(FaceId(self.faces.keys().next_back().map_or(0, |id| id.0 + 1)))
    }
    fn commit(&self, _: &[Change]) -> Result<(), StoreError> {
        unimplemented!("publishing changes nothing")
    }
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn face_count(&self) -> Result<u64, StoreError> {
        Ok(self.faces.len() as u64)
    }
}

/// What a gallery finds, with its own order: exact distance, then row.
pub(crate) fn search(gallery: &dyn Gallery, probe: &[f32], k: usize, effort: Effort) -> Vec<u32> {
    let probe = Embedding::new(probe.to_vec(), Metric::L2).unwrap();
    let found = gallery.search(&SearchRequest::new(&[probe], k).effort(effort)).unwrap();
    found[0].rows.iter().map(|row| row.0).collect()
}
