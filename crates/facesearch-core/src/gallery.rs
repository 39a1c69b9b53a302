//! The contract of reading: a complete, unchanging state of an index.

use std::path::PathBuf;

use serde::Serialize;

use crate::contract::Contract;
use crate::embedding::Embedding;
use crate::error::GalleryError;
use crate::face::{DetectedFace, FaceId, Quality};
use crate::judgement::Judgements;
use crate::rows::RowSet;

/// Position of a face in a gallery, from 0; of two faces that are equally near a probe, the one of
/// the smaller row comes first. What is published is in order of [`FaceId`]; in a live gallery
/// newer faces follow in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub u32);

/// Position of an identity in a gallery's table. What is published is in order of the labels'
/// bytes; in a live gallery newer labels follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityIndex(pub u32);

/// Position of a photo in a gallery's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhotoIndex(pub u32);

/// How much work a search may do for its recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// The least: a quick guess.
    Fast,
    /// The default: recall@10 of 0.99 or better.
    #[default]
    Balanced,
    /// More than the default.
    High,
    /// A full scan: recall 1.
    Exact,
    /// A number for the graph search's list of open candidates.
    List(usize),
}

/// One search: which faces are looked for, among which rows, and how hard.
///
/// ```
/// use facesearch_core::{Effort, Embedding, Metric, SearchRequest};
///
/// let probe = Embedding::new(vec![0.6, 0.8], Metric::L2)?;
/// let request = SearchRequest::new(std::slice::from_ref(&probe), 5).effort(Effort::Exact);
/// assert_eq!((request.probes.len(), request.k), (1, 5));
/// # Ok::<(), facesearch_core::EmbeddingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchRequest<'a> {
    /// The embeddings to look for, each on its own.
    pub probes: &'a [Embedding],
    /// How many of the nearest are wanted for each probe.
    pub k: usize,
    /// How much work each probe is worth.
    pub effort: Effort,
    /// The rows that may be found; all where that is `None`.
    pub among: Option<&'a RowSet>,
}

impl<'a> SearchRequest<'a> {
    /// The `k` nearest of all rows for each probe, with the default effort.
    pub fn new(probes: &'a [Embedding], k: usize) -> Self {
        Self { probes, k, effort: Effort::default(), among: None }
    }

    /// The same with this effort.
    #[must_use]
    pub fn effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// The same with only these rows to be found. The set must be of the searched gallery.
    #[must_use]
    pub fn among(self, rows: &'a RowSet) -> Self {
        Self { among: Some(rows), ..self }
    }
}

/// What a search proposes for one probe, before exact re-ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// Rows, in no promised order, each once.
    pub rows: Vec<Row>,
    /// Whether these are certainly the nearest, or only very likely.
    pub exact: bool,
    /// Vectors or codes that were compared with the probe.
    pub examined: u64,
}

/// A face of the gallery as its table has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceView {
    /// Its number.
    pub id: FaceId,
    /// The photo it is in.
    pub photo: PhotoIndex,
    /// The person, where one is known.
    pub identity: Option<IdentityIndex>,
    /// Where it is in the photo.
    pub face: DetectedFace,
    /// How usable it is, where that was measured.
    pub quality: Option<Quality>,
}

/// Counts of a published state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GalleryCounts {
    /// Faces that can be found.
    pub faces: u64,
    /// Photos they are in.
    pub photos: u64,
    /// Labelled identities.
    pub identities: u64,
}

/// A published, complete, unchanging state of an index. Opening one copies nothing and locks
/// nothing; any number of processes may hold one while the index moves on.
pub trait Gallery: Send + Sync {
    /// What the embeddings in here were made with.
    fn contract(&self) -> &Contract;

    /// Which publication this is.
    fn generation(&self) -> u64;

    /// A number that another publication, of this index or another, does not have.
    fn fingerprint(&self) -> u64;

    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many photos the table has, which is more than any [`PhotoIndex`]. In a live gallery,
    /// photos whose faces were removed may be among them.
    fn photo_count(&self) -> usize;

    /// How many labelled identities there are, each with a face.
    fn identity_count(&self) -> usize;

    /// How many people a search ranks: each label once, and each face without one by itself.
    ///
    /// - **Cost:** of this default, a look at every face, whose tables must have been verified.
    fn people(&self) -> usize {
        let rows = (0..self.len() as u32).map(Row);
        let unnamed = rows.filter(|row| self.face(*row).identity.is_none()).count();
        self.identity_count() + unnamed
    }

    /// Proposes, for each probe of the request in order, at least `k` rows (all, where there are
    /// fewer) that are likely to hold the `k` nearest of those that may be found.
    ///
    /// Many probes in one request are faster than one request each: an implementation uses all
    /// cores and reads the rows once for all of them where it scans.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Dimension`] where a probe has another length than the rows,
    /// [`GalleryError::Corrupt`] where the structure contradicts itself.
    fn search(&self, request: &SearchRequest<'_>) -> Result<Vec<Candidates>, GalleryError>;

    /// Checks the tables: what is known of each face, photo and identity, but for the vectors.
    /// Whoever walks the tables on his own, and no vectors, calls this first.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written.
    fn verify_tables(&self) -> Result<(), GalleryError> {
        self.verify()
    }

    /// When a face was first published, seconds since 1970, give or take a minute; `None` where
    /// that is not known.
    fn added(&self, _face: FaceId) -> Option<i64> {
        None
    }

    /// What people said of single faces and names. Faces that are not in the gallery may be among
    /// them.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written.
    fn judgements(&self) -> Result<Judgements, GalleryError> {
        Ok(Judgements::default())
    }

    /// Checks everything there is, once. Rows that [`search`](Self::search) returned, and what can
    /// be reached from them below, are known to be good; whoever walks the tables on his own calls
    /// this first.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written.
    fn verify(&self) -> Result<(), GalleryError>;

    /// Checks rows that no [`search`](Self::search) returned, with all that can be reached from
    /// them below.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written.
    fn check_rows(&self, _rows: &[Row]) -> Result<(), GalleryError> {
        self.verify()
    }

    /// The exact embedding of a row. Panics where there is no such row, as do all below.
    fn vector(&self, row: Row) -> &[f32];

    /// The table's line of a row.
    fn face(&self, row: Row) -> FaceView;

    /// The label of an identity.
    fn identity(&self, index: IdentityIndex) -> &str;

    /// The identity with this label.
    fn find_identity(&self, label: &str) -> Option<IdentityIndex>;

    /// The rows of an identity, ascending.
    fn rows_of(&self, index: IdentityIndex) -> Vec<Row>;

    /// The path of a photo, as it was when it was indexed.
    fn photo_path(&self, index: PhotoIndex) -> PathBuf;
}
