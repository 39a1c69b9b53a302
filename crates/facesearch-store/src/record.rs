//! What is written of each record: plain structs of our own, apart from the core's types, so that a
//! change there cannot silently change the files.
//!
//! Enumerations are written by the order of their variants and structs by that of their fields; a
//! change of either needs another [`FORMAT`](crate::codec::FORMAT).

use std::path::PathBuf;

use bincode::{Decode, Encode};
use facesearch_core::{
    BoundingBox, BoxError, ContentHash, Contract, DetectedFace, FaceId, FaceRecord, FileEntry,
    FileStat, Landmarks, Metric, Outcome, PhotoRecord, Quality,
};

use crate::path_bytes;

/// The counters of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct State {
    /// What the next face is called.
    pub(crate) next_face: u64,
    /// Faces that are there.
    pub(crate) faces: u64,
    /// Commits so far: it tells an older state from a newer one.
    pub(crate) commits: u64,
    /// The sum of all other records' checksums (see [`codec::sum`](crate::codec::sum)): it tells
    /// when one of them is missing, or an older one has come back.
    pub(crate) digest: u64,
}

#[derive(Encode, Decode)]
pub(crate) struct ContractOnDisk {
    model: String,
    weights: String,
    dimension: u32,
    metric: String,
    /// NaN where the model has none.
    threshold: f32,
    detector: String,
    min_face: u32,
    preprocessing: String,
    precision: String,
}

impl From<&Contract> for ContractOnDisk {
    fn from(contract: &Contract) -> Self {
        let c = contract.clone();
        Self {
            model: c.model,
            weights: c.weights,
            dimension: c.dimension,
            metric: c.metric.name().into(),
            threshold: c.threshold.unwrap_or(f32::NAN),
            detector: c.detector,
            min_face: c.min_face,
            preprocessing: c.preprocessing,
            precision: c.precision,
        }
    }
}

impl TryFrom<ContractOnDisk> for Contract {
    type Error = BoxError;

    fn try_from(disk: ContractOnDisk) -> Result<Self, BoxError> {
        let metric = [Metric::L2, Metric::NormalisedL2, Metric::Cosine, Metric::Angular]
            .into_iter()
            .find(|metric| metric.name() == disk.metric)
            .ok_or_else(|| format!("there is no metric `{}`", disk.metric))?;
        Ok(Self {
            model: disk.model,
            weights: disk.weights,
            dimension: disk.dimension,
            metric,
            threshold: Some(disk.threshold).filter(|threshold| !threshold.is_nan()),
            detector: disk.detector,
            min_face: disk.min_face,
            preprocessing: disk.preprocessing,
            precision: disk.precision,
        })
    }
}

#[derive(Encode, Decode)]
enum OutcomeOnDisk {
    Faces(u32),
    NoFace,
    Rejected(String),
    Undecodable(String),
    Unreadable(String),
    DuplicateOf(Vec<u8>),
}

impl OutcomeOnDisk {
    fn new(outcome: &Outcome) -> Result<Self, BoxError> {
        Ok(match outcome {
            Outcome::Faces(count) => Self::Faces(*count),
            Outcome::NoFace => Self::NoFace,
            Outcome::Rejected(reason) => Self::Rejected(reason.clone()),
            Outcome::Undecodable(reason) => Self::Undecodable(reason.clone()),
            Outcome::Unreadable(reason) => Self::Unreadable(reason.clone()),
            Outcome::DuplicateOf(path) => Self::DuplicateOf(path_bytes::to_bytes(path)?.to_vec()),
        })
    }

    fn into_core(self) -> Result<Outcome, BoxError> {
        Ok(match self {
            Self::Faces(count) => Outcome::Faces(count),
            Self::NoFace => Outcome::NoFace,
            Self::Rejected(reason) => Outcome::Rejected(reason),
            Self::Undecodable(reason) => Outcome::Undecodable(reason),
            Self::Unreadable(reason) => Outcome::Unreadable(reason),
            Self::DuplicateOf(path) => Outcome::DuplicateOf(path_bytes::from_bytes(&path)?),
        })
    }
}

