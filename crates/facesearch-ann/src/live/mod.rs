//! An index that changes while it is searched.
//!
//! As in a log-structured store, new faces are kept in memory and are found by the very next query:
//! scanned while they are few, through an hnsw_rs graph beyond. From time to time they are *sealed*
//! into a part: files like those of a snapshot, with a search structure. Parts are *merged* so that
//! each is more than twice as large as all newer ones together; their number grows with the
//! logarithm of the faces. A removed face is marked, and gone from the files once its part is merged.
//!
//! Queries hold no lock while they measure; adding and removing wait for nothing but one another.
//! What takes long is done by [`LiveIndex::maintain`], for which the caller has a thread.
//!
//! **Trap:** what was not sealed is only in memory, and removals reach the disk with
//! [`LiveIndex::save`]. The store that faces come from is the truth; after a crash, what the index
//! lacks is added again.

mod bits;
mod catalogue;
mod fresh;
mod part;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use facesearch_core::{Distance, Effort, Embedding, FaceId, GalleryError, StoreError};

use self::catalogue::Catalogue;
use self::fresh::Fresh;
use self::part::Part;

/// Why a live index could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum LiveError {
    #[error("face {id} is there already; remove it before it is added again")]
    Duplicate { id: u64 },
    #[error("the index holds vectors of {expected} numbers, this one has {got}")]
    Dimension { expected: usize, got: usize },
    #[error(transparent)]
    Read(#[from] GalleryError),
    #[error(transparent)]
    Write(#[from] StoreError),
}

/// When a live index changes the way it searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveLimits {
    /// So many faces are scanned; more get a graph or a search structure.
    pub scanned: usize,
    /// So many faces in memory are sealed into a part.
    pub sealed: usize,
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self { scanned: 4_096, sealed: 32_768 }
    }
}

/// An index that faces are added to and removed from while it is searched.
pub struct LiveIndex {
    dim: usize,
    limits: LiveLimits,
    state: RwLock<State>,
    /// Held by whoever seals, merges or saves: one at a time.
    upkeep: Mutex<Catalogue>,
}

/// All that there is.
struct State {
    /// From the oldest, which is the largest, to the newest.
    parts: Vec<Part>,
    fresh: Fresh,
}

impl LiveIndex {
    /// Opens the index in the directory `dir`, or begins one there, of vectors of `dim` numbers.
    ///
    /// # Errors
    ///
    /// [`LiveError::Read`] where what is there is damaged, [`LiveError::Dimension`] where it holds
    /// other vectors, [`LiveError::Write`] where the directory cannot be made.
    pub fn open(dir: &Path, dim: usize, limits: LiveLimits) -> Result<Self, LiveError> {
        let catalogue = Catalogue::open(dir, dim)?;
        let parts = catalogue.parts()?;
        let state = State { parts, fresh: Fresh::new(dim) };
        Ok(Self { dim, limits, state: RwLock::new(state), upkeep: Mutex::new(catalogue) })
    }

    /// Adds a face; the next query finds it.
    ///
    /// # Errors
    ///
    /// [`LiveError::Duplicate`] where a face of this number is there, [`LiveError::Dimension`] where
    /// the vector is of another length.
    pub fn add(&self, id: FaceId, embedding: &Embedding) -> Result<(), LiveError> {
        self.check(embedding)?;
        let mut state = self.write();
        if state.contains(id.0) {
            return Err(LiveError::Duplicate { id: id.0 });
        }
        state.fresh.push(id.0, embedding.as_slice());
        Ok(())
    }

    /// Removes a face; no query that begins afterwards returns it. Whether it was there.
    pub fn remove(&self, id: FaceId) -> bool {
        let State { parts, fresh } = &mut *self.write();
        fresh.remove(id.0) || parts.iter_mut().any(|part| part.remove(id.0))
    }

