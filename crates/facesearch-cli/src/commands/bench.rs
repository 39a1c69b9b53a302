//! `facesearch bench`: how fast is it here, beside others on the same work?

mod embed;
mod layers;
mod peers;
mod pipeline;
mod table;

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use rayon::ThreadPool;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// Measure how fast this machine embeds, beside other libraries in the same run
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    Embed(embed::EmbedArgs),
    Layers(layers::LayersArgs),
    Pipeline(pipeline::PipelineArgs),
}

/// How long to measure, and beside whom
#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// Script that measures the peers: `benches/embed_peers.py` of the source
    #[arg(long, value_name = "FILE.py")]
    peers: Option<std::path::PathBuf>,

    /// Python that runs it; needs onnx, onnxruntime, dlib-bin, facenet-pytorch, opencv and Pillow
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: std::path::PathBuf,

    /// Numbers of threads to measure with
    #[arg(
        long = "with-threads",
        value_name = "N,...",
        value_delimiter = ',',
        default_values_t = [1, 2],
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    with_threads: Vec<u16>,

    /// Measuring goes round so often, each side in turn; the best of the rounds counts
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    rounds: u16,

    /// Seconds of each side in each round
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,

    /// Count processor time instead of the fastest run, for a machine that others use too (Linux)
    #[arg(long)]
    cpu_time: bool,
}

impl Measure {
    /// The fastest of the runs that fit into a round's time, or all of them by the processor time
    /// they took, as things a second.
    fn rate(
        &self,
        things: usize,
        mut run: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let before = if self.cpu_time { processor_time()? } else { Duration::ZERO };
        let (begin, mut best, mut runs) = (Instant::now(), Duration::MAX, 0);
        while runs == 0 || begin.elapsed().as_secs_f64() < self.seconds {
            let start = Instant::now();
            run()?;
            best = best.min(start.elapsed());
            runs += 1;
        }
        if self.cpu_time {
            best = (processor_time()? - before) / runs;
        }
        Ok(things as f64 / best.as_secs_f64())
    }
}

/// What this process's threads have had of the processors.
fn processor_time() -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir("/proc/self/task").context("no processor time here")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let had = text.split(' ').next().context("no processor time here")?;
        nanoseconds += had.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn pool(threads: u16) -> anyhow::Result<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build();
    pool.map_err(|error| Failure::threads(std::io::Error::other(error.to_string())))
}

/// Exits with 0.
pub(crate) fn run(args: &BenchArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    match &args.command {
        BenchCommand::Embed(args) => embed::run(args, global, out),
        BenchCommand::Layers(args) => layers::run(args, global, out),
        BenchCommand::Pipeline(args) => pipeline::run(args, global, out),
    }
}
