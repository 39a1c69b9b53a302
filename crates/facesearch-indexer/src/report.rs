//! What a run came to.

use std::time::Duration;

use facesearch_core::{Change, Outcome, Published};

/// How many files had which outcome. Every photo that the run met counts once, read or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named after `Outcome`, which is documented")]
pub struct OutcomeCounts {
    pub faces: u64,
    pub no_face: u64,
    pub rejected: u64,
    pub undecodable: u64,
    pub unreadable: u64,
    pub duplicates: u64,
}

impl OutcomeCounts {
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Faces(_) => &mut self.faces,
            Outcome::NoFace => &mut self.no_face,
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Undecodable(_) => &mut self.undecodable,
            Outcome::Unreadable(_) => &mut self.unreadable,
            Outcome::DuplicateOf(_) => &mut self.duplicates,
        } += 1;
    }

    /// All photos that were met.
    pub fn total(&self) -> u64 {
        self.faces + self.no_face + self.duplicates + self.failures()
    }

    /// Those that failed.
    pub fn failures(&self) -> u64 {
        self.rejected + self.undecodable + self.unreadable
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The photos that were met.
    pub outcomes: OutcomeCounts,
    /// Photos left unread because the file system says that they are as they were.
    pub unchanged: u64,
    /// Files that are no photos.
    pub not_photos: u64,
    /// Links that lead out of the roots and were not followed.
    pub links_not_followed: u64,
    /// Photos that were left out, because all people in them had been removed.
    pub forgotten: u64,
    /// Ledger lines without a file any more, which were kept.
    pub vanished: u64,
    /// Ledger lines that were dropped.
    pub dropped: u64,
    /// Faces that were stored.
    pub faces_added: u64,
    /// Faces that were removed.
    pub faces_removed: u64,
    /// Faces that got another label.
    pub relabelled: u64,
    /// Faces that were found and not stored, because their quality was below the one wanted.
    pub below_quality: u64,
    /// Chips that the model was given.
    pub embedded: u64,
    /// The last publication, where there was one.
    pub published: Option<Published>,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// Files that failed: where there are any, the run ends with exit code 5.
    pub fn failures(&self) -> u64 {
        self.outcomes.failures()
    }

    pub(crate) fn count_changes(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::AddFace(..) => self.faces_added += 1,
                Change::RemoveFace(_) => self.faces_removed += 1,
                Change::UpdateFace(_) => self.relabelled += 1,
                Change::RemoveFile(_) => self.dropped += 1,
                _ => {}
            }
        }
    }
}