    /// How many faces there are.
    pub fn len(&self) -> usize {
        let state = self.read();
        state.fresh.len() + state.parts.iter().map(Part::len).sum::<usize>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many faces each part has, the oldest first, and how many are in memory.
    pub fn sizes(&self) -> (Vec<usize>, usize) {
        let state = self.read();
        (state.parts.iter().map(Part::len).collect(), state.fresh.len())
    }

    /// The `k` faces nearest to `probe`, distance ascending, then face id ascending.
    ///
    /// Distances are measured exactly with the full vectors; with [`Effort::Exact`] every face is,
    /// and the answer is that of measuring all in `f64` and sorting.
    ///
    /// # Errors
    ///
    /// [`LiveError::Dimension`] where the probe is of another length, [`LiveError::Read`] where a file
    /// is not as it was written.
    pub fn search(
        &self,
        probe: &Embedding,
        k: usize,
        effort: Effort,
    ) -> Result<Vec<(FaceId, Distance)>, LiveError> {
        self.check(probe)?;
        let (parts, fresh) = {
            let state = self.read();
            (state.parts.clone(), state.fresh.view())
        };
        let probe = probe.as_slice();
        let mut found = Vec::new();
        for part in &parts {
            part.search(probe, k, effort, &mut found)?;
        }
        fresh.search(probe, k, effort, &mut found);
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found.dedup_by_key(|(_, id)| *id);
        found.truncate(k);
        let named = |(squared, id)| (FaceId(id), Distance::from_squared(squared as f32));
        Ok(found.into_iter().map(named).collect())
    }

    /// Does what is due: takes some new faces into the graph, seals, or merges. Whether anything was;
    /// then there may be more. Meanwhile queries, additions and removals go on.
    ///
    /// # Errors
    ///
    /// As for [`seal`](Self::seal) and [`merge`](Self::merge).
    pub fn maintain(&self) -> Result<bool, LiveError> {
        let mut catalogue = self.catalogue();
        if self.read().fresh.len() >= self.limits.sealed {
            return self.seal_into(&mut catalogue);
        }
        Ok(self.absorb() || self.merge_due(&mut catalogue)?)
    }

    /// Seals what is in memory into a part. Whether there was anything.
    ///
    /// # Errors
    ///
    /// [`LiveError::Write`] where the files cannot be written.
    pub fn seal(&self) -> Result<bool, LiveError> {
        self.seal_into(&mut self.catalogue())
    }

    /// Merges parts until each is more than twice as large as all newer ones together. Whether any
    /// were.
    ///
    /// # Errors
    ///
    /// [`LiveError::Read`] where a part is damaged, [`LiveError::Write`] where the files cannot be
    /// written.
    pub fn merge(&self) -> Result<bool, LiveError> {
        let mut catalogue = self.catalogue();
        let mut any = false;
        while self.merge_due(&mut catalogue)? {
            any = true;
        }
        Ok(any)
    }

    /// Seals, and merges everything into one part, without the faces that were removed.
    ///
    /// # Errors
    ///
    /// As for [`seal`](Self::seal) and [`merge`](Self::merge).
    pub fn optimize(&self) -> Result<(), LiveError> {
        let mut catalogue = self.catalogue();
        self.seal_into(&mut catalogue)?;
        let parts = self.read().parts.len();
        let is_clean = |part: &Part| part.removed() == 0;
        if parts > 1 || !self.read().parts.iter().all(is_clean) {
            self.merge_run(&mut catalogue, 0..parts)?;
        }
        Ok(())
    }

    /// Seals what is in memory and writes which sealed faces were removed: what is opened afterwards
    /// is what is there now.
    ///
    /// # Errors
    ///
    /// [`LiveError::Write`] where the files cannot be written.
    pub fn save(&self) -> Result<(), LiveError> {
        let mut catalogue = self.catalogue();
        self.seal_into(&mut catalogue)?;
        let parts = self.read().parts.clone();
        Ok(catalogue.save(&parts)?)
    }

    /// Checks every byte of every part. Otherwise each is checked when it is first used.
    ///
    /// # Errors
    ///
    /// [`LiveError::Read`] where a byte is not as it was written.
    pub fn verify(&self) -> Result<(), LiveError> {
        let parts = self.read().parts.clone();
        Ok(parts.iter().try_for_each(Part::check_all)?)
    }

    /// Takes some of the new faces into the graph, if there are many. Whether any were.
    fn absorb(&self) -> bool {
        let mut fresh = self.read().fresh.view();
        let graphed = fresh.absorb(self.limits.scanned);
        if let Some(graphed) = &graphed {
            self.write().fresh.adopt(graphed.clone());
        }
        graphed.is_some()
    }

    fn seal_into(&self, catalogue: &mut Catalogue) -> Result<bool, LiveError> {
        let fresh = self.read().fresh.clone();
        let faces = fresh.faces();
        if faces.is_empty() {
            return Ok(false);
        }
        let vectors = |item: usize| fresh.vector(faces[item].1);
        let ids: Vec<u64> = faces.iter().map(|(id, _)| *id).collect();
        let mut part = catalogue.write(&ids, self.limits.scanned, vectors)?;
        let mut state = self.write();
        for (item, (_, place)) in (0..).zip(&faces) {
            if state.fresh.was_removed(*place) {
                part.remove_item(item);
            }
        }
        state.fresh = state.fresh.after(fresh.places());
        state.parts.push(part);
        let parts = state.parts.clone();
        drop(state);
        catalogue.save(&parts)?;
        Ok(true)
    }

    fn merge_due(&self, catalogue: &mut Catalogue) -> Result<bool, LiveError> {
        let sizes: Vec<_> =
            self.read().parts.iter().map(|part| (part.len(), part.removed())).collect();
        let Some(run) = due(&sizes) else { return Ok(false) };
        self.merge_run(catalogue, run)?;
        Ok(true)
    }

    fn merge_run(
        &self,
        catalogue: &mut Catalogue,
        run: std::ops::Range<usize>,
    ) -> Result<(), LiveError> {
        let old = self.read().parts[run.clone()].to_vec();
        let mut faces: Vec<(u64, usize, u32)> = Vec::new();
        for (number, part) in old.iter().enumerate() {
            part.check_all()?;
            faces.extend(part.faces().map(|(id, item)| (id, number, item)));
        }
        faces.sort_unstable();
        let ids: Vec<u64> = faces.iter().map(|(id, ..)| *id).collect();
        let vector = |item: usize| {
            let (_, part, item) = faces[item];
            old[part].vector(item)
        };
        let mut merged = match ids.is_empty() {
            true => None,
            false => Some(catalogue.write(&ids, self.limits.scanned, vector)?),
        };
        let mut state = self.write();
        if let Some(merged) = &mut merged {
            for (item, (_, part, old_item)) in (0..).zip(&faces) {
                if state.parts[run.start + part].is_removed(*old_item) {
                    merged.remove_item(item);
                }
            }
        }
        state.parts.splice(run, merged);
        let parts = state.parts.clone();
        drop(state);
        Ok(catalogue.save(&parts)?)
    }

    fn check(&self, embedding: &Embedding) -> Result<(), LiveError> {
        let (expected, got) = (self.dim, embedding.dim());
        if got == expected { Ok(()) } else { Err(LiveError::Dimension { expected, got }) }
    }

    // A panic while a lock is held leaves what it guards whole: every change is one step.

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn contains(&self, id: u64) -> bool {
        self.fresh.contains(id) || self.parts.iter().any(|part| part.contains(id))
    }
}

/// Which parts to merge, given how many faces each has and how many were removed from it: the newest
/// few, as long as they are together half as large as the one before or more; else one that is mostly
/// of removed faces.
fn due(sizes: &[(usize, usize)]) -> Option<std::ops::Range<usize>> {
    let end = sizes.len();
    let mut start = end.checked_sub(1)?;
    let mut together = sizes[start].0;
    while start > 0 && sizes[start - 1].0 <= 2 * together {
        start -= 1;
        together += sizes[start].0;
    }
    if start + 1 < end {
        return Some(start..end);
    }
    let hollow = sizes.iter().position(|(len, removed)| removed > len)?;
    Some(hollow..hollow + 1)
}

/// Where an index keeps its files.
fn file(dir: &Path, number: u64, what: &str) -> PathBuf {
    dir.join(format!("{number}.{what}"))
}
