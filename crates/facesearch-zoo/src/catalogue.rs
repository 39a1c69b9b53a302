//! The catalogue of models: `models/zoo.toml`, read and checked.

use std::sync::Arc;

use facesearch_core::Metric;
use serde::Deserialize;

use crate::model::{Accuracy, ByHand, Commercial, Input, Output, Preset};
use crate::tables::{ArtifactTable, Files, PackageTable, wrong};
use crate::{Artifact, Model, ModelKind, NetworkUse, Package, ZooError};

/// All models the program knows, and the files they are made of.
#[derive(Debug, Clone, Default)]
pub struct Zoo {
    models: Vec<Model>,
    files: Files,
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
        Self::default().with(text)
    }

    /// This catalogue with the entries of another behind its own. They may name packages, files
    /// and models of this one, and must not take a name that is taken.
    ///
    /// # Errors
    ///
    /// As [`Zoo::parse`].
    pub fn with(mut self, text: &str) -> Result<Self, ZooError> {
        let file: CatalogueFile = toml::from_str(text).map_err(|err| wrong(err.to_string()))?;
        self.files.add(file.package, file.artifact)?;
        for table in file.model {
            let model = table.into_model(&self.files.artifacts)?;
            let name = &model.name;
            if self.models.iter().any(|other| other.name == *name) {
                return Err(wrong(format!("the model `{name}` stands there twice")));
            }
            if let Some(default) = self.default_of(model.kind).filter(|_| model.default) {
                let (kind, default) = (model.kind.name(), &default.name);
                return Err(wrong(format!("`{name}`: the default {kind} is `{default}` already")));
            }
            self.models.push(model);
        }
        self.models.iter().try_for_each(|model| self.check_needs(model))?;
        Ok(self)
    }

    fn check_needs(&self, model: &Model) -> Result<(), ZooError> {
        for needed in &model.needs {
            let name = &model.name;
            let found = self.models.iter().find(|other| other.name == *needed);
            let found = found
                .ok_or_else(|| wrong(format!("`{name}` needs `{needed}`, which is no model")))?;
            if found.artifacts.is_empty() || !found.needs.is_empty() {
                let what = "which has no `artifacts`, or needs others itself";
                return Err(wrong(format!("`{name}` needs `{needed}`, {what}")));
            }
        }
        Ok(())
    }

    /// The models that a model cannot do without, in the order of its entry.
    pub fn needed_by<'z>(&'z self, model: &'z Model) -> impl Iterator<Item = &'z Model> {
        let find = |name: &String| self.models.iter().find(move |other| other.name == *name);
        model.needs.iter().filter_map(find)
    }

    /// All models, in the catalogue's order: what is recommended comes first.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// All files of all models, each once.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.files.artifacts
    }

    /// The registry packages that hold some of the files.
    pub fn packages(&self) -> &[Arc<Package>] {
        &self.files.packages
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
    input: Option<Input>,
    output: Option<OutputTable>,
    network: Option<NetworkTable>,
    accuracy: Option<Accuracy>,
    #[serde(default)]
    presets: Vec<Preset>,
    #[serde(default)]
    artifacts: Vec<String>,
    by_hand: Option<ByHand>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    int16: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputTable {
    dimension: usize,
    metric: Metric,
    threshold: Option<f32>,
    threshold_origin: Option<String>,
    own_threshold: Option<f32>,
}

/// How a network is used that needs no code: what `input` and `output` say of other recognisers
/// follows from it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkTable {
    size: [u32; 2],
    colours: String,
    normalise: String,
    align: String,
    metric: Metric,
    dimension: Option<usize>,
    threshold: Option<f32>,
    threshold_origin: Option<String>,
}