#[derive(Encode, Decode)]
pub(crate) struct FileOnDisk {
    size: u64,
    modified_ns: i64,
    changed_ns: i64,
    inode: u64,
    read_ns: i64,
    content: Option<[u8; 32]>,
    outcome: OutcomeOnDisk,
    keeps: Option<[u8; 32]>,
}

impl FileOnDisk {
    pub(crate) fn new(entry: &FileEntry) -> Result<Self, BoxError> {
        Ok(Self {
            size: entry.stat.size,
            modified_ns: entry.stat.modified_ns,
            changed_ns: entry.stat.changed_ns,
            inode: entry.stat.inode,
            read_ns: entry.read_ns,
            content: entry.content.map(|hash| hash.0),
            outcome: OutcomeOnDisk::new(&entry.outcome)?,
            keeps: entry.keeps.map(|hash| hash.0),
        })
    }

    pub(crate) fn into_core(self) -> Result<FileEntry, BoxError> {
        Ok(FileEntry {
            stat: FileStat {
                size: self.size,
                modified_ns: self.modified_ns,
                changed_ns: self.changed_ns,
                inode: self.inode,
            },
            read_ns: self.read_ns,
            content: self.content.map(ContentHash),
            outcome: self.outcome.into_core()?,
            keeps: self.keeps.map(ContentHash),
        })
    }
}

/// A photo; its content hash is its key.
#[derive(Encode, Decode)]
pub(crate) struct PhotoOnDisk {
    path: Vec<u8>,
    width: u32,
    height: u32,
    outcome: OutcomeOnDisk,
    faces: Vec<u64>,
}

impl PhotoOnDisk {
    pub(crate) fn new(photo: &PhotoRecord) -> Result<Self, BoxError> {
        Ok(Self {
            path: path_bytes::to_bytes(&photo.path)?.to_vec(),
            width: photo.width,
            height: photo.height,
            outcome: OutcomeOnDisk::new(&photo.outcome)?,
            faces: photo.faces.iter().map(|id| id.0).collect(),
        })
    }

    pub(crate) fn into_core(self, content: ContentHash) -> Result<PhotoRecord, BoxError> {
        let path: PathBuf = path_bytes::from_bytes(&self.path)?;
        Ok(PhotoRecord {
            content,
            path,
            width: self.width,
            height: self.height,
            outcome: self.outcome.into_core()?,
            faces: self.faces.into_iter().map(FaceId).collect(),
        })
    }
}

/// A face; its id is its key.
#[derive(Encode, Decode)]
pub(crate) struct FaceOnDisk {
    photo: [u8; 32],
    /// `x y width height`.
    bbox: [f32; 4],
    score: f32,
    landmarks: [[f32; 2]; 5],
    quality: Option<f32>,
    identity: Option<String>,
}

impl From<&FaceRecord> for FaceOnDisk {
    fn from(record: &FaceRecord) -> Self {
        let BoundingBox { x, y, width, height } = record.face.bbox;
        Self {
            photo: record.photo.0,
            bbox: [x, y, width, height],
            score: record.face.score,
            landmarks: record.face.landmarks.0,
            quality: record.quality.map(|quality| quality.0),
            identity: record.identity.clone(),
        }
    }
}

impl FaceOnDisk {
    pub(crate) fn into_core(self, id: FaceId) -> FaceRecord {
        let [x, y, width, height] = self.bbox;
        FaceRecord {
            id,
            photo: ContentHash(self.photo),
            face: DetectedFace {
                bbox: BoundingBox { x, y, width, height },
                score: self.score,
                landmarks: Landmarks(self.landmarks),
            },
            quality: self.quality.map(Quality),
            identity: self.identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_comes_back_with_its_threshold_and_without_one() {
        for threshold in [Some(0.55), Some(0.0), None] {
            let contract = Contract {
                model: "m".into(),
                weights: String::new(),
                dimension: 2,
                metric: Metric::Cosine,
                threshold,
                detector: "d".into(),
                min_face: 1,
                preprocessing: "p".into(),
                precision: "f32".into(),
            };
            let read = Contract::try_from(ContractOnDisk::from(&contract)).unwrap();
            assert_eq!(read, contract);
        }
    }
}
