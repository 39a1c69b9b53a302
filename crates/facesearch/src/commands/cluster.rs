//! `facesearch cluster`: which faces that nobody named are one person?

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use facesearch_core::{BoundingBox, Effort, Embedding, FaceId, Gallery, Metric, Row};
use facesearch_people::cluster::{
    ClusterOptions, ClusterScore, Clusters, Constraints, Graph, Vectors, cluster,
    cluster_by_chance, score_clusters,
};
use facesearch_store::Statement;
use maud::html;
use serde::Serialize;

use super::eval::source::{by_folder, named_rows};
use super::identity;
use crate::args::{Global, metric, threshold};
use crate::exit::{Exit, Failure};
use crate::open;
use crate::page::{Page, crop};
use crate::printer::{Printer, count, shown, shown_name};

/// Up to so many faces all pairs are compared; above, the index proposes the neighbours.
const EXACT: usize = 150_000;

/// A wrong join spoils every pair of two groups, so groups must be nearer than pairs: at least by
/// this factor, and by more where the number of faces wants it.
const STRICTER: f32 = 0.9;

/// Of all pairs of faces that are near enough, so many may be strangers. The mean over all pairs of
/// two groups then keeps about half of those apart.
const STRANGERS: f64 = 0.015;

/// Group faces into people, those that have a name and those that nobody named
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// How near two groups must be on average to be one person (default: as near that few pairs of
    /// strangers are expected among so many faces, and at most 0.9 of the model's threshold)
    #[arg(long, value_name = "D", value_parser = threshold)]
    pub(crate) threshold: Option<f32>,

    /// How many neighbours of each face are looked at
    #[arg(long, value_name = "K", default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..))]
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

/// A group as it is given.
#[derive(Serialize)]
struct Group {
    /// What it is called: a name that is in it already, or one that is free.
    name: String,
    /// Whether that name is in the index.
    known: bool,
    faces: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    face: u64,
    photo: String,
    named: bool,
    #[serde(rename = "box")]
    bbox: BoundingBox,
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
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    let gallery: &dyn Gallery = &gallery;
    let rows = gallery.len();
    let graph = graph(gallery, args.neighbours.into())?;
    let constraints = if args.judge { Constraints::default() } else { constraints(gallery) };
    let near = near_enough(args, gallery.contract().threshold);
    let (clusters, threshold) = grouped(&gallery, &graph, &constraints, near)?;
    if args.judge {
        let truth: Vec<(usize, u32)> = (0..rows)
            .filter_map(|row| Some((row, gallery.face(Row(row as u32)).identity?.0)))
            .collect();
        if truth.len() < 2 {
            let what = format!(
                "{}: --judge compares with names; too few faces have one",
                shown(&global.index)
            );
            return Err(Failure::input(what));
        }
        let (group, person): (Vec<u32>, Vec<u32>) =
            truth.iter().map(|(row, person)| (clusters.group[*row], *person)).unzip();
        return say_judged(args, threshold, &group, &person, out);
    }
    let groups = groups(gallery, &clusters, args.min_size);
    for group in &groups {
        if args.json {
            out.json(group)?;
        } else {
            out.line(in_words(group))?;
        }
    }
    if let Some(file) = &args.html {
        page(&groups).write(file)?;
    }
    if args.write {
        let statement = statement(&groups);
        if statement.faces.is_empty() {
            out.note("every face that is in a group has its name already");
            return Ok(Exit::Success);
        }
        return identity::say(&statement, args.json, global, out);
    }
    Ok(Exit::Success)
}

/// Groups rows that are in no index, and compares them with their folders.
fn judge_rows(
    args: &ClusterArgs,
    rows: &[(String, Embedding)],
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let near = match (args.threshold, args.model_threshold) {
        (None, None) => {
            let what = "--embeddings need --model-threshold or --threshold; they belong to a model";
            return Err(Failure::usage(what));
        }
        (_, model) => near_enough(args, model.unwrap_or_default()),
    };
    let faces = by_folder(rows.iter().map(|(name, face)| (&**name, face)))?;
    let graph = Graph::exact(&faces, args.neighbours.into());
    let (clusters, threshold) = grouped(&faces, &graph, &Constraints::default(), near)?;
    let person: Vec<u32> = (0..faces.len()).map(|row| faces.person(row)).collect();
    say_judged(args, threshold, &clusters.group, &person, out)
}

/// How near is near enough.
enum Near {
    /// As somebody said.
    Within(f32),
    /// As the faces say, of a model whose threshold this is.
    ByChance(f32),
}

fn near_enough(args: &ClusterArgs, model: f32) -> Near {
    args.threshold.map_or(Near::ByChance(model), Near::Within)
}

