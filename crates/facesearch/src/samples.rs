//! A handful of photos of public figures, to try the engine with.

use std::path::PathBuf;

use facesearch_zoo::{Role, Samples};

use crate::error::Result;
use crate::models::Models;

/// A sample photo in the folder of model files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplePhoto {
    /// The file.
    pub path: PathBuf,
    /// What it is called.
    pub name: String,
    /// Who is in it.
    pub identity: String,
    /// Whether it is to be indexed, rather than asked about.
    pub enrolled: bool,
}

impl Models {
    /// The sample photos; those that are missing are fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`](crate::Error::Zoo) where one cannot be had.
    pub fn samples(&self) -> Result<Vec<SamplePhoto>> {
        let samples = Samples::builtin();
        let paths = self.fetch(samples.photos().iter().map(|sample| &sample.artifact))?;
        let photos = samples.photos().iter().zip(paths).map(|(sample, path)| SamplePhoto {
            path,
            name: sample.artifact.file.clone(),
            identity: sample.identity.clone(),
            enrolled: sample.role == Role::Index,
        });
        Ok(photos.collect())
    }
}
