//! Adding one face at a time, found by the very next query.

use std::path::PathBuf;

use facesearch_core::{
    ContentHash, Embedding, FaceId, FaceRecord, FaceStore, Outcome, VisionError, display_path,
};
use facesearch_indexer::{EnrolledEmbedding, EnrolledPhoto};
use facesearch_store::{SledStore, Statement};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::vision;
use crate::writer::{Changed, StoredFace, absolute};

/// A face to add, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolment {
    source: EnrolmentSource,
    identity: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum EnrolmentSource {
    File(PathBuf),
    Bytes(PathBuf, Vec<u8>),
    Embedding(PathBuf, Vec<f32>),
}

impl Enrolment {
    /// The faces of a photo in a file.
    pub fn photo(path: impl Into<PathBuf>) -> Self {
        Self { source: EnrolmentSource::File(path.into()), identity: None }
    }

    /// The faces of a photo that is no file: the bytes that a file of it would have. Answers give
    /// `name` where they give the path of others.
    pub fn bytes(name: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { source: EnrolmentSource::Bytes(name.into(), bytes.into()), identity: None }
    }

    /// An embedding that the index's model made elsewhere. Answers give `name` where they give the
    /// path of a photo.
    pub fn embedding(name: impl Into<PathBuf>, embedding: impl Into<Vec<f32>>) -> Self {
        Self { source: EnrolmentSource::Embedding(name.into(), embedding.into()), identity: None }
    }

    /// Whose it is; of a photo, whose the most prominent face is. It counts as said by somebody, so
    /// that a later run over the photo's folder does not take it back.
    #[must_use]
    pub fn identity(self, identity: impl Into<String>) -> Self {
        Self { identity: Some(identity.into()), ..self }
    }
}

/// What adding a face came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The faces that are in the index now, the most prominent first; those that were there before
    /// too.
    pub faces: Vec<FaceId>,
    /// What became of the photo.
    pub outcome: Outcome,
}

impl Engine {
    /// Adds the faces of a photo, or an embedding. When this returns, they survive a power cut and
    /// the next query of this process finds them; readers in other processes find them with the
    /// next publication, which happens by itself after a pause.
    ///
    /// Adding what is there already changes nothing but its identity.
    ///
    /// ```no_run
    /// # use facesearch::{Engine, Enrolment, Options};
    /// let mut engine = Engine::open("faces.index", Options::default())?;
    /// engine.add(Enrolment::photo("anna.jpg").identity("Anna"))?;
    /// # Ok::<(), facesearch::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where the photo cannot be read or decoded, [`Error::Input`] where it has
    /// no face or the embedding does not fit the index; [`Error::Journal`] where the face was
    /// denied to have this name; [`Error::Store`] where the store cannot be written.
    pub fn add(&mut self, enrolment: Enrolment) -> Result<Added> {
        Ok(self.add_all([enrolment])?.remove(0))
    }

