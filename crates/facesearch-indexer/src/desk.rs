//! What a file means for the store: one file at a time, in the order of the walk.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use facesearch_core::{
    Change, ContentHash, FaceId, FaceRecord, FaceStore, FileEntry, Outcome, PhotoRecord,
    StoreError, display_path,
};

use crate::claims::{Claims, is_gone, leaving, named, outcome_at, stands_for};
use crate::error::IndexError;
use crate::file::{read_and_hash, too_large};
use crate::identity::Verdict;
use crate::item::{Item, Reading, Seen, SeenFace};
use crate::reader::reason;
use crate::worker::Vision;

/// What became of one file.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// What to commit; nothing where all is as it was.
    pub(crate) changes: Vec<Change>,
    /// `None` where the file is no photo.
    pub(crate) outcome: Option<Outcome>,
    /// Whether the file was left unread.
    pub(crate) unchanged: bool,
    /// Whether the photo is left out, because the people in it were removed.
    pub(crate) forgotten: bool,
    /// Chips that were embedded only now.
    pub(crate) embedded: u64,
    /// Faces that are not kept because they are not good enough.
    pub(crate) below_quality: u64,
    /// Lines worth reading.
    pub(crate) notes: Vec<String>,
    /// Whether the run was stopped before it was known what the file means.
    pub(crate) stopped: bool,
}

/// Decides, in changes that are not made yet.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) claims: Claims<'a>,
    pub(crate) vision: Vision<'a>,
    /// Faces of a lower quality are not kept.
    pub(crate) min_quality: f32,
    /// The caller's wish to end early.
    pub(crate) stop: &'a AtomicBool,
    /// Whether photos come in again that were taken out with the people in them.
    pub(crate) readmit: bool,
}

