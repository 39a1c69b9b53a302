//! A gallery that changes while it is searched.
//!
//! A [`LiveGallery`] is a published [`Snapshot`] with the changes since: faces in memory, and rows
//! of the snapshot that were removed. The next search finds what was added and not what was
//! removed. Faces in memory are scanned while they are few and searched through an hnsw_rs graph
//! beyond. A new publication takes their place.
//!
//! **Trap:** the changes are in memory only. The store is the truth: commit there first, then
//! change the live gallery; after a crash, what the snapshot lacks is added again from the store.

mod fresh;
mod gaps;
mod log;
#[cfg(test)]
mod tests;
mod view;

pub use self::view::LiveView;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use facesearch_core::{Contract, Embedding, FaceId, FaceRecord, FaceView, Gallery, GalleryError};

use self::fresh::FreshFace;
use self::view::Slot;
use crate::snapshot::Snapshot;

/// So many faces outside the graph are scanned.
const SCANNED: u32 = 4_096;

/// Faces that [`LiveGallery::maintain`] takes into the graph at a time.
const AT_ONCE: u32 = 512;

/// Faces that an addition takes into the graph where nobody maintains it: about a millisecond.
const FEW: u32 = 2;

/// A gallery that faces are added to and removed from while it is searched.
///
/// Readers take a [`view`](Self::view) and search that: they hold no lock while they measure.
/// Additions and removals wait for one another only. Building the graph, which takes longest, is
/// done by [`maintain`](Self::maintain), for which the caller has a thread; where nobody calls it,
/// each addition does a small part.
///
/// - **Memory:** a face in memory takes its embedding and about 300 bytes, and from the 4,097th on
///   its embedding once more and 3 KB in the graph. A removed row of the snapshot takes 4 bytes.
/// - **Cost:** an addition copies the embedding, a few microseconds, and a millisecond or two where
///   it has to build. A removal moves a list of those removed before.
pub struct LiveGallery {
    /// What readers see from now on.
    current: RwLock<LiveView>,
    /// Held by whoever changes what is seen.
    changes: Mutex<Changes>,
    /// Held by whoever takes faces into the graph.
    building: Mutex<()>,
    scanned: u32,
}

/// What changed since the snapshot.
#[derive(Default)]
struct Changes {
    /// Where each face in memory is.
    places: HashMap<u64, u32>,
    /// Faces that were removed. A later snapshot may still have them.
    removed: HashSet<u64>,
}

/// How many faces of a [`LiveGallery`] are searched in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveCounts {
    /// Faces of the snapshot.
    pub snapshot: usize,
    /// Faces in memory that are scanned.
    pub scanned: usize,
    /// Faces in memory that are in the graph.
    pub in_graph: usize,
    /// Rows of the snapshot and places in memory that are left out: their faces were removed, or
    /// replaced by a later record.
    pub removed: usize,
}

impl LiveGallery {
    /// A gallery of what is published, if anything is, for embeddings made under `contract`.
    pub fn new(contract: Contract, snapshot: Option<Arc<Snapshot>>) -> Self {
        Self::with_scanned(contract, snapshot, SCANNED)
    }

    fn with_scanned(contract: Contract, snapshot: Option<Arc<Snapshot>>, scanned: u32) -> Self {
        Self {
            current: RwLock::new(LiveView::new(contract, snapshot)),
            changes: Mutex::default(),
            building: Mutex::default(),
            scanned,
        }
    }

    /// The state as it is now, which later changes do not touch.
    pub fn view(&self) -> LiveView {
        self.read().clone()
    }

    /// Adds a face; the next search finds it. A face of the same number is replaced.
    ///
    /// `photo_path` is the path of the photo that the face is in.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Dimension`] where the embedding has another length than the contract says,
    /// [`GalleryError::Corrupt`] where the snapshot is not as it was written.
    pub fn add(
        &self,
        record: &FaceRecord,
        photo_path: &Path,
        embedding: &Embedding,
    ) -> Result<(), GalleryError> {
        let mut changes = self.changes();
        let (before, added) = {
            let view = self.read();
            view.check_length(std::slice::from_ref(embedding))?;
            view.check_labels()?;
            let before = changes.find(&view, record.id)?;
            (before, before.and_then(|_| view.added(record.id)))
        };
        let mut current = self.write();
        let face = FreshFace {
            record: FaceView {
                id: record.id,
                photo: current.photo_number(photo_path),
                identity: record.identity.as_deref().map(|label| current.label_number(label)),
                face: record.face,
                quality: record.quality,
            },
            vector: embedding.as_slice().into(),
            added: added.unwrap_or_else(now),
        };
        changes.put(&mut current, face, before);
        drop((current, changes));
        if let Ok(_building) = self.building.try_lock() {
            self.absorb(self.scanned.saturating_mul(2), FEW);
        }
        Ok(())
    }

    /// Removes a face; no search that begins afterwards finds it. Whether it was there.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the snapshot is not as it was written.
    pub fn remove(&self, id: FaceId) -> Result<bool, GalleryError> {
        let mut changes = self.changes();
        let slot = changes.find(&self.read(), id)?;
        let Some(slot) = slot else { return Ok(false) };
        changes.places.remove(&id.0);
        changes.removed.insert(id.0);
        self.write().leave_out(slot);
        Ok(true)
    }

