//! What can be typed: the commands, and the options that all of them take.

use clap::{Parser, Subcommand};

use crate::args::Global;
use crate::commands::{
    audit, batch, bench, calibrate, cluster, demo, eval, export, identity, import, index, models,
    optimize, purge, query, remove, represent, stats, verify,
};

/// Find every face in your photos, and say who is in a new one
#[derive(Debug, Parser)]
#[command(name = "facesearch", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  found, verified, done
  1  nobody found, not the same person
  2  wrong usage
  3  input unreadable, or no face in it
  4  index missing, damaged or of another model
  5  finished, with files that failed
  6  model or device unusable, or too few threads
  7  something cannot be written: the disk is full, say
  130  interrupted; what was done is kept";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Index(index::IndexArgs),
    Cluster(cluster::ClusterArgs),
    Identity(identity::IdentityArgs),
    Query(query::QueryArgs),
    Batch(batch::BatchArgs),
    Verify(verify::VerifyArgs),
    Represent(represent::RepresentArgs),
    Stats(stats::StatsArgs),
    Audit(audit::AuditArgs),
    Calibrate(calibrate::CalibrateArgs),
    Eval(eval::EvalArgs),
    Bench(bench::BenchArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Remove(remove::RemoveArgs),
    Purge(purge::PurgeArgs),
    Optimize(optimize::OptimizeArgs),
    Models(models::ModelsArgs),
    Demo(demo::DemoArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
