//! A name of the catalogue, a name the user gave, or the file of a network becomes a recogniser,
//! with its aligner and all that an index of its embeddings is pinned to.

use std::path::Path;

use candle_core::Device;
use facesearch_core::{Embedder, Metric, display_path};
use facesearch_vision::{
    Aligner, Alignment, ColourOrder, CompositePart, Normalisation, OnnxOptions, Precision,
    RecogniserModel, RecogniserSource, Recognition, composite,
};
use facesearch_zoo::{Cache, Digest, Imported, Model, ModelKind, NetworkUse, Preset};

use crate::composition::Composition;
use crate::error::{Error, Result};
use crate::model_import::{self, ModelFile};
use crate::models::Models;
use crate::options::{NetworkOptions, PrecisionChoice};

impl PrecisionChoice {
    /// What a recogniser multiplies. `measured` says whether int16 was measured to make no
    /// difference with its weights.
    fn of(self, measured: bool, device: &Device) -> Result<Precision> {
        match self {
            Self::F32 => Ok(Precision::F32),
            Self::Int16 if device.is_cpu() => Ok(Precision::Int16),
            Self::Int16 => Err(Error::usage(
                "int16, which was asked for or is the precision of the index, is for the CPU only; \
                 use `--device cpu`",
            )),
            Self::Auto if device.is_cpu() && measured => Ok(Precision::Int16),
            Self::Auto => Ok(Precision::F32),
        }
    }
}

/// A recogniser that is ready, and what an index of its embeddings is pinned to.
pub(crate) struct Recogniser {
    pub(crate) embedder: Box<dyn Embedder>,
    pub(crate) aligner: Box<dyn Aligner>,
    /// By which the same recogniser is found again.
    pub(crate) name: String,
    /// SHA-256 of its weights.
    pub(crate) weights: String,
    /// What happens to a face before and after the network, in words.
    pub(crate) preprocessing: String,
    /// What its network multiplies.
    pub(crate) precision: Precision,
    /// Its own threshold, L2, where it has one.
    pub(crate) threshold: Option<f32>,
    /// Pixels across and down, where a chip is one picture.
    chip_size: Option<[u32; 2]>,
}

impl Recogniser {
    /// What was opened, under this name. It has no threshold yet.
    fn new(name: &str, weights: Digest, precision: Precision, opened: Recognition) -> Self {
        let (preprocessing, chip_size) = (opened.preprocessing.clone(), opened.chip_size);
        let (aligner, embedder) = opened.into_parts();
        Self {
            embedder,
            aligner,
            name: name.to_owned(),
            weights: weights.to_string(),
            preprocessing,
            precision,
            threshold: None,
            chip_size,
        }
    }

    /// The same for chips cut in another way.
    pub(crate) fn aligned_by(self, how: &str) -> Result<Self> {
        let refused = || Error::usage(format!("`{}` cannot take chips cut by {how}", self.name));
        let size = self.chip_size.ok_or_else(refused)?;
        let aligner = Alignment::named(how).and_then(|alignment| alignment.aligner(size));
        let aligner = aligner.ok_or_else(refused)?;
        let preprocessing = format!("{}, not the model's own way", aligner.name());
        Ok(Self { aligner, preprocessing, ..self })
    }
}

/// Whether what was typed names several models: it has a `+`, and is neither a file nor one name.
pub(crate) fn is_several(typed: &str, cache: &Cache) -> Result<bool> {
    Ok(typed.contains('+') && !is_file(typed) && cache.imported(typed)?.is_none())
}

/// Whether what was typed is meant as a file rather than a name.
fn is_file(typed: &str) -> bool {
    let ending = Path::new(typed).extension().and_then(|ending| ending.to_str());
    typed.contains(['/', '\\']) || matches!(ending, Some("onnx" | "xml"))
}

/// Where recognisers come from, and how they are opened.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) models: &'a Models,
    pub(crate) device: &'a Device,
    pub(crate) precision: PrecisionChoice,
}

