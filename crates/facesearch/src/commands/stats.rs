//! `facesearch stats`: what does the index hold?

use std::path::Path;

use clap::Args;
use facesearch_core::{Contract, Gallery, Outcome, Row};
use facesearch_people::calibrate::{FitOptions, fit, people_in};
use serde::Serialize;

use crate::args::Global;
use crate::calibration::Stored;
use crate::exit::Exit;
use crate::open;
use crate::printer::{Printer, count, shown};

/// Say what the index holds
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The ledger: a line for each file, with what became of it
    #[arg(long)]
    pub(crate) files: bool,

    /// JSON: with --files one object for each file, then one object for the whole
    #[arg(long)]
    pub(crate) json: bool,
}

/// How many files ended how.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcomes {
    pub(crate) faces: u64,
    pub(crate) no_face: u64,
    pub(crate) rejected: u64,
    pub(crate) cannot_decode: u64,
    pub(crate) cannot_read: u64,
    pub(crate) duplicates: u64,
}

impl Outcomes {
    fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Faces(_) => &mut self.faces,
            Outcome::NoFace => &mut self.no_face,
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Undecodable(_) => &mut self.cannot_decode,
            Outcome::Unreadable(_) => &mut self.cannot_read,
            Outcome::DuplicateOf(_) => &mut self.duplicates,
        } += 1;
    }
}

/// The whole of an index in numbers.
#[derive(Debug, Serialize)]
struct Stats<'a> {
    index: String,
    generation: u64,
    files: u64,
    photos: u64,
    faces: u64,
    identities: u64,
    labelled_faces: u64,
    /// Qualities of faces that only a tenth, half, and a tenth the other way fall short of; null
    /// where none was measured.
    quality: Option<Qualities>,
    outcomes: Outcomes,
    bytes_published: u64,
    bytes_store: u64,
    bytes_per_face: Option<f64>,
    /// The search structures, each with what was measured when it was built.
    segments: Vec<SegmentLine>,
    /// Faces that no search structure covers: they are measured in every search.
    faces_scanned: u64,
    /// Bytes mapped to be searched, exact vectors not counted.
    bytes_searched: u64,
    /// Share of strangers who are given a name at the model's threshold; null where nothing says.
    false_alarm_rate: Option<f64>,
    /// Whether that is from `facesearch calibrate`, rather than from a few of the index's people.
    calibrated: bool,
    contract: &'a Contract,
}

/// How good the faces are.
#[derive(Debug, Clone, Copy, Serialize)]
struct Qualities {
    /// Faces whose quality was measured.
    measured: u64,
    lowest_tenth: f32,
    median: f32,
    highest_tenth: f32,
}

impl Qualities {
    fn of(gallery: &dyn Gallery) -> Option<Self> {
        let rows = 0..gallery.len() as u32;
        let mut sorted: Vec<f32> = rows
            .filter_map(|row| gallery.face(Row(row)).quality)
            .map(|quality| quality.0)
            .collect();
        sorted.sort_by(f32::total_cmp);
        let at = |tenths: usize| sorted[(sorted.len() - 1) * tenths / 10];
        (!sorted.is_empty()).then(|| Self {
            measured: sorted.len() as u64,
            lowest_tenth: at(1),
            median: at(5),
            highest_tenth: at(9),
        })
    }
}

/// A search structure. Recalls are those of the default effort.
#[derive(Debug, Serialize)]
struct SegmentLine {
    faces: usize,
    /// What is searched: a `graph`, or `sketches`.
    by: &'static str,
    recall_at_1: f32,
    recall_at_10: f32,
    /// Queries that were answered both ways to measure that.
    probes: u32,
}

/// A line of the ledger.
#[derive(Debug, Serialize)]
struct FileLine<'a> {
    path: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    faces: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
}

/// Exits with 0; with 4 where there is no index to speak of.
pub(crate) fn run(args: &StatsArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    let ledger = gallery.ledger()?;
    let mut outcomes = Outcomes::default();
    for (path, outcome) in &ledger {
        outcomes.add(outcome);
        if !args.files {
            continue;
        }
        if args.json {
            out.json(&file_line(&path.to_string_lossy(), outcome))?;
        } else {
            out.line(format!("{}: {}", shown(path), in_words(outcome)))?;
        }
    }
    let faces = gallery.len() as u64;
    let bytes_store = bytes_below(&global.index.join(open::STORE));
    let bytes = gallery.bytes_on_disk() + bytes_store;
    let labelled_faces = (0..gallery.len() as u32)
        .filter(|row| gallery.face(Row(*row)).identity.is_some())
        .count() as u64;
    let (false_alarm_rate, calibrated) = false_alarm_rate(&gallery, global);
    let stats = Stats {
        index: global.index.to_string_lossy().into_owned(),
        generation: gallery.generation(),
        files: ledger.len() as u64,
        photos: gallery.photo_count() as u64,
        faces,
        identities: gallery.identity_count() as u64,
        labelled_faces,
        quality: Qualities::of(&gallery),
        outcomes,
        bytes_published: gallery.bytes_on_disk(),
        bytes_store,
        bytes_per_face: (faces > 0).then(|| bytes as f64 / faces as f64),
        segments: gallery
            .certificates()
            .map(|(faces, measured)| SegmentLine {
                faces,
                recall_at_1: measured.recall_at_1,
                recall_at_10: measured.recall_at_10,
                probes: measured.probes,
                by: if measured.scans { "sketches" } else { "graph" },
            })
            .collect(),
        faces_scanned: gallery.rows_scanned() as u64,
        bytes_searched: gallery.bytes_searched(),
        false_alarm_rate,
        calibrated,
        contract: gallery.contract(),
    };
    if args.json {
        out.json(&stats)?;
    } else {
        for line in for_people(&stats) {
            out.line(line)?;
        }
    }
    Ok(Exit::Success)
}

