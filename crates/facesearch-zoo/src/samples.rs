//! Photos to try the engine with: public figures whose pictures are published with open software.

use serde::Deserialize;

use crate::tables::{ArtifactTable, Files, PackageTable, wrong};
use crate::{Artifact, ZooError};

/// The photos of `data/samples.toml`.
#[derive(Debug, Clone)]
pub struct Samples {
    photos: Vec<Sample>,
}

/// One photo.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The file.
    pub artifact: Artifact,
    /// What to do with it.
    pub role: Role,
    /// Whom it shows; exactly one person in each.
    pub identity: String,
    /// Who took it and under which terms it can be had.
    pub credit: String,
}

/// What a sample photo is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Goes into the index under its identity.
    Index,
    /// Is asked about; its identity is the right answer, and whoever is in no
    /// [`Role::Index`] photo must come out as unknown.
    Query,
}

impl Samples {
    /// The photos that are part of the program's catalogue.
    pub fn builtin() -> Self {
        Self::parse(include_str!("../../../data/samples.toml"))
            .expect("the shipped catalogue parses: the tests of this crate read it")
    }

    /// A list from TOML text of the same shape as `data/samples.toml`.
    ///
    /// # Errors
    ///
    /// [`ZooError::Catalogue`] where the text is not of that shape.
    pub fn parse(text: &str) -> Result<Self, ZooError> {
        let file: SamplesFile = toml::from_str(text).map_err(|err| wrong(err.to_string()))?;
        let mut files = Files::default();
        files.add(file.package, file.artifact)?;
        let photo = |table: SampleTable| {
            let found = files.artifacts.iter().find(|artifact| artifact.file == table.file);
            let artifact =
                found.cloned().ok_or_else(|| wrong(format!("`{}` is no artifact", table.file)))?;
            let SampleTable { role, identity, credit, .. } = table;
            Ok(Sample { artifact, role, identity, credit })
        };
        Ok(Self { photos: file.sample.into_iter().map(photo).collect::<Result<_, ZooError>>()? })
    }

    /// All photos, in the order to show them.
    pub fn photos(&self) -> &[Sample] {
        &self.photos
    }

    /// The photos of one role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Sample> {
        self.photos.iter().filter(move |photo| photo.role == role)
    }

    /// Whether somebody in the index is called `identity`: if not, the right answer is "unknown".
    pub fn is_indexed(&self, identity: &str) -> bool {
        self.of(Role::Index).any(|photo| photo.identity == identity)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplesFile {
    package: Vec<PackageTable>,
    artifact: Vec<ArtifactTable>,
    sample: Vec<SampleTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleTable {
    file: String,
    role: Role,
    identity: String,
    credit: String,
}

#[cfg(test)]
mod tests;
