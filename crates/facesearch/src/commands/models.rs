//! `facesearch models`: which models there are, whose they are, and whether their files are here.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use facesearch_core::Metric;
use facesearch_zoo::{Check, FetchOptions, Model, Zoo};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open;
use crate::printer::{Printer, shown};

/// List, fetch and check model files
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Every model with its licence, size, threshold and accuracy
    List {
        /// One JSON object per model
        #[arg(long)]
        json: bool,
    },
    /// Fetch the files of models (default: of the models that are used by default)
    Pull {
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Check that the files present are the right bytes
    Verify {
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Take files you already have; they are recognised by their SHA-256
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Say where model files are kept
    Path,
}

/// Exits with 0, or with 6 where a file is missing, wrong or not to be had.
pub(crate) fn run(args: &ModelsArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let zoo = Zoo::builtin();
    match &args.command {
        ModelsCommand::List { json } => list(&zoo, *json, global, out),
        ModelsCommand::Pull { names } => pull(&chosen(&zoo, names)?, global, out),
        ModelsCommand::Verify { names } => verify(&zoo, names, global, out),
        ModelsCommand::Import { files } => import(&zoo, files, global, out),
        ModelsCommand::Path => {
            out.line(open::cache(global)?.dir().display())?;
            Ok(Exit::Success)
        }
    }
}

/// The models named, or those used by default.
fn chosen<'z>(zoo: &'z Zoo, names: &[String]) -> anyhow::Result<Vec<&'z Model>> {
    if names.is_empty() {
        return Ok(zoo.models().iter().filter(|model| model.default).collect());
    }
    Ok(names.iter().map(|name| zoo.model(name)).collect::<Result<_, _>>()?)
}

/// A model as `--json` gives it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    kind: &'static str,
    title: &'a str,
    default: bool,
    paper: &'a str,
    code_licence: &'a str,
    weights_licence: &'a str,
    commercial: &'static str,
    parameters: Option<u64>,
    bytes: u64,
    input: Option<[u32; 2]>,
    dimension: Option<usize>,
    metric: Option<Metric>,
    threshold: Option<f32>,
    threshold_origin: Option<&'a str>,
    accuracy: Option<&'a str>,
    accuracy_source: Option<&'a str>,
    present: bool,
}

impl<'a> Listed<'a> {
    fn new(model: &'a Model, present: bool) -> Self {
        let output = model.output.as_ref();
        let accuracy = model.accuracy.as_ref();
        Self {
            name: &model.name,
            kind: model.kind.name(),
            title: &model.title,
            default: model.default,
            paper: &model.paper,
            code_licence: &model.code_licence,
            weights_licence: &model.weights_licence,
            commercial: model.commercial.name(),
            parameters: model.parameters,
            bytes: model.artifacts.iter().map(|artifact| artifact.size).sum(),
            input: model.input.size,
            dimension: output.map(|o| o.dimension),
            metric: output.map(|o| o.metric),
            threshold: output.map(|o| o.threshold.get()),
            threshold_origin: output.map(|o| o.threshold_origin.as_str()),
            accuracy: accuracy.map(|a| a.figure.as_str()),
            accuracy_source: accuracy.map(|a| a.source.as_str()),
            present,
        }
    }

    /// A paragraph for people.
    fn for_people(&self) -> String {
        let default = if self.default { ", used by default" } else { "" };
        let present = if self.present { "present" } else { "not fetched yet" };
        let size = self.bytes as f64 / 1e6;
        let mut lines = vec![
            format!("{} ({}{default}): {}", self.name, self.kind, self.title),
            format!("    weights   {} (commercial use: {})", self.weights_licence, self.commercial),
            format!("    code      {}", self.code_licence),
            format!("    paper     {}", self.paper),
            format!("    files     {size:.1} MB, {present}"),
        ];
        if let (Some(dimension), Some(metric), Some(threshold)) =
            (self.dimension, self.metric, self.threshold)
        {
            let input = self.input.map(|[w, h]| format!("{w}x{h} to ")).unwrap_or_default();
            lines.push(format!("    gives     {input}{dimension} numbers, compared by {metric}"));
            let origin = self.threshold_origin.unwrap_or_default();
            lines.push(format!("    threshold {threshold} L2 ({origin})"));
        }
        if let (Some(figure), Some(source)) = (self.accuracy, self.accuracy_source) {
            lines.push(format!("    accuracy  {figure} ({source})"));
        }
        lines.join("\n")
    }
}

fn list(zoo: &Zoo, json: bool, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    for model in zoo.models() {
        let present = model.artifacts.iter().all(|artifact| cache.present(artifact));
        let listed = Listed::new(model, present);
        if json {
            out.json(&listed)?;
        } else {
            out.line(listed.for_people())?;
        }
    }
    Ok(Exit::Success)
}

fn pull(models: &[&Model], global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    let options = FetchOptions { offline: global.offline, recheck: true };
    let artifacts = models.iter().flat_map(|model| &model.artifacts);
    for path in open::fetch(&cache, artifacts, options, out)? {
        out.line(shown(&path))?;
    }
    Ok(Exit::Success)
}

fn verify(zoo: &Zoo, names: &[String], global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    let models = if names.is_empty() { zoo.models().iter().collect() } else { chosen(zoo, names)? };
    let mut exit = Exit::Success;
    for artifact in models.iter().flat_map(|model| &model.artifacts) {
        let (is_bad, verdict) = match cache.check(artifact)? {
            Check::Good => (false, "right".to_owned()),
            // Not having a model one did not ask for is nothing bad.
            Check::Missing => (!names.is_empty(), "not fetched yet".into()),
            Check::WrongSize { found } => {
                (true, format!("wrong: {found} bytes, not {}", artifact.size))
            }
            Check::WrongContent { found } => {
                (true, format!("wrong: its SHA-256 is {found}, not {}", artifact.sha256))
            }
        };
        if is_bad {
            exit = Exit::Model;
        }
        out.line(format!("{}: {verdict}", artifact.file))?;
    }
    if exit != Exit::Success {
        out.note("`facesearch models pull` fetches what is missing and replaces what is wrong");
    }
    Ok(exit)
}

fn import(
    zoo: &Zoo,
    files: &[PathBuf],
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    for file in files {
        if !file.is_file() {
            return Err(Failure::input(format!("{} is no file", shown(file))));
        }
        for artifact in cache.import(file, zoo)? {
            out.line(format!("{}: imported as {}", shown(file), artifact.file))?;
        }
    }
    Ok(Exit::Success)
}
