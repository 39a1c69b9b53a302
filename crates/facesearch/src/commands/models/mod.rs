//! `facesearch models`: which models there are, whose they are, and whether their files are here.

use clap::{Args, Subcommand};
use facesearch_zoo::{Check, FetchOptions, Model, Zoo};

use crate::args::Global;
use crate::composition::Composition;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, shown};
use crate::recogniser;

mod import;
mod list;
mod reproduce;

/// List, fetch and check model files
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// A table of every model: licence, size, metric, threshold, accuracy, and whether it is here
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
    /// All that is known of one model
    Show {
        #[arg(value_name = "NAME")]
        name: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    Import(import::ImportArgs),
    Reproduce(reproduce::ReproduceArgs),
    /// Say where model files are kept
    Path,
}

/// Exits with 0, or with 6 where a file is missing, wrong or not to be had.
pub(crate) fn run(args: &ModelsArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let zoo = Zoo::builtin();
    match &args.command {
        ModelsCommand::List { json } => list::run(&zoo, *json, global, out),
        ModelsCommand::Show { name, json } => show(&zoo, name, *json, global, out),
        ModelsCommand::Pull { names } => pull(&chosen(&zoo, names)?, global, out),
        ModelsCommand::Verify { names } => verify(&zoo, names, global, out),
        ModelsCommand::Import(args) => import::run(&zoo, args, global, out),
        ModelsCommand::Reproduce(args) => reproduce::run(args, global, out),
        ModelsCommand::Path => {
            out.line(open::cache(global)?.dir().display())?;
            Ok(Exit::Success)
        }
    }
}

/// One model, or each of several that are used together, after what each counts.
fn show(
    zoo: &Zoo,
    name: &str,
    json: bool,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    if !recogniser::is_several(name, &open::cache(global)?)? {
        return list::show(zoo, name, json, global, out);
    }
    let together = Composition::parse(name)?;
    if json {
        out.json(&together)?;
    } else {
        out.lines(together.for_people())?;
    }
    for (name, _) in together.parts() {
        list::show(zoo, name, json, global, out)?;
    }
    Ok(Exit::Success)
}

/// The models named, or those used by default.
fn chosen<'z>(zoo: &'z Zoo, names: &[String]) -> anyhow::Result<Vec<&'z Model>> {
    if names.is_empty() {
        return Ok(zoo.models().iter().filter(|model| model.default).collect());
    }
    let mut models = Vec::new();
    for name in names {
        for name in Composition::names(name) {
            models.push(zoo.model(name)?);
        }
    }
    Ok(models)
}

fn pull(models: &[&Model], global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let cache = open::cache(global)?;
    let options = FetchOptions { offline: global.offline, recheck: true };
    for model in models {
        if let Some(by_hand) = &model.by_hand {
            out.note(format!(
                "`{}` is not fetched, because the SHA-256 of its file is not known here: {}",
                model.name,
                by_hand.advice(&model.name)
            ));
        }
    }
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
