//! Where the embeddings to judge come from: photos through the models, or a file of numbers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use candle_core::{DType, Tensor};
use clap::Args;
use facesearch_core::{Embedding, Metric, Progress, Threshold};
use facesearch_people::Faces;

use crate::args::{Global, threshold};
use crate::exit::{Exit, Failure};
use crate::open::{self, Vision, VisionArgs};
use crate::printer::{Printer, count, shown};
use crate::progress::Bar;

/// What is judged, and by which threshold
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Judge embeddings that are there already: one row of numbers a face (numpy's .npy), compared
    /// by --metric, l2 unless it says otherwise
    #[arg(long, value_name = "FILE.npy", requires = "names")]
    pub(crate) embeddings: Option<PathBuf>,

    /// The name of each row of --embeddings, one a line, such as `person/photo.jpg`
    #[arg(long, value_name = "FILE.txt", requires = "embeddings")]
    pub(crate) names: Option<PathBuf>,

    /// Largest distance that counts as the same person (default: the model's, 0.55)
    #[arg(long, value_name = "D", value_parser = threshold)]
    pub(crate) threshold: Option<f32>,

    #[command(flatten)]
    pub(crate) vision: VisionArgs,
}

/// Faces with names, all embedded alike.
pub(crate) struct Source {
    /// What made the embeddings, in words.
    pub(crate) model: String,
    pub(crate) metric: Metric,
    pub(crate) threshold: f32,
    /// Each name with its face; `None` where there is none. Names ascending, each once.
    pub(crate) faces: Vec<(String, Option<Embedding>)>,
    /// The quality of each face, by its name, where it was measured.
    quality: HashMap<String, f32>,
    /// Photos that could not be read.
    unreadable: u64,
}

impl Source {
    /// All rows of the stored embeddings; `None` where the options name none.
    pub(crate) fn stored(args: &SourceArgs) -> anyhow::Result<Option<Self>> {
        let (Some(file), Some(names)) = (&args.embeddings, &args.names) else { return Ok(None) };
        let metric = args.vision.network.metric.unwrap_or(Metric::L2);
        let mut faces = named_rows(file, names, metric)?;
        faces.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(twice) = faces.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let what = format!("{} names `{}` twice", shown(names), twice[0].0);
            return Err(Failure::input(what));
        }
        Ok(Some(Self {
            model: shown(file),
            metric,
            threshold: args.threshold.unwrap_or(Threshold::DEFAULT.get()),
            faces: faces.into_iter().map(|(name, face)| (name, Some(face))).collect(),
            quality: HashMap::new(),
            unreadable: 0,
        }))
    }

    /// Faces that were embedded elsewhere.
    pub(crate) fn of_rows(
        model: String,
        metric: Metric,
        threshold: Threshold,
        rows: Vec<(String, Embedding)>,
    ) -> Self {
        let faces = rows.into_iter().map(|(name, face)| (name, Some(face))).collect();
        Self {
            model,
            metric,
            threshold: threshold.get(),
            faces,
            quality: HashMap::new(),
            unreadable: 0,
        }
    }

    /// The most prominent face of each photo, by its name below `root`.
    pub(crate) fn photos(
        args: &SourceArgs,
        names: Vec<String>,
        root: &Path,
        global: &Global,
        out: &Printer,
    ) -> anyhow::Result<Self> {
        let vision = open::vision(&args.vision, global, out)?;
        Self::seen_by(&vision, names, root, args.threshold, out)
    }

    /// The same, with eyes that are open already.
    pub(crate) fn seen_by(
        vision: &Vision,
        mut names: Vec<String>,
        root: &Path,
        threshold: Option<f32>,
        out: &Printer,
    ) -> anyhow::Result<Self> {
        let contract = vision.contract();
        names.sort_unstable();
        names.dedup();
        let bar = Bar::new(out.is_quiet());
        bar.start(Some(names.len() as u64), "photos");
        let (mut faces, mut unreadable) = (Vec::with_capacity(names.len()), 0);
        let mut quality = HashMap::new();
        for portion in names.chunks(open::PORTION) {
            let load = |name: &String| open::read(&root.join(name));
            let photos = vision.pipeline().probe_all(portion, load)?;
            for (name, photo) in portion.iter().zip(photos) {
                unreadable += u64::from(photo.is_err());
                let largest = photo.ok().and_then(|photo| photo.faces.into_iter().next());
                let measured = largest.as_ref().and_then(|face| face.quality);
                quality.extend(measured.map(|quality| (name.clone(), quality.0)));
                faces.push((name.clone(), largest.and_then(|face| face.embedding)));
            }
            bar.advance(portion.len() as u64);
        }
        bar.finish();
        let source = Self {
            model: format!("{}, faces by {}", contract.model, contract.detector),
            metric: contract.metric,
            threshold: threshold.unwrap_or(contract.threshold),
            faces,
            quality,
            unreadable,
        };
        source.note(out);
        Ok(source)
    }

    /// The faces with their people: the folder that a photo is in.
    pub(crate) fn by_folder(&self) -> anyhow::Result<Faces> {
        by_folder(self.faces.iter().filter_map(|(name, face)| Some((&**name, face.as_ref()?))))
    }

    /// The face of a name.
    pub(crate) fn by_name(&self) -> HashMap<&str, Option<&Embedding>> {
        self.faces.iter().map(|(name, face)| (&**name, face.as_ref())).collect()
    }

    /// The quality of a face; 0 where there is none, `None` where none was measured at all.
    pub(crate) fn quality(&self, name: &str) -> Option<f32> {
        (!self.quality.is_empty()).then(|| self.quality.get(name).copied().unwrap_or(0.0))
    }

    /// What the run ends with.
    pub(crate) fn exit(&self) -> Exit {
        if self.unreadable > 0 { Exit::SomeFailed } else { Exit::Success }
    }

    fn note(&self, out: &Printer) {
        let faceless = self.faces.iter().filter(|(_, face)| face.is_none()).count() as u64;
        if faceless > 0 {
            let without = count(faceless, "photo gave", "photos gave");
            out.note(format!("{without} no face, {} of them unreadable", self.unreadable));
        }
    }
}

