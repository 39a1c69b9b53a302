//! Which paths stand for a content, and which of them answers name.
//!
//! A path *claims* a content if its ledger line says that these are its bytes, or that it keeps the
//! faces of these bytes because the ones it has now are a failure. A line whose bytes are good and
//! that keeps another content all the same is no claim: it is a *leaving*. A file that was
//! overwritten leaves its old content so until the end of the run, since that content may be met
//! again further on under another name, and need then not be looked at again. The ledger remembers
//! leavings, so that a run which was killed is finished by the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use facesearch_core::{
    Change, ContentHash, FaceStore, FileEntry, Judgement, Outcome, PhotoRecord, StoreError,
};

use crate::identity::{IdentityRule, Verdict};
use crate::roots::Roots;

/// The content whose faces a path stands for.
pub(crate) fn stands_for(entry: &FileEntry) -> Option<ContentHash> {
    if entry.outcome.is_failure() { entry.keeps } else { entry.content }
}

/// The content that a path is about to give up.
pub(crate) fn leaving(entry: &FileEntry) -> Option<ContentHash> {
    if entry.outcome.is_failure() { None } else { entry.keeps }
}

/// Every content that a ledger line names.
pub(crate) fn named(entry: Option<&FileEntry>) -> impl Iterator<Item = ContentHash> {
    entry.into_iter().flat_map(|entry| [entry.content, entry.keeps]).flatten()
}

fn claims(entry: &FileEntry, content: &ContentHash) -> bool {
    entry.content.as_ref() == Some(content) || stands_for(entry).as_ref() == Some(content)
}

/// Whether there is nothing at `path` any more; where that cannot be told, there is.
pub(crate) fn is_gone(path: &Path) -> bool {
    let error = fs::symlink_metadata(path).err().map(|error| error.kind());
    matches!(error, Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// Decides who answers for a content, in changes that are not made yet.
#[derive(Clone, Copy)]
pub(crate) struct Claims<'a> {
    pub(crate) store: &'a dyn FaceStore,
    pub(crate) rule: &'a IdentityRule,
    pub(crate) roots: &'a Roots,
}

impl Claims<'_> {
    /// The paths that claim `content`, but for `except`, ascending.
    pub(crate) fn others(
        &self,
        content: &ContentHash,
        except: &Path,
    ) -> Result<Vec<(PathBuf, FileEntry)>, StoreError> {
        let mut others = Vec::new();
        for path in self.store.paths_of(content)? {
            if path == except {
                continue;
            }
            let entry = self.store.file(&path)?;
            others.extend(entry.filter(|e| claims(e, content)).map(|entry| (path, entry)));
        }
        Ok(others)
    }

    /// What follows for `content` when `path` names it no longer: it goes, if it was the last.
    pub(crate) fn release(
        &self,
        content: &ContentHash,
        path: &Path,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let Some(photo) = self.store.photo(content)? else { return Ok(()) };
        let others = self.others(content, path)?;
        if others.is_empty() {
            if self.store.paths_of(content)?.iter().all(|other| other == path) {
                for id in &photo.faces {
                    if self.store.face(*id)?.is_some() {
                        changes.push(Change::RemoveFace(*id));
                    }
                }
                changes.push(Change::RemovePhoto(*content));
            }
        } else if photo.path == path {
            self.appoint(photo, &others, changes)?;
        }
        Ok(())
    }

    /// Decides anew who answers for `content` when `path`, which did, only keeps its faces from now
    /// on: `entry` is its new ledger line.
    pub(crate) fn step_back(
        &self,
        content: &ContentHash,
        path: &Path,
        entry: &FileEntry,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let photo = self.store.photo(content)?.filter(|photo| photo.path == path);
        let Some(photo) = photo else { return Ok(()) };
        let claimants = self.with(content, path, entry)?;
        self.appoint(photo, &claimants, changes)?;
        Ok(())
    }

    /// The paths that claim `content`, ascending, with `path` as `entry` will have it.
    pub(crate) fn with(
        &self,
        content: &ContentHash,
        path: &Path,
        entry: &FileEntry,
    ) -> Result<Vec<(PathBuf, FileEntry)>, StoreError> {
        let mut claimants = self.others(content, path)?;
        let place = claimants.partition_point(|(p, _)| p.as_os_str() < path.as_os_str());
        claimants.insert(place, (path.to_owned(), entry.clone()));
        Ok(claimants)
    }

    /// Makes the first of `claimants`, which are ascending, answer for `photo`: the first that
    /// has its bytes, or else the first that keeps its faces. Returns it.
    ///
    /// Whether there still is a file at that path is not asked here: the end of a run drops those
    /// of its roots that have none, and what other roots hold is not this run's to judge.
    pub(crate) fn appoint(
        &self,
        mut photo: PhotoRecord,
        claimants: &[(PathBuf, FileEntry)],
        changes: &mut Vec<Change>,
    ) -> Result<PathBuf, StoreError> {
        let has_bytes = claimants.iter().find(|(_, entry)| entry.content == Some(photo.content));
        let first = has_bytes.or(claimants.first());
        let first = first.map_or_else(|| photo.path.clone(), |(path, _)| path.clone());
        for (path, entry) in claimants {
            if entry.content == Some(photo.content) {
                let outcome = outcome_at(path, &first, &photo);
                if outcome != entry.outcome {
                    let entry = FileEntry { outcome, ..entry.clone() };
                    changes.push(Change::PutFile(path.clone(), entry));
                }
            }
        }
        if photo.path != first {
            photo.path = first.clone();
            changes.push(Change::PutPhoto(photo.clone()));
        }
        self.relabel(&photo, changes)?;
        Ok(first)
    }

    /// What the rule says of `path`, in the names that people gave to its labels.
    pub(crate) fn verdict(&self, path: &Path) -> Result<Verdict, StoreError> {
        let named = |label: String| -> Result<String, StoreError> {
            Ok(self.store.goes_by(&label)?.unwrap_or(label))
        };
        Ok(match self.rule.verdict(path, self.roots) {
            Verdict::Label(Some(label)) => Verdict::Label(Some(named(label)?)),
            Verdict::KeepOnly(label) => Verdict::KeepOnly(named(label)?),
            other => other,
        })
    }

    /// Gives the photo's most prominent face the label that its path has now, unless somebody said
    /// whose it is, or that it is not of this person.
    pub(crate) fn relabel(
        &self,
        photo: &PhotoRecord,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let Some(id) = photo.faces.first() else { return Ok(()) };
        let Some(mut face) = self.store.face(*id)? else { return Ok(()) };
        if self.store.is_said(*id)? {
            return Ok(());
        }
        let mut identity = self.verdict(&photo.path)?.settle(face.identity.as_deref());
        if let Some(label) = &identity
            && self.store.judgement(*id, label)? == Some(Judgement::Denied)
        {
            identity = None;
        }
        if identity != face.identity {
            face.identity = identity;
            changes.push(Change::UpdateFace(face));
        }
        Ok(())
    }
}

/// What the ledger says at `path` of a photo for which `first` answers.
pub(crate) fn outcome_at(path: &Path, first: &Path, photo: &PhotoRecord) -> Outcome {
    if path == first || photo.outcome.is_failure() {
        photo.outcome.clone()
    } else {
        Outcome::DuplicateOf(first.to_owned())
    }
}
