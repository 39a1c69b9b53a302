//! Taking photos and people out of an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use facesearch_core::{Change, ContentHash, FaceId, FaceStore, FileEntry, StoreError};

use crate::claims::{Claims, named};
use crate::error::IndexError;
use crate::identity::{self, IdentityRule};
use crate::roots::{Roots, absolute};

/// What was taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Ledger lines.
    pub files: u64,
    /// Faces.
    pub faces: u64,
    /// Files that are still in the ledger although a folder or they themselves are named after the
    /// person: other people's faces are in them. In order.
    pub left: Vec<PathBuf>,
}

/// Forgets every file at or below `path`. A photo that is also elsewhere stays, under that path.
///
/// Should the file still be there when its folder is indexed again, it comes back.
///
/// # Errors
///
/// [`IndexError`] where the store cannot be read or written.
pub fn remove_path(store: &dyn FaceStore, path: &Path) -> Result<Removed, IndexError> {
    let top = absolute(path).map_err(|source| nowhere(path, source))?;
    let mut paths = Vec::new();
    store.for_each_file(&top, &mut |path, entry| {
        paths.push((path, entry));
        Ok(())
    })?;
    let before = store.face_count()?;
    let removal = Removal { store, roots: &Roots::default() };
    for (path, entry) in &paths {
        // Who answers for a photo depends on what was removed before.
        store.commit(&removal.line(path, entry)?)?;
    }
    store.flush()?;
    let faces = before - store.face_count()?;
    Ok(Removed { files: paths.len() as u64, faces, left: Vec::new() })
}

/// Forgets every face labelled `identity`, and with them what would still tell of the person:
/// photos without any other face, which are marked as to be left out by later runs
/// ([`Change::Forget`]), and the lines of files that are named after one of `names` and that no
/// other face needs. `names` are what the person goes by in names of files and folders, usually
/// `identity` and what was renamed to it.
///
/// Other faces in photos of the person stay, and so do these photos. Where a removal was
/// interrupted, the same call completes it.
///
/// # Errors
///
/// [`IndexError`] where the store cannot be read or written.
pub fn remove_identity(
    store: &dyn FaceStore,
    identity: &str,
    names: &BTreeSet<String>,
) -> Result<Removed, IndexError> {
    let mut photos: BTreeMap<ContentHash, BTreeSet<FaceId>> = BTreeMap::new();
    store.for_each_face(&mut |record, _| {
        if record.identity.as_deref() == Some(identity) {
            photos.entry(record.photo).or_default().insert(record.id);
        }
        Ok(())
    })?;
    let mut removed = Removed::default();
    let removal = Removal { store, roots: &Roots::default() };
    for (content, faces) in &photos {
        removed.faces += faces.len() as u64;
        removed.files += removal.photo(content, faces)?;
    }
    removal.lines_named(names, &mut removed)?;
    store.flush()?;
    Ok(removed)
}

/// Forgets single faces; those that are not there are passed over. Their photos stay in the ledger,
/// so that a later run does not bring the faces back.
///
/// # Errors
///
/// [`IndexError`] where the store cannot be read or written.
pub fn remove_faces(store: &dyn FaceStore, faces: &[FaceId]) -> Result<Removed, IndexError> {
    /// Faces that one commit removes.
    const PORTION: usize = 1000;
    let mut changes = Vec::new();
    for id in faces {
        if store.face(*id)?.is_some() {
            changes.push(Change::RemoveFace(*id));
        }
    }
    for portion in changes.chunks(PORTION) {
        store.commit(portion)?;
    }
    store.flush()?;
    Ok(Removed { faces: changes.len() as u64, ..Removed::default() })
}

#[derive(Clone, Copy)]
struct Removal<'a> {
    store: &'a dyn FaceStore,
    /// None: labels stay as they are.
    roots: &'a Roots,
}

impl Removal<'_> {
    /// What follows when the ledger's line of `path` goes.
    fn line(&self, path: &Path, entry: &FileEntry) -> Result<Vec<Change>, StoreError> {
        let claims = Claims { store: self.store, rule: &IdentityRule::Folder, roots: self.roots };
        let mut changes = Vec::new();
        for content in named(Some(entry)) {
            claims.release(&content, path, &mut changes)?;
        }
        changes.push(Change::RemoveFile(path.to_owned()));
        Ok(changes)
    }

    /// Removes `faces` from a photo, and the photo with all its lines where it has no others.
    /// Returns how many lines that were.
    fn photo(&self, content: &ContentHash, faces: &BTreeSet<FaceId>) -> Result<u64, StoreError> {
        let mut changes: Vec<Change> = faces.iter().copied().map(Change::RemoveFace).collect();
        if self.faces_in(content)?.iter().any(|face| !faces.contains(face)) {
            self.store.commit(&changes)?;
            return Ok(0);
        }
        let mut lines = Vec::new();
        for path in self.store.paths_of(content)? {
            lines.extend(self.store.file(&path)?.map(|entry| (path, entry)));
        }
        // The last line goes together with the photo, so that an interrupted removal still finds
        // it.
        let last = lines.pop();
        for (path, entry) in &lines {
            self.store.commit(&self.line(path, entry)?)?;
        }
        let files = lines.len() + usize::from(last.is_some());
        changes.extend([Change::RemovePhoto(*content), Change::Forget(*content)]);
        if let Some((path, entry)) = last {
            changes.extend(self.line(&path, &entry)?);
        }
        self.store.commit(&changes)?;
        Ok(files as u64)
    }

    /// Removes lines that one of `names` is in, unless a face needs them.
    fn lines_named(
        &self,
        names: &BTreeSet<String>,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        let mut lines = Vec::new();
        self.store.for_each_file(Path::new(""), &mut |path, entry| {
            if identity::is_named_after(&path, names) {
                lines.push((path, entry));
            }
            Ok(())
        })?;
        for (path, entry) in lines {
            if self.is_needed(&entry, names)? {
                removed.left.push(path);
            } else {
                self.store.commit(&self.line(&path, &entry)?)?;
                removed.files += 1;
            }
        }
        Ok(())
    }

    /// Whether a line leads to faces that no line without one of `names` leads to.
    fn is_needed(&self, entry: &FileEntry, names: &BTreeSet<String>) -> Result<bool, StoreError> {
        for content in named(Some(entry)) {
            if !self.faces_in(&content)?.is_empty() {
                let paths = self.store.paths_of(&content)?;
                if paths.iter().all(|path| identity::is_named_after(path, names)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The faces of a photo that are there.
    fn faces_in(&self, content: &ContentHash) -> Result<Vec<FaceId>, StoreError> {
        let mut faces = Vec::new();
        for id in self.store.photo(content)?.into_iter().flat_map(|photo| photo.faces) {
            faces.extend(self.store.face(id)?.map(|face| face.id));
        }
        Ok(faces)
    }
}

fn nowhere(path: &Path, source: std::io::Error) -> IndexError {
    let path = path.to_owned();
    StoreError::Io { action: "find", path, source: source.into() }.into()
}
