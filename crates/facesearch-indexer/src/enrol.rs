//! One photo at once, outside of a run.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use facesearch_core::{
    Change, ContentHash, DetectedFace, Embedder, Embedding, FaceFinder, FaceId, FaceRecord,
    FaceStore, FileStat, Outcome, PhotoRecord,
};

use crate::claims::Claims;
use crate::desk::Desk;
use crate::error::IndexError;
use crate::identity::IdentityRule;
use crate::item::{Item, Reading};
use crate::roots::Roots;
use crate::stat::{now_ns, stat_of};
use crate::worker::Vision;

/// A photo to enrol.
#[derive(Debug, Clone, Copy)]
pub struct EnrolledPhoto<'a> {
    /// The absolute path it is kept under.
    pub path: &'a Path,
    /// What the file system says of it; `None` for a photo that is no file.
    pub metadata: Option<&'a Metadata>,
    /// The bytes of the photo's file.
    pub bytes: &'a [u8],
    /// Whose photo it is: the label of its most prominent face.
    pub identity: Option<&'a str>,
}

/// What enrolling a photo came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolled {
    /// What became of the photo.
    pub outcome: Outcome,
    /// The faces that came, the most prominent first.
    pub added: Vec<(FaceRecord, Embedding)>,
    /// Faces that went, because the path had another content before.
    pub removed: Vec<FaceId>,
    /// Faces that got another label.
    pub relabelled: Vec<FaceRecord>,
}

/// Adds one photo to a store: its line in the ledger, its faces, and their embeddings. A photo
/// whose content is there already costs no embedding.
///
/// The changes are committed, not flushed.
///
/// # Errors
///
/// [`IndexError`] where the model broke or the store cannot be written. A photo that cannot be
/// decoded is no error: [`Enrolled::outcome`] says so.
pub fn enrol(
    store: &dyn FaceStore,
    finder: &dyn FaceFinder,
    embedder: &dyn Embedder,
    photo: EnrolledPhoto<'_>,
) -> Result<Enrolled, IndexError> {
    let rule = IdentityRule::Fixed(photo.identity.map(str::to_owned));
    let roots = Roots::default();
    let vision = Vision { finder, embedder };
    let claims = Claims { store, rule: &rule, roots: &roots };
    // Whoever enrols a photo wants it, also one that was taken out before.
    let (readmit, stop) = (true, &AtomicBool::new(false));
    let desk = Desk { claims, vision, min_quality: 0.0, readmit, stop };
    let content = ContentHash(*blake3::hash(photo.bytes).as_bytes());
    let seen = match store.photo(&content)? {
        Some(_) => None,
        None => Some(vision.see(photo.bytes)?),
    };
    let no_file = FileStat { size: 0, modified_ns: 0, changed_ns: 0, inode: 0 };
    let item = Item {
        path: photo.path.to_owned(),
        stat: photo.metadata.map_or(no_file, stat_of),
        read_ns: now_ns(),
        reading: Reading::Content(content, seen),
    };
    let settled = desk.settle(item)?;
    store.commit(&settled.changes)?;
    let mut enrolled = Enrolled {
        outcome: settled.outcome.unwrap_or(Outcome::NoFace),
        added: Vec::new(),
        removed: Vec::new(),
        relabelled: Vec::new(),
    };
    for change in settled.changes {
        match change {
            Change::AddFace(record, embedding) => enrolled.added.push((record, embedding)),
            Change::RemoveFace(id) => enrolled.removed.push(id),
            Change::UpdateFace(record) => enrolled.relabelled.push(record),
            _ => {}
        }
    }
    Ok(enrolled)
}

/// An embedding that no photo is known of.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrolledEmbedding {
    /// What it is called, where others have a photo.
    pub name: PathBuf,
    /// The embedding.
    pub embedding: Embedding,
    /// Whose it is.
    pub identity: Option<String>,
}

/// Adds embeddings that no photo is known of, in one commit, which is not flushed. Gives their
/// records; of one that is there already under the same name, the record that is there.
///
/// # Errors
///
/// [`IndexError::Store`] where the store cannot be written.
pub fn enrol_embeddings(
    store: &dyn FaceStore,
    enrolled: &[EnrolledEmbedding],
) -> Result<Vec<(FaceRecord, bool)>, IndexError> {
    let FaceId(mut next) = store.next_face_id()?;
    let (mut changes, mut records) = (Vec::new(), Vec::new());
    for EnrolledEmbedding { name, embedding, identity } in enrolled {
        let content = content_of(name, embedding);
        if let Some(photo) = store.photo(&content)?
            && let Some(id) = photo.faces.first()
            && let Some(face) = store.face(*id)?
        {
            records.push((face, false));
            continue;
        }
        let id = FaceId(next);
        next += 1;
        let (face, identity) = (DetectedFace::NOWHERE, identity.clone());
        let record = FaceRecord { id, photo: content, face, quality: None, identity };
        changes.push(Change::PutPhoto(PhotoRecord {
            content,
            path: name.clone(),
            width: 0,
            height: 0,
            outcome: Outcome::Faces(1),
            faces: vec![id],
        }));
        changes.push(Change::AddFace(record.clone(), embedding.clone()));
        records.push((record, true));
    }
    store.commit(&changes)?;
    Ok(records)
}

/// The same name and numbers are the same content.
fn content_of(name: &Path, embedding: &Embedding) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_os_str().as_encoded_bytes()).update(&[0]);
    for number in embedding.as_slice() {
        hasher.update(&number.to_le_bytes());
    }
    ContentHash(*hasher.finalize().as_bytes())
}
