//! The models: a catalogue, and a folder that their files lie in.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use facesearch_core::{Metric, Progress, display_path};
use facesearch_zoo::{
    Artifact, Cache, Check, FetchOptions, Imported, Model, NetworkUse, Preset, Zoo, ZooError,
};
use serde::Serialize;

use crate::composition::Composition;
use crate::error::{Error, Result};
use crate::model_import::{self, ModelFile};
use crate::options::{DeviceChoice, Options};
use crate::recogniser;

/// The catalogue of models, and the folder with their files.
#[derive(Clone)]
pub struct Models {
    zoo: Arc<Zoo>,
    cache: Cache,
    offline: bool,
    device: DeviceChoice,
    progress: Arc<dyn Progress>,
}

/// A model of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelEntry {
    /// The name it is used by.
    pub name: String,
    /// `recogniser`, `detector` or `landmarks`.
    pub kind: &'static str,
    /// What it is, in a line.
    pub title: String,
    /// Whether its kind uses it by default.
    pub default: bool,
    /// Where it was published.
    pub paper: String,
    /// Licence of its authors' code.
    pub code_licence: String,
    /// Licence of its weights.
    pub weights_licence: String,
    /// Whether that licence allows commercial use.
    pub commercial: &'static str,
    /// How many trained parameters it has.
    pub parameters: Option<u64>,
    /// Bytes of its files; `None` for a model whose files are brought by hand.
    pub bytes: Option<u64>,
    /// Width and height of its input, in pixels.
    pub input: Option<[u32; 2]>,
    /// The order of its input's colours.
    pub colour: String,
    /// How its input is scaled.
    pub scaling: String,
    /// Length of its embeddings.
    pub dimension: Option<usize>,
    /// How its embeddings are compared.
    pub metric: Option<Metric>,
    /// How its network is used, where it is a network file that needs no code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUse>,
    /// Largest distance of one person, L2.
    pub threshold: Option<f32>,
    /// Where that threshold is from.
    pub threshold_origin: Option<String>,
    /// Thresholds that others published.
    pub presets: Vec<ModelPreset>,
    /// An accuracy that somebody measured.
    pub accuracy: Option<String>,
    /// Who, and where.
    pub accuracy_source: Option<String>,
    /// Whether its files are here.
    pub present: bool,
    /// Where its files are to be fetched by hand.
    pub address: Option<String>,
}

/// A threshold that somebody published for a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelPreset {
    /// The name it is used by.
    pub name: String,
    /// The metric it is meant for.
    pub metric: Metric,
    /// The threshold in that metric.
    pub value: f32,
    /// The same as L2.
    pub l2: f32,
}

/// A model that the user brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedEntry {
    /// The name it is used by.
    pub name: String,
    /// Always `recogniser`.
    pub kind: &'static str,
    /// What its file was and how it is used.
    pub imported: Imported,
    /// Always true.
    pub present: bool,
}

/// Whether a file of a model is the right one.
#[derive(Debug, Clone, PartialEq)]
pub struct FileCheck {
    /// The file's name.
    pub file: String,
    /// Bytes that it should have.
    pub size: u64,
    /// Its SHA-256 in hex, as it should be.
    pub sha256: String,
    /// What was found.
    pub check: Check,
}

/// Whether a model that the user brought still has the files that were taken in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedCheck {
    /// The name it is used by.
    pub name: String,
    /// Whether every file has the SHA-256 it had then.
    pub right: bool,
}

impl ModelEntry {
    fn new(model: &Model, cache: &Cache) -> Result<Self> {
        let output = model.output.as_ref();
        let accuracy = model.accuracy.as_ref();
        let present = match &model.by_hand {
            None => model.is_present(cache),
            Some(by_hand) => cache.imported(&model.name)?.is_some() || by_hand.found().is_some(),
        };
        let preset = |preset: &Preset| ModelPreset {
            name: preset.name.clone(),
            metric: preset.metric,
            value: preset.value,
            l2: preset.l2(),
        };
        Ok(Self {
            name: model.name.clone(),
            kind: model.kind.name(),
            title: model.title.clone(),
            default: model.default,
            paper: model.paper.clone(),
            code_licence: model.code_licence.clone(),
            weights_licence: model.weights_licence.clone(),
            commercial: model.commercial.name(),
            parameters: model.parameters,
            bytes: (!model.artifacts.is_empty()).then(|| model.size()),
            input: model.input.size,
            colour: model.input.colour.clone(),
            scaling: model.input.scaling.clone(),
            dimension: output.and_then(|output| output.dimension),
            metric: output.map(|output| output.metric),
            network: model.network.clone(),
            threshold: output.and_then(|output| output.threshold),
            threshold_origin: output.and_then(|output| output.threshold_origin.clone()),
            presets: model.presets.iter().map(preset).collect(),
            accuracy: accuracy.map(|accuracy| accuracy.figure.clone()),
            accuracy_source: accuracy.map(|accuracy| accuracy.source.clone()),
            present,
            address: model.by_hand.as_ref().map(|by_hand| by_hand.address.clone()),
        })
    }
}

