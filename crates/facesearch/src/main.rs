//! Face search on the command line: the only place that prints, reads the environment, wires
//! concrete types and exits.

#![forbid(unsafe_code)]

mod args;
mod calibration;
mod commands;
mod composition;
mod exit;
mod imported;
mod interrupt;
mod judge;
mod model_import;
mod open;
mod page;
mod printer;
mod progress;
mod recogniser;
mod report;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::args::{Cli, Command, Global};
use crate::exit::Exit;
use crate::printer::Printer;

/// A query is a short life in which weights are unpacked and photos taken apart: with the system's allocator, a third of its time
/// went into pages of memory that were given back and asked for again.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.global.verbose);
    let mut out = Printer::new(cli.global.quiet);
    let global = &cli.global;
    let ended = open::start_threads(global).and_then(|()| run(&cli.command, global, &mut out));
    exit::conclude(ended.and_then(|exit| out.flush().map(|()| exit)), &out)
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

/// Libraries' events go to stderr: warnings by default, more with each `-v`; the variable
/// `FACESEARCH_LOG` takes the usual filter syntax and overrides both.
fn start_log(verbose: u8) {
    let default = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("FACESEARCH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
