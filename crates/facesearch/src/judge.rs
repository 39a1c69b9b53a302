//! By what a distance is judged: a fixed threshold, or one for a wanted rate of false alarms.

use std::path::Path;

use facesearch_ann::Snapshot;
use facesearch_core::{Gallery, RowSet, Threshold};
use facesearch_people::calibrate::people_among;
use facesearch_query::{Filter, SearchOptions};

use crate::args::{Global, Search};
use crate::calibration::Stored;
use crate::exit::Failure;
use crate::printer::{Printer, shown};

/// How to search in a gallery, and what its distances mean.
pub(crate) struct Judge {
    /// How to search; its threshold decides.
    pub(crate) options: SearchOptions,
    /// The rows that may be found; all where that is `None`.
    pub(crate) among: Option<RowSet>,
    /// What is searched, where answers are to be explained.
    pub(crate) structure: Option<Structure>,
    filter: Filter,
    calibration: Option<Stored>,
    /// Among how many identities a face is looked for.
    people: usize,
}

/// What a gallery's faces are searched with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Structure {
    /// Search structures.
    pub(crate) segments: usize,
    /// Faces in none of them.
    pub(crate) scanned: usize,
}

/// Of those who are asked about, the share that is taken to be enrolled.
const ENROLLED: f64 = 0.5;

impl Judge {
    /// The judge that `search` asks for: the threshold typed, or that for `--fpir`, or the model's.
    pub(crate) fn new(
        search: &Search,
        gallery: &Snapshot,
        global: &Global,
        out: &Printer,
    ) -> anyhow::Result<Self> {
        let calibration = match Stored::load(&global.index, gallery.contract()) {
            // What is not asked for may be missing.
            Err(error) if search.fpir.is_none() => {
                out.note(format!("{error:#}"));
                None
            }
            loaded => loaded?,
        };
        let filter = search.filter.filter();
        let among = match filter.is_empty() {
            true => None,
            false => Some(Self::among(&filter, gallery)?),
        };
        // A stranger is compared with those alone whom the filter lets through.
        let people = calibration.as_ref().map_or(0, |stored| match &among {
            Some(rows) => people_among(gallery, rows),
            None => stored.people_now(gallery),
        });
        let threshold = match (search.fpir, &calibration) {
            (None, _) => search.threshold.unwrap_or(gallery.contract().threshold),
            (Some(fpir), Some(stored)) => {
                if stored.is_outgrown(gallery) {
                    out.note("the index has changed much since it was calibrated; do it again");
                }
                // Rounded down to an `f32`, so that the rate is kept.
                let exact = stored.calibration.threshold(fpir, people)?;
                let near = exact as f32;
                if f64::from(near) > exact { near.next_down() } else { near }
            }
            (Some(_), None) => {
                return Err(Failure::index(
                    "this index was never calibrated, so no threshold is known for --fpir; run \
                     `facesearch calibrate` first",
                ));
            }
        };
        let options = SearchOptions {
            k: search.k,
            threshold: Threshold::new(threshold).unwrap_or(Threshold::DEFAULT),
            effort: search.effort,
        };
        let structure = search.explain.then(|| Structure {
            segments: gallery.certificates().count(),
            scanned: gallery.rows_scanned(),
        });
        Ok(Self { options, among, structure, filter, calibration, people })
    }

    /// The rows that pass; somebody who is asked for but not there is an error.
    fn among(filter: &Filter, gallery: &Snapshot) -> anyhow::Result<RowSet> {
        let rows = filter.rows(gallery)?;
        if let Some(nobody) = filter.within.iter().find(|l| gallery.find_identity(l).is_none()) {
            let nobody = shown(Path::new(nobody));
            return Err(Failure::input(format!(
                "nobody in the index is called `{nobody}`; `facesearch export` lists the identities"
            )));
        }
        Ok(rows)
    }

    /// The probability that the nearest identity, at `distance`, is the right one, if half of those
    /// asked about are enrolled; `None` without a calibration that knows.
    pub(crate) fn probability(&self, distance: f32) -> Option<f64> {
        self.calibration.as_ref()?.calibration.probability(distance.into(), ENROLLED)
    }

    /// How many of `faces` strangers would be given a name.
    pub(crate) fn expected_false_alarms(&self, faces: usize) -> Option<f64> {
        let calibration = &self.calibration.as_ref()?.calibration;
        let threshold = f64::from(self.options.threshold.get());
        Some(calibration.expected_false_alarms(threshold, self.people, faces))
    }

    /// What an answer depends on, besides its image and the gallery.
    pub(crate) fn terms(&self) -> String {
        let learnt = self.calibration.as_ref().map(|stored| (stored.generation, stored.probes));
        format!("{:?} {:?} calibrated {learnt:?}", self.options, self.filter)
    }
}
