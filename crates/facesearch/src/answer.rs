//! Answers: what is known of the faces of a photo.

use std::fmt;
use std::path::Path;

use facesearch_core::{
    BoundingBox, DetectedFace, Effort, Landmarks, Quality, Threshold, display_path,
};
use facesearch_query::{Answer, Candidate, CandidateName, Decision as Decided, Doubt};
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
    /// How many of this photo's faces would be given a name, were they all strangers; where that is
    /// known.
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
    /// Who it is, who it may be, or that nobody is near enough.
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
    /// The nearest identity is within the threshold, and few strangers would come so near.
    Match,
    /// Somebody is within the threshold, but a stranger may well come so near, or two identities
    /// are as near as each other. Nobody is named.
    Possible,
    /// Nobody is within the threshold.
    Unknown,
}

impl Verdict {
    /// The word for it in every kind of output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Possible => "possible",
            Self::Unknown => "unknown",
        }
    }
}

/// The decision on a face. Shown, it is a line for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// Whether somebody was near enough.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// Who it is; `None` unless that is a match. An unlabelled face has the path of its photo.
    pub identity: Option<String>,
    /// Exact L2 distance to the nearest candidate, whatever the decision; `None` where there is
    /// none.
    pub distance: Option<f32>,
    /// How much nearer than the crowd the nearest candidate is: smaller is more alike; `None` where
    /// nobody is within the threshold or there is no crowd to judge by.
    pub crowd_score: Option<f64>,
    /// The probability that a stranger comes so near to anybody in the index; `None` as above.
    pub stranger_chance: Option<f64>,
    /// Why it is only possible; `None` for a match and unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// The largest distance of one person.
    #[serde(skip)]
    pub threshold: Threshold,
    /// Who it may be, where that is possible: the nearest, or two whom nothing tells apart.
    #[serde(skip)]
    pub perhaps: Vec<String>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threshold = &self.threshold;
        let shown = |name: &String| display_path(Path::new(name)).to_string();
        let Some(distance) = self.distance else {
            return f.write_str("unknown, there is nobody to compare with");
        };
        match self.verdict {
            Verdict::Match => {
                let name = self.identity.as_ref().map(shown).unwrap_or_default();
                write!(f, "{name}, distance {distance:.3} (within {threshold}")?;
            }
            Verdict::Possible => {
                let names: Vec<String> = self.perhaps.iter().map(shown).collect();
                let names = names.join(" or ");
                write!(f, "possibly {names}, distance {distance:.3} (within {threshold}")?;
            }
            Verdict::Unknown => {
                return write!(f, "unknown, the nearest is at {distance:.3} (beyond {threshold})");
            }
        }
        match (self.doubt, self.stranger_chance) {
            (Some(Doubt::PoorCandidate), _) => f.write_str("; but its face is too poor to tell)"),
            (Some(Doubt::Twins), _) => f.write_str("; nothing tells them apart)"),
            (_, Some(chance)) => write!(f, "; {} would come so near)", Strangers(chance)),
            (_, None) => f.write_str(")"),
        }
    }
}

/// A share of strangers, in words.
struct Strangers(f64);

impl fmt::Display for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(share) = *self;
        let one_in = 1.0 / share.max(1e-12);
        match one_in {
            ..1.5 => f.write_str("nearly every stranger"),
            ..20.0 => write!(f, "1 stranger in {one_in:.0}"),
            ..1e4 => {
                let digits = 10f64.powf(one_in.log10().floor() - 1.0);
                write!(f, "1 stranger in {:.0}", (one_in / digits).round() * digits)
            }
            // Nobody has seen enough strangers to say more.
            _ => f.write_str("fewer than 1 stranger in 10000"),
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
    /// How much nearer than the crowd it is; `None` beyond the threshold and without a crowd.
    pub crowd_score: Option<f64>,
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
        let verdict = match answer.decision {
            Decided::Match => Verdict::Match,
            Decided::Possible => Verdict::Possible,
            Decided::Unknown => Verdict::Unknown,
        };
        let is_match = verdict == Verdict::Match;
        let evidence = answer.candidates.first().and_then(|candidate| candidate.evidence);
        Self {
            place: None,
            decision: Decision {
                verdict,
                identity: nearest.filter(|_| is_match).map(|nearest| nearest.identity.clone()),
                distance: nearest.map(|nearest| nearest.distance),
                crowd_score: evidence.map(|evidence| evidence.score),
                stranger_chance: evidence.map(|evidence| evidence.chance),
                doubt: answer.doubt,
                threshold: search.threshold().clone(),
                perhaps: answer.perhaps.iter().map(|name| name_of(*name, search).0).collect(),
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
        let answer = Answer {
            decision: Decided::Unknown,
            perhaps: Vec::new(),
            doubt: None,
            candidates: Vec::new(),
            exact: true,
            examined: 0,
        };
        Self::new(&answer, 0.0, search)
    }
}

impl CandidateAnswer {
    fn new(candidate: &Candidate, search: &Search) -> Self {
        let gallery = search.gallery();
        let face = gallery.face(candidate.row);
        let photo = gallery.photo_path(face.photo).to_string_lossy().into_owned();
        let (identity, labelled) = name_of(candidate.name, search);
        Self {
            identity,
            distance: candidate.distance.get(),
            photo,
            face: face.id.0,
            bbox: face.face.bbox,
            support: candidate.support,
            crowd_score: candidate.evidence.map(|evidence| evidence.score),
            labelled,
        }
    }
}

/// What a candidate is called, and whether that is a label.
fn name_of(name: CandidateName, search: &Search) -> (String, bool) {
    let gallery = search.gallery();
    match name {
        CandidateName::Identity(index) => (gallery.identity(index).to_owned(), true),
        CandidateName::Photo(index) => {
            (gallery.photo_path(index).to_string_lossy().into_owned(), false)
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
