//! The answer for an image, as part of a page: each face beside those it was compared with.

use std::path::Path;

use facesearch::{CandidateAnswer, FaceAnswer, PhotoAnswer};
use maud::{Markup, html};

use super::{Page, crop, scale};
use crate::printer::{shown, shown_name};

impl Page {
    /// Adds the answer for one image.
    pub(crate) fn answer(&mut self, report: &PhotoAnswer) {
        let content = html! {
            @if let Some(error) = &report.error { p { (error) } }
            @else if report.faces.is_empty() { p { "no face found" } }
            @if let Some(alarms) = report.expected_false_alarms {
                @let digits = if alarms < 0.01 { 4 } else { 2 };
                p.soft {
                    "Were they all strangers, " (format!("{alarms:.digits$}"))
                    " names would be expected here."
                }
            }
            @for (number, face) in report.faces.iter().enumerate() {
                (of_face(number + 1, face, report))
            }
        };
        self.section(&shown(Path::new(&report.image)), content);
    }
}

fn of_face(number: usize, face: &FaceAnswer, report: &PhotoAnswer) -> Markup {
    let decision = &face.decision;
    let perhaps: Vec<_> = decision.perhaps.iter().map(|name| shown_name(name)).collect();
    let verdict = match &decision.identity {
        Some(identity) => shown_name(identity).to_string(),
        None if !perhaps.is_empty() => format!("possibly {}", perhaps.join(" or ")),
        None => "unknown".into(),
    };
    html! {
        h3 { "Face " (number) ": " (verdict) }
        p.soft { (decision) }
        @if let Some(probability) = face.probability {
            p.soft { "probability " (format!("{probability:.3}")) }
        }
        div.faces {
            div.face {
                @match &face.place {
                    Some(place) => {
                        (crop(Path::new(&report.image), &place.bbox, "the face asked about"))
                    },
                    None => span.gone { "a vector, no picture" },
                }
                "asked about"
            }
            @for candidate in &face.candidates { (of_candidate(candidate, report.threshold)) }
        }
    }
}

fn of_candidate(candidate: &CandidateAnswer, threshold: f32) -> Markup {
    let name = shown_name(&candidate.identity);
    html! {
        div.face {
            (crop(Path::new(&candidate.photo), &candidate.bbox, &name))
            (name) br;
            (format!("{:.3}", candidate.distance))
            (scale(candidate.distance, threshold))
        }
    }
}
