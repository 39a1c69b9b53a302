//! `facesearch models import`: taking files that the user has.

use std::path::PathBuf;

use clap::Args;
use facesearch_zoo::Zoo;

use crate::args::{Global, threshold};
use crate::exit::{Exit, Failure};
use crate::model_import::{Request, take_in};
use crate::open;
use crate::printer::{Printer, shown};
use crate::recogniser::NetworkArgs;

/// Take files you already have: those of the catalogue by their SHA-256, any other recogniser under
/// a name of yours
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files of the catalogue, or with --as one file: ONNX, OpenVINO IR, Keras HDF5, PyTorch,
    /// safetensors; the format is told by the content
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The name to use the file by: a model's of the catalogue that comes without files, or one of
    /// yours
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The model of the catalogue whose weights the file holds, where the name does not say it
    #[arg(long, value_name = "NAME", requires = "name")]
    pub(crate) architecture: Option<String>,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Largest L2 distance that counts as the same person, for a network of your own; without it,
    /// whoever asks for a decision has to give one
    #[arg(long, value_name = "D", value_parser = threshold, requires = "name")]
    pub(crate) threshold: Option<f32>,
}

/// Exits with 0 once everything is taken in.
pub(super) fn run(
    zoo: &Zoo,
    args: &ImportArgs,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    for file in &args.files {
        if !file.is_file() {
            return Err(Failure::input(format!("{} is no file", shown(file))));
        }
    }
    let Some(name) = &args.name else {
        for file in &args.files {
            for artifact in cache.import(file, zoo)? {
                out.line(format!("{}: imported as {}", shown(file), artifact.file))?;
            }
        }
        return Ok(Exit::Success);
    };
    let [path] = &args.files[..] else {
        return Err(Failure::usage("one name is for one file; import the files one by one"));
    };
    let request = Request {
        path,
        name: Some(name),
        architecture: args.architecture.as_deref(),
        network: &args.network,
        threshold: args.threshold,
    };
    let device = open::device(&global.device)?;
    let (name, imported) = take_in(&cache, zoo, &request, &device)?;
    let whose = match (&imported.architecture, &imported.network) {
        (Some(model), _) if *model != name => format!(", weights for {model}"),
        _ => String::new(),
    };
    out.line(format!(
        "{}: imported as {name} ({}{whose}), SHA-256 {}",
        shown(path),
        imported.format,
        imported.sha256
    ))?;
    if imported.network.is_some() && args.threshold.is_none() {
        out.note(format!(
            "no threshold of {name} is known; `facesearch eval pairs FILE.csv --model {name}` finds \
             the best for pairs of yours, and `--threshold` gives it here or with a query"
        ));
    }
    Ok(Exit::Success)
}
