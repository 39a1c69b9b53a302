//! The catalogue of models: `models/zoo.toml`, read and checked.

use std::sync::Arc;

use facesearch_core::Metric;
use serde::Deserialize;

use crate::model::{Accuracy, ByHand, Commercial, Input, Output, Preset};
use crate::tables::{ArtifactTable, PackageTable, link, wrong};
use crate::{Artifact, Model, ModelKind, Package, ZooError};

/// All models the program knows, and the files they are made of.
#[derive(Debug, Clone)]
pub struct Zoo {
    models: Vec<Model>,
    artifacts: Vec<Artifact>,
    packages: Vec<Arc<Package>>,
}

impl Zoo {
    /// The catalogue that is part of the program.
    pub fn builtin() -> Self {
        Self::parse(include_str!("../../../models/zoo.toml"))
            .expect("the shipped catalogue parses: the tests of this crate read it")
    }

    /// A catalogue from TOML text of the same shape as `models/zoo.toml`.
    ///
    /// # Errors
    ///
    /// [`ZooError::Catalogue`] where the text is no TOML, a field is missing, unknown or out of
    /// range, a name is used twice or leads nowhere.
    pub fn parse(text: &str) -> Result<Self, ZooError> {
        let file: CatalogueFile = toml::from_str(text).map_err(|err| wrong(err.to_string()))?;
        let (packages, artifacts) = link(file.package, file.artifact)?;
        let mut models: Vec<Model> = Vec::new();
        for table in file.model {
            if models.iter().any(|model| model.name == table.name) {
                return Err(wrong(format!("the model `{}` stands there twice", table.name)));
            }
            models.push(table.into_model(&artifacts)?);
        }
        Ok(Self { models, artifacts, packages })
    }

    /// All models, in the catalogue's order: what is recommended comes first.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// All files of all models, each once.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.artifacts
    }

    /// The registry packages that hold some of the files.
    pub fn packages(&self) -> &[Arc<Package>] {
        &self.packages
    }

    /// The model called `name`.
    ///
    /// # Errors
    ///
    /// [`ZooError::UnknownModel`], with the known names in order of similarity to `name`.
    pub fn model(&self, name: &str) -> Result<&Model, ZooError> {
        self.models.iter().find(|model| model.name == name).ok_or_else(|| {
            let mut known: Vec<String> = self.models.iter().map(|m| m.name.clone()).collect();
            let wanted = name.to_lowercase();
            known.sort_by_cached_key(|candidate| {
                (strsim::damerau_levenshtein(candidate, &wanted), candidate.clone())
            });
            ZooError::UnknownModel { name: name.into(), known }
        })
    }

    /// The model called `name`, if it is of the wanted kind.
    ///
    /// # Errors
    ///
    /// As [`Zoo::model`], and [`ZooError::WrongKind`], for example for a detector where a
    /// recogniser is asked for.
    pub fn model_of(&self, kind: ModelKind, name: &str) -> Result<&Model, ZooError> {
        let model = self.model(name)?;
        if model.kind != kind {
            return Err(ZooError::WrongKind {
                name: name.into(),
                found: model.kind.name(),
                wanted: kind.name(),
            });
        }
        Ok(model)
    }

    /// What is used for `kind` when nobody names a model; `None` where the catalogue has none.
    pub fn default_of(&self, kind: ModelKind) -> Option<&Model> {
        self.models.iter().find(|model| model.kind == kind && model.default)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    #[serde(default)]
    package: Vec<PackageTable>,
    #[serde(default)]
    artifact: Vec<ArtifactTable>,
    #[serde(default)]
    model: Vec<ModelTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTable {
    name: String,
    kind: ModelKind,
    title: String,
    #[serde(default)]
    default: bool,
    paper: String,
    code_licence: String,
    weights_licence: String,
    commercial: Commercial,
    parameters: Option<u64>,
    input: Input,
    output: Option<OutputTable>,
    accuracy: Option<Accuracy>,
    #[serde(default)]
    presets: Vec<Preset>,
    #[serde(default)]
    artifacts: Vec<String>,
    by_hand: Option<ByHand>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputTable {
    dimension: usize,
    metric: Metric,
    threshold: f32,
    threshold_origin: String,
    own_threshold: Option<f32>,
}

impl ModelTable {
    fn into_model(self, known: &[Artifact]) -> Result<Model, ZooError> {
        let name = self.name;
        if (self.kind == ModelKind::Recogniser) != self.output.is_some() {
            return Err(wrong(format!("`{name}`: recognisers, and only they, have an `output`")));
        }
        let find = |file: &String| {
            known
                .iter()
                .find(|artifact| artifact.file == *file)
                .cloned()
                .ok_or_else(|| wrong(format!("`{name}` needs `{file}`, which is no artifact")))
        };
        let artifacts = self.artifacts.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        if artifacts.is_empty() != self.by_hand.is_some() {
            return Err(wrong(format!("`{name}` needs either `artifacts` or `by_hand`")));
        }
        let output = self.output.map(OutputTable::into_output).transpose()?;
        Ok(Model {
            kind: self.kind,
            title: self.title,
            default: self.default,
            paper: self.paper,
            code_licence: self.code_licence,
            weights_licence: self.weights_licence,
            commercial: self.commercial,
            parameters: self.parameters,
            input: self.input,
            output,
            accuracy: self.accuracy,
            presets: self.presets,
            artifacts,
            by_hand: self.by_hand,
            name,
        })
    }
}

impl OutputTable {
    fn into_output(self) -> Result<Output, ZooError> {
        let threshold = |l2: f32| {
            let is_one = l2 >= 0.0 && l2.is_finite();
            is_one.then_some(l2).ok_or_else(|| wrong(format!("{l2} is no threshold")))
        };
        Ok(Output {
            dimension: self.dimension,
            metric: self.metric,
            threshold: threshold(self.threshold)?,
            threshold_origin: self.threshold_origin,
            own_threshold: self.own_threshold.map(threshold).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests;
