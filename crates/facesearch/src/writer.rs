//! The writing half of an engine: store first, then memory, and a publication after a while.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use facesearch_ann::{LiveGallery, Snapshot, SnapshotPublisher};
use facesearch_core::{
    Contract, Embedding, FaceId, FaceRecord, FaceStore, Gallery, Published, Publisher, Row,
};
use facesearch_store::{JournalEntry, SledStore};

use crate::engine::STORE;
use crate::error::Result;
use crate::reader::Reader;

/// So many changes are published without waiting for a pause.
const MOST_UNPUBLISHED: usize = 10_000;
/// After a pause of this length, changes are published.
const PAUSE: Duration = Duration::from_secs(2);

/// A store, and the faces that readers of this process find before they are published.
///
/// A thread publishes by itself once nothing was changed for [`PAUSE`], or [`MOST_UNPUBLISHED`]
/// changes have come together. Dropping a writer publishes what is left.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    publishing: Option<JoinHandle<()>>,
    /// The last entry of the journal, where it was published only when this writer took the store:
    /// whoever made it was told of an error, or nothing at all, and may say the same again.
    pub(crate) late: Option<JournalEntry>,
}

struct Shared {
    reader: Reader,
    store: SledStore,
    publisher: SnapshotPublisher,
    gallery: Arc<LiveGallery>,
    /// Held by whoever changes the store or publishes it.
    changes: Mutex<Changes>,
    wake: Condvar,
}

/// What was changed since the last publication.
struct Changes {
    unpublished: usize,
    last: Instant,
    ended: bool,
}

/// What a change of the store was.
#[derive(Default)]
pub(crate) struct Changed {
    pub(crate) came: Vec<StoredFace>,
    pub(crate) went: Vec<FaceId>,
    pub(crate) relabelled: Vec<FaceRecord>,
}

impl Changed {
    fn len(&self) -> usize {
        self.came.len() + self.went.len() + self.relabelled.len()
    }
}

/// A face that was stored, with what a search needs of it.
pub(crate) struct StoredFace {
    pub(crate) record: FaceRecord,
    pub(crate) photo: PathBuf,
    pub(crate) embedding: Embedding,
}

impl Writer {
    /// Takes hold of the store of the reader's index; makes it where there is none. What an earlier
    /// writer left unpublished is published.
    pub(crate) fn take(reader: &Reader, contract: &Contract) -> Result<Self> {
        let store = SledStore::create_or_open(&reader.dir().join(STORE), contract)?;
        let publisher = SnapshotPublisher::new(reader.dir());
        let mut late = None;
        // Of an index that is being made, nothing is published yet, and nothing was interrupted.
        if let (true, Ok(published)) = (publisher.is_behind(&store)?, reader.published()) {
            late = unseen_entry(&store, &published)?;
            store.flush()?;
            publisher.publish(&store, true)?;
            reader.publish(Arc::new(Snapshot::open(reader.dir())?), true)?;
            reader.options().progress.note("what an earlier command had changed is published now");
        }
        let gallery = Arc::new(LiveGallery::new(contract.clone(), reader.published().ok()));
        reader.attach(Arc::clone(&gallery));
        let changes = Changes { unpublished: 0, last: Instant::now(), ended: false };
        let shared = Arc::new(Shared {
            reader: reader.clone(),
            store,
            publisher,
            gallery,
            changes: Mutex::new(changes),
            wake: Condvar::new(),
        });
        Ok(Self { shared, publishing: None, late })
    }

    pub(crate) fn store(&self) -> &SledStore {
        &self.shared.store
    }

