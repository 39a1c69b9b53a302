//! What is said of a photo, for machines (one JSON object) and for people.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use facesearch_core::{
    BoundingBox, DetectedFace, Embedding, Gallery, Landmarks, RowSet, Threshold, VisionError,
};
use facesearch_query::{Answer, Candidate, CandidateName, Decision, PhotoProbe, Probe, identify};
use serde::Serialize;

use crate::args;
use crate::judge::{Judge, Structure};
use crate::printer::{count, shown, shown_name};

/// The answer for one image.
#[derive(Debug, Serialize)]
pub(crate) struct ImageReport {
    /// The image as it was named.
    pub(crate) image: String,
    /// The recognition model.
    pub(crate) model: String,
    /// The threshold that decided.
    pub(crate) threshold: Threshold,
    /// How many of this image's faces would be given a name, were they all strangers; where the
    /// index is calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_false_alarms: Option<f64>,
    /// Why there are no faces, where the image could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// One entry a face, the most prominent first.
    pub(crate) faces: Vec<FaceReport>,
}

/// Where a face is in its photo.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    #[serde(rename = "box")]
    pub(crate) bbox: BoundingBox,
    pub(crate) score: f32,
    pub(crate) landmarks: Landmarks,
    /// How usable the face is, in 0..1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quality: Option<f32>,
}

/// How an answer was found.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// Vectors and codes compared with the face's.
    pub(crate) examined: u64,
    /// Faces that the filter lets through; all, where there is none.
    pub(crate) allowed: usize,
    /// Search structures there are.
    pub(crate) segments: usize,
    /// Faces that no search structure covers.
    pub(crate) scanned: usize,
    /// Whether the ranking is certainly that of a full scan.
    pub(crate) exact: bool,
    /// The effort asked for.
    pub(crate) effort: String,
    /// From the vector to the answer; of vectors that were searched for together, an equal share.
    pub(crate) milliseconds: f64,
}

/// The answer for one face.
#[derive(Debug, Serialize)]
pub(crate) struct FaceReport {
    /// Nowhere, where a vector was asked for.
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
    /// `match` or `unknown`.
    pub(crate) decision: &'static str,
    /// Who it is; null when unknown. An unlabelled face goes by its photo.
    pub(crate) identity: Option<String>,
    /// Exact distance to the nearest candidate, whatever the decision.
    pub(crate) distance: Option<f32>,
    /// How much farther the second candidate is than the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) margin: Option<f32>,
    /// The probability that the nearest candidate is the right one, if every other face asked about
    /// is of somebody who is in the index; where that is calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f64>,
    pub(crate) candidates: Vec<CandidateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explain: Option<Explanation>,
}

/// One identity near a face.
#[derive(Debug, Serialize)]
pub(crate) struct CandidateReport {
    pub(crate) identity: String,
    pub(crate) distance: f32,
    /// The photo that is the evidence.
    pub(crate) photo: String,
    /// The face in the index that is nearest.
    pub(crate) face: u64,
    /// Where that face is in its photo.
    #[serde(rename = "face_box")]
    pub(crate) bbox: BoundingBox,
    /// Photos of this identity within the threshold.
    pub(crate) support: usize,
    /// Whether `identity` is a label, or the path of an unlabelled face's photo.
    pub(crate) labelled: bool,
}