    /// Gives a face another label, or none. Whether the face is there.
    ///
    /// The face is then in memory, whether or not the snapshot has it.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the snapshot is not as it was written.
    pub fn relabel(&self, id: FaceId, label: Option<&str>) -> Result<bool, GalleryError> {
        let mut changes = self.changes();
        let (slot, record, vector, added) = {
            let view = self.read();
            view.check_labels()?;
            let Some(slot) = changes.find(&view, id)? else { return Ok(false) };
            (slot, view.record(slot), view.vector_at(slot).into(), view.added(id))
        };
        let mut current = self.write();
        let identity = label.map(|label| current.label_number(label));
        let record = FaceView { identity, ..record };
        let face = FreshFace { record, vector, added: added.unwrap_or_else(now) };
        changes.put(&mut current, face, Some(slot));
        Ok(true)
    }

    /// Searches `snapshot` from now on, which was published meanwhile. Only faces, labels and
    /// removals that it does not have are kept.
    ///
    /// Waits until a part of the graph that is being built is finished; additions and removals wait
    /// for this.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the snapshot is not as it was written. Then nothing changes.
    pub fn replaced(&self, snapshot: Arc<Snapshot>) -> Result<(), GalleryError> {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = self.changes();
        let old = self.view();
        let mut next = LiveView::new((*old.contract).clone(), Some(Arc::clone(&snapshot)));
        next.check_labels()?;
        let mut kept = Changes::default();
        for place in (0..old.fresh.faces.len()).filter(|place| !old.fresh.gaps.contains(*place)) {
            let FreshFace { record, vector, added } = old.fresh.faces.get(place);
            let label = record.identity.map(|number| old.label(number));
            let before = kept.find(&next, record.id)?;
            let published = before.map(|slot| next.record(slot));
            let its_label = |view: FaceView| view.identity.map(|number| next.label(number));
            if published.map(its_label) == Some(label) {
                continue;
            }
            let photo = match published {
                Some(published) => published.photo,
                None => next.photo_number(&old.photo_path(record.photo)),
            };
            let identity = label.map(|label| next.label_number(label));
            let record = FaceView { photo, identity, ..*record };
            let face = FreshFace { record, vector: vector.clone(), added: *added };
            kept.put(&mut next, face, before);
        }
        for id in &changes.removed {
            if let Some(slot) = kept.find(&next, FaceId(*id))? {
                next.leave_out(slot);
                kept.removed.insert(*id);
            }
        }
        *changes = kept;
        *self.write() = next;
        Ok(())
    }

    /// Searches `snapshot` from now on, which has every change of this gallery and maybe others.
    ///
    /// **Trap:** nobody may have changed the store since `snapshot` was published; otherwise
    /// [`replaced`](Self::replaced) is what is needed.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where the snapshot is not as it was written. Then nothing changes.
    pub fn reset(&self, snapshot: Arc<Snapshot>) -> Result<(), GalleryError> {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = self.changes();
        let next = LiveView::new((*self.view().contract).clone(), Some(snapshot));
        next.check_labels()?;
        *changes = Changes::default();
        *self.write() = next;
        Ok(())
    }

    /// Takes some faces into the graph if many are scanned. Whether any were; then there may be
    /// more to do.
    ///
    /// Searches, additions and removals go on meanwhile.
    pub fn maintain(&self) -> bool {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        self.absorb(self.scanned, AT_ONCE)
    }

    /// How many faces are searched in which way now.
    pub fn counts(&self) -> LiveCounts {
        let view = self.view();
        let in_graph = view.fresh.in_graph();
        LiveCounts {
            snapshot: view.published() as usize,
            scanned: (view.fresh.len() - in_graph) as usize,
            in_graph: in_graph as usize,
            removed: (view.removed.len() + view.fresh.gaps.len()) as usize,
        }
    }

    /// Takes up to `most` faces into the graph, as long as more than `scanned` are outside. Whether
    /// any were. Only for whoever holds `building`.
    fn absorb(&self, scanned: u32, most: u32) -> bool {
        let mut fresh = self.read().fresh.clone();
        let any = fresh.absorb(scanned, most);
        if any {
            self.write().fresh.graph = fresh.graph;
        }
        any
    }

    // A panic while a lock is held leaves what it guards usable: every change is one step.

    fn read(&self) -> RwLockReadGuard<'_, LiveView> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, LiveView> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// Where a face of `view` is, checked; `None` where it is not there.
    fn find(&self, view: &LiveView, id: FaceId) -> Result<Option<Slot>, GalleryError> {
        if let Some(place) = self.places.get(&id.0) {
            return Ok(Some(Slot::Fresh(*place)));
        }
        let Some(snapshot) = &view.snapshot else { return Ok(None) };
        let row = snapshot.find_face(id)?.filter(|row| !view.removed.contains(*row));
        if let Some(row) = row {
            snapshot.check_row(row)?;
        }
        Ok(row.map(Slot::Published))
    }

    /// Adds a face to `view`, in place of the one that is at `before`.
    fn put(&mut self, view: &mut LiveView, face: FreshFace, before: Option<Slot>) {
        let id = face.record.id.0;
        let place = view.push(face);
        if let Some(slot) = before {
            view.leave_out(slot);
        }
        self.places.insert(id, place);
        self.removed.remove(&id);
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
