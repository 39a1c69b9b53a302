//! The published snapshot: what readers map and search.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use facesearch_core::{
    Candidates, Contract, Effort, Embedding, FaceView, Gallery, GalleryCounts, GalleryError,
    IdentityIndex, Outcome, PhotoIndex, Row,
};

use crate::files::{FileSeal, Kind, Mapped};
use crate::manifest::{
    FACES, IDENTITIES, LEDGER, MANIFEST, Manifest, PHOTOS, VECTORS, generation_dir,
};
use crate::scan;
use crate::tables::{Faces, Identities, Ledger, Photos};
use crate::vectors::Vectors;

/// How often opening starts over because another publication came in between.
const ATTEMPTS: usize = 16;

/// A complete, published state of an index.
///
/// Opening maps the files and reads none but the small table of identities; every other block is
/// checked against its checksum when it is first used. [`Gallery::candidates`] checks all that can
/// be reached from the rows it returns: their vectors, faces and photos, their identities and all
/// rows of those. Whoever walks the tables on his own calls [`Gallery::verify`] first.
pub struct Snapshot {
    index: PathBuf,
    manifest: Manifest,
    vectors: Vectors,
    faces: Faces,
    photos: Photos,
    identities: Identities,
    ledger: Ledger,
    /// One bit for each identity all of whose rows were checked.
    identity_is_good: Box<[AtomicU64]>,
}

