//! Face search on the command line: the only place that prints, reads the environment and exits.
//! All that it does is done by the library `facesearch`.

#![forbid(unsafe_code)]

mod args;
mod cli;
mod commands;
mod exit;
mod interrupt;
mod log;
mod open;
mod page;
mod printer;
mod progress;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use facesearch_core::escape_text;
use mimalloc::MiMalloc;

use crate::args::Global;
use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// A query is a short life in which weights are unpacked and photos taken apart: with the system's
/// allocator, a third of its time went into pages of memory that were given back and asked for
/// again.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    log::quiet_panics();
    let cli = parse();
    log::start(cli.global.verbose);
    let mut out = Printer::new(cli.global.quiet);
    let global = &cli.global;
    let ended = start_threads(global).and_then(|()| run(&cli.command, global, &mut out));
    exit::conclude(ended.and_then(|exit| out.flush().map(|()| exit)), &out)
}

/// A pool that is started only when it is needed panics where the system allows no more threads.
fn start_threads(global: &Global) -> anyhow::Result<()> {
    facesearch::start_threads(global.threads()).map_err(Failure::threads)
}

fn run(command: &Command, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    match command {
        Command::Cluster(args) => commands::cluster::run(args, global, out),
        Command::Identity(args) => commands::identity::run(args, global, out),
        Command::Index(args) => commands::index::run(args, global, out),
        Command::Query(args) => commands::query::run(args, global, out),
        Command::Batch(args) => commands::batch::run(args, global, out),
        Command::Verify(args) => commands::verify::run(args, global, out),
        Command::Represent(args) => commands::represent::run(args, global, out),
        Command::Stats(args) => commands::stats::run(args, global, out),
        Command::Audit(args) => commands::audit::run(args, global, out),
        Command::Calibrate(args) => commands::calibrate::run(args, global, out),
        Command::Eval(args) => commands::eval::run(args, global, out),
        Command::Bench(args) => commands::bench::run(args, global, out),
        Command::Import(args) => commands::import::run(args, global, out),
        Command::Export(args) => commands::export::run(args, global, out),
        Command::Remove(args) => commands::remove::run(args, global, out),
        Command::Purge(args) => commands::purge::run(args, global, out),
        Command::Optimize(args) => commands::optimize::run(args, global, out),
        Command::Models(args) => commands::models::run(args, global, out),
        Command::Demo(args) => commands::demo::run(args, global, out),
    }
}

/// The command line. What clap says quotes arguments, which may be names of files that a shell put
/// there: it is told of arguments in which nothing is left that a terminal would obey.
fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let safe = |typed: OsString| escape_text(&typed.to_string_lossy()).into_owned();
        match Cli::try_parse_from(std::env::args_os().map(safe)) {
            Err(error) => error.exit(),
            // The escaping itself has made a right command line of a wrong one.
            Ok(_) => printer::say(&error.render().to_string()),
        }
        std::process::exit(error.exit_code())
    })
}
