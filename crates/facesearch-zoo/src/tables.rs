//! The tables that both catalogues share: packages and artifacts, as TOML spells them.
//!
//! A package is written once and named by the artifacts inside it, so that its hash stands in one
//! place. Everything is checked here: what comes out can be trusted to be well formed.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::{Artifact, Digest, Package, Packed, Source, ZooError};

/// A `[[package]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageTable {
    name: String,
    version: String,
    file: String,
    sha256: Digest,
    size: u64,
}

/// An `[[artifact]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArtifactTable {
    file: String,
    sha256: Digest,
    size: u64,
    sources: Vec<SourceTable>,
}

/// One entry of an artifact's `sources`.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum SourceTable {
    Url {
        url: String,
        #[serde(default)]
        packed: Packed,
    },
    Package {
        package: String,
        member: String,
    },
    Path {
        path: PathBuf,
    },
}

/// Packages and the artifacts that point at them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) packages: Vec<Arc<Package>>,
    pub(crate) artifacts: Vec<Artifact>,
}

impl Files {
    /// Adds what tables say. They may name packages that are here already.
    ///
    /// # Errors
    ///
    /// [`ZooError::Catalogue`] for names used twice, packages that are not there, and file names
    /// that could leave the cache's folder.
    pub(crate) fn add(
        &mut self,
        packages: Vec<PackageTable>,
        artifacts: Vec<ArtifactTable>,
    ) -> Result<(), ZooError> {
        for PackageTable { name, version, file, sha256, size } in packages {
            check_file_name(&file)?;
            if self.packages.iter().any(|package| package.name == name) {
                return Err(wrong(format!("the package `{name}` stands there twice")));
            }
            // Both go into a requirements file, where a blank or a newline would start another
            // option.
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
            if !name.chars().chain(version.chars()).all(plain) {
                return Err(wrong(format!("`{name}` `{version}` is no package and version")));
            }
            self.packages.push(Arc::new(Package { name, version, file, sha256, size }));
        }
        for ArtifactTable { file, sha256, size, sources } in artifacts {
            check_file_name(&file)?;
            if self.artifacts.iter().any(|artifact| artifact.file.eq_ignore_ascii_case(&file)) {
                return Err(wrong(format!("the artifact `{file}` stands there twice")));
            }
            let source = |table| source(table, &self.packages);
            let sources = sources.into_iter().map(source).collect::<Result<_, _>>()?;
            self.artifacts.push(Artifact { file, sha256, size, sources });
        }
        Ok(())
    }
}

fn source(table: SourceTable, packages: &[Arc<Package>]) -> Result<Source, ZooError> {
    match table {
        SourceTable::Url { url, packed } => Ok(Source::Url { url, packed }),
        SourceTable::Package { package, member } => packages
            .iter()
            .find(|known| known.name == package)
            .map(|known| Source::Package { package: Arc::clone(known), member })
            .ok_or_else(|| wrong(format!("there is no package `{package}`"))),
        SourceTable::Path { path } if path.is_absolute() || path.starts_with("~") => {
            Ok(Source::Path { path })
        }
        SourceTable::Path { path } => {
            Err(wrong(format!("the path {} is neither absolute nor under `~/`", path.display())))
        }
    }
}

/// A plain name: no folder, no dot in front (the cache's own files have one).
fn check_file_name(name: &str) -> Result<(), ZooError> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '\0']);
    plain.then_some(()).ok_or_else(|| wrong(format!("`{name}` is no plain file name")))
}

pub(crate) fn wrong(what: String) -> ZooError {
    ZooError::Catalogue { what }
}
