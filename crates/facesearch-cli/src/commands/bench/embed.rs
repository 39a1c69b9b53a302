//! `facesearch bench embed`: networks alone, without files, decoding and alignment.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use facesearch::{BenchNetwork, Precision, read_photo};
use facesearch_core::{Chip, Embedder, Embedding, FaceDetector, Photo};
use rayon::prelude::*;
use serde::Serialize;

use super::peers::{Peers, in_turn};
use super::{Measure, pool, table};
use crate::args::Global;
use crate::exit::Exit;
use crate::open::{self, precision};
use crate::printer::Printer;

/// The pixels of a photo that is looked at: those of one to two megapixels.
const PIXELS: std::ops::RangeInclusive<u64> = 1_000_000..=2_100_000;

/// Photos that are looked at.
const PHOTOS: usize = 8;

/// Time the networks by themselves: dlib's, and those whose files are named
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    measure: Measure,

    /// Which rows: dlib's network, and those whose files are named
    #[arg(
        long,
        value_name = "WORK,...",
        value_delimiter = ',',
        default_values_t = [Work::Dlib, Work::Onnx, Work::Deepface, Work::Mtcnn]
    )]
    work: Vec<Work>,

    /// What the recognition networks multiply
    #[arg(long, value_name = "f32|int16", default_value = "f32", value_parser = precision)]
    precision: Precision,

    /// Numbers of chips at once
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 8, 32])]
    batch: Vec<usize>,

    /// A recognition network of 112x112 chips in an ONNX file, such as a MobileFaceNet
    #[arg(long, value_name = "FILE.onnx")]
    onnx: Option<PathBuf>,

    /// The weights of DeepFace
    #[arg(long, value_name = "FILE.h5")]
    deepface: Option<PathBuf>,

    /// Photos to detect faces in, of which those of 1 to 2 megapixels are taken
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
}

/// Rows that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Dlib,
    Onnx,
    Deepface,
    Mtcnn,
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().expect("none is hidden").get_name())
    }
}

/// Chips of which dlib is asked for its descriptors, to compare them with ours.
const COMPARED: usize = 4;

/// Chips that dlib is to embed, as bytes of 150x150 pixels.
#[derive(Serialize)]
struct Descriptors<'a> {
    work: &'static str,
    files: &'a [PathBuf],
    chips: Vec<&'a [u8]>,
}

/// What the script of the peers is told.
#[derive(Serialize)]
struct Request<'a> {
    work: &'a str,
    files: &'a [PathBuf],
    threads: u16,
    batch: usize,
    seconds: f64,
    cpu_time: bool,
}

/// Exits with 0.
pub(crate) fn run(args: &EmbedArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let measure = &args.measure;
    let models = open::models(global, out)?;
    let mut peers = Peers::start(measure)?;
    table::head(out, "a second")?;
    let wanted = |work: Work| args.work.contains(&work);
    if wanted(Work::Dlib) {
        let BenchNetwork { network, files } =
            models.bench_recogniser("dlib", None, args.precision)?;
        chips(args, "dlib ResNet", &*network, [150, 150], &files, &mut peers, out)?;
        if let Some(peers) = &mut peers {
            let farthest = farthest_from_dlib(&*network, &files, peers)?;
            out.line(format!(
                "dlib ResNet: at most {farthest:.1e} (L2) from dlib's own embeddings"
            ))?;
        }
    }
    if let (true, Some(file)) = (wanted(Work::Onnx), &args.onnx) {
        let BenchNetwork { network, files } = models.bench_onnx(file, args.precision)?;
        chips(args, "ONNX", &*network, [112, 112], &files, &mut peers, out)?;
    }
    if let (true, Some(file)) = (wanted(Work::Deepface), &args.deepface) {
        let opened = models.bench_recogniser("deepface", Some(file), args.precision)?;
        let BenchNetwork { network, files } = opened;
        chips(args, "DeepFace", &*network, [152, 152], &files, &mut peers, out)?;
    }
    if let (true, Some(folder)) = (wanted(Work::Mtcnn), &args.photos) {
        detect(measure, &*models.bench_detector("mtcnn")?, folder, &mut peers, out)?;
    }
    Ok(Exit::Success)
}