    /// Changes the store, and then what is found; nothing is published meanwhile.
    ///
    /// `change` says what it changed, which is durable by then.
    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&SledStore) -> Result<Changed>,
    ) -> Result<()> {
        self.start_publishing();
        let mut changes = self.shared.changes();
        let changed = change(&self.shared.store)?;
        for id in &changed.went {
            self.shared.gallery.remove(*id)?;
        }
        for StoredFace { record, photo, embedding } in &changed.came {
            self.shared.gallery.add(record, photo, embedding)?;
        }
        for record in &changed.relabelled {
            self.shared.gallery.relabel(record.id, record.identity.as_deref())?;
        }
        changes.unpublished += changed.len();
        changes.last = Instant::now();
        drop(changes);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Does work that publishes by itself; then readers of this process see what was published.
    pub(crate) fn publishing<T>(
        &mut self,
        work: impl FnOnce(&SledStore, &SnapshotPublisher) -> Result<T>,
    ) -> Result<T> {
        let mut changes = self.shared.changes();
        let done = work(&self.shared.store, &self.shared.publisher);
        // Also after a failure: part of it may have been published.
        let shown = self.shared.show();
        if shown.is_ok() && done.is_ok() {
            changes.unpublished = 0;
        }
        let done = done?;
        shown?;
        Ok(done)
    }

    /// Publishes everything.
    pub(crate) fn publish(&mut self, last: bool) -> Result<Published> {
        self.publishing(|store, publisher| {
            store.flush()?;
            Ok(publisher.publish(store, last)?)
        })
    }

    fn start_publishing(&mut self) {
        if self.publishing.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("publisher".into());
        match thread.spawn(move || shared.publish_when_due()) {
            Ok(thread) => self.publishing = Some(thread),
            // Without the thread, changes are published when the writer is dropped.
            Err(error) => tracing::warn!(%error, "changes are not published before the end"),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.changes().ended = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.publishing.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        let mut changes = self.shared.changes();
        self.shared.publish_changes(&mut changes);
    }
}

impl Shared {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_when_due(&self) {
        let mut changes = self.changes();
        while !changes.ended {
            let rest = PAUSE.saturating_sub(changes.last.elapsed());
            let due = rest.is_zero() || changes.unpublished >= MOST_UNPUBLISHED;
            if changes.unpublished > 0 && due {
                self.publish_changes(&mut changes);
                continue;
            }
            changes = if changes.unpublished == 0 {
                self.wake.wait(changes).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.wake.wait_timeout(changes, rest);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    fn publish_changes(&self, changes: &mut Changes) {
        if changes.unpublished == 0 {
            return;
        }
        let published = self.publisher.publish(&self.store, false);
        let shown = published.map_err(Into::into).and_then(|_| self.show());
        match shown {
            Ok(()) => changes.unpublished = 0,
            // The store has it all; the next publication catches up.
            Err(error) => {
                tracing::warn!(%error, "changes are not published yet");
                changes.last = Instant::now();
            }
        }
    }

    /// Lets readers of this process see what was published last. Nobody may change the store
    /// meanwhile.
    fn show(&self) -> Result<()> {
        let complete = !self.publisher.is_behind(&self.store)?;
        match Snapshot::open(self.reader.dir()) {
            Ok(snapshot) => self.reader.publish(Arc::new(snapshot), complete)?,
            Err(facesearch_core::GalleryError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The last entry of the journal, where `published` does not show what it says.
fn unseen_entry(store: &SledStore, published: &Snapshot) -> Result<Option<JournalEntry>> {
    let Some(entry) = store.journal()?.pop() else { return Ok(None) };
    if published.verify_tables().is_err() {
        return Ok(None);
    }
    let renamed = entry.faces.iter().filter(|face| face.before.identity != face.after.identity);
    let renamed: BTreeMap<FaceId, Option<&str>> =
        renamed.map(|face| (face.face, face.after.identity.as_deref())).collect();
    let is_unseen = |row: Row| {
        let face = published.face(row);
        let now = face.identity.map(|identity| published.identity(identity));
        renamed.get(&face.id).is_some_and(|after| *after != now)
    };
    let mut unseen = (0..published.len() as u32).map(Row).any(is_unseen);
    let judgements = published.judgements().unwrap_or_default();
    for judged in &entry.judged {
        let is_there = store.face(judged.face)?.is_some();
        unseen |= is_there && judgements.get(judged.face, &judged.name) != judged.after;
    }
    Ok(unseen.then_some(entry))
}

/// The path that a photo is kept under.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(crate::Error::read(path))
}
