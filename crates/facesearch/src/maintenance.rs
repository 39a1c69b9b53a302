//! Taking photos and people out of an index, and keeping its files in order.

use std::path::{Path, PathBuf};

use facesearch_core::{
    Contract, FaceId, FaceStore, Gallery, GalleryError, Published, Publisher, Row, RowSet,
    display_path,
};
use facesearch_query::Filter;
use facesearch_store::SledStore;

use crate::engine::{Engine, STORE};
use crate::error::{Error, Result};
use crate::imported::{Imported, is_imported};

/// What is to be taken out of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Photos, or folders of them, as the index has them.
    pub paths: Vec<PathBuf>,
    /// Every face of these people.
    pub identities: Vec<String>,
    /// Single faces.
    pub faces: Vec<FaceId>,
}

/// What was taken out of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Faces.
    pub faces: u64,
    /// Files of the ledger.
    pub files: u64,
    /// For each person, files that stay although their path names the person: other faces are in
    /// them.
    pub left: Vec<(String, Vec<PathBuf>)>,
}

impl Engine {
    /// Takes photos, people and faces out; the next query does not find them.
    ///
    /// What is removed may stay in unused parts of the index's files until [`purge`](Self::purge).
    /// A photo that is removed by its path comes back if its folder is indexed again; the photos of
    /// a person do not, until a run [readmits](crate::IndexRun::readmit) them.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is no index, [`Error::Store`] where it cannot be written,
    /// [`Error::Unpublished`] where the removal is made and readers do not see it yet.
    pub fn remove(&mut self, removal: &Removal) -> Result<Removed> {
        if is_imported(&self.contract()?) {
            return self.remove_imported(removal);
        }
        // Before an interrupted removal is published: what readers find then counts as removed now.
        let before = self.reader().published().ok();
        self.take()?.publishing(|store, publisher| {
            let mut removed = remove_from(store, removal)?;
            if let Some(before) = before {
                removed.faces = removed.faces.max(gone(removal, store, &*before).unwrap_or(0));
            }
            if publisher.is_behind(store)? {
                // The search structures that stand are kept; those faces are left out of them.
                publisher.publish(store, false).map_err(|source| Error::Unpublished {
                    what: "what was asked for is removed from the store, but readers still find \
                           it; any command that changes the index publishes it, also the same one \
                           again"
                        .into(),
                    source,
                })?;
            }
            Ok(removed)
        })
    }

    fn remove_imported(&mut self, removal: &Removal) -> Result<Removed> {
        let index = Imported::open(self.dir())?;
        let Some(standing) = index.standing() else {
            return Err(Error::index(format!("{} is gone", display_path(self.dir()))));
        };
        let goes = rows_of(removal, standing)?;
        if !goes.is_empty() {
            let contract = standing.contract().clone();
            index.publish(&contract, false, |_, row| !goes.contains(row), std::iter::empty())?;
            self.show_published()?;
        }
        Ok(Removed { faces: goes.len() as u64, ..Removed::default() })
    }

    /// Writes the index anew, so that removed faces and photos are in none of its files.
    ///
    /// The disk itself may keep what a deleted file held until it uses the place again.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is no index, [`Error::Store`] where it cannot be written: the
    /// old files are then still there.
    pub fn purge(&mut self) -> Result<()> {
        let contract = self.contract()?;
        if is_imported(&contract) {
            let index = Imported::open(self.dir())?;
            let contract = standing_contract(&index, contract);
            index.publish(&contract, true, |_, _| true, std::iter::empty())?;
            index.forget_earlier()?;
        } else {
            // The store is rewritten while nobody has it open.
            self.release();
            let store = self.dir().join(STORE);
            SledStore::rewrite(&store)?;
            let store = SledStore::open(&store)?;
            let publisher = self.publisher();
            publisher.publish(&store, true)?;
            publisher.forget_earlier()?;
        }
        self.show_published()
    }

    /// Merges the search structures into one, the fastest to search, until faces are added or
    /// removed.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is no index, [`Error::Store`] where it cannot be written.
    pub fn optimize(&mut self) -> Result<Published> {
        let contract = self.contract()?;
        let published = if is_imported(&contract) {
            let index = Imported::open(self.dir())?.with_single_structure();
            let contract = standing_contract(&index, contract);
            index.publish(&contract, true, |_, _| true, std::iter::empty())?
        } else {
            self.release();
            let store = SledStore::open(&self.dir().join(STORE))?;
            store.flush()?;
            self.publisher().with_single_structure().publish(&store, true)?
        };
        self.show_published()?;
        Ok(published)
    }

    /// What the index is pinned to.
    fn contract(&self) -> Result<Contract> {
        let dir = || self.dir().to_owned();
        self.pinned()?.ok_or_else(|| GalleryError::NotFound { path: dir() }.into())
    }
}

fn remove_from(store: &SledStore, removal: &Removal) -> Result<Removed> {
    let mut removed = Removed::default();
    for path in &removal.paths {
        let of_path = facesearch_indexer::remove_path(store, path)?;
        removed.faces += of_path.faces;
        removed.files += of_path.files;
    }
    for identity in &removal.identities {
        let names = store.names_of(identity)?;
        let of_person = facesearch_indexer::remove_identity(store, identity, &names)?;
        // Last: an interrupted removal finds the person's other names here when it is repeated.
        store.forget_names(&names)?;
        removed.faces += of_person.faces;
        removed.files += of_person.files;
        removed.left.push((identity.clone(), of_person.left));
    }
    removed.faces += facesearch_indexer::remove_faces(store, &removal.faces)?.faces;
    store.flush()?;
    Ok(removed)
}

/// How many of the faces asked for readers see although the store has them no more: an earlier
/// command may have removed them without publishing.
fn gone(removal: &Removal, store: &SledStore, published: &dyn Gallery) -> Result<u64> {
    let mut gone = 0;
    for row in rows_of(removal, published)?.iter() {
        gone += u64::from(store.face(published.face(row).id)?.is_none());
    }
    Ok(gone)
}

/// The rows of what is to be removed.
fn rows_of(removal: &Removal, gallery: &dyn Gallery) -> Result<RowSet> {
    let mut rows = RowSet::none(gallery.len());
    let mut add = |filter: Filter| -> Result<()> {
        filter.rows(gallery)?.iter().for_each(|row| rows.insert(row));
        Ok(())
    };
    // Names that an imported file had are kept as they are; all other paths are full ones.
    let full = removal.paths.iter().filter_map(|path| std::path::absolute(path).ok());
    for path in removal.paths.iter().cloned().chain(full) {
        add(Filter { path_prefix: Some(path), ..Filter::default() })?;
    }
    if !removal.identities.is_empty() {
        add(Filter { within: removal.identities.clone(), ..Filter::default() })?;
    }
    if !removal.faces.is_empty() {
        let all = (0..gallery.len() as u32).map(Row);
        let asked = all.filter(|row| removal.faces.contains(&gallery.face(*row).id));
        asked.for_each(|row| rows.insert(row));
    }
    Ok(rows)
}

fn standing_contract(index: &Imported, otherwise: Contract) -> Contract {
    index.standing().map_or(otherwise, |standing| standing.contract().clone())
}

/// Bytes of all files below a folder; what cannot be read counts as nothing.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