/// The largest L2 distance between the network's embedding of a chip and that of dlib itself.
fn farthest_from_dlib(
    network: &dyn Embedder,
    files: &[PathBuf],
    peers: &mut Peers,
) -> anyhow::Result<f64> {
    let chips: Vec<Chip> = (0..COMPARED).map(|seed| noise(seed, 150, 150)).collect();
    let bytes = chips.iter().map(Chip::rgb).collect();
    let request = Descriptors { work: "dlib descriptors", files, chips: bytes };
    let theirs: Vec<Vec<f64>> = peers.ask(&request)?;
    let ours = network.embed(&chips)?;
    anyhow::ensure!(ours.len() == theirs.len(), "dlib answered for {} chips", theirs.len());
    let distance = |(ours, theirs): (&Option<Embedding>, &Vec<f64>)| {
        let Some(ours) = ours else { return f64::INFINITY };
        let squares = ours.as_slice().iter().zip(theirs).map(|(o, t)| (f64::from(*o) - t).powi(2));
        squares.sum::<f64>().sqrt()
    };
    Ok(ours.iter().zip(&theirs).map(distance).fold(0.0, f64::max))
}

/// The rows of one network that embeds chips.
fn chips(
    args: &EmbedArgs,
    work: &str,
    network: &dyn Embedder,
    [width, height]: [u32; 2],
    files: &[PathBuf],
    peers: &mut Option<Peers>,
    out: &mut Printer,
) -> anyhow::Result<()> {
    let Measure { seconds, cpu_time, .. } = args.measure;
    for &threads in &args.measure.with_threads {
        let pool = pool(threads)?;
        for &batch in &args.batch {
            let chips: Vec<Chip> = (0..batch).map(|seed| noise(seed, width, height)).collect();
            let once = || pool.install(|| network.embed(&chips)).map(drop);
            once()?;
            let ours = || args.measure.rate(batch, || Ok(once()?));
            let request = Request { work, files, threads, batch, seconds, cpu_time };
            let (ours, theirs) = in_turn(&args.measure, peers, &request, ours)?;
            table::row(out, work, threads, Some(batch), ours, &theirs)?;
        }
    }
    Ok(())
}

/// The rows of the detector, in photos a second.
fn detect(
    measure: &Measure,
    detector: &dyn FaceDetector,
    folder: &Path,
    peers: &mut Option<Peers>,
    out: &mut Printer,
) -> anyhow::Result<()> {
    let mut photos: Vec<(PathBuf, Photo)> = Vec::new();
    for path in super::pipeline::files_in(folder)? {
        let Ok(photo) = read_photo(&path) else { continue };
        if PIXELS.contains(&(u64::from(photo.width()) * u64::from(photo.height()))) {
            photos.push((path, photo));
        }
        if photos.len() == PHOTOS {
            break;
        }
    }
    let (files, photos): (Vec<_>, Vec<_>) = photos.into_iter().unzip();
    let (batch, seconds, cpu_time) = (photos.len(), measure.seconds, measure.cpu_time);
    for &threads in &measure.with_threads {
        let pool = pool(threads)?;
        let once = || {
            let each = |photo| detector.detect(photo).map(drop);
            pool.install(|| photos.par_iter().try_for_each(each))
        };
        once()?;
        let request = Request { work: "MTCNN", files: &files, threads, batch, seconds, cpu_time };
        let ours = || measure.rate(batch, || Ok(once()?));
        let (ours, theirs) = in_turn(measure, peers, &request, ours)?;
        table::row(out, "MTCNN", threads, None, ours, &theirs)?;
    }
    Ok(())
}

/// A chip of noise: the arithmetic does not depend on what it shows.
fn noise(seed: usize, width: u32, height: u32) -> Chip {
    let mut state = (seed as u32).wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let rgb = std::iter::repeat_with(next).take((width * height * 3) as usize).collect();
    Chip::new(width, height, rgb)
}
