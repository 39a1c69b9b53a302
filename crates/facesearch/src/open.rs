//! Where the concrete types meet: options become an opened gallery, a store, a pair of eyes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use candle_core::Device;
use clap::Args;
use facesearch_ann::{Snapshot, SnapshotPublisher};
use facesearch_core::{
    Contract, Embedder, FaceDetector, FaceFinder, FaceStore, Gallery, GalleryError, Photo,
    Progress, VisionError,
};
use facesearch_query::Pipeline;
use facesearch_store::SledStore;
use facesearch_vision::{DecodeLimits, Finder, Mtcnn, MtcnnOptions, YuNet, YuNetOptions, decode};
use facesearch_zoo::{Artifact, Cache, FetchOptions, Model, ModelKind, Zoo};

use crate::args::Global;
use crate::exit::Failure;
use crate::imported;
use crate::printer::{Printer, shown};
use crate::progress::Bar;
use crate::recogniser::{self, NetworkArgs, PrecisionChoice};

/// How many photos are worked on together: enough to fill the embedder's batches, few enough that
/// memory does not notice.
pub(crate) const PORTION: usize = 32;

/// How much memory photos may take
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct MemoryArgs {
    /// Most memory that the run should take, such as 1G or 700M: fewer photos are looked at
    /// together where they are large, and a photo too large for it is not looked at (default: no
    /// limit but 2G for each photo)
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
}

/// What models, database and program take besides the photos under way.
const FIXED: u64 = 320 << 20;

impl MemoryArgs {
    /// What is left for photos.
    pub(crate) fn for_photos(self) -> u64 {
        self.memory.map_or(u64::MAX, |memory| memory - FIXED)
    }
}

fn bytes(typed: &str) -> Result<u64, String> {
    let split = typed.find(|c: char| !c.is_ascii_digit()).unwrap_or(typed.len());
    let (number, unit) = typed.split_at(split);
    let unit = match unit.trim_end_matches('B').trim_end_matches('i') {
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return Err("a number with M or G, such as 700M or 2G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a number with M or G, such as 700M or 2G")?;
    match number.checked_mul(1 << unit) {
        Some(bytes) if bytes >= 512 << 20 => Ok(bytes),
        Some(_) => Err("models and database alone take 320M; at least 512M".into()),
        None => Err("no machine has so much".into()),
    }
}

/// Detectors see no smaller faces.
const SMALLEST_FACE: u32 = 12;

/// Faces narrower than this are passed over unless `--min-face` says otherwise.
const MIN_FACE: u32 = 40;

/// Which models see
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VisionArgs {
    /// Recognition model: a name of `facesearch models list`, or the file of a network, ONNX or
    /// OpenVINO IR (default: dlib; where an index is filled or asked, the index's)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// What the recognition network multiplies: f32, int16, which is faster and moves embeddings a
    /// little, or auto: int16 where that was measured to make no difference (default: f32; where an
    /// index is filled or asked, the index's, which auto takes too)
    #[arg(long, value_name = "f32|int16|auto", hide_possible_values = true)]
    pub(crate) precision: Option<PrecisionChoice>,

    /// Face detector: mtcnn or yunet (default: mtcnn; where an index is filled or asked, the index's)
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,

    /// Pass over faces narrower than this many pixels (default: 40; where an index is filled or
    /// asked, the index's)
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(12..))]
    pub(crate) min_face: Option<u32>,
}

impl VisionArgs {
    /// What was typed, and the index's choice for what was not.
    pub(crate) fn or_pinned(&self, pinned: Option<&Contract>) -> Self {
        let typed = self.clone();
        Self {
            network: NetworkArgs {
                // A model that was named brings its own metric.
                metric: typed
                    .network
                    .metric
                    .or_else(|| pinned.filter(|_| typed.model.is_none()).map(|c| c.metric)),
                ..typed.network
            },
            model: typed.model.or_else(|| pinned.map(|c| c.model.clone())),
            precision: typed
                .precision
                .filter(|typed| pinned.is_none() || *typed != PrecisionChoice::Auto)
                .or_else(|| pinned.and_then(|c| PrecisionChoice::named(&c.precision))),
            detector: typed.detector.or_else(|| pinned.map(|c| c.detector.clone())),
            min_face: typed.min_face.or_else(|| pinned.map(|c| c.min_face)),
        }
    }
}

/// A finder and an embedder that fit, and the contract of what they make.
pub(crate) struct Vision {
    finder: Box<dyn FaceFinder>,
    embedder: Box<dyn Embedder>,
    contract: Contract,
}

impl Vision {
    pub(crate) fn finder(&self) -> &dyn FaceFinder {
        &*self.finder
    }

    pub(crate) fn embedder(&self) -> &dyn Embedder {
        &*self.embedder
    }

