//! A name of the catalogue, a name the user gave, or the file of a network becomes a recogniser,
//! with its aligner and all that an index of its embeddings is pinned to.

use std::path::{Path, PathBuf};

use candle_core::Device;
use facesearch_core::{Embedder, Metric, display_path};
use facesearch_vision::{
    Aligner, BoxAligner, ColourOrder, CompositePart, DlibAligner, DlibResNet, NetworkEmbedder,
    Normalisation, OnnxOptions, PointAligner, Precision, ShapePredictor5, SquareInBox, Stacked,
    Template, Views, composite, open_network, open_recogniser,
};
use facesearch_zoo::{Cache, Digest, Imported, Model, ModelKind, NetworkUse, Preset};

use crate::composition::Composition;
use crate::error::{Error, Result};
use crate::model_import::{self, ModelFile};
use crate::models::Models;
use crate::options::{NetworkOptions, PrecisionChoice};

/// Models and the SHA-256 of the weights with which `int16` was found to move embeddings by less
/// than 0.01 in the mean, and the accuracy on LFW View 1's test pairs by no more than 0.001;
/// `docs/embedding.md` has the figures. Other weights of the same architecture were not measured.
const ADMITTED: [(&str, &str); 3] = [
    ("dlib", "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"),
    ("mobilefacenet-foamliu", "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507"),
    ("retail-0095", "4d36b88f2d095f9d6921c3c022b4499cd5c4b03dfe4c98fdb02e970cbbfecccc"),
];