    /// [`add`](Self::add) for several, which are made durable together: much faster than one by
    /// one.
    ///
    /// # Errors
    ///
    /// The first one's; those before it are added.
    pub fn add_all(
        &mut self,
        enrolments: impl IntoIterator<Item = Enrolment>,
    ) -> Result<Vec<Added>> {
        let mut added = Vec::new();
        let (mut failed, reader) = (None, self.reader());
        self.take()?.change(|store| {
            let mut changed = Changed::default();
            for enrolment in enrolments {
                let one = match enrolment.source {
                    EnrolmentSource::Embedding(name, vector) => {
                        embedding(store, name, vector, enrolment.identity)
                    }
                    source => photo(store, &reader, source, enrolment.identity),
                };
                match one {
                    Ok(Stored { added: one, faces, removed, relabelled }) => {
                        added.push(one);
                        changed.came.extend(faces);
                        changed.went.extend(removed);
                        changed.relabelled.extend(relabelled);
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            store.flush()?;
            Ok(changed)
        })?;
        failed.map_or(Ok(added), Err)
    }
}

/// What was stored of one enrolment.
struct Stored {
    added: Added,
    faces: Vec<StoredFace>,
    removed: Vec<FaceId>,
    relabelled: Vec<FaceRecord>,
}

fn photo(
    store: &SledStore,
    reader: &Reader,
    source: EnrolmentSource,
    identity: Option<String>,
) -> Result<Stored> {
    let (path, metadata, bytes) = match source {
        EnrolmentSource::File(path) => {
            let metadata = std::fs::metadata(&path).map_err(Error::read(&path))?;
            (absolute(&path)?, Some(metadata), vision::photo_bytes(&path)?)
        }
        EnrolmentSource::Bytes(name, bytes) => (name, None, bytes),
        EnrolmentSource::Embedding(..) => return Err(Error::usage("an embedding is no photo")),
    };
    let vision = reader.vision()?;
    let photo = EnrolledPhoto {
        path: &path,
        metadata: metadata.as_ref(),
        bytes: &bytes,
        identity: identity.as_deref(),
    };
    let enrolled = facesearch_indexer::enrol(store, vision.finder(), vision.embedder(), photo)?;
    let name = display_path(&path);
    match &enrolled.outcome {
        Outcome::NoFace => return Err(Error::input(format!("{name}: no face found"))),
        Outcome::Rejected(why) => {
            return Err(VisionError::Rejected { reason: format!("{name}: {why}") }.into());
        }
        Outcome::Undecodable(why) => {
            return Err(VisionError::Decode { reason: format!("{name}: {why}") }.into());
        }
        Outcome::Unreadable(why) => {
            return Err(VisionError::Read { reason: format!("{name}: {why}") }.into());
        }
        Outcome::Faces(_) | Outcome::DuplicateOf(_) => {}
    }
    let content = ContentHash(*blake3::hash(&bytes).as_bytes());
    let record = store.photo(&content)?;
    let ids = record.as_ref().map_or(&[][..], |photo| &photo.faces);
    let mut faces = Vec::new();
    for id in ids {
        if store.face(*id)?.is_some() {
            faces.push(*id);
        }
    }
    if let (Some(identity), Some(first)) = (identity, faces.first()) {
        claim(store, *first, identity)?;
    }
    let photo = record.map_or(path, |photo| photo.path);
    let stored = |(record, embedding)| StoredFace { record, photo: photo.clone(), embedding };
    Ok(Stored {
        added: Added { faces, outcome: enrolled.outcome },
        faces: enrolled.added.into_iter().map(stored).collect(),
        removed: enrolled.removed,
        relabelled: enrolled.relabelled,
    })
}

fn embedding(
    store: &SledStore,
    name: PathBuf,
    vector: Vec<f32>,
    identity: Option<String>,
) -> Result<Stored> {
    let contract = store.contract();
    let (got, wanted) = (vector.len(), contract.dimension as usize);
    if got != wanted {
        return Err(Error::input(format!(
            "{} has {got} numbers, but the index holds vectors of {wanted}",
            display_path(&name)
        )));
    }
    let embedding = Embedding::new(vector, contract.metric)
        .map_err(|error| Error::input(format!("{}: {error}", display_path(&name))))?;
    let enrolled = EnrolledEmbedding { name, embedding, identity };
    let (record, is_new) =
        facesearch_indexer::enrol_embeddings(store, std::slice::from_ref(&enrolled))?.remove(0);
    let EnrolledEmbedding { name, embedding, identity } = enrolled;
    if let Some(identity) = identity.filter(|identity| record.identity.as_ref() != Some(identity)) {
        claim(store, record.id, identity)?;
    }
    let added = Added { faces: vec![record.id], outcome: Outcome::Faces(1) };
    let relabelled = if is_new { Vec::new() } else { store.face(record.id)?.into_iter().collect() };
    let stored = StoredFace { record, photo: name, embedding };
    let faces = if is_new { vec![stored] } else { Vec::new() };
    Ok(Stored { added, faces, removed: Vec::new(), relabelled })
}

/// Puts into the journal whose a face is, so that no later run takes it back.
fn claim(store: &SledStore, face: FaceId, identity: String) -> Result<()> {
    let what = format!("enrol as `{identity}`");
    let faces = vec![(face, Some(identity))];
    store.say(&Statement { what, faces, ..Statement::default() })?;
    Ok(())
}
