//! `facesearch models`: which models there are, whose they are, and whether their files are here.

use clap::{Args, Subcommand};
use facesearch::{Check, Composition, FileCheck, ImportedCheck, Models};

use crate::args::Global;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, shown};

mod cohort;
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
    Cohort(cohort::CohortArgs),
    Reproduce(reproduce::ReproduceArgs),
    /// Say where model files are kept
    Path,
}

/// Exits with 0, or with 6 where a file is missing, wrong or not to be had.
pub(crate) fn run(args: &ModelsArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let models = open::models(global, out)?;
    match &args.command {
        ModelsCommand::List { json } => list::run(&models, *json, out)?,
        ModelsCommand::Show { name, json } => show(&models, name, *json, out)?,
        ModelsCommand::Pull { names } => {
            for path in models.pull(names)? {
                out.line(shown(&path))?;
            }
        }
        ModelsCommand::Verify { names } => return verify(&models, names, out),
        ModelsCommand::Import(args) => import::run(&models, args, out)?,
        ModelsCommand::Cohort(args) => cohort::run(&models, args, out)?,
        ModelsCommand::Reproduce(args) => return reproduce::run(args, global, out),
        ModelsCommand::Path => out.line(models.dir().display())?,
    }
    Ok(Exit::Success)
}

/// One model, or each of several that are used together, after what each counts.
fn show(models: &Models, name: &str, json: bool, out: &mut Printer) -> anyhow::Result<()> {
    let Some(together) = models.composition(name)? else {
        return list::show(models, name, json, out);
    };
    if json {
        out.json(&together)?;
    } else {
        out.lines(in_words(&together))?;
    }
    together.parts().try_for_each(|(name, _)| list::show(models, name, json, out))
}

fn in_words(together: &Composition) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} models together, threshold {} L2",
        together.name(),
        together.parts().count(),
        together.threshold()
    )];
    for (name, weight) in together.parts() {
        lines.push(format!("    {weight:.3}     {name}, in units of its own threshold, squared"));
    }
    lines
}

fn verify(models: &Models, names: &[String], out: &mut Printer) -> anyhow::Result<Exit> {
    let mut exit = Exit::Success;
    for ImportedCheck { name, right } in models.verify_imported(names)? {
        if right {
            out.line(format!("{name}: right"))?;
        } else {
            exit = Exit::Model;
            out.line(format!("{name}: wrong: not what was imported; import it again"))?;
        }
    }
    let mut can_pull = false;
    for FileCheck { file, size, sha256, check } in models.verify(names)? {
        let (is_bad, verdict) = match check {
            Check::Good => (false, "right".to_owned()),
            // Not having a model one did not ask for is nothing bad.
            Check::Missing => (!names.is_empty(), "not fetched yet".into()),
            Check::WrongSize { found } => (true, format!("wrong: {found} bytes, not {size}")),
            Check::WrongContent { found } => {
                (true, format!("wrong: its SHA-256 is {found}, not {sha256}"))
            }
        };
        if is_bad {
            exit = Exit::Model;
            can_pull = true;
        }
        out.line(format!("{file}: {verdict}"))?;
    }
    if can_pull {
        out.note("`facesearch models pull` fetches what is missing and replaces what is wrong");
    }
    Ok(exit)
}