impl Desk<'_> {
    /// What `item` means for the store as it is now.
    pub(crate) fn settle(&self, item: Item) -> Result<Settled, IndexError> {
        let old = self.claims.store.file(&item.path)?;
        match (&item.reading, old) {
            (Reading::NotPhoto | Reading::Stopped, _) => Ok(Settled::default()),
            (Reading::Unchanged, Some(old)) => self.unchanged(item, old),
            // Its ledger line is gone since it was looked at; whatever it is, it is read.
            (Reading::Unchanged, None) => self.read_again(item, None),
            (Reading::Unreadable(why), old) => {
                let why = why.clone();
                Ok(self.unreadable(&item, old.as_ref(), why)?)
            }
            (Reading::Content(..), old) => self.content(item, old),
        }
    }

    fn unchanged(&self, item: Item, old: FileEntry) -> Result<Settled, IndexError> {
        let mut settled = Settled { unchanged: true, ..Settled::default() };
        if let Some(content) = stands_for(&old) {
            match self.claims.store.photo(&content)? {
                None => return self.read_again(item, Some(old)),
                Some(photo) if photo.path == item.path => {
                    self.claims.relabel(&photo, &mut settled.changes)?;
                }
                Some(_) => {}
            }
        }
        settled.notes.extend(failure_note(&item.path, &old));
        settled.outcome = Some(old.outcome);
        Ok(settled)
    }

    fn unreadable(
        &self,
        item: &Item,
        old: Option<&FileEntry>,
        why: String,
    ) -> Result<Settled, StoreError> {
        let entry = FileEntry {
            stat: item.stat,
            read_ns: item.read_ns,
            content: None,
            outcome: Outcome::Unreadable(why),
            keeps: old.and_then(stands_for),
        };
        let mut settled = Settled::default();
        self.write(&item.path, old, entry, &mut settled)?;
        Ok(settled)
    }

    /// A content that was thought to be known is not: the file is read and looked at here and now.
    fn read_again(&self, mut item: Item, old: Option<FileEntry>) -> Result<Settled, IndexError> {
        let (content, bytes) = match read_and_hash(&item.path, self.stop) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Settled { stopped: true, ..Settled::default() }),
            Err(error) => return Ok(self.unreadable(&item, old.as_ref(), reason(&error))?),
        };
        let store = self.claims.store;
        let seen = match bytes {
            _ if store.photo(&content)?.is_some() => None,
            _ if !self.readmit && store.is_forgotten(&content)? => None,
            Some(bytes) => Some(self.vision.see(&bytes)?),
            None => Some(Seen::failed(Outcome::Rejected(too_large()))),
        };
        let embedded = seen.as_ref().map_or(0, |seen| seen.faces.len() as u64);
        item.reading = Reading::Content(content, seen);
        Ok(Settled { embedded, ..self.content(item, old)? })
    }

    fn content(&self, item: Item, old: Option<FileEntry>) -> Result<Settled, IndexError> {
        let Item { path, stat, read_ns, reading: Reading::Content(content, seen) } = item else {
            unreachable!("the caller has matched the content");
        };
        let mut settled = Settled::default();
        let photo = match (self.claims.store.photo(&content)?, seen) {
            (Some(photo), _) => photo,
            (None, _) if !self.readmit && self.claims.store.is_forgotten(&content)? => {
                return Ok(self.forgotten(&path, old.as_ref())?);
            }
            (None, Some(seen)) => self.add_photo(&path, content, seen, &mut settled)?,
            (None, None) => {
                let reading = Reading::Unchanged;
                return self.read_again(Item { path, stat, read_ns, reading }, old);
            }
        };
        let keeps = self.keeps(&path, old.as_ref(), &content, &photo)?;
        let mut entry =
            FileEntry { stat, read_ns, content: Some(content), outcome: Outcome::NoFace, keeps };
        entry.outcome = self.outcome(&path, old.as_ref(), &entry, photo, &mut settled)?;
        self.write(&path, old.as_ref(), entry, &mut settled)?;
        Ok(settled)
    }

    /// A photo that was taken out with the people in it: nothing is written down of it, and its
    /// path gives up what it named before.
    fn forgotten(&self, path: &Path, old: Option<&FileEntry>) -> Result<Settled, StoreError> {
        let mut settled = Settled { forgotten: true, ..Settled::default() };
        for content in named(old) {
            self.claims.release(&content, path, &mut settled.changes)?;
        }
        if old.is_some() {
            settled.changes.push(Change::RemoveFile(path.to_owned()));
        }
        Ok(settled)
    }

    /// The earlier content that the path goes on naming: for good, if the new one is a failure;
    /// else until the end of the run, if no other path claims it.
    fn keeps(
        &self,
        path: &Path,
        old: Option<&FileEntry>,
        content: &ContentHash,
        photo: &PhotoRecord,
    ) -> Result<Option<ContentHash>, StoreError> {
        let Some(old) = old else { return Ok(None) };
        if old.content.as_ref() == Some(content) {
            return Ok(old.keeps);
        }
        let Some(earlier) = stands_for(old).filter(|earlier| earlier != content) else {
            return Ok(None);
        };
        let wanted = photo.outcome.is_failure() || self.claims.others(&earlier, path)?.is_empty();
        Ok(wanted.then_some(earlier))
    }

    /// What the path's ledger line says of `photo`, and who answers for the photo from now on.
    fn outcome(
        &self,
        path: &Path,
        old: Option<&FileEntry>,
        entry: &FileEntry,
        photo: PhotoRecord,
        settled: &mut Settled,
    ) -> Result<Outcome, StoreError> {
        let content = photo.content;
        let stays = old.is_some_and(|old| old.content == Some(content));
        if photo.path == path {
            if self.claims.store.photo(&content)?.is_some() {
                self.claims.relabel(&photo, &mut settled.changes)?;
            }
            return Ok(photo.outcome);
        }
        let answers = self.claims.store.file(&photo.path)?;
        if answers.is_some_and(|entry| entry.content == Some(content))
            && photo.path.as_os_str() < path.as_os_str()
        {
            if !stays {
                settled.notes.extend(self.other_label(path, &photo)?);
            }
            return Ok(outcome_at(path, &photo.path, &photo));
        }
        // The path's own line is written by the caller.
        let claimants = self.claims.with(&content, path, entry)?;
        let mut changes = Vec::new();
        let first = self.claims.appoint(photo.clone(), &claimants, &mut changes)?;
        changes.retain(|change| !matches!(change, Change::PutFile(p, _) if p == path));
        settled.changes.extend(changes);
        Ok(outcome_at(path, &first, &photo))
    }

    /// A line for a copy that is named otherwise than the photo it is a copy of.
    fn other_label(&self, path: &Path, photo: &PhotoRecord) -> Result<Option<String>, StoreError> {
        let Some(id) = photo.faces.first() else { return Ok(None) };
        let label = self.claims.store.face(*id)?.and_then(|face| face.identity);
        let Verdict::Label(own @ Some(_)) = self.claims.verdict(path)? else {
            return Ok(None);
        };
        let counts_as = match &label {
            _ if own == label => return Ok(None),
            Some(label) => format!("counts as `{}`", display_path(Path::new(label))),
            None => "counts as nobody".into(),
        };
        let (copy, original) = (display_path(path), display_path(&photo.path));
        Ok(Some(format!("{copy}: the same photo as {original}, and {counts_as}")))
    }

    /// Writes the path's ledger line, and releases what it named and names no longer. What it only
    /// keeps the faces of is better answered for by a path that has the bytes.
    fn write(
        &self,
        path: &Path,
        old: Option<&FileEntry>,
        entry: FileEntry,
        settled: &mut Settled,
    ) -> Result<(), StoreError> {
        for content in named(old) {
            if ![entry.content, entry.keeps].contains(&Some(content)) {
                self.claims.release(&content, path, &mut settled.changes)?;
            } else if entry.content != Some(content) && entry.outcome.is_failure() {
                self.claims.step_back(&content, path, &entry, &mut settled.changes)?;
            }
        }
        settled.notes.extend(failure_note(path, &entry));
        settled.outcome = Some(entry.outcome.clone());
        settled.changes.push(Change::PutFile(path.to_owned(), entry));
        Ok(())
    }

    fn add_photo(
        &self,
        path: &Path,
        content: ContentHash,
        seen: Seen,
        settled: &mut Settled,
    ) -> Result<PhotoRecord, StoreError> {
        let FaceId(first) = self.claims.store.next_face_id()?;
        let mut identity = self.claims.verdict(path)?.settle(None);
        let (mut faces, mut kept) = (Vec::new(), 0);
        for SeenFace { face, quality, embedding } in seen.faces {
            // The label is that of the most prominent face; where it is not kept, nobody else gets
            // it. Its number stays the first all the same, and no face has it: later runs give the
            // label to whatever face has a photo's first number.
            let identity = identity.take();
            let id = FaceId(first + faces.len() as u64);
            let too_bad = quality.is_some_and(|quality| quality.0 < self.min_quality);
            settled.below_quality += u64::from(too_bad && embedding.is_some());
            let Some(embedding) = embedding.filter(|_| !too_bad) else {
                if faces.is_empty() {
                    faces.push(id);
                }
                continue;
            };
            let record = FaceRecord { id, photo: content, face, quality, identity };
            settled.changes.push(Change::AddFace(record, embedding));
            faces.push(id);
            kept += 1;
        }
        if kept == 0 {
            faces.clear();
        }
        let outcome = match (seen.failure, kept) {
            (Some(failure), _) => failure,
            (None, 0) => Outcome::NoFace,
            (None, count) => Outcome::Faces(count),
        };
        let (width, height) = (seen.width, seen.height);
        let photo = PhotoRecord { content, path: path.to_owned(), width, height, outcome, faces };
        settled.changes.push(Change::PutPhoto(photo.clone()));
        Ok(photo)
    }

    /// What is left to do for a path when the walk is over.
    pub(crate) fn sweep(&self, path: &Path, prune: bool) -> Result<Settled, StoreError> {
        let mut settled = Settled::default();
        let Some(mut entry) = self.claims.store.file(path)? else { return Ok(settled) };
        if is_vanished(path) && (prune || self.is_to_be_had_elsewhere(path, &entry)?) {
            for content in named(Some(&entry)) {
                self.claims.release(&content, path, &mut settled.changes)?;
            }
            settled.changes.push(Change::RemoveFile(path.to_owned()));
        } else if let Some(content) = leaving(&entry) {
            self.claims.release(&content, path, &mut settled.changes)?;
            entry.keeps = None;
            settled.changes.push(Change::PutFile(path.to_owned(), entry));
        }
        Ok(settled)
    }

    /// Whether nothing is lost with the ledger line of a path where there is no file any more.
    fn is_to_be_had_elsewhere(&self, path: &Path, entry: &FileEntry) -> Result<bool, StoreError> {
        let Some(content) = stands_for(entry).or(entry.content) else {
            // It could not be read, so nothing was ever found in it.
            return Ok(true);
        };
        let others = self.claims.others(&content, path)?;
        Ok(others
            .iter()
            .any(|(other, entry)| entry.content == Some(content) && !is_vanished(other)))
    }
}

