//! `facesearch cluster`: which faces that nobody named are one person?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use facesearch::people_tools::cluster::{
    ClusterScore, ClusterThreshold, Clusters, Graph, Group, cluster_vectors, score_clusters,
};
use facesearch::{by_folder, named_rows};
use facesearch_core::{Embedding, Metric, Row};
use maud::html;
use serde::Serialize;

use super::identity;
use crate::args::{Global, metric, threshold};
use crate::exit::{Exit, Failure};
use crate::open;
use crate::page::{Page, crop};
use crate::printer::{Printer, count, shown, shown_name};

/// Group faces into people, those that have a name and those that nobody named
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// How near two groups must be on average to be one person (default: as near that few pairs of
    /// strangers are expected among so many faces, and at most 0.9 of the model's threshold)
    #[arg(long, value_name = "D", value_parser = threshold)]
    pub(crate) threshold: Option<f32>,

    /// How many neighbours of each face are looked at
    #[arg(
        long,
        value_name = "K",
        default_value_t = 24,
        value_parser = clap::value_parser!(u16).range(2..)
    )]
    pub(crate) neighbours: u16,

    /// Groups of fewer faces are left alone
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) min_size: usize,

    /// Name the groups in the index: `Person 1`, `Person 2`, or as a face in it is named already;
    /// `facesearch identity undo` takes it back
    #[arg(long, conflicts_with_all = ["judge", "embeddings"])]
    pub(crate) write: bool,

    /// Pretend that nobody is named, and compare the groups with the names
    #[arg(long)]
    pub(crate) judge: bool,

    /// Group embeddings that are in no index: one row of numbers a face (numpy's .npy)
    #[arg(long, value_name = "FILE.npy", requires = "names")]
    pub(crate) embeddings: Option<PathBuf>,

    /// The name of each row of --embeddings, one a line, such as `person/photo.jpg`
    #[arg(long, value_name = "FILE.txt", requires = "embeddings")]
    pub(crate) names: Option<PathBuf>,

    /// How the rows of --embeddings are compared: l2, normalised-l2, cosine or angular
    #[arg(long, default_value = "l2", value_parser = metric, requires = "embeddings")]
    pub(crate) metric: Metric,

    /// The distance up to which the model of --embeddings calls two faces one person; --threshold
    /// then follows from it as it does in an index
    #[arg(long, value_name = "D", value_parser = threshold, requires = "embeddings",
        conflicts_with = "threshold")]
    pub(crate) model_threshold: Option<f32>,

    /// JSON: one object for each group, then, with --judge, one for the comparison
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with the faces of each group
    #[arg(long, value_name = "FILE.html", conflicts_with_all = ["judge", "embeddings"])]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Serialize)]
struct Judged {
    faces: usize,
    groups: usize,
    threshold: f32,
    #[serde(flatten)]
    score: ClusterScore,
}

/// Exits with 0.
pub(crate) fn run(args: &ClusterArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    if let (Some(file), Some(names)) = (&args.embeddings, &args.names) {
        let rows = named_rows(file, names, args.metric)?;
        return judge_rows(args, &rows, out);
    }
    let reader = open::reader(global, out)?;
    let clusters = reader.clusters(args.threshold, args.neighbours.into(), !args.judge)?;
    if args.judge {
        let gallery = reader.gallery()?;
        let truth: Vec<(usize, u32)> = (0..gallery.len())
            .filter_map(|row| Some((row, gallery.face(Row(row as u32)).identity?.0)))
            .collect();
        if truth.len() < 2 {
            let index = shown(&global.index);
            let what = format!("{index}: --judge compares with names; too few faces have one");
            return Err(Failure::input(what));
        }
        let (group, person): (Vec<u32>, Vec<u32>) =
            truth.iter().map(|(row, person)| (clusters.group[*row], *person)).unzip();
        return print_score(args, clusters.threshold, &group, &person, out);
    }
    let groups = reader.groups(&clusters, args.min_size)?;
    for group in &groups {
        if args.json {
            out.json(group)?;
        } else {
            out.lines(in_words(group))?;
        }
    }
    if let Some(file) = &args.html {
        page(&groups).write(file)?;
    }
    if args.write {
        match open::engine(global, out)?.name_groups(&groups)? {
            Some(said) => identity::print(&said, args.json, out)?,
            None => out.note("every face that is in a group has its name already"),
        }
    }
    Ok(Exit::Success)
}

/// Groups rows that are in no index, and compares them with their folders.
fn judge_rows(
    args: &ClusterArgs,
    rows: &[(String, Embedding)],
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let threshold = match (args.threshold, args.model_threshold) {
        (None, None) => {
            let what = "--embeddings need --model-threshold or --threshold; they belong to a model";
            return Err(Failure::usage(what));
        }
        (Some(fixed), _) => ClusterThreshold::Fixed(fixed),
        (None, Some(model)) => ClusterThreshold::FromModel(model),
    };
    let faces = by_folder(rows.iter().map(|(name, face)| (&**name, face)))?;
    let graph = Graph::exact(&faces, args.neighbours.into());
    let Clusters { group, threshold, .. } = cluster_vectors(&faces, &graph, threshold)?;
    let person: Vec<u32> = (0..faces.len()).map(|row| faces.person(row)).collect();
    print_score(args, threshold, &group, &person, out)
}

fn print_score(
    args: &ClusterArgs,
    threshold: f32,
    group: &[u32],
    person: &[u32],
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let groups = group.iter().collect::<BTreeSet<_>>().len();
    let score = score_clusters(group, person);
    if args.json {
        out.json(&Judged { faces: group.len(), groups, threshold, score })?;
    } else {
        out.line(format!(
            "{} in {} at threshold {threshold}: pairwise precision {:.4}, recall {:.4}; \
             B-cubed precision {:.4}, recall {:.4}, F1 {:.4}",
            count(group.len() as u64, "named face", "named faces"),
            count(groups as u64, "group", "groups"),
            score.precision,
            score.recall,
            score.bcubed_precision,
            score.bcubed_recall,
            score.bcubed_f1
        ))?;
    }
    Ok(Exit::Success)
}

fn in_words(group: &Group) -> Vec<String> {
    let new = group.faces.iter().filter(|face| !face.named).count();
    let whose = if group.known { "" } else { " (not named yet)" };
    let mut lines = vec![format!(
        "{}{whose}: {}, {new} without a name",
        shown_name(&group.name),
        count(group.faces.len() as u64, "face", "faces")
    )];
    for face in &group.faces {
        lines.push(format!("  face {}: {}", face.face, shown(Path::new(&face.photo))));
    }
    lines
}

fn page(groups: &[Group]) -> Page {
    let mut page = Page::new("People");
    for group in groups {
        let faces = count(group.faces.len() as u64, "face", "faces");
        page.section(&shown_name(&group.name), html! {
            p.soft { (faces) @if !group.known { ", not named yet" } }
            div.faces { @for face in &group.faces {
                div.face {
                    (crop(Path::new(&face.photo), &face.bbox, &group.name)) "face " (face.face.0)
                }
            } }
        });
    }
    page
}
