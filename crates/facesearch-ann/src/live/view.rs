//! One unchanging state of a live gallery.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use facesearch_core::{
    Candidates, Contract, Embedding, FaceId, FaceView, Gallery, GalleryError, IdentityIndex,
    Judgements, PhotoIndex, Row, RowSet, SearchRequest, squared_distance,
};
use rayon::prelude::*;

use super::fresh::{Fresh, FreshFace};
use super::gaps::Gaps;
use super::log::Log;
use crate::snapshot::Snapshot;

/// While no more rows of the snapshot than this are left out, so many more are searched for; from
/// then on they are filtered out during the search.
const FEW: u32 = 64;

/// One consistent state of a [`LiveGallery`](super::LiveGallery), which later changes do not touch.
///
/// Rows are those of the snapshot, without what was removed, and then the faces in memory, in order
/// of arrival. Identities and photos are those of the snapshot's tables, then new ones. An identity
/// without a face left is not there any more; a photo may be.
///
/// A clone shares everything. Where an embedding or a record is in memory, it stays there as long
/// as a view that has it.
#[derive(Clone)]
pub struct LiveView {
    pub(super) contract: Arc<Contract>,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// Rows of the snapshot that were removed, or replaced by a later record in memory.
    pub(super) removed: Gaps,
    pub(super) fresh: Fresh,
    /// Labels that the snapshot's table does not have; their numbers follow on its.
    labels: Log<Arc<str>>,
    /// The same of photos.
    photos: Log<PathBuf>,
    /// Numbers of identities that have no face left.
    empty: Gaps,
    /// How many more faces without a label there are than in the snapshot.
    unnamed: i64,
    directory: Arc<RwLock<Directory>>,
    fingerprint: u64,
}

/// What is looked up by name or number. All views share it, and it only grows: a view passes over
/// what came after it.
#[derive(Default)]
struct Directory {
    /// The number of each new label.
    labels: HashMap<Arc<str>, u32>,
    /// The number of each new photo.
    photos: HashMap<PathBuf, u32>,
    /// Places of the faces in memory of each identity, ascending.
    faces_of: HashMap<u32, Vec<u32>>,
    /// When each face in memory first came.
    added: HashMap<u64, i64>,
}

/// Where a face is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// At this row of the snapshot.
    Published(u32),
    /// At this place in memory.
    Fresh(u32),
}

impl LiveView {
    pub(super) fn new(contract: Contract, snapshot: Option<Arc<Snapshot>>) -> Self {
        let fingerprint = match &snapshot {
            Some(snapshot) => snapshot.fingerprint(),
            None => mix(0, format!("{contract:?}").as_bytes()),
        };
        Self {
            contract: Arc::new(contract),
            snapshot,
            removed: Gaps::default(),
            fresh: Fresh::default(),
            labels: Log::default(),
            photos: Log::default(),
            empty: Gaps::default(),
            unnamed: 0,
            directory: Arc::default(),
            fingerprint,
        }
    }

    /// Adds a face, and says at which place. The numbers in its record come from
    /// [`label_number`](Self::label_number) and [`photo_number`](Self::photo_number).
    pub(super) fn push(&mut self, face: FreshFace) -> u32 {
        let FaceView { id, identity, .. } = face.record;
        self.fingerprint = mix(self.fingerprint, format!("{:?}", face.record).as_bytes());
        self.fingerprint = mix(self.fingerprint, bytemuck::cast_slice(&face.vector));
        self.unnamed += i64::from(identity.is_none());
        let added = face.added;
        let place = self.fresh.faces.push(face);
        if let Some(IdentityIndex(identity)) = identity {
            self.empty.take_in(identity);
        }
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        directory.added.entry(id.0).or_insert(added);
        if let Some(IdentityIndex(identity)) = identity {
            directory.faces_of.entry(identity).or_default().push(place);
        }
        place
    }

    /// Leaves a face out.
    pub(super) fn leave_out(&mut self, slot: Slot) {
        self.fingerprint = mix(self.fingerprint, format!("without {slot:?}").as_bytes());
        let identity = self.record(slot).identity;
        self.unnamed -= i64::from(identity.is_none());
        match slot {
            Slot::Published(row) => self.removed.leave_out(row),
            Slot::Fresh(place) => self.fresh.gaps.leave_out(place),
        }
        if let Some(IdentityIndex(identity)) = identity
            && self.slots_of(identity).next().is_none()
        {
            self.empty.leave_out(identity);
        }
    }

    /// The number of a label in the whole table; a new one gets the next.
    pub(super) fn label_number(&mut self, label: &str) -> IdentityIndex {
        let known = self.snapshot.as_ref().and_then(|snapshot| snapshot.find_identity(label));
        if let Some(known) = known {
            return known;
        }
        let first = self.published_identities();
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = directory.labels.get(label) {
            return IdentityIndex(*number);
        }
        self.fingerprint = mix(self.fingerprint, label.as_bytes());
        let label: Arc<str> = label.into();
        let number = first + self.labels.push(Arc::clone(&label));
        directory.labels.insert(label, number);
        IdentityIndex(number)
    }

