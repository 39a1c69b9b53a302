//! Answers in lines for people.

use std::fmt::Write;
use std::path::Path;

use facesearch::{CandidateAnswer, Explanation, FaceAnswer, PhotoAnswer, Place};
use facesearch_core::BoundingBox;

use crate::printer::{count, shown, shown_name};

/// The answer for one photo.
pub(crate) fn answer(answer: &PhotoAnswer) -> Vec<String> {
    let image = shown(Path::new(&answer.image));
    if let Some(error) = &answer.error {
        return vec![format!("{image}: {error}")];
    }
    if answer.faces.is_empty() {
        return vec![format!("{image}: no face found")];
    }
    let faces = count(answer.faces.len() as u64, "face", "faces");
    let mut lines = vec![format!("{image}: {faces}")];
    for (number, face) in (1..).zip(&answer.faces) {
        let decision = decision(face);
        lines.push(match &face.place {
            Some(Place { bbox: BoundingBox { x, y, width, height }, .. }) => {
                format!("  face {number} at {x:.0},{y:.0} ({width:.0}x{height:.0}): {decision}")
            }
            None => format!("  {decision}"),
        });
        let explanation = face.explain.iter().map(explanation);
        let candidates = face.candidates.iter().map(candidate);
        lines.extend(explanation.chain(candidates).map(|line| format!("    {line}")));
    }
    lines
}

fn decision(face: &FaceAnswer) -> String {
    match face.probability {
        Some(probability) => format!("{}, probability {probability:.3}", face.decision),
        None => face.decision.to_string(),
    }
}

fn explanation(explanation: &Explanation) -> String {
    let Explanation { examined, allowed, segments, scanned, exact, effort, milliseconds } =
        explanation;
    let certainty = if *exact { "exact" } else { "approximate" };
    let examined = count(*examined, "vector", "vectors");
    let allowed = count(*allowed as u64, "face", "faces");
    let segments = count(*segments as u64, "segment", "segments");
    let scanned = count(*scanned as u64, "face", "faces");
    format!(
        "{certainty}, effort {effort}: {examined} examined for {allowed}, {segments} and \
         {scanned} in none, {milliseconds:.1} ms"
    )
}

fn candidate(candidate: &CandidateAnswer) -> String {
    let photo = shown(Path::new(&candidate.photo));
    let mut text = format!("{:.3}  ", candidate.distance);
    if candidate.labelled {
        let _ = write!(text, "{:<20} ", shown_name(&candidate.identity));
    }
    text.push_str(&photo);
    if candidate.labelled && candidate.support > 1 {
        let more = count(candidate.support as u64 - 1, "photo", "photos");
        let _ = write!(text, "  and {more} more");
    }
    text
}
