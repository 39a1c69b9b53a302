//! A face detector by its name in the catalogue. Each detector's file declares one value;
//! `DETECTORS` in `mod.rs` lists them.

use std::path::PathBuf;

use candle_core::Device;
use facesearch_core::{BoxError, FaceDetector, VisionError};

use super::DETECTORS;

/// A detector of the catalogue, and how its files become one.
#[derive(Debug)]
pub struct DetectorModel {
    /// Its name in the catalogue.
    pub name: &'static str,
    /// Opens it.
    pub(super) open: fn(&DetectorSource<'_>) -> Result<Box<dyn FaceDetector>, VisionError>,
}

impl DetectorModel {
    /// The detector of this name; `None` where no file here declares it.
    pub fn named(name: &str) -> Option<&'static Self> {
        DETECTORS.iter().find(|model| model.name == name).copied()
    }

    /// Opens it from its files.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where a file is missing, damaged or another model's, or the device
    /// refuses it.
    pub fn open(&self, source: &DetectorSource<'_>) -> Result<Box<dyn FaceDetector>, VisionError> {
        (self.open)(source)
    }
}

/// What a detector is opened from, and how it shall look.
#[derive(Debug, Clone, Copy)]
pub struct DetectorSource<'a> {
    /// Its files, in the order of the catalogue.
    pub files: &'a [PathBuf],
    /// Faces narrower than this many pixels are passed over; at least 12.
    pub min_face: u32,
    /// Where its networks run.
    pub device: &'a Device,
}

impl DetectorSource<'_> {
    /// The bytes of its files, which must be so many. `name` is the detector's, for messages.
    pub(super) fn bytes<const N: usize>(&self, name: &str) -> Result<[Vec<u8>; N], VisionError> {
        let broken = |source: BoxError| VisionError::Model { model: name.to_owned(), source };
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| broken(error.into()));
        let bytes = self.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        bytes.try_into().map_err(|bytes: Vec<_>| {
            broken(format!("it has {} files, not {N}", bytes.len()).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_one_detector_and_missing_files_are_errors_that_name_it() {
        for model in DETECTORS {
            let found = DetectorModel::named(model.name).unwrap();
            assert!(std::ptr::eq(found, *model), "{} stands there twice", model.name);
            let source = DetectorSource { files: &[], min_face: 40, device: &Device::Cpu };
            let error = model.open(&source).err().unwrap().to_string();
            assert!(error.contains(model.name), "{error}");
        }
        assert!(DetectorModel::named("nobody's").is_none());
    }
}
