//! What an index holds, in numbers.

use std::path::PathBuf;

use facesearch_core::{Contract, Gallery, Outcome, Row};
use facesearch_people::calibrate::{FitOptions, fit};
use serde::Serialize;

use crate::calibration::Stored;
use crate::engine::STORE;
use crate::error::Result;
use crate::maintenance::bytes_below;
use crate::reader::Reader;

/// How many files ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Photos with faces.
    pub faces: u64,
    /// Photos without a face.
    pub no_face: u64,
    /// Photos that were readable and not indexed.
    pub rejected: u64,
    /// Files that are no picture.
    pub cannot_decode: u64,
    /// Files whose bytes could not be had.
    pub cannot_read: u64,
    /// Photos with the content of another.
    pub duplicates: u64,
}

impl Outcomes {
    fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Faces(_) => &mut self.faces,
            Outcome::NoFace => &mut self.no_face,
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Undecodable(_) => &mut self.cannot_decode,
            Outcome::Unreadable(_) => &mut self.cannot_read,
            Outcome::DuplicateOf(_) => &mut self.duplicates,
        } += 1;
    }
}

/// The whole of an index in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// The directory of the index.
    pub index: String,
    /// The publication that was counted.
    pub generation: u64,
    /// Files in the ledger.
    pub files: u64,
    /// Photos with faces.
    pub photos: u64,
    /// Faces.
    pub faces: u64,
    /// People with a label.
    pub identities: u64,
    /// Faces with a label.
    pub labelled_faces: u64,
    /// How good the faces are; `None` where that was never measured.
    pub quality: Option<Qualities>,
    /// What became of the files.
    pub outcomes: Outcomes,
    /// Bytes of the published files.
    pub bytes_published: u64,
    /// Bytes of the store.
    pub bytes_store: u64,
    /// Both, divided by the faces.
    pub bytes_per_face: Option<f64>,
    /// The search structures, each with what was measured when it was built.
    pub segments: Vec<SegmentStats>,
    /// Faces that no search structure covers: they are measured in every search.
    pub faces_scanned: u64,
    /// Bytes mapped to be searched, exact vectors not counted.
    pub bytes_searched: u64,
    /// Share of strangers who are given a name at the model's threshold; `None` where nothing says.
    pub false_alarm_rate: Option<f64>,
    /// Whether that is from a calibration, rather than from a few of the index's people.
    pub calibrated: bool,
    /// Why there is a calibration that cannot be used.
    pub calibration_error: Option<String>,
    /// What the embeddings were made with.
    pub contract: Contract,
}

/// How good the faces are: qualities in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Qualities {
    /// Faces whose quality was measured.
    pub measured: u64,
    /// A tenth of the faces is worse.
    pub lowest_tenth: f32,
    /// Half of the faces are worse.
    pub median: f32,
    /// A tenth of the faces is better.
    pub highest_tenth: f32,
}

impl Qualities {
    fn of(gallery: &dyn Gallery) -> Option<Self> {
        let rows = (0..gallery.len() as u32).map(Row);
        let mut sorted: Vec<f32> =
            rows.filter_map(|row| gallery.face(row).quality).map(|quality| quality.0).collect();
        sorted.sort_by(f32::total_cmp);
        let at = |tenths: usize| sorted[(sorted.len() - 1) * tenths / 10];
        (!sorted.is_empty()).then(|| Self {
            measured: sorted.len() as u64,
            lowest_tenth: at(1),
            median: at(5),
            highest_tenth: at(9),
        })
    }
}

/// A search structure. Recalls are those of the default effort.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentStats {
    /// Faces it was built of.
    pub faces: usize,
    /// What is searched: a `graph`, or `sketches`.
    pub by: &'static str,
    /// Share of probes whose nearest face is found.
    pub recall_at_1: f32,
    /// Share of the ten nearest that is found.
    pub recall_at_10: f32,
    /// Probes that were answered exactly, too, to measure that.
    pub probes: u32,
}

impl Reader {
    /// What became of every file that was indexed, paths ascending.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`](crate::Error::Gallery) where the index is missing or damaged.
    pub fn files(&self) -> Result<Vec<(PathBuf, Outcome)>> {
        Ok(self.published()?.ledger()?)
    }

    /// The published index in numbers. Every byte of it is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`](crate::Error::Gallery) where the index is missing or damaged.
    pub fn stats(&self) -> Result<Stats> {
        let gallery = self.published()?;
        gallery.verify()?;
        let ledger = gallery.ledger()?;
        let mut outcomes = Outcomes::default();
        ledger.iter().for_each(|(_, outcome)| outcomes.add(outcome));
        let faces = gallery.len() as u64;
        let bytes_store = bytes_below(&self.dir().join(STORE));
        let bytes = gallery.bytes_on_disk() + bytes_store;
        let rows = (0..gallery.len() as u32).map(Row);
        let labelled = rows.filter(|row| gallery.face(*row).identity.is_some()).count();
        let stored = Stored::load(self.dir(), gallery.contract());
        let (stored, calibration_error) = match stored {
            Ok(stored) => (stored, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let false_alarm_rate = false_alarm_rate(&*gallery, stored.as_ref());
        let segments = gallery.certificates().map(|(faces, measured)| SegmentStats {
            faces,
            by: if measured.scans { "sketches" } else { "graph" },
            recall_at_1: measured.recall_at_1,
            recall_at_10: measured.recall_at_10,
            probes: measured.probes,
        });
        Ok(Stats {
            index: self.dir().to_string_lossy().into_owned(),
            generation: gallery.generation(),
            files: ledger.len() as u64,
            photos: gallery.photo_count() as u64,
            faces,
            identities: gallery.identity_count() as u64,
            labelled_faces: labelled as u64,
            quality: Qualities::of(&*gallery),
            outcomes,
            bytes_published: gallery.bytes_on_disk(),
            bytes_store,
            bytes_per_face: (faces > 0).then(|| bytes as f64 / faces as f64),
            segments: segments.collect(),
            faces_scanned: gallery.rows_scanned() as u64,
            bytes_searched: gallery.bytes_searched(),
            false_alarm_rate,
            calibrated: stored.is_some() && false_alarm_rate.is_some(),
            calibration_error,
            contract: gallery.contract().clone(),
        })
    }
}

/// The share of strangers whom the model's threshold takes for somebody here: from the calibration,
/// or estimated from a few of the labelled people, who are strangers to each other. The gallery
/// must have been verified.
fn false_alarm_rate(gallery: &dyn Gallery, stored: Option<&Stored>) -> Option<f64> {
    /// Comparisons that an estimate is worth.
    const WORK: usize = 50_000_000;
    let threshold = f64::from(gallery.contract().threshold?);
    if let Some(stored) = stored {
        return Some(stored.calibration.impostors.fpir(threshold, gallery.people()));
    }
    let probes = (WORK / gallery.len().max(1)).clamp(20, 300);
    let options = FitOptions { probes, ..FitOptions::default() };
    let fitted = fit(gallery, None, &options).ok()?;
    Some(fitted.calibration.impostors.fpir(threshold, gallery.people()))
}
