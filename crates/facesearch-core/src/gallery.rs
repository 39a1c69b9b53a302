//! The contract of reading: a complete, unchanging state of an index.

use std::path::PathBuf;

use serde::Serialize;

use crate::contract::Contract;
use crate::embedding::Embedding;
use crate::error::GalleryError;
use crate::face::{DetectedFace, FaceId, Quality};
use crate::kernels::l2_squared;
use crate::rows::RowSet;

/// Position of a face in a gallery, from 0; rows are in order of [`FaceId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub u32);

/// Position of an identity in a gallery's table; identities are in order of their labels' bytes.
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

/// What a search of the structure proposes, before exact re-ranking.
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
    fn fingerprint(&self) -> u64 {
        self.generation()
    }

    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many photos have a face in here.
    fn photo_count(&self) -> usize;

    /// How many labelled identities there are.
    fn identity_count(&self) -> usize;

    /// Proposes at least `k` rows (all, where there are fewer) likely to hold the `k` nearest.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Dimension`] where the probe has another length than the rows,
    /// [`GalleryError::Corrupt`] where the structure contradicts itself.
    fn candidates(
        &self,
        probe: &Embedding,
        k: usize,
        effort: Effort,
    ) -> Result<Candidates, GalleryError>;

    /// The candidates of many probes, in their order. An implementation may use all cores.
    ///
    /// # Errors
    ///
    /// As for [`candidates`](Self::candidates).
    fn candidates_of_each(
        &self,
        probes: &[Embedding],
        k: usize,
        effort: Effort,
    ) -> Result<Vec<Candidates>, GalleryError> {
        probes.iter().map(|probe| self.candidates(probe, k, effort)).collect()
    }

    /// As [`candidates`](Self::candidates), of the rows in `among` alone: at least `k` of them, or all.
    ///
    /// Here it is the definition, which measures them all; a gallery that knows better does better.
    ///
    /// # Errors
    ///
    /// The same.
    fn candidates_among(
        &self,
        probe: &Embedding,
        k: usize,
        _effort: Effort,
        among: &RowSet,
    ) -> Result<Candidates, GalleryError> {
        self.verify()?;
        let measure = |row: Row| (l2_squared(probe.as_slice(), self.vector(row)).to_bits(), row);
        let mut measured: Vec<_> = among.iter().map(measure).collect();
        measured.sort_unstable();
        let rows = measured.into_iter().take(k).map(|(_, row)| row).collect();
        Ok(Candidates { rows, exact: true, examined: among.len() as u64 })
    }

    /// Checks the tables: what is known of each face, photo and identity, but for the vectors. Whoever
    /// walks the tables on his own, and no vectors, calls this first.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written.
    fn verify_tables(&self) -> Result<(), GalleryError> {
        self.verify()
    }

    /// When a face was first published, seconds since 1970, give or take a minute; `None` where that
    /// is not known.
    fn added(&self, _face: FaceId) -> Option<i64> {
        None
    }

    /// Checks everything there is, once. Rows that [`candidates`](Self::candidates) returned, and
    /// what can be reached from them below, are known to be good; whoever walks the tables on his
    /// own calls this first.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where a byte is not as it was written.
    fn verify(&self) -> Result<(), GalleryError> {
        Ok(())
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
