//! How an index is opened: which models, on what device, with which share of the machine.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use facesearch_core::{Metric, NoProgress, Progress};
use facesearch_vision::{ColourOrder, Normalisation, Precision};

use crate::error::Error;

/// How an [`Engine`](crate::Engine) or a [`Reader`](crate::Reader) works. The default is what the
/// command line does without options.
#[derive(Clone)]
pub struct Options {
    /// Folder of model files; `None` for `facesearch/models` in the user's cache folder.
    pub models: Option<PathBuf>,
    /// A TOML file of the same form as `models/zoo.toml`, whose models are known besides the
    /// built-in ones: recognisers that are network files. A name that is taken is an error.
    pub catalogue: Option<PathBuf>,
    /// Never touch the network: a model file that is missing is an error.
    pub offline: bool,
    /// Threads to work with; `None` for one a core. **Trap:** the first engine of a process decides
    /// for all, for they share one pool.
    pub threads: Option<usize>,
    /// Where networks run.
    pub device: DeviceChoice,
    /// Which models find and embed faces.
    pub vision: VisionOptions,
    /// Who hears of long tasks, such as the fetching of a model.
    pub progress: Arc<dyn Progress>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            models: None,
            catalogue: None,
            offline: false,
            threads: None,
            device: DeviceChoice::Cpu,
            vision: VisionOptions::default(),
            progress: Arc::new(NoProgress),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("models", &self.models)
            .field("catalogue", &self.catalogue)
            .field("offline", &self.offline)
            .field("threads", &self.threads)
            .field("device", &self.device)
            .field("vision", &self.vision)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// How many threads that is here.
    pub(crate) fn thread_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores).max(1)
    }
}

/// Where networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// On the processor.
    #[default]
    Cpu,
    /// On the CUDA device of this number. Needs the crate's feature `cuda`.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    /// Reads `cpu` or `cuda:N`.
    fn from_str(typed: &str) -> Result<Self, Error> {
        if typed == "cpu" {
            return Ok(Self::Cpu);
        }
        let number = typed.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        number
            .map(Self::Cuda)
            .ok_or_else(|| Error::usage(format!("`{typed}` is no device; write cpu, or cuda:0")))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Which models find and embed faces. What is `None` is as the index has it or, for a new index,
/// as the catalogue's default has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VisionOptions {
    /// The recogniser: a name of the catalogue, several with `+` between them, the name of an
    /// imported model, or the file of a network (ONNX or OpenVINO IR).
    pub model: Option<String>,
    /// How a network given as a file is used.
    pub network: NetworkOptions,
    /// What the recogniser multiplies.
    pub precision: Option<PrecisionChoice>,
    /// The detector, by its name in the catalogue.
    pub detector: Option<String>,
    /// Faces narrower than this many pixels are passed over.
    pub min_face: Option<u32>,
}

/// What the file of a network does not say of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkOptions {
    /// Width and height of its input, in pixels; `None` for what the file says.
    pub input: Option<[u32; 2]>,
    /// How bytes become its numbers; `None` for ArcFace's way.
    pub normalise: Option<Normalisation>,
    /// Which colour comes first; `None` for RGB.
    pub colours: Option<ColourOrder>,
    /// How faces are aligned: `arcface`, `sphereface`, `retail-0095`, `box` or `stretch`; `None`
    /// for what the size of its input suggests.
    pub align: Option<String>,
    /// How its embeddings are compared; `None` for the model's own way.
    pub metric: Option<Metric>,
}

/// What a recogniser multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionChoice {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit integers in convolutions; on a CPU only.
    Int16,
    /// The fastest that was measured to make no difference for the model.
    Auto,
}

impl PrecisionChoice {
    /// That of an index; `None` where this version knows no such precision.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Precision::named(name).map(|precision| match precision {
            Precision::F32 => Self::F32,
            Precision::Int16 => Self::Int16,
        })
    }
}
