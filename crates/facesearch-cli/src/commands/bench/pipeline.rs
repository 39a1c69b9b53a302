//! `facesearch bench pipeline`: from the files of photos to embeddings.

use std::path::{Path, PathBuf};

use clap::Args;
use facesearch::{PORTION, listed_photo, photos_in};
use serde::Serialize;

use super::peers::{Peers, in_turn};
use super::{Measure, pool, table};
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open::{self, VisionArgs};
use crate::printer::{Printer, shown};

/// Time the way from photo files to embeddings, with the models that indexing would use
#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    /// Folder of photos, searched to any depth
    folder: PathBuf,

    #[command(flatten)]
    measure: Measure,

    #[command(flatten)]
    vision: VisionArgs,

    /// So many photos, spread evenly over the folder
    #[arg(long, value_name = "N", default_value_t = 100)]
    photos: usize,

    /// Only files of more bytes than this
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    larger_than: u64,

    /// YuNet for the peer that runs in OpenCV
    #[arg(long, value_name = "FILE.onnx", requires = "onnx")]
    yunet: Option<PathBuf>,

    /// MobileFaceNet for that peer, which runs it in onnxruntime
    #[arg(long, value_name = "FILE.onnx", requires = "yunet")]
    onnx: Option<PathBuf>,

    /// Leave out dlib's pipeline, which takes long
    #[arg(long)]
    without_dlib: bool,
}

/// What the script of the peers is told.
#[derive(Serialize)]
struct Request<'a> {
    work: &'static str,
    files: &'a [PathBuf],
    models: &'a [PathBuf],
    threads: u16,
    cpu_time: bool,
    dlib: bool,
    /// Those of dlib's two files.
    weights: &'a Path,
}

/// Exits with 0.
pub(crate) fn run(args: &PipelineArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let measure = &args.measure;
    let mut files = files_in(&args.folder)?;
    files.retain(|file| file.metadata().is_ok_and(|about| about.len() > args.larger_than));
    if files.is_empty() {
        return Err(Failure::input(format!("no such photos in {}", shown(&args.folder))));
    }
    let count = args.photos.clamp(1, files.len());
    let files: Vec<PathBuf> = (0..count).map(|i| files[i * files.len() / count].clone()).collect();

    let vision = open::vision(&args.vision, global, out)?;
    let pipeline = vision.pipeline();
    let mut peers = Peers::start(measure)?;
    let models: Vec<PathBuf> = args.yunet.iter().chain(&args.onnx).cloned().collect();
    let weights = open::models(global, out)?;
    table::head(out, "photos a second")?;
    for &threads in &measure.with_threads {
        let pool = pool(threads)?;
        let once = || -> anyhow::Result<()> {
            for portion in files.chunks(PORTION) {
                pool.install(|| pipeline.probe_all(portion, |file| listed_photo(file)))?;
            }
            Ok(())
        };
        let request = Request {
            work: "pipeline",
            files: &files,
            models: &models,
            threads,
            cpu_time: measure.cpu_time,
            dlib: !args.without_dlib,
            weights: weights.dir(),
        };
        let ours = || measure.rate(count, once);
        let (ours, theirs) = in_turn(measure, &mut peers, &request, ours)?;
        table::row(out, "photos to embeddings", threads, None, ours, &theirs)?;
    }
    Ok(Exit::Success)
}

/// The pictures of a folder and what is below it, in the order of their paths.
pub(super) fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if let Err(error) = std::fs::read_dir(folder) {
        let folder = shown(folder);
        return Err(Failure::input(format!("cannot read the folder {folder}: {error}")));
    }
    let mut files = photos_in(folder, true)?.photos;
    files.retain(|path| {
        let kind = path.extension().unwrap_or_default().to_ascii_lowercase();
        ["jpg", "jpeg", "png"].iter().any(|known| kind == *known)
    });
    Ok(files)
}
