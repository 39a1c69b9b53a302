//! The contracts of keeping: the ledger of files, the faces found, and their publication.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::embedding::Embedding;
use crate::error::{BoxError, StoreError};
use crate::face::{DetectedFace, FaceId, Quality};
use crate::judgement::{Judgement, Judgements};
use crate::photo::{ContentHash, FileStat};

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Faces were found: how many.
    Faces(u32),
    /// It is a photo without a face.
    NoFace,
    /// It was readable but is not indexed, and why.
    Rejected(String),
    /// Its bytes are no picture, and why.
    Undecodable(String),
    /// Its bytes could not be read, and why.
    Unreadable(String),
    /// Its bytes are those of this other file, whose outcome it shares.
    DuplicateOf(PathBuf),
}

impl Outcome {
    /// Whether the file failed, so that a run that met it ends with exit code 5.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Undecodable(_) | Self::Unreadable(_))
    }
}

/// The ledger's line for one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The file system's word when the file was last read.
    pub stat: FileStat,
    /// When that was, nanoseconds since 1970: a file modified at about that time may have changed
    /// unseen, and is read again.
    pub read_ns: i64,
    /// The bytes last read; `None` where they could not be read.
    pub content: Option<ContentHash>,
    /// What became of those bytes.
    pub outcome: Outcome,
    /// Where those bytes were a failure but an earlier content of this path was indexed: that
    /// content, whose faces are kept.
    pub keeps: Option<ContentHash>,
}

impl FileEntry {
    /// The content whose faces this path stands for.
    pub fn photo(&self) -> Option<ContentHash> {
        self.keeps.or(self.content)
    }
}

/// One distinct content: what was found in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoRecord {
    /// Its key.
    pub content: ContentHash,
    /// The path that answers name: the first in order of those with this content.
    pub path: PathBuf,
    /// Pixels across, upright; 0 where it could not be decoded.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// What was found: never [`Outcome::DuplicateOf`].
    pub outcome: Outcome,
    /// Its faces, the most prominent first.
    pub faces: Vec<FaceId>,
}

/// One face of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceRecord {
    /// Its key.
    pub id: FaceId,
    /// The photo it is in.
    pub photo: ContentHash,
    /// Where, how sure, and its points.
    pub face: DetectedFace,
    /// How usable it is, where that was measured.
    pub quality: Option<Quality>,
    /// The person's label, where one is known.
    pub identity: Option<String>,
}

/// One step of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sets the ledger's line of a path.
    PutFile(PathBuf, FileEntry),
    /// Forgets a path.
    RemoveFile(PathBuf),
    /// Sets what was found in a content.
    PutPhoto(PhotoRecord),
    /// Forgets a content; its faces are removed by steps of their own.
    RemovePhoto(ContentHash),
    /// Marks a content as one to leave out from now on, until a [`Change::PutPhoto`] takes it in
    /// again. What is kept of it does not show the content's hash.
    Forget(ContentHash),
    /// Adds a face with its embedding.
    AddFace(FaceRecord, Embedding),
    /// Replaces the record of a face that is there; its embedding stays.
    UpdateFace(FaceRecord),
    /// Forgets a face and its embedding.
    RemoveFace(FaceId),
}

/// The truth: files, photos, faces and exact embeddings. Written by one process at a time; never
/// opened by readers, who have the published snapshot.
pub trait FaceStore: Send + Sync {
    /// What the embeddings in here were made with.
    fn contract(&self) -> &Contract;

    /// The ledger's line of a path.
    ///
    /// # Errors
    ///
    /// Here and below: [`StoreError`] where the disk or its content is bad.
    fn file(&self, path: &Path) -> Result<Option<FileEntry>, StoreError>;

    /// Visits every ledger line at or below `prefix`, paths ascending byte by byte; all where it
    /// is empty. "Below" is by whole components: `/a/b` is not below `/a/bc`.
    fn for_each_file(
        &self,
        prefix: &Path,
        visit: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError>;

    /// What was found in a content.
    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError>;

    /// Whether a content is to be left out: somebody had all people in it removed
    /// ([`Change::Forget`]).
    fn is_forgotten(&self, content: &ContentHash) -> Result<bool, StoreError>;

    /// Every path whose [`FileEntry::photo`] or [`FileEntry::content`] is `content`, ascending.
    fn paths_of(&self, content: &ContentHash) -> Result<Vec<PathBuf>, StoreError>;

    /// One face.
    fn face(&self, id: FaceId) -> Result<Option<FaceRecord>, StoreError>;

    /// Visits every face with its embedding, ids ascending.
    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError>;

    /// The id the next added face must have; it only grows, also over removals and restarts.
    fn next_face_id(&self) -> Result<FaceId, StoreError>;

    /// Applies all changes or, should the process die, none of them.
    ///
    /// An [`Change::AddFace`] moves [`next_face_id`](Self::next_face_id) past its id.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Returns once everything committed so far would survive a power cut.
    fn flush(&self) -> Result<(), StoreError>;

    /// How many faces there are.
    fn face_count(&self) -> Result<u64, StoreError>;

    /// How many commits there were: while the number stays, so does the content, also over
    /// restarts. `None` where the store does not count them.
    fn commits(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Whether somebody said whose face this is, so that names of files say no more about it.
    fn is_said(&self, _id: FaceId) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The label that people gave to those whom names of files call `label`; `None` where nobody
    /// gave another.
    fn goes_by(&self, _label: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// What people said of a face and a name; `None` where they said nothing.
    fn judgement(&self, _face: FaceId, _name: &str) -> Result<Option<Judgement>, StoreError> {
        Ok(None)
    }

    /// Everything that people said of single faces and names.
    fn judgements(&self) -> Result<Judgements, StoreError> {
        Ok(Judgements::default())
    }

    /// A number that stands for the whole content: equal contents have equal ones, and others
    /// almost certainly other ones. `None` where the store does not keep one.
    fn fingerprint(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}

/// What a publication made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Counts publications of this index; readers report it.
    pub generation: u64,
    /// Faces that can be searched now.
    pub faces: u64,
}

/// Makes the store's present content visible to readers, all at once.
pub trait Publisher: Send + Sync {
    /// Publishes. The same store content always publishes the same bytes, but for the generation.
    ///
    /// `last` is false while a run goes on: the publisher may then leave out costly optimisation,
    /// never a face.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store cannot be read or the snapshot not be written; what was
    /// published before then still stands.
    fn publish(&self, store: &dyn FaceStore, last: bool) -> Result<Published, StoreError>;

    /// Whether readers already see just what publishing with `last` would show them; false where
    /// that is not known. [`FaceStore::fingerprint`] tells.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store cannot be read.
    fn is_current(&self, _store: &dyn FaceStore) -> Result<bool, StoreError> {
        Ok(false)
    }
}