impl ImageReport {
    /// Searches `gallery` for the faces of photos, all together, or reports why there are none to
    /// search for.
    pub(crate) fn of_photos<'p>(
        photos: impl IntoIterator<Item = (&'p Path, Result<PhotoProbe, VisionError>)>,
        gallery: &dyn Gallery,
        judge: &Judge,
    ) -> anyhow::Result<Vec<Self>> {
        let mut vectors = Vec::new();
        // The faces of each photo, and whether they have a vector to be searched for.
        let mut places = Vec::new();
        let mut reports = Vec::new();
        for (image, photo) in photos {
            let mut report = Self::empty(image, gallery, judge);
            let mut faces = Vec::new();
            match photo {
                Ok(photo) => {
                    report.expected_false_alarms = judge.expected_false_alarms(photo.faces.len());
                    for Probe { face, quality, embedding } in photo.faces {
                        let DetectedFace { bbox, score, landmarks } = face;
                        let quality = quality.map(|quality| quality.0);
                        let place = Place { bbox, score, landmarks, quality };
                        faces.push((place, embedding.is_some()));
                        vectors.extend(embedding);
                    }
                }
                Err(error) => report.error = Some(error.to_string()),
            }
            reports.push(report);
            places.push(faces);
        }
        let mut found = FaceReport::of_each(&vectors, gallery, judge)?.into_iter();
        for (report, faces) in reports.iter_mut().zip(places) {
            for (place, has_vector) in faces {
                let searched = if has_vector { found.next() } else { None };
                let face = searched.unwrap_or_else(|| FaceReport::of_nobody(gallery, judge));
                report.faces.push(FaceReport { place: Some(place), ..face });
            }
        }
        Ok(reports)
    }

    /// Searches `gallery` for vectors that came from elsewhere, all together.
    pub(crate) fn of_vectors(
        named: Vec<(PathBuf, Embedding)>,
        gallery: &dyn Gallery,
        judge: &Judge,
    ) -> anyhow::Result<Vec<Self>> {
        let (names, vectors): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let found = FaceReport::of_each(&vectors, gallery, judge)?;
        let reports = names.iter().zip(found).map(|(name, face)| Self {
            faces: vec![face],
            expected_false_alarms: judge.expected_false_alarms(1),
            ..Self::empty(name, gallery, judge)
        });
        Ok(reports.collect())
    }

    fn empty(image: &Path, gallery: &dyn Gallery, judge: &Judge) -> Self {
        Self {
            image: image.to_string_lossy().into_owned(),
            model: gallery.contract().model.clone(),
            threshold: judge.threshold.clone(),
            expected_false_alarms: None,
            error: None,
            faces: Vec::new(),
        }
    }

    /// Whether any face was named.
    pub(crate) fn has_match(&self) -> bool {
        self.faces.iter().any(|face| face.identity.is_some())
    }

    /// The answer in lines for people, without a line end.
    pub(crate) fn for_people(&self) -> String {
        let image = shown(Path::new(&self.image));
        if let Some(error) = &self.error {
            return format!("{image}: {error}");
        }
        if self.faces.is_empty() {
            return format!("{image}: no face found");
        }
        let mut text = format!("{image}: {}", count(self.faces.len() as u64, "face", "faces"));
        for (i, face) in self.faces.iter().enumerate() {
            let _ = match &face.place {
                Some(Place { bbox: BoundingBox { x, y, width, height }, .. }) => write!(
                    text,
                    "\n  face {} at {x:.0},{y:.0} ({width:.0}x{height:.0}): {}",
                    i + 1,
                    face.verdict(&self.threshold)
                ),
                None => write!(text, "\n  {}", face.verdict(&self.threshold)),
            };
            if let Some(explanation) = &face.explain {
                let _ = write!(text, "\n    {}", explanation.for_people());
            }
            for candidate in &face.candidates {
                let _ = write!(text, "\n    {}", candidate.for_people());
            }
        }
        text
    }
}

impl Explanation {
    fn for_people(&self) -> String {
        let Self { examined, allowed, segments, scanned, effort, milliseconds, .. } = self;
        let certainty = if self.exact { "exact" } else { "approximate" };
        let examined = count(*examined, "vector", "vectors");
        let allowed = count(*allowed as u64, "face", "faces");
        let segments = count(*segments as u64, "segment", "segments");
        let scanned = count(*scanned as u64, "face", "faces");
        format!(
            "{certainty}, effort {effort}: {examined} examined for {allowed}, {segments} and \
             {scanned} in none, {milliseconds:.1} ms"
        )
    }
}