/// The groups, and the threshold they were made with.
fn grouped(
    vectors: &impl Vectors,
    graph: &Graph,
    constraints: &Constraints,
    near: Near,
) -> anyhow::Result<(Clusters, f32)> {
    Ok(match near {
        Near::Within(threshold) => {
            let options = ClusterOptions::new(threshold);
            (cluster(vectors, graph, constraints, &options)?, threshold)
        }
        Near::ByChance(model) => {
            let options = ClusterOptions::new(STRICTER * model);
            cluster_by_chance(vectors, graph, constraints, &options, model, STRANGERS)?
        }
    })
}

fn say_judged(
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

fn graph(gallery: &dyn Gallery, k: usize) -> anyhow::Result<Graph> {
    if gallery.len() <= EXACT {
        return Ok(Graph::exact(&gallery, k));
    }
    let metric = Metric::L2; // The rows are scaled already.
    Graph::from_index(gallery.len(), k, |row| {
        let own = gallery.vector(Row(row as u32));
        let probe = Embedding::new(own.to_vec(), metric)?;
        let found = gallery.candidates(&probe, k + 1, Effort::Balanced)?;
        let mut near: Vec<(f32, u32)> = found
            .rows
            .iter()
            .map(|other| (facesearch_core::l2_squared(own, gallery.vector(*other)), other.0))
            .filter(|(_, other)| *other as usize != row)
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Ok(near.into_iter().take(k).map(|(_, other)| other).collect())
    })
}

/// What is known already: names hold together and keep apart, and nobody is in a photo twice.
fn constraints(gallery: &dyn Gallery) -> Constraints {
    let mut person = Vec::with_capacity(Vectors::len(&gallery));
    let mut photos: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for row in 0..gallery.len() {
        let face = gallery.face(Row(row as u32));
        person.push(face.identity.map(|identity| identity.0));
        photos.entry(face.photo.0).or_default().push(row);
    }
    let mut not_same = Vec::new();
    for rows in photos.values() {
        for (i, a) in rows.iter().enumerate() {
            let others = rows[i + 1..].iter();
            // Whoever was named twice in one photo, as in a collage, was named by somebody.
            let apart = others.filter(|b| person[*a].is_none() || person[*a] != person[**b]);
            not_same.extend(apart.map(|b| (*a, *b)));
        }
    }
    Constraints { same: Vec::new(), not_same, person }
}

/// The groups of at least `min_size` faces, the largest first, each with a name.
fn groups(gallery: &dyn Gallery, clusters: &Clusters, min_size: usize) -> Vec<Group> {
    let mut rows: Vec<Vec<Row>> = vec![Vec::new(); clusters.groups];
    for (row, group) in (0..).zip(&clusters.group) {
        rows[*group as usize].push(Row(row));
    }
    rows.retain(|rows| rows.len() >= min_size.max(1));
    rows.sort_by_key(|rows| (std::cmp::Reverse(rows.len()), rows[0]));
    let mut free = (1..)
        .map(|number: u32| format!("Person {number}"))
        .filter(|name| gallery.find_identity(name).is_none());
    let group = |rows: Vec<Row>| {
        let known = rows.iter().find_map(|row| gallery.face(*row).identity);
        let name = match known {
            Some(identity) => gallery.identity(identity).to_owned(),
            None => free.next().expect("there is always another number"),
        };
        let member = |row: &Row| {
            let face = gallery.face(*row);
            let photo = gallery.photo_path(face.photo).to_string_lossy().into_owned();
            Member { face: face.id.0, photo, named: face.identity.is_some(), bbox: face.face.bbox }
        };
        Group { name, known: known.is_some(), faces: rows.iter().map(member).collect() }
    };
    rows.into_iter().map(group).collect()
}

/// Names every face that has none as its group is called.
fn statement(groups: &[Group]) -> Statement {
    let mut faces = Vec::new();
    for group in groups {
        let unnamed = group.faces.iter().filter(|face| !face.named);
        faces.extend(unnamed.map(|face| (FaceId(face.face), Some(group.name.clone()))));
    }
    let people = count(groups.len() as u64, "person", "people");
    Statement { what: format!("cluster into {people}"), faces, labels: Vec::new() }
}

fn in_words(group: &Group) -> String {
    let new = group.faces.iter().filter(|face| !face.named).count();
    let whose = if group.known { "" } else { " (not named yet)" };
    let mut text = format!(
        "{}{whose}: {}, {new} without a name",
        shown_name(&group.name),
        count(group.faces.len() as u64, "face", "faces")
    );
    for face in &group.faces {
        text.push_str(&format!("\n  face {}: {}", face.face, shown(Path::new(&face.photo))));
    }
    text
}

fn page(groups: &[Group]) -> Page {
    let mut page = Page::new("People");
    for group in groups {
        let faces = count(group.faces.len() as u64, "face", "faces");
        page.section(&shown_name(&group.name), html! {
            p.soft { (faces) @if !group.known { ", not named yet" } }
            div.faces { @for face in &group.faces {
                div.face { (crop(Path::new(&face.photo), &face.bbox, &group.name)) "face " (face.face) }
            } }
        });
    }
    page
}
