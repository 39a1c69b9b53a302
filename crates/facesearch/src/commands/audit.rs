//! `facesearch audit`: what in the index contradicts itself?

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use facesearch_core::{Gallery, IdentityIndex, Row};
use facesearch_people::cluster::{ClusterOptions, Constraints, Graph, Vectors, cluster};
use maud::html;
use serde::Serialize;

use super::identity::distance;
use crate::args::{Global, threshold};
use crate::exit::Exit;
use crate::open;
use crate::page::{Page, crop, scale};
use crate::printer::{Printer, count, shown, shown_name};

/// How many neighbours have a say about a face.
const NEIGHBOURS: usize = 16;
/// Two faces nearer than this part of the threshold are one photo twice.
const COPY: f32 = 0.15;
/// Groups must be nearer than pairs to be one person.
const STRICTER: f32 = 0.9;

/// Look for wrong labels: mislabelled faces, people with two names, names with two people, copies
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Largest distance that counts as the same person (default: the model's, 0.55)
    #[arg(long, value_name = "D", value_parser = threshold)]
    pub(crate) threshold: Option<f32>,

    /// One JSON object for each finding
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with the faces side by side
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// Something to look at, with its evidence.
#[derive(Debug, Serialize)]
struct Finding {
    /// `mislabelled`, `two_names`, `two_people` or `copy`.
    kind: &'static str,
    /// The name in question.
    identity: Option<String>,
    /// The name that the evidence is for.
    other: Option<String>,
    /// The distance that says so.
    distance: f32,
    /// Faces in question, then those that are the evidence.
    faces: Vec<u64>,
    evidence: Vec<u64>,
    #[serde(skip)]
    rows: Vec<Row>,
}

/// Exits with 0, whether or not anything was found.
pub(crate) fn run(args: &AuditArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let gallery = open::gallery(global)?;
    gallery.verify()?;
    let gallery: &dyn Gallery = &gallery;
    let limit = args.threshold.unwrap_or(gallery.contract().threshold);
    let graph = Graph::exact(&gallery, NEIGHBOURS);
    let mut findings = from_neighbours(gallery, &graph, limit);
    findings.extend(two_names(gallery, &graph, limit)?);
    findings.extend(two_people(gallery, limit)?);
    for finding in &findings {
        if args.json {
            out.json(finding)?;
        } else {
            out.line(in_words(finding, gallery))?;
        }
    }
    if !args.json {
        out.line(count(findings.len() as u64, "finding", "findings"))?;
    }
    if let Some(file) = &args.html {
        page(&findings, gallery, limit).write(file)?;
    }
    Ok(Exit::Success)
}

fn finding(
    kind: &'static str,
    names: [Option<IdentityIndex>; 2],
    distance: f32,
    rows: [Vec<Row>; 2],
    gallery: &dyn Gallery,
) -> Finding {
    let [identity, other] = names.map(|name| name.map(|index| gallery.identity(index).to_owned()));
    let ids = |rows: &[Row]| rows.iter().map(|row| gallery.face(*row).id.0).collect();
    let (faces, evidence) = (ids(&rows[0]), ids(&rows[1]));
    Finding { kind, identity, other, distance, faces, evidence, rows: rows.concat() }
}

/// Faces whose neighbours say otherwise, and faces that are there twice.
fn from_neighbours(gallery: &dyn Gallery, graph: &Graph, limit: f32) -> Vec<Finding> {
    let mut findings = Vec::new();
    for index in 0..gallery.len() {
        let row = Row(index as u32);
        let face = gallery.face(row);
        let mut near: Vec<(f32, Row)> = graph
            .neighbours(index)
            .map(|other| (distance(gallery, row, Row(other as u32)), Row(other as u32)))
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (d, other) in near.iter().take_while(|(d, _)| *d < COPY * limit) {
            let there = gallery.face(*other);
            if row < *other && there.photo != face.photo {
                let names = [face.identity, there.identity];
                findings.push(finding("copy", names, *d, [vec![row], vec![*other]], gallery));
            }
        }
        let Some(own) = face.identity else { continue };
        let named: Vec<(f32, Row, IdentityIndex)> = near
            .iter()
            .filter(|(d, _)| *d <= limit)
            .filter_map(|(d, other)| Some((*d, *other, gallery.face(*other).identity?)))
            .collect();
        // The three nearest agree on somebody else, and nobody near agrees with the label.
        let Some((d, _, other)) = named.first().copied() else { continue };
        let agree = named.iter().take(3).filter(|(_, _, name)| *name == other).count();
        if other != own && agree == 3 && named.iter().all(|(_, _, name)| *name != own) {
            let evidence = named.iter().take(3).map(|(_, row, _)| *row).collect();
            let names = [Some(own), Some(other)];
            findings.push(finding("mislabelled", names, d, [vec![row], evidence], gallery));
        }
    }
    findings
}

/// Names whose faces a clustering, which knows no names, puts together for the most part.
fn two_names(gallery: &dyn Gallery, graph: &Graph, limit: f32) -> anyhow::Result<Vec<Finding>> {
    let options = ClusterOptions::new(STRICTER * limit);
    let clusters = cluster(&gallery, graph, &Constraints::default(), &options)?;
    let mut inside: BTreeMap<u32, BTreeMap<IdentityIndex, Vec<Row>>> = BTreeMap::new();
    for (row, group) in (0..).map(Row).zip(&clusters.group) {
        if let Some(identity) = gallery.face(row).identity {
            inside.entry(*group).or_default().entry(identity).or_default().push(row);
        }
    }
    let mut findings = Vec::new();
    for names in inside.into_values() {
        // Only names that are mostly here: a single stray face is another finding.
        let most: Vec<(IdentityIndex, Vec<Row>)> = names
            .into_iter()
            .filter(|(name, rows)| 2 * rows.len() > gallery.rows_of(*name).len())
            .collect();
        for pair in most.windows(2) {
            let [(one, rows), (other, others)] = pair else { continue };
            let between = rows.iter().flat_map(|a| others.iter().map(move |b| (a, b)));
            let nearest = between.map(|(a, b)| distance(gallery, *a, *b)).fold(f32::MAX, f32::min);
            let faces = [few(rows), few(others)];
            let names = [Some(*one), Some(*other)];
            findings.push(finding("two_names", names, nearest, faces, gallery));
        }
    }
    Ok(findings)
}

/// Names whose own faces fall into two groups of several faces each.
fn two_people(gallery: &dyn Gallery, limit: f32) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in (0..gallery.identity_count() as u32).map(IdentityIndex) {
        let rows = gallery.rows_of(name);
        if rows.len() < 4 {
            continue;
        }
        let own = Own { gallery, rows: &rows };
        let graph = Graph::exact(&own, NEIGHBOURS);
        // Without surroundings: one person's faces alone are no sample of strangers.
        let options = ClusterOptions { weight: 0.0, ..ClusterOptions::new(limit) };
        let clusters = cluster(&own, &graph, &Constraints::default(), &options)?;
        let mut groups: Vec<Vec<Row>> = vec![Vec::new(); clusters.groups];
        for (row, group) in rows.iter().zip(&clusters.group) {
            groups[*group as usize].push(*row);
        }
        groups.retain(|group| group.len() >= 2);
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        if let [most, next, ..] = &groups[..] {
            let between = most.iter().flat_map(|a| next.iter().map(move |b| (a, b)));
            let nearest = between.map(|(a, b)| distance(gallery, *a, *b)).fold(f32::MAX, f32::min);
            let faces = [next.clone(), few(most)];
            findings.push(finding("two_people", [Some(name), None], nearest, faces, gallery));
        }
    }
    Ok(findings)
}