    /// The number of a photo; one that is not in memory gets the next.
    pub(super) fn photo_number(&mut self, path: &std::path::Path) -> PhotoIndex {
        let first = self.published_photos();
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = directory.photos.get(path) {
            return PhotoIndex(*number);
        }
        self.fingerprint = mix(self.fingerprint, path.as_os_str().as_encoded_bytes());
        let number = first + self.photos.push(path.to_owned());
        directory.photos.insert(path.to_owned(), number);
        PhotoIndex(number)
    }

    /// The record of a face, with identity and photo by their numbers in the whole tables.
    pub(super) fn record(&self, slot: Slot) -> FaceView {
        match slot {
            Slot::Published(row) => self.snapshot().face(Row(row)),
            Slot::Fresh(place) => self.fresh.faces.get(place).record,
        }
    }

    pub(super) fn vector_at(&self, slot: Slot) -> &[f32] {
        match slot {
            Slot::Published(row) => self.snapshot().vector(Row(row)),
            Slot::Fresh(place) => &self.fresh.faces.get(place).vector,
        }
    }

    /// The snapshot that a published slot or number comes from.
    fn snapshot(&self) -> &Snapshot {
        self.snapshot.as_ref().expect("a published number comes from a snapshot")
    }

    pub(super) fn label(&self, number: IdentityIndex) -> &str {
        match number.0.checked_sub(self.published_identities()) {
            Some(new) => self.labels.get(new),
            None => self.snapshot().identity(number),
        }
    }

    fn slot(&self, row: Row) -> Slot {
        match row.0.checked_sub(self.published()) {
            None => Slot::Published(self.removed.number_at(row.0)),
            Some(place) => Slot::Fresh(self.fresh.gaps.number_at(place)),
        }
    }

    fn row(&self, slot: Slot) -> Row {
        Row(match slot {
            Slot::Published(row) => self.removed.place_of(row),
            Slot::Fresh(place) => self.published() + self.fresh.gaps.place_of(place),
        })
    }

    /// How many faces of the snapshot there are.
    pub(super) fn published(&self) -> u32 {
        let all = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.len() as u32);
        all - self.removed.len()
    }

    fn published_identities(&self) -> u32 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.identity_count() as u32)
    }

    fn published_photos(&self) -> u32 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.photo_count() as u32)
    }

    /// Where the faces of an identity are, by its number in the whole table; rows ascending.
    fn slots_of(&self, identity: u32) -> impl Iterator<Item = Slot> {
        let snapshot = self.snapshot.as_ref().filter(|_| identity < self.published_identities());
        let rows = snapshot.map(|snapshot| snapshot.rows_of(IdentityIndex(identity)));
        let rows = rows.unwrap_or_default().into_iter().map(|row| row.0);
        let published = rows.filter(|row| !self.removed.contains(*row)).map(Slot::Published);
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let places = directory.faces_of.get(&identity).cloned().unwrap_or_default();
        let there =
            |place: &u32| *place < self.fresh.faces.len() && !self.fresh.gaps.contains(*place);
        published.chain(places.into_iter().filter(there).map(Slot::Fresh))
    }

    pub(super) fn check_length(&self, vectors: &[Embedding]) -> Result<(), GalleryError> {
        let expected = self.contract.dimension as usize;
        match vectors.iter().map(Embedding::dim).find(|got| *got != expected) {
            Some(got) => Err(GalleryError::Dimension { expected, got }),
            None => Ok(()),
        }
    }

    /// What the snapshot proposes, by its own rows, some of which may have been removed.
    fn search_published(
        &self,
        request: &SearchRequest<'_>,
    ) -> Result<Vec<Candidates>, GalleryError> {
        let Some(snapshot) = &self.snapshot else {
            let nothing = Candidates { rows: Vec::new(), exact: true, examined: 0 };
            return Ok(vec![nothing; request.probes.len()]);
        };
        if request.among.is_none() && self.removed.len() <= FEW {
            let k = request.k.saturating_add(self.removed.len() as usize);
            return snapshot.search(&SearchRequest { k, ..*request });
        }
        let mut rows = match request.among {
            None => RowSet::all(snapshot.len()),
            Some(_) => RowSet::none(snapshot.len()),
        };
        if let Some(among) = request.among {
            let mut gaps = self.removed.iter().peekable();
            let mut before = 0;
            for Row(place) in among.within(0..self.published()) {
                while gaps.next_if(|gap| *gap <= place + before).is_some() {
                    before += 1;
                }
                rows.insert(Row(place + before));
            }
        } else {
            self.removed.iter().for_each(|row| rows.remove(Row(row)));
        }
        snapshot.search(&SearchRequest { among: Some(&rows), ..*request })
    }

    /// The `k` nearest of what the snapshot proposes for a probe and of the faces in memory.
    fn with_fresh(
        &self,
        probe: &[f32],
        proposed: Candidates,
        request: &SearchRequest<'_>,
    ) -> Result<Candidates, GalleryError> {
        let there = proposed.rows.into_iter().filter(|row| !self.removed.contains(row.0));
        let measured = |slot| (squared_distance(probe, self.vector_at(slot)), self.row(slot));
        let mut near: Vec<(f64, Row)> = there.map(|row| measured(Slot::Published(row.0))).collect();
        let row = |place| self.row(Slot::Fresh(place));
        let allowed = |place| request.among.is_none_or(|among| among.contains(row(place)));
        let fresh = self.fresh.search(probe, request.k, request.effort, allowed);
        near.extend(fresh.near.into_iter().map(|(square, place)| (square, row(place))));
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.truncate(request.k);
        let rows: Vec<Row> = near.into_iter().map(|(_, row)| row).collect();
        rows.iter().try_for_each(|row| self.check_identity_of(*row))?;
        let exact = proposed.exact && fresh.exact;
        Ok(Candidates { rows, exact, examined: proposed.examined + fresh.examined })
    }

    /// Checks what the snapshot has of the identity of a face in memory. Of a row of its own the
    /// snapshot has checked everything.
    fn check_identity_of(&self, row: Row) -> Result<(), GalleryError> {
        let slot = self.slot(row);
        let Slot::Fresh(_) = slot else { return Ok(()) };
        let published = |number: &IdentityIndex| number.0 < self.published_identities();
        match self.record(slot).identity.filter(published) {
            Some(identity) => self.snapshot().check_identity(identity),
            None => Ok(()),
        }
    }

    /// Checks the labels of the snapshot, before one is looked up.
    pub(super) fn check_labels(&self) -> Result<(), GalleryError> {
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| snapshot.check_labels())
    }
}

