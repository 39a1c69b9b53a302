//! Taking in a model file that the catalogue cannot vouch for: recognised by its content, opened
//! once to see that it fits, kept in the cache in the form that opens fastest.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;
use facesearch_core::{Metric, display_path};
use facesearch_vision::{
    Alignment, ColourOrder, ModelFormat, Normalisation, OnnxOptions, RecogniserSource,
    open_network, recognise_model,
};
use facesearch_zoo::{Digest, Imported, Model, ModelKind, NetworkUse, Zoo};

use crate::error::{Error, Result};
use crate::models::Models;
use crate::options::NetworkOptions;
use crate::recogniser::open_entry;

/// A recogniser's file that the catalogue cannot vouch for.
#[derive(Debug, Clone, Copy)]
pub struct ModelFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// The name to give it; made of content and use where there is none.
    pub name: Option<&'a str>,
    /// The catalogue's model whose weights these are, where the name does not say it.
    pub architecture: Option<&'a str>,
    /// How a network that the catalogue does not know is used.
    pub network: &'a NetworkOptions,
    /// Largest L2 distance of one person, for a network that the catalogue does not know.
    pub threshold: Option<f32>,
}

/// Weights by name, converted: mapped into memory from then on.
const CONVERTED: &str = "weights.safetensors";

/// Takes a file in and says under which name. A file that is there already, whole and used in the
/// same way, costs its hash.
pub(crate) fn take_in(
    models: &Models,
    request: &ModelFile<'_>,
    device: &Device,
) -> Result<(String, Imported)> {
    let (cache, zoo) = (models.cache(), models.zoo());
    let path = request.path;
    let format = format_of(path)?;
    let originals = originals(path, format)?;
    let digests = originals
        .iter()
        .map(|file| {
            Digest::of_file(file).map_err(|error| {
                Error::input(format!("cannot read {}: {error}", display_path(file)))
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let sha256 = Digest::of_all(&digests)
        .ok_or_else(|| Error::input(format!("{} is no model", display_path(path))))?;
    let architecture = architecture(zoo, request, format)?;
    let network = match architecture {
        None => Some(network_use(&originals, request, device)?),
        Some(_) => None,
    };
    let name = match request.name {
        Some(name) => name.to_owned(),
        None => name_of(path, sha256, network.as_ref()),
    };
    let original = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let architecture_name = architecture.map(|model| model.name.clone());
    if let Some(there) = cache.imported(&name)?
        && there.sha256 == sha256
        && there.network == network
        && there.architecture == architecture_name
        && cache.imported_files(&name, &there).is_ok()
    {
        return Ok((name, there));
    }
    let imported = cache.import_as(&name, |dir| -> Result<Imported> {
        let files = match architecture {
            Some(model) => {
                let needed = models.fetch_needed(model)?;
                let source = RecogniserSource::new(&originals, device);
                keep_weights(model, format, RecogniserSource { needed: &needed, ..source }, dir)?
            }
            None => copy(&originals, dir)?,
        };
        Ok(Imported {
            original,
            format: format.name().to_owned(),
            sha256,
            files,
            digests: Vec::new(),
            architecture: architecture_name,
            network,
        })
    })?;
    Ok((name, imported))
}

fn format_of(path: &Path) -> Result<ModelFormat> {
    let unread = |error| Error::input(format!("cannot read {}: {error}", display_path(path)));
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start)).map_err(unread)?;
    let format = recognise_model(&start).ok_or_else(|| {
        Error::input(format!(
            "{} is no model file: none of ONNX, OpenVINO IR, Keras HDF5, PyTorch, safetensors and \
             dlib begins like it",
            display_path(path)
        ))
    })?;
    if format == ModelFormat::Torch && path.extension().is_some_and(|ending| ending == "zip") {
        let path = display_path(path);
        return Err(Error::input(format!(
            "{path} is an archive; unpack it and import what is inside"
        )));
    }
    Ok(format)
}

/// The file, and the one beside it that belongs to it.
fn originals(path: &Path, format: ModelFormat) -> Result<Vec<PathBuf>> {
    if format != ModelFormat::OpenVino {
        return Ok(vec![path.to_owned()]);
    }
    let weights = path.with_extension("bin");
    if !weights.is_file() {
        return Err(Error::input(format!(
            "{} is the graph of a network; its weights, {}, are not beside it",
            display_path(path),
            display_path(&weights)
        )));
    }
    Ok(vec![path.to_owned(), weights])
}

/// The catalogue's model whose weights a file holds; `None` for a network of its own.
fn architecture<'z>(
    zoo: &'z Zoo,
    request: &ModelFile<'_>,
    format: ModelFormat,
) -> Result<Option<&'z Model>> {
    if let Some(name) = request.architecture {
        return Ok(Some(zoo.model_of(ModelKind::Recogniser, name)?));
    }
    let named = request.name.and_then(|name| zoo.model(name).ok());
    if let Some(model) = named {
        if model.by_hand.is_none() {
            return Err(Error::usage(format!(
                "`{}` stands in the catalogue for one file of a known SHA-256; give this one \
                 another name, and say `--architecture {}` if it is the same network",
                model.name, model.name
            )));
        }
        return Ok(Some(model));
    }
    if matches!(format, ModelFormat::Onnx | ModelFormat::OpenVino) {
        return Ok(None);
    }
    let networks: Vec<&str> = zoo
        .models()
        .iter()
        .filter(|model| model.kind == ModelKind::Recogniser)
        .map(|model| model.name.as_str())
        .collect();
    Err(Error::usage(format!(
        "{} holds weights of {} but no network; say whose they are with `facesearch models import \
         FILE --as NAME --architecture` and one of {}",
        display_path(request.path),
        format.name(),
        networks.join(", ")
    )))
}