impl ModelTable {
    fn into_model(self, known: &[Artifact]) -> Result<Model, ZooError> {
        let name = self.name;
        let about = |what: String| wrong(format!("`{name}`: {what}"));
        check_name(&name)?;
        let find = |file: &String| {
            let found = known.iter().find(|artifact| artifact.file == *file);
            found.cloned().ok_or_else(|| about(format!("`{file}` is no artifact")))
        };
        let artifacts = self.artifacts.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        if artifacts.is_empty() != self.by_hand.is_some() {
            return Err(about("it needs either `artifacts` or `by_hand`".into()));
        }
        let described = (self.input, self.output, self.network);
        let (input, output, network) = ends(self.kind, described).map_err(about)?;
        let model = Model {
            kind: self.kind,
            title: self.title,
            default: self.default,
            paper: self.paper,
            code_licence: self.code_licence,
            weights_licence: self.weights_licence,
            commercial: self.commercial,
            parameters: self.parameters,
            input,
            output,
            accuracy: self.accuracy,
            presets: self.presets,
            artifacts,
            by_hand: self.by_hand,
            network,
            needs: self.needs,
            int16: self.int16,
            name: name.clone(),
        };
        if model.int16 && (model.output.is_none() || model.known_weights().is_none()) {
            let what = "`int16` is for a recogniser whose weights have a known SHA-256";
            return Err(about(what.into()));
        }
        Ok(model)
    }
}

/// What a model looks at, what it gives, and how its network is used, where its entry says it.
fn ends(
    kind: ModelKind,
    described: (Option<Input>, Option<OutputTable>, Option<NetworkTable>),
) -> Result<(Input, Option<Output>, Option<NetworkUse>), String> {
    match (kind == ModelKind::Recogniser, described) {
        (true, (Some(input), Some(output), None)) => Ok((input, Some(output.into_output()?), None)),
        (true, (None, None, Some(table))) => {
            let (input, output, network) = table.into_use()?;
            Ok((input, Some(output), Some(network)))
        }
        (true, _) => Err("a recogniser has `input` and `output`, or `network` alone".into()),
        (false, (Some(input), None, None)) => Ok((input, None, None)),
        (false, _) => {
            Err("only recognisers have an `output` or a `network`; others have an `input`".into())
        }
    }
}

impl OutputTable {
    fn into_output(self) -> Result<Output, String> {
        if self.threshold.is_some() != self.threshold_origin.is_some() {
            return Err("a `threshold` and a `threshold_origin` come together".into());
        }
        Ok(Output {
            dimension: Some(self.dimension),
            metric: self.metric,
            threshold: self.threshold.map(threshold).transpose()?,
            threshold_origin: self.threshold_origin,
            own_threshold: self.own_threshold.map(threshold).transpose()?,
        })
    }
}

impl NetworkTable {
    fn into_use(self) -> Result<(Input, Output, NetworkUse), String> {
        let Self { size, colours, normalise, align, metric, dimension, .. } = self;
        if size.iter().any(|side| !(1..=1024).contains(side)) {
            return Err(format!("a chip of {}x{} pixels is none", size[0], size[1]));
        }
        let threshold = self.threshold.map(threshold).transpose()?;
        if self.threshold_origin.is_some() && threshold.is_none() {
            return Err("a `threshold_origin` needs a `threshold`".into());
        }
        let input = Input { size: Some(size), colour: colours.clone(), scaling: normalise.clone() };
        let threshold_origin = self.threshold_origin;
        let output = Output { dimension, metric, threshold, threshold_origin, own_threshold: None };
        let network = NetworkUse { size, colours, normalise, align, metric, threshold };
        Ok((input, output, network))
    }
}

/// An L2 distance.
fn threshold(l2: f32) -> Result<f32, String> {
    let is_one = l2 >= 0.0 && l2.is_finite();
    is_one.then_some(l2).ok_or_else(|| format!("{l2} is no threshold"))
}

/// A name that options and indexes can hold. `+` and `@` put several models together, and the
/// endings are those of files.
fn check_name(name: &str) -> Result<(), ZooError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_file = name.ends_with(".onnx") || name.ends_with(".xml");
    if name.is_empty() || name.starts_with('.') || is_file || !name.chars().all(plain) {
        return Err(wrong(format!(
            "`{name}` is no name for a model; letters, digits and . _ - make one that neither \
             begins with a dot nor ends like a file"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