/// The share of strangers whom the model's threshold takes for somebody here: from the calibration,
/// or estimated from a few of the labelled people, who are strangers to each other. The gallery must
/// have been verified.
fn false_alarm_rate(gallery: &dyn Gallery, global: &Global) -> (Option<f64>, bool) {
    /// Comparisons that an estimate is worth.
    const WORK: usize = 50_000_000;
    let threshold = f64::from(gallery.contract().threshold);
    let stored = Stored::load(&global.index, gallery.contract());
    if let Ok(Some(stored)) = stored {
        let people = stored.people_now(gallery);
        return (Some(stored.calibration.impostors.fpir(threshold, people)), true);
    }
    let probes = (WORK / gallery.len().max(1)).clamp(20, 300);
    let options = FitOptions { probes, ..FitOptions::default() };
    let rate = fit(gallery, None, &options).ok().map(|fitted| {
        let people = people_in(gallery);
        fitted.calibration.impostors.fpir(threshold, people)
    });
    (rate, false)
}

fn file_line<'a>(path: &'a str, outcome: &'a Outcome) -> FileLine<'a> {
    let line = FileLine { path, outcome: "", faces: None, reason: None, duplicate_of: None };
    match outcome {
        Outcome::Faces(n) => FileLine { outcome: "faces", faces: Some(*n), ..line },
        Outcome::NoFace => FileLine { outcome: "no face", ..line },
        Outcome::Rejected(why) => FileLine { outcome: "rejected", reason: Some(why), ..line },
        Outcome::Undecodable(why) => {
            FileLine { outcome: "cannot decode", reason: Some(why), ..line }
        }
        Outcome::Unreadable(why) => FileLine { outcome: "cannot read", reason: Some(why), ..line },
        Outcome::DuplicateOf(other) => FileLine {
            outcome: "duplicate",
            duplicate_of: Some(other.to_string_lossy().into_owned()),
            ..line
        },
    }
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Faces(n) => count(u64::from(*n), "face", "faces"),
        Outcome::NoFace => "no face".into(),
        Outcome::Rejected(why) => format!("rejected: {why}"),
        Outcome::Undecodable(why) => format!("cannot decode: {why}"),
        Outcome::Unreadable(why) => format!("cannot read: {why}"),
        Outcome::DuplicateOf(other) => format!("duplicate of {}", shown(other)),
    }
}

fn for_people(stats: &Stats<'_>) -> Vec<String> {
    let Stats { outcomes, contract, .. } = stats;
    let mut lines = vec![
        format!(
            "{}: {} in {} of {}",
            shown(Path::new(&stats.index)),
            count(stats.faces, "face", "faces"),
            count(stats.photos, "photo", "photos"),
            count(stats.identities, "labelled identity", "labelled identities"),
        ),
        format!(
            "  files     {} with faces, {} without, {} rejected, {} not decodable, {} not readable, \
             {} duplicates",
            outcomes.faces,
            outcomes.no_face,
            outcomes.rejected,
            outcomes.cannot_decode,
            outcomes.cannot_read,
            outcomes.duplicates
        ),
        format!("  labelled  {} of the faces", stats.labelled_faces),
        format!(
            "  model     {} ({} numbers, {}, threshold {}), {}",
            contract.model,
            contract.dimension,
            contract.metric,
            contract.threshold,
            contract.precision
        ),
        format!(
            "  faces by  {} from {} pixels, {}",
            contract.detector, contract.min_face, contract.preprocessing
        ),
    ];
    if let Some(Qualities { lowest_tenth, median, highest_tenth, .. }) = stats.quality {
        lines.push(format!(
            "  quality   {median:.2} in the middle, below {lowest_tenth:.2} for a tenth of the \
             faces, above {highest_tenth:.2} for another"
        ));
    }
    for SegmentLine { faces, by, recall_at_1, recall_at_10, probes } in &stats.segments {
        let how = if *by == "graph" { "a graph" } else { "a scan of sketches" };
        lines.push(format!(
            "  searched  {} by {how} that finds {recall_at_1:.4} of the nearest and {recall_at_10:.4} \
             of the ten nearest ({probes} queries answered both ways)",
            count(*faces as u64, "face", "faces")
        ));
    }
    if stats.faces_scanned > 0 {
        let scanned = count(stats.faces_scanned, "face", "faces");
        lines.push(format!("  searched  {scanned} exactly, all of them each time"));
    }
    let threshold = contract.threshold;
    lines.push(match (stats.false_alarm_rate, stats.calibrated) {
        (Some(rate), true) => format!("  strangers {rate:.4} are given a name at {threshold}"),
        (Some(rate), false) => format!(
            "  strangers about {rate:.2} are given a name at {threshold}; `facesearch calibrate` \
             finds the threshold for fewer"
        ),
        (None, _) => "  strangers too few labelled people to say how many are given a name".into(),
    });
    let per_face = stats
        .bytes_per_face
        .map(|bytes| format!(", {bytes:.0} bytes per face"))
        .unwrap_or_default();
    lines.push(format!(
        "  disk      {:.1} MB published, {:.1} MB store{per_face}",
        stats.bytes_published as f64 / 1e6,
        stats.bytes_store as f64 / 1e6
    ));
    lines
}

/// Bytes of all files below a folder; what cannot be read counts as nothing.
fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
