//! What was typed becomes the library's options.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use facesearch::{
    ColourOrder, Engine, Models, NetworkOptions, Normalisation, Options, Precision,
    PrecisionChoice, Reader, SMALLEST_FACE, Vision, VisionOptions,
};
use facesearch_core::{Metric, Progress};

use crate::args::{Global, metric};
use crate::printer::Printer;
use crate::progress::Bar;

/// How much memory photos may take
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct MemoryArgs {
    /// Most memory that the run should take, such as 1G or 700M: fewer photos are looked at
    /// together where they are large, and a photo too large for it is not looked at (default: no
    /// limit but 2G for each photo)
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
}

fn from_smallest_face() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(SMALLEST_FACE)..)
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

/// How the file of a network is used that says nothing of it itself
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NetworkArgs {
    /// Side of the input of a network given as a file, in pixels, or WIDTHxHEIGHT (default: as the
    /// file says)
    #[arg(long, value_name = "PX", value_parser = size)]
    pub(crate) input: Option<[u32; 2]>,

    /// How such a network wants its colours scaled: raw, base, facenet, facenet2018, vggface,
    /// vggface2, arcface or imagenet (default: arcface)
    #[arg(long, value_name = "HOW", value_parser = normalisation)]
    pub(crate) normalise: Option<Normalisation>,

    /// Which colour such a network reads first (default: rgb)
    #[arg(long, value_name = "rgb|bgr", value_parser = colours)]
    pub(crate) colours: Option<ColourOrder>,

    /// How faces are aligned for it: arcface, sphereface, retail-0095, box or stretch (default: by
    /// the size of its input)
    #[arg(
        long,
        value_name = "HOW",
        value_parser = ["arcface", "sphereface", "retail-0095", "box", "stretch"]
    )]
    pub(crate) align: Option<String>,

    /// How embeddings are compared: l2, normalised-l2, cosine or angular (default: the model's)
    #[arg(long, value_parser = metric)]
    pub(crate) metric: Option<Metric>,
}

impl NetworkArgs {
    /// The same for the library.
    pub(crate) fn options(&self) -> NetworkOptions {
        let Self { input, normalise, colours, align, metric } = self.clone();
        NetworkOptions { input, normalise, colours, align, metric }
    }
}

fn size(typed: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| (16..=1024).contains(side));
    let found = match typed.split_once('x') {
        Some((width, height)) => side(width).zip(side(height)),
        None => side(typed).map(|side| (side, side)),
    };
    let (width, height) = found.ok_or("a number of pixels from 16 to 1024, or WIDTHxHEIGHT")?;
    Ok([width, height])
}

fn normalisation(typed: &str) -> Result<Normalisation, String> {
    let known = "raw, base, facenet, facenet2018, vggface, vggface2, arcface or imagenet";
    Normalisation::named(typed).ok_or_else(|| known.into())
}

fn colours(typed: &str) -> Result<ColourOrder, String> {
    ColourOrder::named(typed).ok_or_else(|| "rgb or bgr".into())
}

/// The precision of a network whose layers are measured.
pub(crate) fn precision(typed: &str) -> Result<Precision, String> {
    Precision::named(typed).ok_or_else(|| "f32 or int16".into())
}

/// What the recogniser multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 32-bit floats
    F32,
    /// 16-bit integers in convolutions, on a CPU
    Int16,
    /// The fastest that was found to make no difference for the model
    Auto,
}

impl From<PrecisionArg> for PrecisionChoice {
    fn from(typed: PrecisionArg) -> Self {
        match typed {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Int16 => Self::Int16,
            PrecisionArg::Auto => Self::Auto,
        }
    }
}

/// Which models find and embed faces
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
    pub(crate) precision: Option<PrecisionArg>,

    /// Face detector: mtcnn or yunet (default: mtcnn; where an index is filled or asked, the
    /// index's)
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,

    /// Pass over faces narrower than this many pixels (default: 40; where an index is filled or
    /// asked, the index's)
    #[arg(long, value_name = "PX", value_parser = from_smallest_face())]
    pub(crate) min_face: Option<u32>,
}

impl VisionArgs {
    /// The same for the library.
    pub(crate) fn options(&self) -> VisionOptions {
        VisionOptions {
            model: self.model.clone(),
            network: self.network.options(),
            precision: self.precision.map(PrecisionChoice::from),
            detector: self.detector.clone(),
            min_face: self.min_face,
        }
    }
}

/// The library's options of every command.
pub(crate) fn options(global: &Global, out: &Printer) -> anyhow::Result<Options> {
    Ok(Options {
        models: global.models.clone(),
        catalogue: global.catalogue.clone(),
        offline: global.offline,
        threads: Some(global.threads()),
        device: global.device.parse()?,
        vision: VisionOptions::default(),
        progress: progress(out),
    })
}

/// Who hears of long tasks.
pub(crate) fn progress(out: &Printer) -> Arc<dyn Progress> {
    Arc::new(Bar::new(out.is_quiet()))
}

/// The models, without an index.
pub(crate) fn models(global: &Global, out: &Printer) -> anyhow::Result<Models> {
    Ok(Models::new(&options(global, out)?)?)
}

/// The models that were asked for, opened.
pub(crate) fn vision(args: &VisionArgs, global: &Global, out: &Printer) -> anyhow::Result<Vision> {
    Ok(models(global, out)?.open(&args.options())?)
}

/// The published state of the index.
pub(crate) fn reader(global: &Global, out: &Printer) -> anyhow::Result<Reader> {
    Ok(Reader::open(&global.index, options(global, out)?)?)
}

/// The index, to be changed.
pub(crate) fn engine(global: &Global, out: &Printer) -> anyhow::Result<Engine> {
    Ok(Engine::open(&global.index, options(global, out)?)?)
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
    }
}