    pub(crate) fn pipeline(&self) -> Pipeline<'_> {
        Pipeline::new(&*self.finder, &*self.embedder)
    }

    pub(crate) fn contract(&self) -> &Contract {
        &self.contract
    }
}

/// The store's folder in an index directory.
pub(crate) const STORE: &str = "store";

/// Threads to work with.
pub(crate) fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    global.threads.map_or_else(cores, usize::from)
}

/// A photo in a larger file is not read: no photo is, and a device has no end.
const LARGEST_FILE: u64 = 256 << 20;

/// The bytes of a photo's file, or why there are none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, VisionError> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| VisionError::Read { reason: in_words(&error) })?;
    if bytes.len() as u64 > LARGEST_FILE {
        let reason = format!("the file is larger than {} MiB", LARGEST_FILE >> 20);
        return Err(VisionError::Rejected { reason });
    }
    Ok(bytes)
}

/// The pixels of a file, or why there are none. The limits are those of [`Finder::new`], so that it makes no difference
/// who decodes.
pub(crate) fn photo(path: &Path) -> Result<Photo, VisionError> {
    decode(&read(path)?, &DecodeLimits::default())
}

/// What the system says, without its number.
fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A path from the bytes of a list.
pub(crate) fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        std::ffi::OsString::from_vec(bytes).into()
    }
    #[cfg(not(unix))]
    {
        String::from_utf8_lossy(&bytes).into_owned().into()
    }
}

/// The folder of model files.
pub(crate) fn cache(global: &Global) -> anyhow::Result<Cache> {
    let configured = global.models.as_ref().map(|dir| dir.as_os_str());
    Ok(Cache::new(Cache::default_dir(configured)?))
}

/// Makes sure that files are here and are what they should be, and says where; says so when
/// something has to be fetched.
pub(crate) fn fetch<'a>(
    cache: &Cache,
    artifacts: impl IntoIterator<Item = &'a Artifact>,
    options: FetchOptions,
    out: &Printer,
) -> anyhow::Result<Vec<PathBuf>> {
    let artifacts: Vec<_> = artifacts.into_iter().collect();
    let missing: Vec<_> = artifacts.iter().filter(|file| !cache.present(file)).collect();
    if !missing.is_empty() && !options.offline {
        let names: Vec<_> = missing.iter().map(|file| file.file.as_str()).collect();
        out.note(format!("fetching {} into {}", names.join(", "), shown(cache.dir())));
    }
    let bar = Bar::new(out.is_quiet());
    let paths = cache.fetch_all(artifacts, options, &bar);
    bar.finish();
    Ok(paths?)
}

/// What the index is pinned to, where there is one.
pub(crate) fn pinned(global: &Global) -> anyhow::Result<Option<Contract>> {
    match Snapshot::open(&global.index) {
        Ok(snapshot) => Ok(Some(snapshot.contract().clone())),
        // Not published yet, or damaged: the store is the truth.
        Err(_) if global.index.join(STORE).exists() => {
            Ok(Some(SledStore::open(&global.index.join(STORE))?.contract().clone()))
        }
        Err(GalleryError::NotFound { .. }) => Ok(None),
        // Where there is no store, nothing but what is damaged says what it was.
        Err(damaged) => Err(damaged.into()),
    }
}

/// The published state of the index.
pub(crate) fn gallery(global: &Global) -> anyhow::Result<Snapshot> {
    Ok(Snapshot::open(&global.index)?)
}

/// The store of the index, made where there is none.
pub(crate) fn store(global: &Global, contract: &Contract) -> anyhow::Result<SledStore> {
    Ok(SledStore::create_or_open(&global.index.join(STORE), contract)?)
}

/// An error where the index holds photos: vectors of elsewhere do not go beside them.
pub(crate) fn refuse_store(global: &Global) -> anyhow::Result<()> {
    if !global.index.join(STORE).exists() {
        return Ok(());
    }
    let index = shown(&global.index);
    Err(Failure::index(format!("{index} holds faces of photos; import into another `--index`")))
}

/// The publisher of the index.
pub(crate) fn publisher(global: &Global) -> SnapshotPublisher {
    SnapshotPublisher::new(&global.index)
}

/// Eyes that see as those did that filled `gallery`.
pub(crate) fn vision_of(
    gallery: &Snapshot,
    global: &Global,
    out: &Printer,
) -> anyhow::Result<Vision> {
    imported::refuse_photos(gallery.contract(), global)?;
    let args = VisionArgs::default().or_pinned(Some(gallery.contract()));
    let vision = vision(&args, global, out)?;
    gallery.contract().check(vision.contract()).map_err(|mismatch| {
        let index = shown(&global.index);
        Failure::index(format!("{index} cannot be searched with these models: {mismatch}"))
    })?;
    Ok(vision)
}

/// Eyes as asked for; model files that are missing are fetched.
pub(crate) fn vision(args: &VisionArgs, global: &Global, out: &Printer) -> anyhow::Result<Vision> {
    assemble(args, None, global, out)
}

