//! `facesearch bench layers`: where a network's time goes, and how far each layer is from what the
//! processor can do.

use std::path::PathBuf;

use clap::Args;
use facesearch::{BenchGraph, LayerTime, MachineLimits, Precision};

use crate::args::Global;
use crate::exit::Exit;
use crate::open::{self, precision};
use crate::printer::Printer;

/// Time each layer of a network on one thread, beside the processor's peak
#[derive(Debug, Args)]
pub(crate) struct LayersArgs {
    /// A recognition network of 112x112 chips in an ONNX file (default: dlib's)
    #[arg(long, value_name = "FILE.onnx")]
    onnx: Option<PathBuf>,

    /// The weights of DeepFace
    #[arg(long, value_name = "FILE.h5", conflicts_with = "onnx")]
    deepface: Option<PathBuf>,

    /// What its convolutions multiply
    #[arg(long, value_name = "f32|int16", default_value = "f32", value_parser = precision)]
    precision: Precision,

    /// Chips at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    batch: u16,

    /// Each layer's figure is the best of so many runs
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    runs: u16,
}

/// Neighbouring layers of one kind.
struct Group {
    name: String,
    precision: Precision,
    layers: usize,
    seconds: f64,
    done: f64,
    defined: f64,
    bytes: f64,
}

/// Exits with 0.
pub(crate) fn run(args: &LayersArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let recogniser = |name: &str, file| BenchGraph::Recogniser { name: name.to_owned(), file };
    let graph = match (&args.onnx, &args.deepface) {
        (Some(file), _) => BenchGraph::Onnx(file.clone()),
        (None, Some(file)) => recogniser("deepface", Some(file.clone())),
        (None, None) => recogniser("dlib", None),
    };
    let batch = usize::from(args.batch);
    let models = open::models(global, out)?;
    let layers = models.layer_times(&graph, args.precision, batch, args.runs.into())?;
    let limits = MachineLimits::measure();
    let giga = |x: f64| x / 1e9;
    out.line(format!(
        "one thread at most: {:.1} GFLOP/s, {:.1} of 16-bit integers; \
         reads {:.0} GB/s of 0.5 MiB, {:.0} of 8 MiB, {:.0} of 256 MiB",
        giga(limits.flops),
        giga(limits.int16_flops),
        giga(limits.near_bytes),
        giga(limits.far_bytes),
        giga(limits.memory_bytes)
    ))?;
    let all: f64 = layers.iter().map(|layer| layer.time.as_secs_f64()).sum();
    let defined: u64 = layers.iter().map(|layer| layer.defined).sum();
    out.line(format!(
        "{batch} images at once: {:.2} ms an image, {:.1} GFLOP/s as the layers are defined",
        all * 1e3 / batch as f64,
        giga(2.0 * defined as f64 * batch as f64 / all)
    ))?;
    out.line("")?;
    out.line(
        "| layer | times | share | µs an image | GFLOP/s, done | of the peak | as defined | GB/s |",
    )?;
    out.line("|---|---|---|---|---|---|---|---|")?;
    for group in grouped(layers) {
        let rate = |amount: f64| giga(amount / group.seconds);
        let peak = match group.precision {
            Precision::F32 => limits.flops,
            Precision::Int16 => limits.int16_flops,
        };
        out.line(format!(
            "| {} | {} | {:.1} % | {:.0} | {:.1} | {:.0} % | {:.1} | {:.1} |",
            group.name,
            group.layers,
            100.0 * group.seconds / all,
            group.seconds * 1e6 / batch as f64,
            rate(group.done),
            100.0 * rate(group.done) / giga(peak),
            rate(group.defined),
            rate(group.bytes)
        ))?;
    }
    Ok(Exit::Success)
}

/// Layers of the same work and sizes together, in the order of the first of each.
fn grouped(layers: Vec<LayerTime>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for layer in layers {
        let images = layer.images as f64;
        let place = groups.iter().position(|group| group.name == layer.name);
        let place = place.unwrap_or_else(|| {
            let (name, precision) = (layer.name.clone(), layer.precision);
            let (layers, seconds, done, defined, bytes) = (0, 0.0, 0.0, 0.0, 0.0);
            groups.push(Group { name, precision, layers, seconds, done, defined, bytes });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.layers += 1;
        group.seconds += layer.time.as_secs_f64();
        group.done += 2.0 * layer.done as f64 * images;
        group.defined += 2.0 * layer.defined as f64 * images;
        group.bytes += layer.weight_bytes as f64 + layer.value_bytes as f64 * images;
    }
    groups
}
