//! Answers: what is known of the faces of a photo.

use std::fmt;
use std::path::Path;

use facesearch_core::{
    BoundingBox, DetectedFace, Effort, Landmarks, Quality, Threshold, display_path,
};
use facesearch_query::{Answer, Candidate, CandidateName, Decision as Decided};
use serde::Serialize;

use crate::search::{Search, Structure};

/// The answer for one photo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhotoAnswer {
    /// The photo as it was named.
    pub image: String,
    /// The recognition model.
    pub model: String,
    /// The threshold that decided, L2.
    pub threshold: f32,
    /// How many of this photo's faces would be given a name, were they all strangers; where the
    /// index is calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_false_alarms: Option<f64>,
    /// Why there are no faces, where the photo could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One entry a face, the most prominent first.
    pub faces: Vec<FaceAnswer>,
}

impl PhotoAnswer {
    /// Whether any face was named.
    pub fn has_match(&self) -> bool {
        self.faces.iter().any(|face| face.decision.identity.is_some())
    }
}

/// Where a face is in its photo, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Its box.
    #[serde(rename = "box")]
    pub bbox: BoundingBox,
    /// How sure the detector is, in `[0, 1]`.
    pub score: f32,
    /// Eyes, nose and corners of the mouth.
    pub landmarks: Landmarks,
    /// How usable the face is, in `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f32>,
}

impl Place {
    pub(crate) fn new(face: &DetectedFace, quality: Option<Quality>) -> Self {
        let DetectedFace { bbox, score, landmarks } = *face;
        Self { bbox, score, landmarks, quality: quality.map(|quality| quality.0) }
    }
}

/// The answer for one face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceAnswer {
    /// Where it is; `None` where an embedding was asked about.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// Who it is, or that nobody is near enough.
    #[serde(flatten)]
    pub decision: Decision,
    /// How much farther the second candidate is than the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f32>,
    /// The probability that the nearest candidate is the right one, if every other face asked about
    /// is of somebody who is in the index; where that is calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The nearest identities, nearest first, whatever the decision.
    pub candidates: Vec<CandidateAnswer>,
    /// How it was found, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation>,
}

/// Whether somebody was near enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The nearest identity is within the threshold.
    Match,
    /// Nobody is.
    Unknown,
}

/// The decision on a face. Shown, it is a line for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// Whether somebody was near enough.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// Who it is; `None` when unknown. An unlabelled face has the path of its photo.
    pub identity: Option<String>,
    /// Exact L2 distance to the nearest candidate, whatever the decision; `None` where there is
    /// none.
    pub distance: Option<f32>,
    /// What decided.
    #[serde(skip)]
    pub threshold: Threshold,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threshold = &self.threshold;
        match (&self.identity, self.distance) {
            (Some(identity), Some(distance)) => {
                let name = display_path(Path::new(identity));
                write!(f, "{name}, distance {distance:.3} (within {threshold})")
            }
            (_, Some(distance)) => {
                write!(f, "unknown, the nearest is at {distance:.3} (beyond {threshold})")
            }
            _ => f.write_str("unknown, there is nobody to compare with"),
        }
    }
}

/// One identity near a face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateAnswer {
    /// Its label, or the path of an unlabelled face's photo.
    pub identity: String,
    /// Exact L2 distance to its nearest face.
    pub distance: f32,
    /// The photo that is the evidence.
    pub photo: String,
    /// The face in the index that is nearest.
    pub face: u64,
    /// Where that face is in its photo.
    #[serde(rename = "face_box")]
    pub bbox: BoundingBox,
    /// Photos of this identity within the threshold.
    pub support: usize,
    /// Whether `identity` is a label.
    pub labelled: bool,
}

/// How an answer was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Vectors and codes compared with the face's.
    pub examined: u64,
    /// Faces that the filter lets through; all, where there is none.
    pub allowed: usize,
    /// Search structures there are.
    pub segments: usize,
    /// Faces that no search structure covers.
    pub scanned: usize,
    /// Whether the ranking is certainly that of a full scan.
    pub exact: bool,
    /// The effort asked for.
    pub effort: String,
    /// From the embedding to the answer; of those that were searched for together, an equal share.
    pub milliseconds: f64,
}

impl FaceAnswer {
    pub(crate) fn new(answer: &Answer, milliseconds: f64, search: &Search) -> Self {
        let candidate = |candidate| CandidateAnswer::new(candidate, search);
        let candidates: Vec<_> = answer.candidates.iter().map(candidate).collect();
        let nearest = candidates.first();
        let is_match = answer.decision == Decided::Match;
        Self {
            place: None,
            decision: Decision {
                verdict: if is_match { Verdict::Match } else { Verdict::Unknown },
                identity: nearest.filter(|_| is_match).map(|nearest| nearest.identity.clone()),
                distance: nearest.map(|nearest| nearest.distance),
                threshold: search.threshold().clone(),
            },
            margin: match &candidates[..] {
                [first, second, ..] => Some(second.distance - first.distance),
                _ => None,
            },
            probability: nearest.and_then(|nearest| search.probability(nearest.distance)),
            explain: search.structure().map(|Structure { segments, scanned }| Explanation {
                examined: answer.examined,
                allowed: search.allowed(),
                segments,
                scanned,
                exact: answer.exact,
                effort: effort_name(search.options().effort),
                milliseconds,
            }),
            candidates,
        }
    }

    /// The answer for a face that the model made no embedding of.
    pub(crate) fn nobody(search: &Search) -> Self {
        let (decision, candidates) = (Decided::Unknown, Vec::new());
        let answer = Answer { decision, candidates, exact: true, examined: 0 };
        Self::new(&answer, 0.0, search)
    }
}

impl CandidateAnswer {
    fn new(candidate: &Candidate, search: &Search) -> Self {
        let gallery = search.gallery();
        let face = gallery.face(candidate.row);
        let photo = gallery.photo_path(face.photo).to_string_lossy().into_owned();
        let (identity, labelled) = match candidate.name {
            CandidateName::Identity(index) => (gallery.identity(index).to_owned(), true),
            CandidateName::Photo(_) => (photo.clone(), false),
        };
        Self {
            identity,
            distance: candidate.distance.get(),
            photo,
            face: face.id.0,
            bbox: face.face.bbox,
            support: candidate.support,
            labelled,
        }
    }
}

/// An effort as it is typed.
fn effort_name(effort: Effort) -> String {
    match effort {
        Effort::Fast => "fast".into(),
        Effort::Balanced => "balanced".into(),
        Effort::High => "high".into(),
        Effort::Exact => "exact".into(),
        Effort::List(ef) => ef.to_string(),
    }
}