/// Every photo below a folder, by its path from there.
pub(crate) fn names_below(folder: &Path) -> anyhow::Result<Vec<String>> {
    let photos = facesearch_indexer::photos_below(folder)?;
    if photos.is_empty() {
        let what = if folder.is_dir() { "there is no photo in it" } else { "it is no folder" };
        return Err(Failure::input(format!("{}: {what}", shown(folder))));
    }
    let name = |path: &PathBuf| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        let text = below.to_str().map(str::to_owned);
        text.ok_or_else(|| {
            Failure::input(format!("the name of {} is not UTF-8; rename it first", shown(path)))
        })
    };
    photos.iter().map(name).collect()
}

/// Faces with their people, by names such as `person/photo.jpg`.
pub(crate) fn by_folder<'a>(
    faces: impl IntoIterator<Item = (&'a str, &'a Embedding)>,
) -> anyhow::Result<Faces> {
    let mut labelled = Vec::new();
    for (name, face) in faces {
        let person = Path::new(name).parent().and_then(Path::file_name);
        let person = person.and_then(|person| person.to_str()).ok_or_else(|| {
            Failure::input(format!("`{name}` is in no person's folder; name it person/photo"))
        })?;
        labelled.push((person, face.as_slice()));
    }
    Ok(Faces::new(labelled)?)
}

/// The rows of a numpy file as embeddings, with their names.
pub(crate) fn named_rows(
    file: &Path,
    names: &Path,
    metric: Metric,
) -> anyhow::Result<Vec<(String, Embedding)>> {
    let shown_file = shown(file);
    let bad = |what: String| Failure::input(format!("{shown_file}: {what}"));
    let table = Tensor::read_npy(file)
        .and_then(|table| table.to_dtype(DType::F32)?.to_vec2::<f32>())
        .map_err(|error| bad(format!("is no table of numbers in numpy's format: {error}")))?;
    let text =
        std::fs::read_to_string(names).with_context(|| format!("cannot read {}", shown(names)))?;
    let names: Vec<&str> = text.lines().collect();
    if names.len() != table.len() {
        let (rows, names) = (table.len(), names.len());
        return Err(bad(format!("has {rows} rows, but there are {names} names")));
    }
    let rows = names.into_iter().zip(table).enumerate();
    rows.map(|(row, (name, values))| {
        let face = Embedding::new(values, metric);
        let face = face.map_err(|error| bad(format!("row {row} ({name}): {error}")))?;
        Ok((name.to_owned(), face))
    })
    .collect()
}
