//! What was learnt of an index's distances, kept beside it in `calibration.json`.
//!
//! - **Layout:** one line of JSON that ends with `,"checksum":"` + BLAKE3 in hex of every byte
//!   before + `"}` + line feed, as the index's manifest does. Replaced in one step.
//! - **Pinned:** the contract of the index is in it; what was learnt of other embeddings is
//!   refused.
//! - **Not pinned:** the generation. An index may grow, and the false alarm rates follow its size;
//!   when it has grown much, learning anew is better, and a query says so.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use facesearch_core::{Contract, Gallery, display_path};
use facesearch_people::calibrate::{Calibration, FittedCalibration, Reliability};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const NAME: &str = "calibration.json";
const FORMAT: u32 = 1;
const SEAM: &str = ",\"checksum\":\"";

/// A calibration with what it was learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    format: u32,
    /// What the embeddings were made with.
    pub(crate) contract: Contract,
    /// The publication that was learnt from.
    pub(crate) generation: u64,
    /// Faces in it.
    pub(crate) faces: u64,
    /// Identities that a search in it ranks.
    pub(crate) people: usize,
    /// Faces that were searched for.
    pub(crate) probes: usize,
    /// Whether those were outsiders, rather than the index's own people.
    pub(crate) cohort: bool,
    /// What was learnt.
    pub(crate) calibration: Calibration,
    /// How the probabilities fared on people they were not learnt from.
    pub(crate) reliability: Option<Reliability>,
}

impl Stored {
    /// What was learnt of `gallery` as it is now.
    pub(crate) fn new(
        gallery: &dyn Gallery,
        people: usize,
        fitted: &FittedCalibration,
        cohort: bool,
    ) -> Self {
        Self {
            format: FORMAT,
            contract: gallery.contract().clone(),
            generation: gallery.generation(),
            faces: gallery.len() as u64,
            people,
            probes: fitted.probes,
            cohort,
            calibration: fitted.calibration.clone(),
            reliability: fitted.reliability.clone(),
        }
    }

    /// The calibration of the index in `index`; `None` where there is none.
    pub(crate) fn load(index: &Path, contract: &Contract) -> Result<Option<Self>> {
        let path = index.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &format!("cannot be read: {error}"))),
        };
        let (body, rest) =
            text.rsplit_once(SEAM).ok_or_else(|| unusable(&path, "has no checksum"))?;
        if rest.strip_suffix("\"}\n") != Some(blake3::hash(body.as_bytes()).to_hex().as_str()) {
            return Err(unusable(&path, "does not match its checksum"));
        }
        let stored: Self = serde_json::from_str(&format!("{body}}}"))
            .map_err(|error| unusable(&path, &format!("is of another format: {error}")))?;
        if stored.format != FORMAT {
            return Err(unusable(&path, &format!("is of format {}", stored.format)));
        }
        stored
            .contract
            .check(contract)
            .map_err(|mismatch| unusable(&path, &mismatch.to_string()))?;
        Ok(Some(stored))
    }

    /// Keeps it beside the index, in place of an earlier one.
    pub(crate) fn save(&self, index: &Path) -> Result<PathBuf> {
        let path = index.join(NAME);
        let json = serde_json::to_string(self)
            .map_err(|error| unusable(&path, &format!("cannot be written: {error}")))?;
        let body = json.strip_suffix('}').unwrap_or(&json);
        let checksum = blake3::hash(body.as_bytes()).to_hex();
        let text = format!("{body}{SEAM}{checksum}\"}}\n");
        facesearch_disk::replace(&path, text.as_bytes()).map_err(Error::write(&path))?;
        Ok(path)
    }

    /// Whether the index has changed so much that learning anew is better.
    pub(crate) fn is_outgrown(&self, gallery: &dyn Gallery) -> bool {
        let ratio = gallery.len() as f64 / self.faces.max(1) as f64;
        !(0.8..1.25).contains(&ratio)
    }
}

fn unusable(path: &Path, what: &str) -> Error {
    Error::index(format!("{} {what}; make it anew with `facesearch calibrate`", display_path(path)))
}
