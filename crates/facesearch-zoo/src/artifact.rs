//! A file with one right content, and the places it can be had from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Digest;

/// A file that is known by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The name it has in the cache: a plain file name, without folders.
    pub file: String,
    /// What its bytes must hash to.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where to get it, best first.
    pub sources: Vec<Source>,
}

/// One place an artifact can be had from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An address on the web.
    Url {
        /// The full address; `https` in everything the program ships.
        url: String,
        /// How the file there is compressed.
        packed: Packed,
    },
    /// A file inside a package of the Python registry.
    Package {
        /// The package, pinned by hash.
        package: Arc<Package>,
        /// The file's exact path inside the archive.
        member: String,
    },
    /// A file on this machine, such as another program's cache.
    Path {
        /// Absolute, or starting with `~/` for the user's home.
        path: PathBuf,
    },
}

/// How a file is compressed where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packed {
    /// Not at all.
    #[default]
    No,
    /// bzip2, as dlib's author publishes his models.
    Bz2,
}

/// One archive of a registry package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The package's name in the registry.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// The archive's file name; the ending says whether it is a wheel (a zip that is only
    /// unpacked) or a source archive (whose metadata the client runs code to learn).
    pub file: String,
    /// What the archive must hash to.
    pub sha256: Digest,
    /// The archive's length in bytes.
    pub size: u64,
}

impl Package {
    /// Whether the archive is a wheel.
    pub fn is_wheel(&self) -> bool {
        self.file.ends_with(".whl")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, .. } => f.write_str(url),
            Self::Package { package, .. } => {
                write!(f, "the Python package {} {}", package.name, package.version)
            }
            Self::Path { path } => path.display().fmt(f),
        }
    }
}
