//! Where the embeddings to judge come from: photos through the models, or a file of numbers.

use std::path::{Path, PathBuf};

use clap::Args;
use facesearch::people_tools::crowd::Cohort;
use facesearch::{NamedFaces, Vision, named_rows};
use facesearch_core::{Metric, Threshold};

use crate::args::{Global, given_or_own, threshold};
use crate::exit::{Exit, Failure};
use crate::open::{self, VisionArgs};
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

    /// Largest distance that counts as the same person (default: the model's own; where it has
    /// none, figures at a fixed threshold are left out)
    #[arg(long, value_name = "D", value_parser = threshold)]
    pub(crate) threshold: Option<f32>,

    #[command(flatten)]
    pub(crate) vision: VisionArgs,
}

/// Faces with names, and the threshold that judges them.
pub(crate) struct Source {
    pub(crate) named: NamedFaces,
    /// `None` where nobody gave one and the embeddings have no model.
    pub(crate) threshold: Option<Threshold>,
    /// The crowd that faces of its model are judged by; `None` where there is none.
    pub(crate) cohort: Option<Cohort>,
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
        let threshold = args.threshold.map(crate::args::given_threshold).transpose()?;
        let named = NamedFaces::new(shown(file), metric, faces);
        Ok(Some(Self { named, threshold, cohort: None }))
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
        let models = open::models(global, out)?;
        let threshold = models.threshold(&given_or_own(args.threshold), vision.contract())?;
        let named = embed(&vision, names, root, out)?;
        let cohort = models.cohort_for(vision.contract())?;
        Ok(Self { named, threshold: Some(threshold), cohort })
    }

    /// What the run ends with.
    pub(crate) fn exit(&self) -> Exit {
        exit_of(&self.named)
    }
}

/// The most prominent face of each photo, by its name below `root`.
pub(crate) fn embed(
    vision: &Vision,
    names: Vec<String>,
    root: &Path,
    out: &Printer,
) -> anyhow::Result<NamedFaces> {
    let named = vision.named_faces(names, root, &Bar::new(out.is_quiet()))?;
    note_missing(&named, out);
    Ok(named)
}

/// Says so where photos gave no face.
pub(crate) fn note_missing(named: &NamedFaces, out: &Printer) {
    let faceless = named.without_face() as u64;
    if faceless > 0 {
        let without = count(faceless, "photo gave", "photos gave");
        out.note(format!("{without} no face, {} of them unreadable", named.unreadable));
    }
}

/// What a run over these faces ends with.
pub(crate) fn exit_of(named: &NamedFaces) -> Exit {
    if named.unreadable > 0 { Exit::SomeFailed } else { Exit::Success }
}
