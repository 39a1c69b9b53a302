//! `facesearch models import`: taking files that the user has.

use std::path::PathBuf;

use clap::Args;
use facesearch::{ImportedEntry, ModelFile, Models};

use crate::args::threshold;
use crate::exit::Failure;
use crate::open::NetworkArgs;
use crate::printer::{Printer, shown};

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

/// Takes the files in, all of them or, where one is no file, none.
pub(super) fn run(models: &Models, args: &ImportArgs, out: &mut Printer) -> anyhow::Result<()> {
    if let Some(missing) = args.files.iter().find(|file| !file.is_file()) {
        return Err(Failure::input(format!("{} is no file", shown(missing))));
    }
    let Some(name) = &args.name else {
        for file in &args.files {
            for known_as in models.import(file)? {
                out.line(format!("{}: imported as {known_as}", shown(file)))?;
            }
        }
        return Ok(());
    };
    let [path] = &args.files[..] else {
        return Err(Failure::usage("one name is for one file; import the files one by one"));
    };
    let file = ModelFile {
        path,
        name: Some(name),
        architecture: args.architecture.as_deref(),
        network: &args.network.options(),
        threshold: args.threshold,
    };
    let ImportedEntry { name, imported, .. } = models.import_network(&file)?;
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
            "no threshold of {name} is known; `facesearch eval pairs FILE.csv --model {name}` \
             finds the best for pairs of yours, and `--threshold` gives it here or with a query"
        ));
    }
    Ok(())
}