impl Gallery for LiveView {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    /// That of the snapshot; 0 where there is none yet.
    fn generation(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.generation())
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn len(&self) -> usize {
        (self.published() + self.fresh.len()) as usize
    }

    fn photo_count(&self) -> usize {
        (self.published_photos() + self.photos.len()) as usize
    }

    fn identity_count(&self) -> usize {
        (self.published_identities() + self.labels.len() - self.empty.len()) as usize
    }

    fn people(&self) -> usize {
        let published = self.snapshot.as_ref();
        let unnamed =
            published.map_or(0, |published| published.people() - published.identity_count());
        self.identity_count() + (unnamed as i64 + self.unnamed).max(0) as usize
    }

    fn check_rows(&self, rows: &[Row]) -> Result<(), GalleryError> {
        for row in rows {
            match self.slot(*row) {
                Slot::Published(row) => self.snapshot().check_rows(&[Row(row)])?,
                Slot::Fresh(_) => self.check_identity_of(*row)?,
            }
        }
        Ok(())
    }

    fn search(&self, request: &SearchRequest<'_>) -> Result<Vec<Candidates>, GalleryError> {
        self.check_length(request.probes)?;
        if let Some(snapshot) = &self.snapshot
            && self.removed.is_empty()
            && self.fresh.len() == 0
        {
            return snapshot.search(request);
        }
        let proposed = self.search_published(request)?;
        let each = request.probes.par_iter().zip(proposed);
        each.map(|(probe, found)| self.with_fresh(probe.as_slice(), found, request)).collect()
    }

    fn verify_tables(&self) -> Result<(), GalleryError> {
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| snapshot.verify_tables())
    }

    fn added(&self, face: FaceId) -> Option<i64> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = directory.added.get(&face.0).copied();
        fresh.or_else(|| self.snapshot.as_ref()?.added(face))
    }

    fn judgements(&self) -> Result<Judgements, GalleryError> {
        self.snapshot.as_ref().map_or_else(|| Ok(Judgements::default()), |s| s.judgements())
    }

    fn verify(&self) -> Result<(), GalleryError> {
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| snapshot.verify())
    }

    fn vector(&self, row: Row) -> &[f32] {
        self.vector_at(self.slot(row))
    }

    fn face(&self, row: Row) -> FaceView {
        let record = self.record(self.slot(row));
        let identity = record.identity.map(|number| IdentityIndex(self.empty.place_of(number.0)));
        FaceView { identity, ..record }
    }

    fn identity(&self, index: IdentityIndex) -> &str {
        self.label(IdentityIndex(self.empty.number_at(index.0)))
    }

    fn find_identity(&self, label: &str) -> Option<IdentityIndex> {
        let published = self.snapshot.as_ref().and_then(|snapshot| snapshot.find_identity(label));
        let number = published.map(|number| number.0).or_else(|| {
            let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
            let end = self.published_identities() + self.labels.len();
            directory.labels.get(label).copied().filter(|number| *number < end)
        })?;
        let there = !self.empty.contains(number);
        there.then(|| IdentityIndex(self.empty.place_of(number)))
    }

    fn rows_of(&self, index: IdentityIndex) -> Vec<Row> {
        self.slots_of(self.empty.number_at(index.0)).map(|slot| self.row(slot)).collect()
    }

    fn photo_path(&self, index: PhotoIndex) -> PathBuf {
        match index.0.checked_sub(self.published_photos()) {
            Some(new) => self.photos.get(new).clone(),
            None => self.snapshot().photo_path(index),
        }
    }
}

/// A fingerprint that one change more was mixed into.
fn mix(fingerprint: u64, change: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot_with_seed(fingerprint, change)
}
