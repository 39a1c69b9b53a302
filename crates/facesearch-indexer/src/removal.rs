//! Taking photos and people out of an index.

use std::path::Path;

use facesearch_core::{BoxError, Change, FaceStore, StoreError};

use crate::claims::{Claims, named};
use crate::error::IndexError;
use crate::identity::IdentityRule;
use crate::roots::{Roots, absolute};

/// What was taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Ledger lines.
    pub files: u64,
    /// Faces.
    pub faces: u64,
}

/// Forgets every file at or below `path`. A photo that is also elsewhere stays, under that path.
///
/// Should the file still be there when its folder is indexed again, it comes back.
///
/// # Errors
///
/// [`IndexError`] where the store cannot be read or written.
pub fn remove_path(store: &dyn FaceStore, path: &Path) -> Result<Removed, IndexError> {
    let roots = Roots::new(&[]).map_err(|source| nowhere(path, source))?;
    let claims = Claims { store, rule: &IdentityRule::Folder, roots: &roots };
    let top = absolute(path).map_err(|source| nowhere(path, source))?;
    let before = store.face_count()?;
    let mut paths = Vec::new();
    store.for_each_file(&top, &mut |path, entry| {
        paths.push((path, entry));
        Ok(())
    })?;
    for (path, entry) in &paths {
        let mut changes = Vec::new();
        for content in named(Some(entry)) {
            claims.release(&content, path, &mut changes)?;
        }
        changes.push(Change::RemoveFile(path.clone()));
        // Who answers for a photo depends on what was removed before.
        store.commit(&changes)?;
    }
    store.flush()?;
    Ok(Removed { files: paths.len() as u64, faces: before - store.face_count()? })
}

/// Forgets every face labelled `identity`. The photos stay in the ledger, so that a later run does
/// not bring the faces back, and other faces in them stay too.
///
/// # Errors
///
/// [`IndexError`] where the store cannot be read or written.
pub fn remove_identity(store: &dyn FaceStore, identity: &str) -> Result<Removed, IndexError> {
    /// Faces that one commit removes.
    const PORTION: usize = 1000;
    let mut changes = Vec::new();
    store.for_each_face(&mut |record, _| -> Result<(), BoxError> {
        if record.identity.as_deref() == Some(identity) {
            changes.push(Change::RemoveFace(record.id));
        }
        Ok(())
    })?;
    for portion in changes.chunks(PORTION) {
        store.commit(portion)?;
    }
    store.flush()?;
    Ok(Removed { files: 0, faces: changes.len() as u64 })
}

fn nowhere(path: &Path, source: std::io::Error) -> IndexError {
    let path = path.to_owned();
    StoreError::Io { action: "find", path, source: source.into() }.into()
}
