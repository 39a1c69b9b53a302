//! Where the concrete types meet: options become an opened gallery, a store, a pair of eyes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use candle_core::Device;
use clap::Args;
use facesearch_ann::{Snapshot, SnapshotPublisher};
use facesearch_core::{
    Contract, Embedder, FaceFinder, FaceStore, Gallery, GalleryError, Progress, VisionError,
};
use facesearch_query::Pipeline;
use facesearch_store::SledStore;
use facesearch_vision::{Finder, Mtcnn, MtcnnOptions};
use facesearch_zoo::{Artifact, Cache, FetchOptions, Model, ModelKind, Zoo};

use crate::args::Global;
use crate::exit::Failure;
use crate::imported;
use crate::printer::{Printer, shown};
use crate::progress::Bar;
use crate::recogniser::{self, NetworkArgs};

/// How many photos are worked on together: enough to fill the embedder's batches, few enough that
/// memory does not notice.
pub(crate) const PORTION: usize = 32;

/// Faces narrower than this are passed over unless `--min-face` says otherwise.
const MIN_FACE: u32 = 40;

/// Which models see
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VisionArgs {
    /// Recognition model: a name of `facesearch models list`, or the file of a network, ONNX or
    /// OpenVINO IR (default: the index's, or dlib)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Face detector (default: the index's, or mtcnn)
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,

    /// Pass over faces narrower than this many pixels (default: the index's, or 40)
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

/// The bytes of a file, or why there are none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, VisionError> {
    std::fs::read(path).map_err(|error| VisionError::Read { reason: in_words(&error) })
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

/// Makes sure that files are here, and says where; says so when something has to be fetched.
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
    let bytes = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let [proposal, refinement, output] = &bytes[..] else {
        return Err(Failure::model(format!(
            "`{}` is no detector of three networks",
            detector.name
        )));
    };
    let options = MtcnnOptions { min_face, ..MtcnnOptions::default() };
    // What a query waits for is mostly this, so each model is opened on a core of its own.
    let networks = [&proposal[..], refinement, output];
    let mut detector_network = None;
    let mut recogniser = rayon::in_place_scope(|scope| {
        scope.spawn(|_| detector_network = Some(Mtcnn::from_bytes(networks, options, &device)));
        recogniser::open(args.model.as_deref(), &args.network, &device, global, out)
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
        precision: "f32".into(),
    };
    let finder = Finder::new(Box::new(detector_network), recogniser.aligner);
    Ok(Vision { finder: Box::new(finder), embedder: recogniser.embedder, contract })
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