impl Source<'_> {
    /// Opens the model of this name, the default one where there is no name; files that are missing
    /// are fetched, or found in another program's cache.
    pub(crate) fn open(&self, name: Option<&str>, network: &NetworkOptions) -> Result<Recogniser> {
        let (cache, zoo) = (self.models.cache(), self.models.zoo());
        match name {
            Some(several) if is_several(several, cache)? => {
                self.together(&Composition::parse(several)?, network)
            }
            Some(file) if is_file(file) => self.file(Path::new(file), network),
            Some(name) => match cache.imported(name)? {
                Some(imported) => self.imported(name, &imported, network.metric),
                None => self.catalogue(zoo.model_of(ModelKind::Recogniser, name)?, network),
            },
            None => {
                let default = zoo.default_of(ModelKind::Recogniser);
                let default =
                    default.ok_or_else(|| Error::model("the catalogue has no default"))?;
                self.catalogue(default, network)
            }
        }
    }

    /// A network with no entry anywhere: taken in under a name made of its content and use, so that
    /// an index finds it again.
    fn file(&self, path: &Path, network: &NetworkOptions) -> Result<Recogniser> {
        let request = ModelFile { path, name: None, architecture: None, network, threshold: None };
        let (name, imported) = model_import::take_in(self.models, &request, self.device)?;
        self.imported(&name, &imported, None)
    }

    /// Several models as one: an index of them keeps the embeddings of all.
    fn together(&self, composition: &Composition, network: &NetworkOptions) -> Result<Recogniser> {
        // An index of several models is pinned to L2, which is what the whole is compared by.
        if network.metric.is_some_and(|metric| metric != Metric::L2) {
            return Err(Error::usage(
                "several models are each compared by their own metric, and the whole by l2; \
                 leave --metric out",
            ));
        }
        let (mut parts, mut weights, mut preprocessing) = (Vec::new(), Vec::new(), Vec::new());
        let open = |name, precision| {
            Source { precision, ..*self }.open(Some(name), &NetworkOptions::default())
        };
        let opened = composition.parts().map(|(name, _)| open(name, self.precision));
        let mut opened = opened.collect::<Result<Vec<_>>>()?;
        // An index has one precision: int16 where it is for all.
        let all_int16 = opened.iter().all(|one| one.precision == Precision::Int16);
        let precision = if all_int16 { Precision::Int16 } else { Precision::F32 };
        for (one, (name, _)) in opened.iter_mut().zip(composition.parts()) {
            if one.precision != precision {
                *one = open(name, PrecisionChoice::F32)?;
            }
        }
        for (one, (name, weight)) in opened.into_iter().zip(composition.parts()) {
            let Some(threshold) = one.threshold.filter(|threshold| *threshold > 0.0) else {
                return Err(Error::usage(format!(
                    "`{name}` has no threshold above 0, so its distances have no unit; import it \
                     again with `--threshold`"
                )));
            };
            weights.push(one.weights);
            // What a distance is divided by decides what the whole means.
            let way = one.preprocessing;
            preprocessing.push(format!("{way}, {} / {}", one.embedder.metric(), threshold));
            let (aligner, embedder) = (one.aligner, one.embedder);
            let threshold = f64::from(threshold);
            parts.push(CompositePart { aligner, embedder, weight, threshold });
        }
        let name = composition.name();
        let (aligner, embedder) = composite(name.clone(), parts);
        Ok(Recogniser {
            embedder: Box::new(embedder),
            aligner: Box::new(aligner),
            name,
            weights: weights.join("+"),
            preprocessing: preprocessing.join(" | "),
            precision,
            threshold: Some(1.0),
            chip_size: None,
        })
    }

    fn imported(
        &self,
        name: &str,
        imported: &Imported,
        metric: Option<Metric>,
    ) -> Result<Recogniser> {
        let files = self.models.cache().imported_files(name, imported)?;
        let mut source = RecogniserSource { metric, ..RecogniserSource::new(&files, self.device) };
        match (&imported.architecture, &imported.network) {
            (Some(architecture), _) => {
                let model = self.models.zoo().model_of(ModelKind::Recogniser, architecture)?;
                let needed = self.models.fetch_needed(model)?;
                source.needed = &needed;
                let opened = self.entry(model, imported.sha256, source)?;
                Ok(Recogniser { name: name.to_owned(), ..opened })
            }
            (None, Some(network)) => {
                source.precision = self.precision.of(false, self.device)?;
                let opened = open_network(name, network, &source)?;
                let own = (network.metric, network.threshold);
                let threshold = threshold_for(opened.metric, own, &[]);
                let opened = Recogniser::new(name, imported.sha256, source.precision, opened);
                Ok(Recogniser { threshold, ..opened })
            }
            (None, None) => Err(Error::model(format!(
                "the record of `{name}` says neither whose weights it holds nor how they are used; \
                 import the model again with `facesearch models import`"
            ))),
        }
    }

    fn catalogue(&self, model: &Model, network: &NetworkOptions) -> Result<Recogniser> {
        if let Some(by_hand) = &model.by_hand {
            let Some(path) = by_hand.found() else {
                return Err(Error::model(format!(
                    "the weights of `{}` are not here; {}",
                    model.name,
                    by_hand.advice(&model.name)
                )));
            };
            self.models.note(&format!(
                "taking the weights of {} from {}",
                model.name,
                display_path(&path)
            ));
            let request = ModelFile {
                path: &path,
                name: Some(&model.name),
                architecture: None,
                network: &NetworkOptions::default(),
                threshold: None,
            };
            let (name, imported) = model_import::take_in(self.models, &request, self.device)?;
            return self.imported(&name, &imported, network.metric);
        }
        let (files, needed) = self.models.fetch_model(model)?;
        let weights = model.weights();
        let weights =
            weights.ok_or_else(|| Error::model(format!("`{}` has no files", model.name)))?;
        let converted = self.models.cache().made(&format!("{weights}.safetensors"))?;
        let source = RecogniserSource {
            needed: &needed,
            converted: converted.as_deref(),
            metric: network.metric,
            ..RecogniserSource::new(&files, self.device)
        };
        let opened = self.entry(model, weights, source)?;
        if let Some(converted) = converted {
            self.models.cache().keep_made(&converted)?;
        }
        Ok(opened)
    }

    /// A recogniser of the catalogue with these weights.
    fn entry(
        &self,
        model: &Model,
        weights: Digest,
        source: RecogniserSource<'_>,
    ) -> Result<Recogniser> {
        let precision = self.precision.of(model.int16_measured_with(weights), self.device)?;
        let opened = open_entry(model, &RecogniserSource { precision, ..source })?;
        let threshold = threshold_of(model, opened.metric);
        let opened = Recogniser::new(&model.name, weights, precision, opened);
        Ok(Recogniser { threshold, ..opened })
    }
}

