//! The published snapshot: what readers map and search.

mod about;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use facesearch_core::{
    Candidates, Contract, Effort, Embedding, FaceId, FaceView, Gallery, GalleryError,
    IdentityIndex, Judgements, PhotoIndex, Row, RowSet, SearchRequest, squared_distance,
};
use rayon::prelude::*;

use crate::files::{FileSeal, Kind, Mapped};
use crate::manifest::{
    FACES, IDENTITIES, JUDGEMENTS, LEDGER, MANIFEST, MOST_FACES, Manifest, PHOTOS, SegmentEntry,
    VECTORS, generation_dir,
};
use crate::scan;
use crate::segment::{Proposal, Segment};
use crate::tables::{Faces, Identities, JudgementTable, Ledger, NO_IDENTITY, Photos};
use crate::vectors::Vectors;

/// How often opening starts over because another publication came in between.
const ATTEMPTS: usize = 16;

/// Probes that a thread searches for together.
const TOGETHER: usize = 16;

/// Where fewer than one row in so many may be found, all that may be are measured.
const RARE: usize = 8;

/// A complete, published state of an index.
///
/// Opening maps the files and reads none of them; a block is checked against its checksum when it
/// is first used. [`Gallery::search`] checks all that can be reached from the rows it returns:
/// their vectors, faces and photos, their identities and all rows of those. Whoever walks the
/// tables on his own calls [`Gallery::verify`] first.
pub struct Snapshot {
    index: PathBuf,
    manifest: Manifest,
    vectors: Vectors,
    faces: Faces,
    photos: Photos,
    identities: Identities,
    ledger: Ledger,
    /// `None` where nobody said anything of a single face and a name.
    judgements: Option<JudgementTable>,
    segments: Vec<(SegmentEntry, Segment)>,
    /// Rows that no segment covers.
    uncovered: Vec<Range<u32>>,
    /// One bit for each identity all of whose rows were checked.
    identity_is_good: Box<[AtomicU64]>,
}