impl Snapshot {
    /// Opens what is published in the index directory `index`.
    ///
    /// A publication that happens meanwhile does not disturb: either it is seen whole or not at all.
    ///
    /// # Errors
    ///
    /// [`GalleryError::NotFound`] where nothing was published, [`GalleryError::Format`] where another
    /// version wrote it, [`GalleryError::Corrupt`] where it is damaged.
    pub fn open(index: &Path) -> Result<Self, GalleryError> {
        let mut manifest = Manifest::read(index)?;
        for _ in 0..ATTEMPTS {
            let missing = match Self::open_generation(index, manifest.clone()) {
                Err(GalleryError::Io { source, path, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    path
                }
                opened => return opened,
            };
            // Only two generations are kept, so this one may have gone since its manifest was read.
            let newer = Manifest::read(index)?;
            if newer.generation == manifest.generation {
                let name = missing.file_name().unwrap_or_default().to_string_lossy();
                let what = format!("{name} is missing");
                let path = generation_dir(index, manifest.generation);
                return Err(GalleryError::Corrupt { path, what });
            }
            manifest = newer;
        }
        let what = format!("{MANIFEST} changes faster than it can be read");
        Err(GalleryError::Corrupt { path: index.to_owned(), what })
    }

    fn open_generation(index: &Path, manifest: Manifest) -> Result<Self, GalleryError> {
        let dir = generation_dir(index, manifest.generation);
        let open = |name, kind, seal: &FileSeal| Mapped::open(&dir.join(name), kind, seal);
        let vectors = Vectors::new(open(VECTORS, Kind::Vectors, &manifest.vectors)?)?;
        let faces = Faces::new(open(FACES, Kind::Faces, &manifest.faces)?)?;
        let photos = Photos::new(open(PHOTOS, Kind::Photos, &manifest.photos)?)?;
        let identities =
            Identities::new(open(IDENTITIES, Kind::Identities, &manifest.identities)?)?;
        let ledger = Ledger::new(open(LEDGER, Kind::Ledger, &manifest.ledger)?);
        if vectors.len() != faces.len() {
            return Err(faces.file().corrupt("it has not one record for each vector"));
        }
        if vectors.dim() != manifest.contract.dimension as usize {
            return Err(vectors.file().corrupt("its vectors are not as long as the manifest says"));
        }
        let words = identities.len().div_ceil(64);
        Ok(Self {
            index: index.to_owned(),
            manifest,
            vectors,
            faces,
            photos,
            identities,
            ledger,
            identity_is_good: (0..words).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The index directory this was opened from.
    pub fn index(&self) -> &Path {
        &self.index
    }

    /// How much there is.
    pub fn counts(&self) -> GalleryCounts {
        GalleryCounts {
            faces: self.faces.len() as u64,
            photos: self.photos.len() as u64,
            identities: self.identities.len() as u64,
        }
    }

    /// What became of every file that was indexed, paths ascending.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the ledger is not as it was written.
    pub fn ledger(&self) -> Result<Vec<(PathBuf, Outcome)>, GalleryError> {
        self.ledger.read()
    }

    /// Bytes on the disk that are published.
    pub fn bytes_on_disk(&self) -> u64 {
        let Manifest { vectors, faces, photos, identities, ledger, .. } = &self.manifest;
        [vectors, faces, photos, identities, ledger].map(FileSeal::bytes_on_disk).iter().sum()
    }

    /// Checks what can be reached from a row through the accessors of [`Gallery`].
    fn check_row(&self, row: u32) -> Result<(), GalleryError> {
        self.check_face(row)?;
        let Some(IdentityIndex(identity)) = self.faces.get(row).identity else { return Ok(()) };
        if identity as usize >= self.identities.len() {
            return Err(self.faces.file().corrupt("a face is of an identity that is not there"));
        }
        let word = &self.identity_is_good[identity as usize / 64];
        let bit = 1 << (identity % 64);
        if word.load(Ordering::Relaxed) & bit == 0 {
            for Row(row) in self.identities.rows(identity) {
                self.check_face(row)?;
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    fn check_face(&self, row: u32) -> Result<(), GalleryError> {
        self.faces.check(row)?;
        self.vectors.check(row..row + 1)?;
        self.photos.check(self.faces.get(row).photo.0)
    }
}

impl Gallery for Snapshot {
    fn contract(&self) -> &Contract {
        &self.manifest.contract
    }

    fn generation(&self) -> u64 {
        self.manifest.generation
    }

    fn len(&self) -> usize {
        self.faces.len()
    }

    fn photo_count(&self) -> usize {
        self.photos.len()
    }

    fn identity_count(&self) -> usize {
        self.identities.len()
    }

    fn candidates(
        &self,
        probe: &Embedding,
        k: usize,
        _effort: Effort,
    ) -> Result<Candidates, GalleryError> {
        let (expected, got) = (self.vectors.dim(), probe.dim());
        if got != expected {
            return Err(GalleryError::Dimension { expected, got });
        }
        let all = 0..self.faces.len() as u32;
        let found = scan::nearest(&self.vectors, all, probe.as_slice(), k)?;
        let rows: Vec<Row> = found.into_iter().map(|(_, row)| Row(row)).collect();
        rows.iter().try_for_each(|row| self.check_row(row.0))?;
        Ok(Candidates { rows, exact: true, examined: self.faces.len() as u64 })
    }

    fn verify(&self) -> Result<(), GalleryError> {
        self.vectors.file().check_all()?;
        self.faces.file().check_all()?;
        self.photos.file().check_all()?;
        self.ledger.check_all()?;
        (0..self.faces.len() as u32).try_for_each(|row| self.check_row(row))
    }

    fn vector(&self, row: Row) -> &[f32] {
        self.vectors.get(row.0)
    }

    fn face(&self, row: Row) -> FaceView {
        self.faces.get(row.0)
    }

    fn identity(&self, index: IdentityIndex) -> &str {
        self.identities.label(index.0)
    }

    fn find_identity(&self, label: &str) -> Option<IdentityIndex> {
        self.identities.find(label).map(IdentityIndex)
    }

    fn rows_of(&self, index: IdentityIndex) -> Vec<Row> {
        self.identities.rows(index.0).collect()
    }

    fn photo_path(&self, index: PhotoIndex) -> PathBuf {
        self.photos.path(index.0)
    }
}