/// Whether there is no file at a path of the ledger any more.
fn is_vanished(path: &Path) -> bool {
    is_gone(path) || path.is_dir()
}

fn failure_note(path: &Path, entry: &FileEntry) -> Option<String> {
    let what = match &entry.outcome {
        Outcome::Rejected(why) => format!("rejected: {why}"),
        Outcome::Undecodable(why) => format!("cannot decode: {why}"),
        Outcome::Unreadable(why) => format!("cannot read: {why}"),
        _ => return None,
    };
    let kept = if entry.keeps.is_some() { "; its earlier faces are kept" } else { "" };
    Some(format!("{}: {what}{kept}", display_path(path)))
}

/// What the end of a run has to look at again.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Paths that leave a content.
    pub(crate) leaving: Vec<PathBuf>,
    /// Paths without a file.
    pub(crate) vanished: Vec<PathBuf>,
}

impl Unfinished {
    /// Adds the ledger's paths below `root`, but for the folders that could not be read just now.
    pub(crate) fn collect(
        &mut self,
        store: &dyn FaceStore,
        root: &Path,
        unreadable: &HashSet<PathBuf>,
    ) -> Result<(), StoreError> {
        store.for_each_file(root, &mut |path, entry| {
            if is_vanished(&path) && !unreadable.contains(&path) {
                self.vanished.push(path);
            } else if leaving(&entry).is_some() {
                self.leaving.push(path);
            }
            Ok(())
        })
    }
}
