//! A store of made-up photos, whose commits and contents are known.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests that each use a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use facesearch_core::{
    BoundingBox, Change, ContentHash, Contract, DetectedFace, Embedding, FaceId, FaceRecord,
    FaceStore, FileEntry, FileStat, Landmarks, Metric, Outcome, PhotoRecord,
};

pub(crate) const COUNTER: &str = "/counter";
pub(crate) const FACES: u64 = 3;

pub(crate) fn contract() -> Contract {
    Contract {
        model: "fake".into(),
        weights: String::new(),
        dimension: 700,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "fake".into(),
        min_face: 20,
        preprocessing: "none".into(),
        precision: "f32".into(),
    }
}

/// A small generator with a fixed seed, so that a failure can be had again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub(crate) fn entry(number: u64, outcome: Outcome) -> FileEntry {
    FileEntry {
        stat: FileStat { size: number, modified_ns: 1, changed_ns: 2, inode: 3 },
        read_ns: number as i64,
        content: Some(content(number)),
        outcome,
        keeps: None,
    }
}

pub(crate) fn content(number: u64) -> ContentHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    ContentHash(hash)
}

pub(crate) fn face(id: u64, number: u64, identity: Option<&str>) -> FaceRecord {
    FaceRecord {
        id: FaceId(id),
        photo: content(number),
        face: DetectedFace {
            bbox: BoundingBox { x: 1.0, y: 2.0, width: 3.0, height: 4.0 },
            score: 0.5,
            landmarks: Landmarks([[0.0; 2]; 5]),
        },
        quality: None,
        identity: identity.map(str::to_owned),
    }
}

/// Commit `number`, which says its number at [`COUNTER`], adds, updates and removes.
pub(crate) fn commit(number: u64) -> Vec<Change> {
    let first = number * FACES;
    let mut random = Random(number + 1);
    let mut changes: Vec<_> = (first..first + FACES)
        .map(|id| {
            let vector = (0..700).map(|_| random.below(1 << 20) as f32 / 1024.0).collect();
            let vector = Embedding::new(vector, Metric::L2).unwrap();
            Change::AddFace(face(id, number, None), vector)
        })
        .collect();
    let path = PathBuf::from(format!("/photos/{number:06}.jpg"));
    changes.push(Change::PutPhoto(PhotoRecord {
        content: content(number),
        path: path.clone(),
        width: 4,
        height: 3,
        outcome: Outcome::Faces(3),
        faces: (first..first + FACES).map(FaceId).collect(),
    }));
    changes.push(Change::PutFile(path, entry(number, Outcome::Faces(3))));
    if number > 0 {
        changes.push(Change::UpdateFace(face(first - 1, number - 1, Some("somebody"))));
    }
    if number % 4 == 3 {
        changes.push(Change::RemoveFace(FaceId(first - 2 * FACES)));
        let path = format!("/photos/{:06}.jpg", number - 2);
        changes.push(Change::RemoveFile(path.into()));
        changes.push(Change::RemovePhoto(content(number - 2)));
    }
    changes.push(Change::PutFile(COUNTER.into(), entry(number, Outcome::NoFace)));
    changes
}

/// How many commits the store holds.
pub(crate) fn commits(store: &dyn FaceStore) -> u64 {
    store.file(Path::new(COUNTER)).unwrap().map_or(0, |entry| entry.read_ns as u64 + 1)
}

/// A digest of all a store says, or why it could not be said.
pub(crate) fn everything(store: &dyn FaceStore) -> Result<String, facesearch_core::StoreError> {
    let mut said = format!("{} {}\n", store.face_count()?, store.next_face_id()?);
    let mut hashes = Vec::new();
    store.for_each_file(Path::new(""), &mut |path, entry| {
        said += &format!("{path:?} {entry:?}\n");
        hashes.extend(entry.content);
        Ok(())
    })?;
    for hash in hashes {
        said += &format!("{:?} {:?}\n", store.photo(&hash)?, store.paths_of(&hash)?);
    }
    store.for_each_face(&mut |record, vector| {
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        said += &format!("{record:?} {}\n", blake3::hash(&bytes));
        Ok(())
    })?;
    Ok(said)
}

pub(crate) fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
