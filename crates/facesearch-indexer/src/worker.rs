//! The middle stage: looks at photos and embeds chips, whichever is further along.

use std::panic::{AssertUnwindSafe, catch_unwind};

use facesearch_core::{
    AlignedFace, Chip, Embedder, Embedding, FaceFinder, FoundFaces, Outcome, VisionError,
};

use crate::item::{Seen, SeenFace};
use crate::queue::{Queue, Work};

/// The longest reason that goes into the ledger, in bytes.
const REASON: usize = 300;

/// Eyes and memory: what turns bytes into faces with embeddings.
#[derive(Clone, Copy)]
pub(crate) struct Vision<'a> {
    pub(crate) finder: &'a dyn FaceFinder,
    pub(crate) embedder: &'a dyn Embedder,
}

impl Vision<'_> {
    /// Works until there is nothing left to do. Returns how many chips were embedded.
    pub(crate) fn work(self, queue: &Queue<'_>) -> u64 {
        let mut embedded = 0;
        loop {
            match queue.take_work(self.embedder.batch_size().max(1)) {
                Work::Done => return embedded,
                Work::Look(job) => match self.look(&job.bytes) {
                    Ok(found) => queue.looked(job, found),
                    Err(failure) => queue.fail(failure),
                },
                Work::Embed(mut batch) => {
                    let chips: Vec<Chip> = batch.iter_mut().map(|job| job.take_chip()).collect();
                    match self.embed(&chips) {
                        Ok(embeddings) => {
                            embedded += chips.len() as u64;
                            queue.embedded(batch, embeddings);
                        }
                        Err(failure) => queue.fail(failure),
                    }
                }
            }
        }
    }

    /// Everything at once, for the rare photo that was thought to be known.
    pub(crate) fn see(self, bytes: &[u8]) -> Result<Seen, VisionError> {
        let found = match self.look(bytes)? {
            Ok(found) => found,
            Err(failed) => return Ok(failed),
        };
        let FoundFaces { width, height, faces } = found;
        let seen = |AlignedFace { face, quality, chip }| {
            (SeenFace { face, quality, embedding: None }, chip)
        };
        let (mut faces, chips): (Vec<_>, Vec<_>) = faces.into_iter().map(seen).unzip();
        let embeddings = if chips.is_empty() { Vec::new() } else { self.embed(&chips)? };
        for (face, embedding) in faces.iter_mut().zip(embeddings) {
            face.embedding = embedding;
        }
        Ok(Seen { width, height, failure: None, faces })
    }

    /// The faces of a photo, or what is wrong with it.
    fn look(self, bytes: &[u8]) -> Result<Result<FoundFaces, Seen>, VisionError> {
        // Unwind safe: a finder answers from the bytes alone, and what it left is not used again.
        let found = catch_unwind(AssertUnwindSafe(|| self.finder.find(bytes)));
        let failure = match found {
            Ok(Ok(found)) => return Ok(Ok(found)),
            Ok(Err(VisionError::Decode { reason })) => Outcome::Undecodable(short(reason)),
            Ok(Err(VisionError::Rejected { reason })) => Outcome::Rejected(short(reason)),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => Outcome::Undecodable("the decoder broke".into()),
        };
        Ok(Err(Seen::failed(failure)))
    }

    fn embed(self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        let broke = |what: &str| VisionError::Model {
            model: self.embedder.name().into(),
            source: what.into(),
        };
        let embedded = catch_unwind(AssertUnwindSafe(|| self.embedder.embed(chips)));
        let embeddings = embedded.map_err(|_| broke("it panicked"))??;
        if embeddings.len() != chips.len() {
            return Err(broke("it did not answer for each face"));
        }
        if embeddings.iter().flatten().any(|e| e.dim() != self.embedder.dim()) {
            return Err(broke("its embeddings are not as long as it says"));
        }
        Ok(embeddings)
    }
}

/// A reason on one line, and not too long for a ledger.
fn short(reason: String) -> String {
    let mut short: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() > REASON {
        let end = (0..=REASON).rev().find(|end| short.is_char_boundary(*end)).unwrap_or(0);
        short.truncate(end);
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_short_line() {
        assert_eq!(short("bad\nmarker\t\u{1b}[1m".into()), "bad marker  [1m");
        let long = short("é".repeat(1000));
        assert!(long.len() <= REASON + '…'.len_utf8() && long.ends_with("é…"));
    }
}