/// How a network of its own is used: as asked for, and as its file says.
fn network_use(files: &[PathBuf], request: &ModelFile<'_>, device: &Device) -> Result<NetworkUse> {
    let NetworkOptions { input, normalise, colours, align, metric } = request.network;
    let metric = metric.unwrap_or(Metric::Cosine);
    let normalisation = normalise.unwrap_or(Normalisation::ArcFace);
    let colours = colours.unwrap_or(ColourOrder::Rgb);
    let path = display_path(request.path);
    let options = OnnxOptions { name: path.clone(), size: *input, colours, normalisation, metric };
    let embedder = open_network(files, options, device)?;
    let size = embedder.input().size;
    let [width, height] = size;
    let align = align.as_deref().unwrap_or_else(|| Alignment::of_size(size).name());
    if Alignment::named(align).and_then(|alignment| alignment.aligner(size)).is_none() {
        return Err(Error::usage(format!(
            "chips cut by `--align {align}` have another size than {width}x{height}, which {path} \
             takes"
        )));
    }
    Ok(NetworkUse {
        size,
        colours: colours.name().to_owned(),
        normalise: normalisation.name().to_owned(),
        align: align.to_owned(),
        metric,
        threshold: request.threshold,
    })
}

/// A name for a file nobody named: what it is called, and what tells it from others of that name.
fn name_of(path: &Path, sha256: Digest, network: Option<&NetworkUse>) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-+".contains(c) { c } else { '-' };
    let stem: String = stem.chars().map(plain).collect();
    // An index finds its file again by this name, so it stays what it was when every network was
    // given a threshold.
    let network = format!("{network:?}").replace("threshold: None", "threshold: 0.55");
    let content = format!("{sha256} {network}");
    format!("{stem}@{}", &Digest::of(content.as_bytes()).to_string()[..8])
}

/// Opens weights as `model`, whose first mismatch is the error, and keeps what opens fastest.
fn keep_weights(
    model: &Model,
    format: ModelFormat,
    source: RecogniserSource<'_>,
    dir: &Path,
) -> Result<Vec<String>> {
    let converted = dir.join(CONVERTED);
    open_entry(model, &RecogniserSource { converted: Some(&converted), ..source })?;
    if converted.is_file() {
        return Ok(vec![CONVERTED.to_owned()]);
    }
    if format == ModelFormat::Safetensors {
        copy_one(&source.files[0], &converted)?;
        return Ok(vec![CONVERTED.to_owned()]);
    }
    copy(source.files, dir)
}

fn copy(files: &[PathBuf], dir: &Path) -> Result<Vec<String>> {
    files
        .iter()
        .map(|file| {
            let ending = file.extension().unwrap_or_default().to_string_lossy();
            let name = format!("network.{ending}");
            copy_one(file, &dir.join(&name))?;
            Ok(name)
        })
        .collect()
}

fn copy_one(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).and_then(|_| File::open(to)?.sync_all()).map_err(Error::write(to))
}