impl PrecisionChoice {
    /// Of a model of the catalogue, or one without an entry there, with these weights.
    fn of(self, model: Option<&str>, weights: &str, device: &Device) -> Result<Precision> {
        let admitted = || ADMITTED.iter().any(|(name, of)| Some(*name) == model && *of == weights);
        match self {
            Self::F32 => Ok(Precision::F32),
            Self::Int16 if device.is_cpu() => Ok(Precision::Int16),
            Self::Int16 => Err(Error::usage(
                "int16, which was asked for or is the precision of the index, is for the CPU only; \
                 use `--device cpu`",
            )),
            Self::Auto if device.is_cpu() && admitted() => Ok(Precision::Int16),
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
    /// The same for chips cut in another way.
    pub(crate) fn aligned_by(self, how: &str) -> Result<Self> {
        let refused = || Error::usage(format!("`{}` cannot take chips cut by {how}", self.name));
        let size = self.chip_size.ok_or_else(refused)?;
        let aligner = aligner(how, size).ok_or_else(refused)?;
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
        let weights = imported.sha256.to_string();
        match (&imported.architecture, &imported.network) {
            (Some(architecture), _) => {
                let model = self.models.zoo().model_of(ModelKind::Recogniser, architecture)?;
                let precision = self.precision.of(Some(architecture), &weights, self.device)?;
                let opened = named(model, &files, None, metric, (self.device, precision))?;
                Ok(Recogniser { name: name.to_owned(), weights, ..opened })
            }
            (None, Some(network)) => {
                let how = (self.device, self.precision.of(None, &weights, self.device)?);
                let opened = network_of(name, &files, network, metric, how)?;
                Ok(Recogniser { weights, ..opened })
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
        if model.name == "dlib" {
            return self.dlib(model, network.metric);
        }
        let files = self.models.fetch(&model.artifacts)?;
        let made = format!("{}.safetensors", weights_of(model));
        let converted = self.models.cache().made(&made)?;
        let precision = self.precision.of(Some(&model.name), &weights_of(model), self.device)?;
        let how = (self.device, precision);
        let opened = named(model, &files, converted.as_deref(), network.metric, how)?;
        if let Some(converted) = converted {
            self.models.cache().keep_made(&converted)?;
        }
        Ok(opened)
    }

    /// dlib's network sees four views: two ways to cut the chip, each also mirrored.
    /// `docs/alignment.md` says what that gains.
    fn dlib(&self, model: &Model, metric: Option<Metric>) -> Result<Recogniser> {
        let landmarks = self.models.zoo().default_of(ModelKind::Landmarks);
        let landmarks = landmarks.ok_or_else(|| Error::model("the catalogue has no landmarks"))?;
        let artifacts = [model, landmarks].into_iter().flat_map(|model| &model.artifacts);
        let paths = self.models.fetch(artifacts)?;
        let [network, predictor] = &paths[..] else {
            return Err(Error::model("dlib's models are not made of one file each"));
        };
        let precision = self.precision.of(Some(&model.name), &weights_of(model), self.device)?;
        let (predictor, network) = rayon::join(
            || ShapePredictor5::open(predictor),
            || DlibResNet::open_at(network, self.device, precision),
        );
        let (predictor, network) = (predictor?, network?);
        let aligner = Stacked::new(vec![
            Box::new(DlibAligner::new(predictor, SquareInBox::MTCNN)),
            Box::new(PointAligner::MTCNN),
        ]);
        let metric = metric.unwrap_or(Metric::L2);
        Ok(Recogniser {
            embedder: Box::new(Views::new(network).with_metric(metric)),
            preprocessing: format!("{}, mirrored", aligner.name()),
            aligner: Box::new(aligner),
            name: model.name.clone(),
            weights: weights_of(model),
            precision,
            threshold: threshold_of(model, metric),
            chip_size: None,
        })
    }
}

/// A recogniser whose network the program knows by name.
fn named(
    model: &Model,
    files: &[PathBuf],
    converted: Option<&Path>,
    metric: Option<Metric>,
    (device, precision): (&Device, Precision),
) -> Result<Recogniser> {
    let Some(opened) = open_recogniser(&model.name, files, converted, device)? else {
        let name = &model.name;
        return Err(Error::model(format!("`{name}` cannot be opened by this version")));
    };
    let metric = metric.unwrap_or(opened.embedder.metric());
    let mut recogniser =
        ready(opened.embedder, opened.aligner, opened.mirrored, (metric, precision))?;
    recogniser.name.clone_from(&model.name);
    recogniser.weights = weights_of(model);
    recogniser.threshold = threshold_of(model, metric);
    Ok(recogniser)
}

/// A recogniser of a network that only its user knows.
fn network_of(
    name: &str,
    files: &[PathBuf],
    network: &NetworkUse,
    metric: Option<Metric>,
    (device, precision): (&Device, Precision),
) -> Result<Recogniser> {
    let metric = metric.unwrap_or(network.metric);
    let wrong = |what: &str| Error::model(format!("`{name}` was imported with {what}"));
    let options = OnnxOptions {
        name: name.to_owned(),
        size: Some(network.size),
        colours: colours(&network.colours).ok_or_else(|| wrong(&network.colours))?,
        normalisation: Normalisation::named(&network.normalise)
            .ok_or_else(|| wrong(&network.normalise))?,
        metric,
    };
    let embedder = open_network(files, options, device)?;
    let aligner = aligner(&network.align, network.size)
        .ok_or_else(|| wrong(&format!("the alignment {}", network.align)))?;
    let mut recogniser = ready(embedder, aligner, false, (metric, precision))?;
    recogniser.threshold = network.threshold;
    Ok(recogniser)
}

fn ready(
    embedder: NetworkEmbedder,
    aligner: Box<dyn Aligner>,
    mirrored: bool,
    (metric, precision): (Metric, Precision),
) -> Result<Recogniser> {
    let mut preprocessing = format!("{}, {}", aligner.name(), embedder.input().name());
    let name = embedder.name().to_owned();
    let chip_size = Some(embedder.input().size);
    let embedder = match precision {
        Precision::F32 => embedder,
        Precision::Int16 => embedder.with_precision(precision)?,
    };
    let embedder = embedder.with_metric(metric);
    let embedder: Box<dyn Embedder> = if mirrored {
        preprocessing.push_str(", mirrored");
        Box::new(Views::new(embedder))
    } else {
        Box::new(embedder)
    };
    Ok(Recogniser {
        embedder,
        aligner,
        name,
        weights: String::new(),
        preprocessing,
        precision,
        threshold: None,
        chip_size,
    })
}

fn colours(name: &str) -> Option<ColourOrder> {
    match name {
        "rgb" => Some(ColourOrder::Rgb),
        "bgr" => Some(ColourOrder::Bgr),
        _ => None,
    }
}

/// What cuts chips of this size in this way.
pub(crate) fn aligner(how: &str, [width, height]: [u32; 2]) -> Option<Box<dyn Aligner>> {
    let template = |template: Template| -> Option<Box<dyn Aligner>> {
        (template.size() == [width, height]).then(|| Box::new(template) as Box<dyn Aligner>)
    };
    match how {
        "arcface" => template(Template::ARCFACE),
        "sphereface" => template(Template::SPHEREFACE),
        "retail-0095" => template(Template::RETAIL_0095_BY_MTCNN),
        "box" => Some(Box::new(BoxAligner::padded(width, height))),
        "stretch" => Some(Box::new(BoxAligner::stretched(width, height))),
        _ => None,
    }
}

/// The identity of a model's weights: the SHA-256 of its file, or of the SHA-256s of its files.
fn weights_of(model: &Model) -> String {
    let digests: Vec<Digest> = model.artifacts.iter().map(|artifact| artifact.sha256).collect();
    model_import::digest_of_all(&digests).map(|digest| digest.to_string()).unwrap_or_default()
}

/// The model's threshold for a metric, L2: its own, or the one published for that metric.
fn threshold_of(model: &Model, metric: Metric) -> Option<f32> {
    let output = model.output.as_ref()?;
    if metric.is_normalised() == output.metric.is_normalised() {
        return Some(output.threshold);
    }
    let preset = model.presets.iter().find(|preset| preset.metric == metric);
    preset.map(Preset::l2)
}