/// Opens a recogniser of the catalogue: as its entry says, or by the code of its name.
pub(crate) fn open_entry(model: &Model, source: &RecogniserSource<'_>) -> Result<Recognition> {
    let name = &model.name;
    if let Some(network) = &model.network {
        return open_network(name, network, source);
    }
    let code = RecogniserModel::named(name);
    let code =
        code.ok_or_else(|| Error::model(format!("`{name}` cannot be opened by this version")))?;
    Ok(code.open(source)?)
}

/// Opens a network that needs no code.
fn open_network(
    name: &str,
    network: &NetworkUse,
    source: &RecogniserSource<'_>,
) -> Result<Recognition> {
    let (options, aligner) = network_options(name, network)?;
    Ok(source.open_network(options, aligner)?)
}

/// What a record or an entry says of a network, in the types of the code that opens it.
pub(crate) fn network_options(
    name: &str,
    network: &NetworkUse,
) -> Result<(OnnxOptions, Box<dyn Aligner>)> {
    let NetworkUse { size, colours, normalise, align, metric, .. } = network;
    let [width, height] = size;
    let unknown = |what: String| {
        Error::model(format!("how the network `{name}` is used is not known here: {what}"))
    };
    let colour_order = ColourOrder::named(colours)
        .ok_or_else(|| unknown(format!("colours `{colours}`, which are neither rgb nor bgr")))?;
    let normalisation = Normalisation::named(normalise)
        .ok_or_else(|| unknown(format!("normalise `{normalise}`")))?;
    let aligner = Alignment::named(align).and_then(|alignment| alignment.aligner(*size));
    let aligner = aligner
        .ok_or_else(|| unknown(format!("align `{align}` for chips of {width}x{height} pixels")))?;
    let options = OnnxOptions {
        name: name.to_owned(),
        size: Some(*size),
        colours: colour_order,
        normalisation,
        metric: *metric,
    };
    Ok((options, aligner))
}

/// The threshold of a model of the catalogue for a metric, L2.
fn threshold_of(model: &Model, metric: Metric) -> Option<f32> {
    let output = model.output.as_ref()?;
    threshold_for(metric, (output.metric, output.threshold), &model.presets)
}

/// The threshold for a metric, L2: the model's own, or the one published for that metric.
fn threshold_for(
    metric: Metric,
    (own_metric, own): (Metric, Option<f32>),
    presets: &[Preset],
) -> Option<f32> {
    if metric.is_normalised() == own_metric.is_normalised() {
        return own;
    }
    presets.iter().find(|preset| preset.metric == metric).map(Preset::l2)
}

#[cfg(test)]
mod tests {
    use facesearch_vision::{DETECTORS, DetectorModel, RECOGNISERS};
    use facesearch_zoo::Zoo;

    use super::*;

    #[test]
    fn the_catalogue_and_the_code_know_the_same_models() {
        let zoo = Zoo::builtin();
        for model in zoo.models() {
            let name = &model.name;
            let is_known = match (model.kind, &model.network) {
                (ModelKind::Recogniser, Some(network)) => network_options(name, network).is_ok(),
                (ModelKind::Recogniser, None) => RecogniserModel::named(name).is_some(),
                (ModelKind::Detector, _) => DetectorModel::named(name).is_some(),
                // Opened by the code of the models that need it.
                (ModelKind::Landmarks, _) => zoo.models().iter().any(|m| m.needs.contains(name)),
            };
            assert!(is_known, "nothing here opens `{name}`");
        }
        for model in RECOGNISERS {
            let entry = zoo.model_of(ModelKind::Recogniser, model.name).unwrap();
            assert!(entry.network.is_none(), "`{}` is opened in two ways", model.name);
        }
        for model in DETECTORS {
            zoo.model_of(ModelKind::Detector, model.name).unwrap();
        }
    }

    #[test]
    fn a_threshold_is_for_vectors_scaled_as_its_own_were() {
        let cosine = (Metric::Cosine, Some(1.1));
        assert_eq!(threshold_for(Metric::Angular, cosine, &[]), Some(1.1));
        assert_eq!(threshold_for(Metric::L2, cosine, &[]), None);
        assert_eq!(threshold_for(Metric::Cosine, (Metric::Cosine, None), &[]), None);
        let preset = Preset { name: "theirs".into(), metric: Metric::L2, value: 20.0 };
        assert_eq!(threshold_for(Metric::L2, cosine, &[preset]), Some(20.0));
    }
}
