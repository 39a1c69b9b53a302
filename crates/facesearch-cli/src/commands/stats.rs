//! `facesearch stats`: what does the index hold?

use std::path::Path;

use clap::Args;
use facesearch::{Qualities, SegmentStats, Stats};
use facesearch_core::Outcome;
use serde::Serialize;

use crate::args::Global;
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
    let reader = open::reader(global, out)?;
    let stats = reader.stats()?;
    if args.files {
        for (path, outcome) in reader.files()? {
            if args.json {
                out.json(&file_line(&path.to_string_lossy(), &outcome))?;
            } else {
                out.line(format!("{}: {}", shown(&path), in_words(&outcome)))?;
            }
        }
    }
    if args.json {
        out.json(&stats)?
    } else {
        out.lines(for_people(&stats))?
    }
    Ok(Exit::Success)
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

fn for_people(stats: &Stats) -> Vec<String> {
    let Stats { outcomes, contract, .. } = stats;
    let own = contract.own_threshold();
    let mut lines = vec![
        format!(
            "{}: {} in {} of {}",
            shown(Path::new(&stats.index)),
            count(stats.faces, "face", "faces"),
            count(stats.photos, "photo", "photos"),
            count(stats.identities, "labelled identity", "labelled identities"),
        ),
        format!(
            "  files     {} with faces, {} without, {} rejected, {} not decodable, \
             {} not readable, {} duplicates",
            outcomes.faces,
            outcomes.no_face,
            outcomes.rejected,
            outcomes.cannot_decode,
            outcomes.cannot_read,
            outcomes.duplicates
        ),
        format!("  labelled  {} of the faces", stats.labelled_faces),
        format!(
            "  model     {} ({} numbers, {}, {}), {}",
            contract.model,
            contract.dimension,
            contract.metric,
            own.as_ref().map_or("no threshold".into(), |own| format!("threshold {own}")),
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
    for SegmentStats { faces, by, recall_at_1, recall_at_10, probes } in &stats.segments {
        let how = if *by == "graph" { "a graph" } else { "a scan of sketches" };
        lines.push(format!(
            "  searched  {} by {how} that finds {recall_at_1:.4} of the nearest and \
             {recall_at_10:.4} of the ten nearest ({probes} queries answered both ways)",
            count(*faces as u64, "face", "faces")
        ));
    }
    if stats.faces_scanned > 0 {
        let scanned = count(stats.faces_scanned, "face", "faces");
        lines.push(format!("  searched  {scanned} exactly, all of them each time"));
    }
    lines.push(match (own, stats.false_alarm_rate, stats.calibrated) {
        (Some(own), Some(rate), true) => {
            format!("  strangers {rate:.4} are given a name at {own}")
        }
        (Some(own), Some(rate), false) => format!(
            "  strangers about {rate:.2} are given a name at {own}; `facesearch calibrate` finds \
             the threshold for fewer"
        ),
        (Some(_), None, _) => {
            "  strangers too few labelled people to say how many are given a name".into()
        }
        (None, ..) => "  strangers no threshold is known; `facesearch calibrate` finds one".into(),
    });
    if let Some(error) = &stats.calibration_error {
        lines.push(format!("  warning   the calibration is not used: {error}"));
    }
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