impl Models {
    /// The catalogue that is built in and the one that `options` name, with the folder of files.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where no folder is named and the system names none, [`Error::Read`] or
    /// [`Error::Input`] where the catalogue of `options` cannot be used.
    pub fn new(options: &Options) -> Result<Self> {
        let configured = options.models.as_ref().map(|dir| dir.as_os_str());
        let cache = Cache::new(Cache::default_dir(configured)?);
        let zoo = match options.catalogue.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => extended(Zoo::builtin(), path, &cache)?,
            None => Zoo::builtin(),
        };
        Ok(Self {
            zoo: Arc::new(zoo),
            cache,
            offline: options.offline,
            device: options.device,
            progress: Arc::clone(&options.progress),
        })
    }

    /// The folder of model files.
    pub fn dir(&self) -> &Path {
        self.cache.dir()
    }

    /// Every model of the catalogue.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where the record of a model that was brought cannot be read.
    pub fn catalogue(&self) -> Result<Vec<ModelEntry>> {
        self.zoo.models().iter().map(|model| ModelEntry::new(model, &self.cache)).collect()
    }

    /// Every model that the user brought and that is not in the catalogue.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn imported(&self) -> Result<Vec<ImportedEntry>> {
        let mut entries = Vec::new();
        for name in self.cache.imported_names() {
            if self.zoo.model(&name).is_err() {
                entries.extend(self.imported_as(&name)?);
            }
        }
        Ok(entries)
    }

    /// The model of this name in the catalogue.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where there is none; the message names the nearest.
    pub fn entry(&self, name: &str) -> Result<ModelEntry> {
        ModelEntry::new(self.zoo.model(name)?, &self.cache)
    }

    /// What the user brought under this name.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where its record cannot be read.
    pub fn imported_as(&self, name: &str) -> Result<Option<ImportedEntry>> {
        let imported = self.cache.imported(name)?;
        Ok(imported.map(|imported| ImportedEntry {
            name: name.to_owned(),
            kind: "recogniser",
            imported,
            present: true,
        }))
    }

    /// The models that a name with `+` puts together; `None` for the name of one model.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where the name makes no sense.
    pub fn composition(&self, name: &str) -> Result<Option<Composition>> {
        if !recogniser::is_several(name, &self.cache)? {
            return Ok(None);
        }
        Composition::parse(name).map(Some)
    }

    /// Fetches the files of models, those used by default where `names` is empty, and gives their
    /// paths; so with the files of the models they need. Files that are there are checked, and
    /// replaced where they are damaged.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where a model is not known or a file cannot be had.
    pub fn pull(&self, names: &[String]) -> Result<Vec<PathBuf>> {
        let models = self.chosen(names)?;
        for model in &models {
            if let Some(by_hand) = &model.by_hand {
                self.progress.note(&format!(
                    "`{}` is not fetched, because its file is brought by hand: {}",
                    model.name,
                    by_hand.advice(&model.name)
                ));
            }
        }
        let needed = models.iter().flat_map(|model| self.zoo.needed_by(model));
        let artifacts = models.iter().copied().chain(needed).flat_map(|model| &model.artifacts);
        let mut seen = HashSet::new();
        let artifacts = artifacts.filter(|artifact| seen.insert(&artifact.file));
        self.fetch_with(artifacts, FetchOptions { offline: self.offline, recheck: true })
    }

    /// Hashes the files of the catalogue's models, of all where `names` is empty. Names of models
    /// that the user brought are for [`Models::verify_imported`], and left out here.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where a model is not known or a file cannot be read.
    pub fn verify(&self, names: &[String]) -> Result<Vec<FileCheck>> {
        let brought = self.cache.imported_names();
        let named: Vec<_> = names.iter().filter(|name| !brought.contains(name)).cloned().collect();
        let models = match (names, &named[..]) {
            ([], _) => self.zoo.models().iter().collect(),
            (_, []) => Vec::new(),
            (_, named) => self.chosen(named)?,
        };
        let artifacts = models.iter().flat_map(|model| &model.artifacts);
        artifacts
            .map(|artifact| {
                Ok(FileCheck {
                    file: artifact.file.clone(),
                    size: artifact.size,
                    sha256: artifact.sha256.to_string(),
                    check: self.cache.check(artifact)?,
                })
            })
            .collect()
    }

    /// Hashes the files of models that the user brought, of all where `names` is empty. Names of
    /// the catalogue are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where a model's record or a file cannot be read.
    pub fn verify_imported(&self, names: &[String]) -> Result<Vec<ImportedCheck>> {
        let mut checks = Vec::new();
        for name in self.cache.imported_names() {
            if !names.is_empty() && !names.contains(&name) {
                continue;
            }
            if let Some(model) = self.cache.imported(&name)? {
                let right = self.cache.check_imported(&name, &model)?;
                checks.push(ImportedCheck { name, right });
            }
        }
        Ok(checks)
    }

    /// Takes in a file that the catalogue knows by its SHA-256, and gives the names it has there.
    ///
    /// # Errors
    ///
    /// [`Error::Zoo`] where the catalogue does not know it or it cannot be copied.
    pub fn import(&self, file: &Path) -> Result<Vec<String>> {
        if !file.is_file() {
            return Err(Error::input(format!("{} is no file", display_path(file))));
        }
        let artifacts = self.cache.import(file, &self.zoo)?;
        Ok(artifacts.iter().map(|artifact| artifact.file.clone()).collect())
    }

    /// Takes in a recogniser's file that the catalogue cannot vouch for.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where the file is no model, [`Error::Usage`] where the request does not fit
    /// it, [`Error::Model`] where its network cannot be opened.
    pub fn import_network(&self, file: &ModelFile<'_>) -> Result<ImportedEntry> {
        if !file.path.is_file() {
            return Err(Error::input(format!("{} is no file", display_path(file.path))));
        }
        let (name, imported) = model_import::take_in(self, file, &self.device()?)?;
        Ok(ImportedEntry { name, kind: "recogniser", imported, present: true })
    }

    /// Makes sure that a model's files are here, and those of the models it needs; gives the paths
    /// of both.
    pub(crate) fn fetch_model(&self, model: &Model) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let needed = self.zoo.needed_by(model).flat_map(|needed| &needed.artifacts);
        let mut paths = self.fetch(model.artifacts.iter().chain(needed))?;
        let needed = paths.split_off(model.artifacts.len());
        Ok((paths, needed))
    }

    /// Makes sure that the files of the models are here that a model needs, and gives their paths.
    pub(crate) fn fetch_needed(&self, model: &Model) -> Result<Vec<PathBuf>> {
        self.fetch(self.zoo.needed_by(model).flat_map(|needed| &needed.artifacts))
    }

    /// Makes sure that files are here, and gives their paths.
    pub(crate) fn fetch<'a>(
        &self,
        artifacts: impl IntoIterator<Item = &'a Artifact>,
    ) -> Result<Vec<PathBuf>> {
        self.fetch_with(artifacts, FetchOptions { offline: self.offline, recheck: false })
    }

    fn fetch_with<'a>(
        &self,
        artifacts: impl IntoIterator<Item = &'a Artifact>,
        options: FetchOptions,
    ) -> Result<Vec<PathBuf>> {
        let artifacts: Vec<_> = artifacts.into_iter().collect();
        let missing: Vec<_> = artifacts.iter().filter(|file| !self.cache.present(file)).collect();
        if !missing.is_empty() && !options.offline {
            let names: Vec<_> = missing.iter().map(|file| file.file.as_str()).collect();
            let dir = display_path(self.cache.dir());
            self.progress.note(&format!("fetching {} into {dir}", names.join(", ")));
        }
        let paths = self.cache.fetch_all(artifacts, options, &*self.progress);
        self.progress.finish();
        Ok(paths?)
    }

    fn chosen(&self, names: &[String]) -> Result<Vec<&Model>> {
        if names.is_empty() {
            return Ok(self.zoo.models().iter().filter(|model| model.default).collect());
        }
        let names = names.iter().flat_map(|name| Composition::names(name));
        names.map(|name| Ok(self.zoo.model(name)?)).collect()
    }

    pub(crate) fn zoo(&self) -> &Zoo {
        &self.zoo
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn device_choice(&self) -> DeviceChoice {
        self.device
    }

    pub(crate) fn note(&self, line: &str) {
        self.progress.note(line);
    }
}

/// The catalogue with the entries of a file of the user's.
fn extended(builtin: Zoo, path: &Path, cache: &Cache) -> Result<Zoo> {
    let wrong = |what: String| {
        Error::input(format!("the catalogue {} cannot be used: {what}", display_path(path)))
    };
    let text = fs::read_to_string(path).map_err(Error::read(path))?;
    let known = builtin.models().len();
    let zoo = builtin.with(&text).map_err(|error| match error {
        ZooError::Catalogue { what } => wrong(what),
        other => other.into(),
    })?;
    for model in &zoo.models()[known..] {
        let name = &model.name;
        let Some(network) = &model.network else {
            return Err(wrong(format!(
                "`{name}` has no `[model.network]` that says how its network is used, and no other \
                 model can be added without code"
            )));
        };
        recogniser::network_options(name, network).map_err(|error| wrong(error.to_string()))?;
        if model.by_hand.is_none() && cache.imported(name)?.is_some() {
            return Err(wrong(format!(
                "a model was imported as `{name}`; give the one in the catalogue another name"
            )));
        }
    }
    Ok(zoo)
}
