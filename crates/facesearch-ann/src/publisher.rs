//! Writing a snapshot and making it the published one, in one step.

mod collect;
mod history;
mod plan;
mod segments;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use facesearch_core::{
    Contract, FaceStore, Gallery, GalleryError, Published, Publisher, StoreError,
};

pub use self::collect::SnapshotWriter;
use self::collect::Tables;
use self::history::History;
use self::segments::New;
use crate::files::{FORMAT, Kind, Mapped, io_error, sync_dir};
use crate::manifest::{
    FACES, MANIFEST, Manifest, SegmentEntry, VECTORS, generation_dir, published,
};
use crate::snapshot::Snapshot;
use crate::tables::Faces;
use crate::vectors::Vectors;

/// Publishes a store's content into an index directory.
///
/// One process publishes at a time: whoever holds the store, which is locked. Readers need no lock:
/// they go by the manifest, which is replaced in one step after all that it names is on the disk.
/// The generation before is kept for readers that are just opening it; older ones are removed.
///
/// While a run goes on, search structures are carried over and what is new is left to the scan, so
/// a publication costs a copy of the tables; at its end the structures are completed.
///
/// Memory: about fifty bytes a photo and twelve a face, besides the labels; while a structure is
/// built, three hundred bytes and a code for each of its faces.
#[derive(Debug, Clone)]
pub struct SnapshotPublisher {
    index: PathBuf,
    /// One search structure over everything.
    single: bool,
}

impl SnapshotPublisher {
    /// Publishes into the index directory `index`, which is made where it is not there.
    pub fn new(index: impl Into<PathBuf>) -> Self {
        Self { index: index.into(), single: false }
    }

    /// Makes one structure over everything: the fastest to search, and made anew when one face is
    /// added. Otherwise a large structure is left alone as long as may be.
    #[must_use]
    pub fn with_single_structure(mut self) -> Self {
        self.single = true;
        self
    }

    /// The search structures of what `tables` has.
    fn segments(
        &self,
        dir: &Path,
        tables: &Tables,
        last: bool,
    ) -> Result<Vec<SegmentEntry>, StoreError> {
        let faces = Mapped::open(&dir.join(FACES), Kind::Faces, &tables.faces);
        let faces = faces.and_then(Faces::new).map_err(just_written)?;
        let vectors = Mapped::open(&dir.join(VECTORS), Kind::Vectors, &tables.vectors);
        let vectors = vectors.and_then(Vectors::new).map_err(just_written)?;
        let ids: Vec<u64> = (0..faces.len() as u32).map(|row| faces.id(row).0).collect();
        let new = New { dir, ids: &ids, vectors: &vectors };
        // What stands may be missing or damaged: then everything is made anew.
        let standing = Snapshot::open(&self.index).ok();
        match &standing {
            Some(standing) if !last => segments::carried(&new, standing),
            None if !last => Ok(Vec::new()),
            standing => segments::complete(&new, standing.as_ref(), self.single),
        }
    }

    /// The manifest of the generation that stands, unless there is none or it is damaged: then
    /// everything is made anew.
    fn standing(&self) -> Option<Manifest> {
        Manifest::read(&self.index).ok()
    }

    /// A number that no manifest, past or present, and no directory has.
    fn next_generation(&self, standing: Option<&Manifest>) -> Result<u64, StoreError> {
        let on_disk = self.generations()?.into_iter().max();
        Ok(on_disk.max(standing.map(|manifest| manifest.generation)).unwrap_or(0) + 1)
    }

    /// The generations that have a directory.
    fn generations(&self) -> Result<Vec<u64>, StoreError> {
        let dir = published(&self.index);
        let read = || -> std::io::Result<Vec<u64>> {
            let names = fs::read_dir(&dir)?.map(|entry| Ok(entry?.file_name()));
            let names = names.collect::<std::io::Result<Vec<_>>>()?;
            Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
        };
        let unread = |source: std::io::Error| StoreError::Io {
            action: "list",
            path: dir.clone(),
            source: source.into(),
        };
        read().map_err(unread)
    }

    /// Replaces the manifest: the moment of publication.
    fn switch(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = published(&self.index).join(MANIFEST);
        facesearch_disk::replace(&path, &manifest.to_bytes())
            .map_err(|source| io_error("replace", &path, source))
    }

    /// Removes what no reader can be opening any more, and what a killed publisher left behind.
    fn clean_up(&self, published: u64, before: Option<u64>) {
        let Ok(generations) = self.generations() else { return };
        for generation in generations.into_iter().filter(|g| *g != published && Some(*g) != before)
        {
            let dir = generation_dir(&self.index, generation);
            if let Err(error) = fs::remove_dir_all(&dir) {
                tracing::warn!(dir = %dir.display(), %error, "an old generation stays");
            }
        }
    }
}

