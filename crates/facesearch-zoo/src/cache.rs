//! The folder where model files lie, and what it holds of them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pip::Pip;
use crate::{Artifact, Digest, Model, ZooError};

mod fetch;
mod import;
mod lock;
mod made;
mod staging;
mod stamps;

/// A folder of artifacts, each under its own name.
///
/// Several processes may use one folder at once: a file appears in it complete and verified, by a
/// rename, or not at all. Reading needs no lock and works on a folder that cannot be written.
///
/// A file counts as present when it has the right length, which costs one system call. It is used
/// only where its SHA-256 is right: [`Cache::fetch_all`] hashes what nobody has hashed since it was
/// last written to, which a list in the folder says, and [`Cache::check`] whatever the list says.
/// Hashing 30 MB at each start of a query would cost more than the query.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
    pip: Pip,
}

/// How [`Cache::fetch`] goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct FetchOptions {
    /// Never touch the network or another program: what is missing is an error.
    pub offline: bool,
    /// Hash what is there already, also where that was done before.
    pub recheck: bool,
}

/// What lies in the cache under an artifact's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Exactly the artifact.
    Good,
    /// Nothing.
    Missing,
    /// A file of another length.
    WrongSize {
        /// Its length in bytes.
        found: u64,
    },
    /// A file of the right length and another content.
    WrongContent {
        /// Its SHA-256.
        found: Digest,
    },
}

impl Cache {
    /// The cache in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), pip: Pip::default() }
    }

    /// A cache whose packages come from another client.
    #[cfg(test)]
    pub(crate) fn with_pip(dir: impl Into<PathBuf>, pip: Pip) -> Self {
        Self { dir: dir.into(), pip }
    }

    /// The folder to use: `configured` (the value of `FACESEARCH_MODELS`, which the caller
    /// reads) or, where that is unset or empty, `facesearch/models` in the user's cache folder.
    ///
    /// # Errors
    ///
    /// [`ZooError::NoCacheFolder`] where nothing is configured and the user has no home.
    pub fn default_dir(configured: Option<&OsStr>) -> Result<PathBuf, ZooError> {
        if let Some(dir) = configured.filter(|dir| !dir.is_empty()) {
            return Ok(dir.into());
        }
        let base = directories::BaseDirs::new().ok_or(ZooError::NoCacheFolder)?;
        Ok(base.cache_dir().join("facesearch").join("models"))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where `artifact` lies, or would lie.
    pub fn path_of(&self, artifact: &Artifact) -> PathBuf {
        self.dir.join(&artifact.file)
    }

    /// Whether a file of the artifact's name and length is there. Cheap: its content is not read.
    pub fn present(&self, artifact: &Artifact) -> bool {
        fs::metadata(self.path_of(artifact))
            .is_ok_and(|meta| meta.is_file() && meta.len() == artifact.size)
    }

    /// Compares what is there with the artifact, by its SHA-256.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] for a file that is there and cannot be read.
    pub fn check(&self, artifact: &Artifact) -> Result<Check, ZooError> {
        let path = self.path_of(artifact);
        let length = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Check::Missing),
            Err(err) => return Err(ZooError::io("read", path)(err)),
        };
        if length != artifact.size {
            return Ok(Check::WrongSize { found: length });
        }
        let found = Digest::of_file(&path).map_err(ZooError::io("read", path))?;
        Ok(if found == artifact.sha256 { Check::Good } else { Check::WrongContent { found } })
    }
}

impl Model {
    /// Where this model's files lie in `cache`, or would lie, in the catalogue's order.
    pub fn files(&self, cache: &Cache) -> Vec<PathBuf> {
        self.artifacts.iter().map(|artifact| cache.path_of(artifact)).collect()
    }

    /// What this model's files take, in bytes.
    pub fn size(&self) -> u64 {
        self.artifacts.iter().map(|artifact| artifact.size).sum()
    }

    /// Whether all of this model's files are in `cache`, by their length.
    pub fn is_present(&self, cache: &Cache) -> bool {
        self.artifacts.iter().all(|artifact| cache.present(artifact))
    }
}

#[cfg(test)]
mod tests;