impl FaceReport {
    /// Searches for vectors, all together; places are for the caller to fill in.
    fn of_each(
        vectors: &[Embedding],
        gallery: &dyn Gallery,
        judge: &Judge,
    ) -> anyhow::Result<Vec<Self>> {
        let start = Instant::now();
        let answers = identify(gallery, &judge.request(vectors), &judge.threshold)?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3 / vectors.len().max(1) as f64;
        let reports = answers.iter().map(|answer| Self::new(answer, milliseconds, gallery, judge));
        Ok(reports.collect())
    }

    /// The answer for a face that the model made no vector of.
    fn of_nobody(gallery: &dyn Gallery, judge: &Judge) -> Self {
        let (decision, candidates) = (Decision::Unknown, Vec::new());
        let answer = Answer { decision, candidates, exact: true, examined: 0 };
        Self::new(&answer, 0.0, gallery, judge)
    }

    fn new(answer: &Answer, milliseconds: f64, gallery: &dyn Gallery, judge: &Judge) -> Self {
        let candidates: Vec<_> =
            answer.candidates.iter().map(|c| CandidateReport::new(c, gallery)).collect();
        let nearest = candidates.first();
        let is_match = answer.decision == Decision::Match;
        Self {
            place: None,
            decision: if is_match { "match" } else { "unknown" },
            identity: nearest.filter(|_| is_match).map(|c| c.identity.clone()),
            distance: nearest.map(|c| c.distance),
            margin: margin(&candidates),
            probability: nearest.and_then(|c| judge.probability(c.distance)),
            explain: judge.structure.map(|Structure { segments, scanned }| Explanation {
                examined: answer.examined,
                allowed: judge.among.as_ref().map_or(gallery.len(), RowSet::len),
                segments,
                scanned,
                exact: answer.exact,
                effort: args::effort_name(judge.effort),
                milliseconds,
            }),
            candidates,
        }
    }

    fn verdict(&self, threshold: &Threshold) -> String {
        let surely = self.probability.map(|p| format!(", probability {p:.3}")).unwrap_or_default();
        match (&self.identity, self.distance) {
            (Some(identity), Some(distance)) => {
                let name = shown_name(identity);
                format!("{name}, distance {distance:.3} (within {threshold}){surely}")
            }
            (_, Some(distance)) => {
                format!("unknown, the nearest is at {distance:.3} (beyond {threshold}){surely}")
            }
            _ => "unknown, there is nobody to compare with".into(),
        }
    }
}

impl CandidateReport {
    fn new(candidate: &Candidate, gallery: &dyn Gallery) -> Self {
        let face = gallery.face(candidate.row);
        let photo = gallery.photo_path(face.photo).to_string_lossy().into_owned();
        let (identity, labelled) = match candidate.name {
            CandidateName::Identity(index) => (gallery.identity(index).to_owned(), true),
            CandidateName::Photo(_) => (photo.clone(), false),
        };
        let distance = candidate.distance.get();
        Self {
            identity,
            distance,
            photo,
            face: face.id.0,
            bbox: face.face.bbox,
            support: candidate.support,
            labelled,
        }
    }

    fn for_people(&self) -> String {
        let photo = shown(Path::new(&self.photo));
        let mut text = format!("{:.3}  ", self.distance);
        if self.labelled {
            let _ = write!(text, "{:<20} ", shown_name(&self.identity));
        }
        text.push_str(&photo);
        if self.labelled && self.support > 1 {
            let _ =
                write!(text, "  and {} more", count(self.support as u64 - 1, "photo", "photos"));
        }
        text
    }
}

/// How much farther the second candidate is than the first.
fn margin(candidates: &[CandidateReport]) -> Option<f32> {
    match candidates {
        [first, second, ..] => Some(second.distance - first.distance),
        _ => None,
    }
}