/// Eyes as asked for, but with chips cut in another way than the model's own.
pub(crate) fn vision_cut_by(
    args: &VisionArgs,
    align: &str,
    global: &Global,
    out: &Printer,
) -> anyhow::Result<Vision> {
    assemble(args, Some(align), global, out)
}

fn assemble(
    args: &VisionArgs,
    align: Option<&str>,
    global: &Global,
    out: &Printer,
) -> anyhow::Result<Vision> {
    set_threads(global);
    let device = device(&global.device)?;
    let zoo = Zoo::builtin();
    let detector = pick(&zoo, ModelKind::Detector, args.detector.as_deref())?;
    let min_face = args.min_face.unwrap_or(MIN_FACE);

    let cache = cache(global)?;
    let options = FetchOptions { offline: global.offline, ..FetchOptions::default() };
    let files = fetch(&cache, &detector.artifacts, options, out)?;
    // What a query waits for is mostly this, so each model is opened on a core of its own.
    let mut detector_network = None;
    let mut recogniser = rayon::in_place_scope(|scope| {
        scope.spawn(|_| {
            detector_network = Some(detector_of(&detector.name, &files, min_face, &device));
        });
        let which = (args.model.as_deref(), args.precision.unwrap_or_default());
        recogniser::open(which, &args.network, &device, global, out)
    })?;
    let detector_network = detector_network.context("the detector was not opened")??;
    if let Some(align) = align {
        recogniser = recogniser.cut_by(align)?;
    }
    let contract = Contract {
        model: recogniser.name,
        weights: recogniser.weights,
        dimension: recogniser.embedder.dim() as u32,
        metric: recogniser.embedder.metric(),
        threshold: recogniser.threshold,
        detector: detector.name.clone(),
        min_face,
        preprocessing: recogniser.preprocessing,
        precision: recogniser.precision.name().into(),
    };
    let finder = Finder::new(detector_network, recogniser.aligner);
    Ok(Vision { finder: Box::new(finder), embedder: recogniser.embedder, contract })
}

/// A detector of the catalogue with the weights in its files.
fn detector_of(
    name: &str,
    files: &[PathBuf],
    min_face: u32,
    device: &Device,
) -> anyhow::Result<Box<dyn FaceDetector>> {
    if min_face < SMALLEST_FACE {
        return Err(Failure::index(format!(
            "the index is of faces from {min_face} pixels, and none is found below {SMALLEST_FACE}"
        )));
    }
    let bytes = files.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    match (name, &bytes[..]) {
        ("mtcnn", [proposal, refinement, output]) => {
            let options = MtcnnOptions { min_face, ..MtcnnOptions::default() };
            Ok(Box::new(Mtcnn::from_bytes([proposal, refinement, output], options, device)?))
        }
        ("yunet", [network]) => {
            let options = YuNetOptions { min_face, ..YuNetOptions::default() };
            Ok(Box::new(YuNet::from_bytes(network, options, device)?))
        }
        _ => Err(Failure::model(format!("`{name}` cannot be opened by this version"))),
    }
}

/// The model that was named, or the one its kind uses by default.
fn pick<'z>(zoo: &'z Zoo, kind: ModelKind, name: Option<&str>) -> anyhow::Result<&'z Model> {
    match name {
        Some(name) => Ok(zoo.model_of(kind, name)?),
        None => zoo.default_of(kind).context("the catalogue has no default model"),
    }
}

/// One pool of threads serves everything that runs in parallel in this process.
pub(crate) fn set_threads(global: &Global) {
    // An error means that the pool is there already, from an earlier call with the same options.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads(global)).build_global();
}

/// The device that was asked for.
pub(crate) fn device(typed: &str) -> anyhow::Result<Device> {
    if typed == "cpu" {
        return Ok(Device::Cpu);
    }
    let Some(number) = typed.strip_prefix("cuda:").and_then(|number| number.parse().ok()) else {
        return Err(Failure::usage(format!("`{typed}` is no device; write cpu, or cuda:0")));
    };
    Device::new_cuda(number).map_err(|error| {
        Failure::model(format!("{typed} cannot be used: {error}; `--device cpu` always can"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_memory_are_read_with_their_unit() {
        for (typed, want) in
            [("1G", 1 << 30), ("700M", 700 << 20), ("2GiB", 2 << 30), ("512MB", 512 << 20)]
        {
            assert_eq!(bytes(typed), Ok(want), "{typed}");
        }
        for typed in ["", "G", "1", "1.5G", "1T", "-1G", "100M", "99999999999999G"] {
            assert!(bytes(typed).is_err(), "{typed}");
        }
        let left = MemoryArgs { memory: Some(1 << 30) }.for_photos();
        assert!(left < 1 << 30 && left > 512 << 20);
        assert_eq!(MemoryArgs { memory: None }.for_photos(), u64::MAX);
    }
}