impl Snapshot {
    /// Opens what is published in the index directory `index`.
    ///
    /// A publication that happens meanwhile does not disturb: either it is seen whole or not at
    /// all.
    ///
    /// # Errors
    ///
    /// [`GalleryError::NotFound`] where nothing was published, [`GalleryError::Format`] where
    /// another version wrote it, [`GalleryError::Corrupt`] where it is damaged.
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
        let open = |name: &str, kind, seal: &FileSeal| Mapped::open(&dir.join(name), kind, seal);
        let vectors = Vectors::new(open(VECTORS, Kind::Vectors, &manifest.vectors)?)?;
        let faces = Faces::new(open(FACES, Kind::Faces, &manifest.faces)?)?;
        let photos = Photos::new(open(PHOTOS, Kind::Photos, &manifest.photos)?)?;
        let identities =
            Identities::new(open(IDENTITIES, Kind::Identities, &manifest.identities)?)?;
        let ledger = Ledger::new(open(LEDGER, Kind::Ledger, &manifest.ledger)?);
        let open_judgements = |seal| open(JUDGEMENTS, Kind::Judgements, seal);
        let judgements = manifest.judgements.as_ref().map(open_judgements).transpose()?;
        let judgements = judgements.map(JudgementTable::new);
        if vectors.len() != faces.len() {
            return Err(faces.file().corrupt("it has not one record for each vector"));
        }
        if vectors.dim() != manifest.contract.dimension as usize {
            return Err(vectors.file().corrupt("its vectors are not as long as the manifest says"));
        }
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let file = open(&entry.name(), Kind::Segment, &entry.file)?;
            let open_map = |seal| open(&entry.row_map_name(), Kind::RowMap, seal);
            let row_map = entry.row_map.as_ref().map(open_map).transpose()?;
            let rows = entry.first_row..entry.end_row;
            segments.push((entry.clone(), Segment::new(file, rows, row_map)?));
        }
        let uncovered = uncovered(&segments, &faces, &vectors)?;
        let words = identities.len().div_ceil(64);
        Ok(Self {
            index: index.to_owned(),
            manifest,
            vectors,
            faces,
            photos,
            identities,
            ledger,
            judgements,
            segments,
            uncovered,
            identity_is_good: (0..words).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    pub(crate) fn segments(&self) -> &[(SegmentEntry, Segment)] {
        &self.segments
    }

    pub(crate) fn checked_id(&self, row: u32) -> Result<FaceId, GalleryError> {
        self.faces.check(row)?;
        Ok(self.faces.id(row))
    }

    pub(crate) fn checked_vector(&self, row: u32) -> Result<&[f32], GalleryError> {
        self.vectors.check(row..row + 1)?;
        Ok(self.vectors.get(row))
    }

    /// Whether to measure every row that may be found: where that is asked for, where there are
    /// few, and where a search of the segments costs no less.
    fn is_scanned(&self, request: &SearchRequest<'_>) -> bool {
        let SearchRequest { k, effort, among, .. } = *request;
        let rarity = among.map_or(1, RowSet::rarity);
        let sooner =
            |segment: &Segment| segment.is_scanned_sooner(effort, k.saturating_mul(rarity));
        effort == Effort::Exact
            || rarity > RARE
            || self.segments.iter().all(|(_, segment)| sooner(segment))
    }

    /// Measures every row that may be found.
    fn scan(&self, request: &SearchRequest<'_>) -> Result<Vec<Candidates>, GalleryError> {
        let SearchRequest { probes, k, among, .. } = *request;
        let all = 0..self.faces.len() as u32;
        let nearest = if among.is_none() && probes.len() > 1 {
            let probes: Vec<&[f32]> = probes.iter().map(Embedding::as_slice).collect();
            scan::nearest_of_each(&self.vectors, all, &probes, k)?
        } else {
            let alone = |probe: &Embedding| {
                scan::nearest(&self.vectors, all.clone(), among, probe.as_slice(), k)
            };
            probes.par_iter().map(alone).collect::<Result<_, _>>()?
        };
        let examined = among.map_or(self.faces.len(), RowSet::len) as u64;
        let answer = |near: Vec<(f64, u32)>| {
            let rows = near.into_iter().map(|(_, row)| Row(row)).collect();
            Candidates { rows, exact: true, examined }
        };
        Ok(nearest.into_iter().map(answer).collect())
    }

    /// Searches the segments for a few probes, and measures what no segment covers.
    fn search_segments(
        &self,
        request: &SearchRequest<'_>,
    ) -> Result<Vec<Candidates>, GalleryError> {
        let mut proposals = Vec::new();
        proposals.resize_with(request.probes.len(), Proposal::default);
        for (_, segment) in &self.segments {
            segment.search(request, &mut proposals)?;
        }
        let proposals = request.probes.iter().zip(proposals);
        proposals.map(|(probe, proposal)| self.rank(probe.as_slice(), proposal, request)).collect()
    }

    /// The `k` nearest of what the segments propose and of the rows that were not searched.
    fn rank(
        &self,
        probe: &[f32],
        proposal: Proposal,
        request: &SearchRequest<'_>,
    ) -> Result<Candidates, GalleryError> {
        let Proposal { rows, mut examined, unsearched } = proposal;
        // They lie anywhere: all are asked for before the first is waited for.
        rows.iter().for_each(|row| self.vectors.prefetch(*row));
        let mut near = Vec::with_capacity(rows.len());
        for row in rows {
            near.push((squared_distance(probe, self.checked_vector(row)?), row));
        }
        for rows in self.uncovered.iter().chain(&unsearched) {
            let allowed = |among: &RowSet| among.within(rows.clone()).count();
            examined += request.among.map_or(rows.len(), allowed) as u64;
            let (rows, among) = (rows.clone(), request.among);
            near.extend(scan::nearest(&self.vectors, rows, among, probe, request.k)?);
        }
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let rows = near.into_iter().take(request.k).map(|(_, row)| Row(row)).collect();
        Ok(Candidates { rows, exact: unsearched.len() == self.segments.len(), examined })
    }

    /// Checks what can be reached from a row through the accessors of [`Gallery`].
    pub(crate) fn check_row(&self, row: u32) -> Result<(), GalleryError> {
        self.check_face(row)?;
        match self.checked_identity(row)? {
            None => Ok(()),
            Some(identity) => self.check_identity(IdentityIndex(identity)),
        }
    }

    /// Checks the label of an identity, and all its rows.
    pub(crate) fn check_identity(
        &self,
        IdentityIndex(identity): IdentityIndex,
    ) -> Result<(), GalleryError> {
        if identity as usize >= self.identities.len() {
            return Err(self.faces.file().corrupt("a face is of an identity that is not there"));
        }
        let word = &self.identity_is_good[identity as usize / 64];
        let bit = 1 << (identity % 64);
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.identities.check(identity)?;
            for Row(row) in self.identities.rows(identity) {
                self.check_face(row)?;
                if self.faces.identity(row) != identity {
                    return Err(self.identities.file().corrupt("an identity has another's face"));
                }
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The identity of a row that was checked.
    fn checked_identity(&self, row: u32) -> Result<Option<u32>, GalleryError> {
        match self.faces.identity(row) {
            NO_IDENTITY => Ok(None),
            identity if (identity as usize) < self.identities.len() => Ok(Some(identity)),
            _ => Err(self.faces.file().corrupt("a face is of an identity that is not there")),
        }
    }

    /// Checks the labels, before one is looked up.
    pub(crate) fn check_labels(&self) -> Result<(), GalleryError> {
        self.identities.file().check_all()
    }

    /// The row of a face, if it is there.
    pub(crate) fn find_face(&self, id: FaceId) -> Result<Option<u32>, GalleryError> {
        let (mut low, mut high) = (0, self.faces.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.checked_id(middle)?.cmp(&id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    fn check_face(&self, row: u32) -> Result<(), GalleryError> {
        self.faces.check(row)?;
        if !Embedding::accepts(self.checked_vector(row)?) {
            return Err(self.vectors.file().corrupt("a vector in it has no finite distances"));
        }
        self.photos.check(self.faces.photo(row))
    }

    /// Checks every byte of the tables, and that what leads from one to another leads somewhere and
    /// back.
    fn check_tables(&self) -> Result<(), GalleryError> {
        self.faces.file().check_all()?;
        self.photos.file().check_all()?;
        self.identities.check_all()?;
        let mut of_somebody = 0;
        for row in 0..self.faces.len() as u32 {
            if row > 0 && self.faces.id(row - 1) >= self.faces.id(row) {
                return Err(self.faces.file().corrupt("its faces are out of order"));
            }
            self.photos.check(self.faces.photo(row))?;
            if self.faces.id(row).0 >= MOST_FACES {
                return Err(self.faces.file().corrupt("a face has a number that none gets"));
            }
            of_somebody += usize::from(self.checked_identity(row)?.is_some());
        }
        for identity in 0..self.identities.len() as u32 {
            let is_theirs = |Row(row): Row| {
                (row as usize) < self.faces.len() && self.faces.identity(row) == identity
            };
            let rows = self.identities.rows(identity);
            of_somebody = of_somebody.wrapping_sub(rows.len());
            if !self.identities.rows(identity).all(is_theirs) {
                return Err(self.identities.file().corrupt("an identity has another's face"));
            }
        }
        match of_somebody {
            0 => Ok(()),
            _ => Err(self.identities.file().corrupt("an identity lacks a face")),
        }
    }
}

impl Gallery for Snapshot {
    fn contract(&self) -> &Contract {
        &self.manifest.contract
    }

    fn generation(&self) -> u64 {
        self.manifest.generation
    }

    fn fingerprint(&self) -> u64 {
        let manifest = serde_json::to_vec(&self.manifest).unwrap_or_default();
        let hash = blake3::hash(&manifest);
        u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
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

    fn people(&self) -> usize {
        self.identity_count() + self.len().saturating_sub(self.identities.labelled())
    }

    fn check_rows(&self, rows: &[Row]) -> Result<(), GalleryError> {
        rows.iter().try_for_each(|row| self.check_row(row.0))
    }

    fn search(&self, request: &SearchRequest<'_>) -> Result<Vec<Candidates>, GalleryError> {
        let (probes, expected) = (request.probes, self.vectors.dim());
        if let Some(got) = probes.iter().map(Embedding::dim).find(|got| *got != expected) {
            return Err(GalleryError::Dimension { expected, got });
        }
        if self.is_scanned(request) {
            let found = self.scan(request)?;
            found.par_iter().try_for_each(|found| self.check_rows(&found.rows))?;
            return Ok(found);
        }
        let each = probes.len().div_ceil(rayon::current_num_threads()).clamp(1, TOGETHER);
        let found = probes.par_chunks(each).map(|probes| {
            let found = self.search_segments(&SearchRequest { probes, ..*request })?;
            found.iter().try_for_each(|found| self.check_rows(&found.rows))?;
            Ok(found)
        });
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn verify_tables(&self) -> Result<(), GalleryError> {
        self.check_tables()
    }

    fn added(&self, face: FaceId) -> Option<i64> {
        let added = &self.manifest.added;
        let until = added.partition_point(|(first, _)| *first <= face.0);
        added[..until].last().map(|(_, at)| *at)
    }

    fn judgements(&self) -> Result<Judgements, GalleryError> {
        self.judgements.as_ref().map_or_else(|| Ok(Judgements::default()), JudgementTable::read)
    }

    fn verify(&self) -> Result<(), GalleryError> {
        self.vectors.file().check_all()?;
        self.check_tables()?;
        self.ledger.check_all()?;
        self.judgements()?;
        self.segments.iter().try_for_each(|(_, segment)| segment.check_all())?;
        (0..self.faces.len() as u32).into_par_iter().try_for_each(|row| self.check_face(row))
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

/// The rows between those that segments cover, once it is certain that these follow one another and
/// are there.
fn uncovered(
    segments: &[(SegmentEntry, Segment)],
    faces: &Faces,
    vectors: &Vectors,
) -> Result<Vec<Range<u32>>, GalleryError> {
    let mut gaps = Vec::new();
    let mut next = 0;
    for (entry, segment) in segments {
        let rows = entry.first_row..entry.end_row;
        let fits = rows.start >= next
            && rows.start <= rows.end
            && rows.end as usize <= faces.len()
            && (entry.row_map.is_some() || rows.len() == segment.len())
            && segment.dim() == vectors.dim();
        if !fits {
            return Err(segment.file().corrupt("it is of other rows than the manifest says"));
        }
        gaps.push(next..rows.start);
        next = rows.end;
    }
    gaps.push(next..faces.len() as u32);
    gaps.retain(|gap| !gap.is_empty());
    Ok(gaps)
}
