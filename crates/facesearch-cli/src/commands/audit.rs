//! `facesearch audit`: what in the index contradicts itself?

use std::path::PathBuf;

use clap::Args;
use facesearch::ThresholdChoice;
use facesearch::people_tools::{Finding, FindingKind};
use facesearch_core::{Gallery, Row};
use maud::html;

use crate::args::{Global, threshold_or_preset};
use crate::exit::Exit;
use crate::open;
use crate::page::{Page, crop, scale};
use crate::printer::{Printer, count, shown, shown_name};

/// Look for wrong labels: mislabelled faces, people with two names, names with two people, copies
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Largest distance that counts as the same person, or the name of a published preset such as
    /// deepface-lib (default: the model's own)
    #[arg(long, value_name = "D|PRESET", value_parser = threshold_or_preset)]
    pub(crate) threshold: Option<ThresholdChoice>,

    /// One JSON object for each finding
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with the faces side by side
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// Exits with 0, whether or not anything was found.
pub(crate) fn run(args: &AuditArgs, global: &Global, out: &mut Printer) -> anyhow::Result<Exit> {
    let reader = open::reader(global, out)?;
    let (findings, limit) = reader.audit(&args.threshold.clone().unwrap_or_default())?;
    let gallery = reader.gallery()?;
    for finding in &findings {
        if args.json {
            out.json(finding)?;
        } else {
            out.lines(in_words(finding, &*gallery))?;
        }
    }
    if !args.json {
        out.line(count(findings.len() as u64, "finding", "findings"))?;
    }
    if let Some(file) = &args.html {
        page(&findings, &*gallery, limit).write(file)?;
    }
    Ok(Exit::Success)
}

fn headline(finding: &Finding) -> String {
    let shown = |name: &Option<String>| name.as_deref().map_or("nobody".into(), shown_name);
    let (name, other) = (shown(&finding.identity), shown(&finding.other));
    match finding.kind {
        FindingKind::Mislabelled => format!("mislabelled: a face of {name} looks like {other}"),
        FindingKind::TwoNames => format!("two names: {name} and {other} look like one person"),
        FindingKind::TwoPeople => format!("two people: the faces of {name} fall apart"),
        FindingKind::Copy => {
            format!("copy: a face of {name} and a face of {other} are the same picture")
        }
    }
}

fn in_words(finding: &Finding, gallery: &dyn Gallery) -> Vec<String> {
    let mut lines = vec![format!("{} (distance {:.3})", headline(finding), finding.distance)];
    for row in &finding.rows {
        let face = gallery.face(*row);
        lines.push(format!("  face {}: {}", face.id, shown(&gallery.photo_path(face.photo))));
    }
    lines
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
            html! {
                div.face {
                    (crop(&photo, &face.face.bbox, &words))
                    (words) br; "face " (face.id.0)
                }
            }
        };
        page.section(
            &headline(finding),
            html! {
                (scale(finding.distance, limit))
                div.faces { @for row in &finding.rows { (face(row)) } }
            },
        );
    }
    page
}