/// The faces of one name.
struct Own<'a> {
    gallery: &'a dyn Gallery,
    rows: &'a [Row],
}

impl Vectors for Own<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn vector(&self, row: usize) -> &[f32] {
        self.gallery.vector(self.rows[row])
    }
}

fn few(rows: &[Row]) -> Vec<Row> {
    rows.iter().take(4).copied().collect()
}

fn said(finding: &Finding) -> String {
    let name = |name: &Option<String>| name.as_deref().map_or("nobody".into(), shown_name);
    let (one, other) = (name(&finding.identity), name(&finding.other));
    match finding.kind {
        "mislabelled" => format!("mislabelled: a face of {one} looks like {other}"),
        "two_names" => format!("two names: {one} and {other} look like one person"),
        "two_people" => format!("two people: the faces of {one} fall apart"),
        _ => format!("copy: a face of {one} and a face of {other} are the same picture"),
    }
}

fn in_words(finding: &Finding, gallery: &dyn Gallery) -> String {
    let mut text = format!("{} (distance {:.3})", said(finding), finding.distance);
    for row in &finding.rows {
        let face = gallery.face(*row);
        text.push_str(&format!("\n  face {}: {}", face.id, shown(&gallery.photo_path(face.photo))));
    }
    text
}

fn page(findings: &[Finding], gallery: &dyn Gallery, limit: f32) -> Page {
    let mut page = Page::new("Audit");
    page.section(
        "All of it",
        html! { p { (count(findings.len() as u64, "finding", "findings")) } },
    );
    for finding in findings {
        let face = |row: &Row| {
            let face = gallery.face(*row);
            let words = face.identity.map_or("nobody".into(), |i| shown_name(gallery.identity(i)));
            let photo = gallery.photo_path(face.photo);
            html! { div.face { (crop(&photo, &face.face.bbox, &words)) (words) br; "face " (face.id.0) } }
        };
        page.section(
            &said(finding),
            html! {
                (scale(finding.distance, limit))
                div.faces { @for row in &finding.rows { (face(row)) } }
            },
        );
    }
    page
}