impl Publisher for SnapshotPublisher {
    fn publish(&self, store: &dyn FaceStore, last: bool) -> Result<Published, StoreError> {
        self.replace(store.contract(), Some(store), last, |w| collect::write_store(store, w))
    }

    fn is_current(&self, store: &dyn FaceStore) -> Result<bool, StoreError> {
        let (Some(content), Some(standing)) = (store.fingerprint()?, self.standing()) else {
            return Ok(false);
        };
        let same = standing.complete
            && standing.content == Some(content)
            && standing.contract == *store.contract();
        // What is damaged is made anew, so that a run is what mends it.
        Ok(same && Snapshot::open(&self.index).is_ok_and(|snapshot| snapshot.verify().is_ok()))
    }
}

impl SnapshotPublisher {
    /// Whether the store holds something else than what is published: whoever changed it was
    /// interrupted before he published. Only sums are compared.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn is_behind(&self, store: &dyn FaceStore) -> Result<bool, StoreError> {
        let standing = self.standing().and_then(|standing| standing.content);
        Ok(store.fingerprint()?.is_none_or(|content| standing != Some(content)))
    }

    /// Publishes what `fill` writes, without a store behind it: the index is then all there is.
    ///
    /// `contract` is that of every vector. Where `last` is false, building search structures for
    /// new faces is left to a later publication; they are found all the same.
    ///
    /// # Errors
    ///
    /// What `fill` reports, and [`StoreError`] where the snapshot cannot be written; what was
    /// published before then still stands.
    pub fn publish_with<E: From<StoreError>>(
        &self,
        contract: &Contract,
        last: bool,
        fill: impl FnOnce(&mut SnapshotWriter) -> Result<(), E>,
    ) -> Result<Published, E> {
        self.replace(contract, None, last, fill)
    }

    /// Removes every file that is not of the published state: what was taken out of the index is
    /// then in none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`] where a file cannot be removed.
    pub fn forget_earlier(&self) -> Result<(), StoreError> {
        let Some(standing) = self.standing() else { return Ok(()) };
        for generation in self.generations()?.into_iter().filter(|g| *g != standing.generation) {
            let dir = generation_dir(&self.index, generation);
            fs::remove_dir_all(&dir).map_err(|source| io_error("remove", &dir, source))?;
        }
        sync_dir(&published(&self.index))
    }

    fn replace<E: From<StoreError>>(
        &self,
        contract: &Contract,
        store: Option<&dyn FaceStore>,
        last: bool,
        fill: impl FnOnce(&mut SnapshotWriter) -> Result<(), E>,
    ) -> Result<Published, E> {
        make_dir(&published(&self.index))?;
        let standing = self.standing();
        let generation = self.next_generation(standing.as_ref())?;
        let dir = generation_dir(&self.index, generation);
        make_dir(&dir)?;
        let written = self.write(&dir, contract, store, last, fill);
        let (tables, segments) = written.inspect_err(|_| {
            // A later publication would remove it too; sooner is better.
            let _ = fs::remove_dir_all(&dir);
        })?;
        let before = standing.as_ref().map(|manifest| manifest.generation);
        let history = History::of(standing, &tables);
        let manifest = Manifest {
            format: FORMAT,
            generation,
            contract: contract.clone(),
            vectors: tables.vectors,
            faces: tables.faces,
            photos: tables.photos,
            identities: tables.identities,
            ledger: tables.ledger,
            judgements: tables.judgements,
            segments,
            content: store.map(|store| store.fingerprint()).transpose()?.flatten(),
            complete: last,
            next_face: history.next_face,
            added: history.added,
        };
        self.switch(&manifest)?;
        self.clean_up(generation, before);
        tracing::info!(generation, faces = tables.count, last, "published");
        Ok(Published { generation, faces: tables.count })
    }

    /// The files of a generation, but for the manifest.
    fn write<E: From<StoreError>>(
        &self,
        dir: &Path,
        contract: &Contract,
        store: Option<&dyn FaceStore>,
        last: bool,
        fill: impl FnOnce(&mut SnapshotWriter) -> Result<(), E>,
    ) -> Result<(Tables, Vec<SegmentEntry>), E> {
        let mut writer = SnapshotWriter::new(dir, contract.dimension as usize)?;
        fill(&mut writer)?;
        let tables = writer.finish(store)?;
        let segments = self.segments(dir, &tables, last)?;
        sync_dir(dir)?;
        sync_dir(&published(&self.index))?;
        Ok((tables, segments))
    }
}

/// A file that cannot be read back although it was written a moment ago.
fn just_written(error: GalleryError) -> StoreError {
    StoreError::Io {
        action: "read back",
        path: PathBuf::from("the new snapshot"),
        source: error.into(),
    }
}

fn make_dir(dir: &Path) -> Result<(), StoreError> {
    facesearch_disk::make_dir(dir).map_err(|source| io_error("make", dir, source))
}
