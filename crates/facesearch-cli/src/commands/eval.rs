//! `facesearch eval`: how good is it, on photos whose people are known?

mod ensemble;
mod identify;
mod pairs;
pub(crate) mod source;
mod text;

use clap::{Args, Subcommand};

use crate::args::Global;
use crate::exit::Exit;
use crate::printer::Printer;

/// Measure how good the answers are, on photos whose people are known
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    pub(crate) command: EvalCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    Pairs(pairs::PairsArgs),
    Identify(identify::IdentifyArgs),
    Ensemble(ensemble::EnsembleArgs),
}

/// Exits with 0 once everything is measured, with 5 where some photos could not be read.
pub(crate) fn run(args: &EvalArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    match &args.command {
        EvalCommand::Pairs(args) => pairs::run(args, global, out),
        EvalCommand::Identify(args) => identify::run(args, global, out),
        EvalCommand::Ensemble(args) => ensemble::run(args, global, out),
    }
}
