//! Who is nearest to a probe, is that near enough, and would a stranger come so near?

use std::collections::{BTreeMap, BTreeSet};

use facesearch_core::{
    Candidates, Distance, Embedding, Gallery, GalleryError, IdentityIndex, PhotoIndex, Row, RowSet,
    SearchRequest, Threshold, distance, squared_distance,
};
use facesearch_people::crowd::Crowd;
use rayon::prelude::*;
use serde::Serialize;

/// What a candidate is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateName {
    /// A labelled identity.
    Identity(IdentityIndex),
    /// A face nobody labelled; it goes by its photo.
    Photo(PhotoIndex),
}

/// One identity near a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Who.
    pub name: CandidateName,
    /// Exact L2 distance from the probe to the identity's nearest face.
    pub distance: Distance,
    /// That face: the evidence.
    pub row: Row,
    /// How many distinct photos of the identity have a face within the threshold.
    pub support: usize,
    /// How much nearer than the crowd it is; `None` beyond the threshold, and without a crowd.
    pub evidence: Option<Evidence>,
}

/// What a crowd says of a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The crowd-relative score; smaller is more alike.
    pub score: f64,
    /// The probability that a stranger comes so near to anybody in the gallery.
    pub chance: f64,
}

/// The decision on a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The nearest identity is within the threshold, and few strangers would come so near.
    Match,
    /// Somebody is within the threshold, but a stranger may well come so near, or two identities
    /// are as near as each other.
    Possible,
    /// Nobody is within the threshold.
    Unknown,
}

/// What decides.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The largest distance of one person: the hard bound.
    pub threshold: &'a Threshold,
    /// Whom a probe is compared with besides; without it the distance decides alone.
    pub crowd: Option<CrowdRule<'a>>,
}

impl<'a> Judge<'a> {
    /// The distance decides alone.
    pub fn by_distance(threshold: &'a Threshold) -> Self {
        Self { threshold, crowd: None }
    }
}

/// How a crowd decides.
#[derive(Clone, Copy)]
pub struct CrowdRule<'a> {
    /// The crowd.
    pub crowd: &'a Crowd,
    /// The share of strangers who may be given a name, in `(0, 1)`.
    pub rate: f64,
    /// How many people a stranger is compared with.
    pub people: usize,
}

/// Why somebody within the threshold is not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Doubt {
    /// Too many strangers would come so near.
    Strangers,
    /// Another identity is as near.
    Twins,
    /// The face in the gallery is too poor: such faces are near everybody.
    PoorCandidate,
}

/// Faces of the gallery with less quality are near to all poor probes, and name nobody;
/// `docs/decisions.md` shows what that gains.
const POOR: f32 = 0.3;

/// Two labelled identities whose scores differ by less are not told apart.
const TWINS: f64 = 0.25;

/// What is known of one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Match, possible or unknown.
    pub decision: Decision,
    /// Who it may be, where that is possible: the nearest, and who is as near.
    pub perhaps: Vec<CandidateName>,
    /// Why it is only possible.
    pub doubt: Option<Doubt>,
    /// The nearest identities, nearest first, whatever the decision.
    pub candidates: Vec<Candidate>,
    /// Whether the ranking is certainly that of a full scan.
    pub exact: bool,
    /// Vectors or codes that were compared with the probe.
    pub examined: u64,
}

/// Ranks the `k` nearest identities of `gallery` for each probe of `request`, in their order, and
/// decides. Distances are exact; ties go to the smaller row.
///
/// # Errors
///
/// What [`Gallery::search`] reports.
pub fn identify(
    gallery: &dyn Gallery,
    request: &SearchRequest<'_>,
    judge: Judge<'_>,
) -> Result<Vec<Answer>, GalleryError> {
    // The decision is about the nearest identity, and about who is as near, so that two are looked
    // for even where none is wanted.
    let least = if judge.crowd.is_some() { 2 } else { 1 };
    let answers = rank_identities(gallery, &SearchRequest { k: request.k.max(least), ..*request })?;
    let decided = request.probes.par_iter().zip(answers).map(|(probe, mut answer)| {
        for candidate in &mut answer.candidates {
            candidate.support = support(gallery, probe, candidate, request.among, judge.threshold);
        }
        add_evidence(gallery, probe, &mut answer.candidates, judge);
        decide(gallery, &mut answer, judge);
        answer.candidates.truncate(request.k);
        answer
    });
    Ok(decided.collect())
}

/// Adds what the crowd says of the candidates within the threshold, who come first.
fn add_evidence(
    gallery: &dyn Gallery,
    probe: &Embedding,
    candidates: &mut [Candidate],
    judge: Judge<'_>,
) {
    let Some(rule) = judge.crowd else { return };
    let within = candidates.iter().take_while(|one| judge.threshold.accepts(one.distance));
    let near: Vec<(Row, f64)> = within.map(|one| (one.row, one.distance.get().into())).collect();
    let scores = rule.crowd.scores(gallery, probe.as_slice(), &near);
    for (candidate, score) in candidates.iter_mut().zip(scores) {
        let chance = |score| Evidence { score, chance: rule.crowd.chance(score, rule.people) };
        candidate.evidence = score.map(chance);
    }
}

/// Decides about the candidates of an answer, the nearest first.
fn decide(gallery: &dyn Gallery, answer: &mut Answer, judge: Judge<'_>) {
    let candidates = &answer.candidates;
    let within = |nearest: &&Candidate| judge.threshold.accepts(nearest.distance);
    let Some(nearest) = candidates.first().filter(within) else { return };
    answer.decision = Decision::Match;
    let (Some(rule), Some(evidence)) = (judge.crowd, nearest.evidence) else { return };
    let twin = candidates[1..].iter().find(|other| is_twin(nearest, other));
    let quality = gallery.face(nearest.row).quality;
    let doubt = if twin.is_some() {
        Doubt::Twins
    } else if evidence.chance > rule.rate {
        Doubt::Strangers
    } else if quality.is_some_and(|quality| quality.0 < POOR) {
        Doubt::PoorCandidate
    } else {
        return;
    };
    answer.perhaps = [nearest].into_iter().chain(twin).map(|found| found.name).collect();
    (answer.decision, answer.doubt) = (Decision::Possible, Some(doubt));
}

/// Whether another identity is as far from the crowd as the nearest one.
fn is_twin(nearest: &Candidate, other: &Candidate) -> bool {
    let labelled = |candidate: &Candidate| matches!(candidate.name, CandidateName::Identity(_));
    let (Some(a), Some(b)) = (nearest.evidence, other.evidence) else { return false };
    labelled(nearest) && labelled(other) && (b.score - a.score).abs() < TWINS
}

/// Rows that are proposed at once, for all probes together: some tens of megabytes.
const PROPOSED: usize = 1 << 20;

/// Rows asked for at first for each identity that is wanted: most have a few photos.
const SPARE: usize = 4;

/// The `k` identities whose nearest face is nearest to each probe, not decided yet: no answer is a
/// match and no candidate has support.
///
/// Candidates come as rows, and one person with many photos could fill them all, so more are asked
/// for until `k` identities are among them or the gallery has no more.
fn rank_identities(
    gallery: &dyn Gallery,
    request: &SearchRequest<'_>,
) -> Result<Vec<Answer>, GalleryError> {
    let SearchRequest { probes, k, among, .. } = *request;
    let all = among.map_or(gallery.len(), RowSet::len);
    let mut rows_wanted = k.saturating_mul(SPARE).max(20);
    let none = Answer {
        decision: Decision::Unknown,
        perhaps: Vec::new(),
        doubt: None,
        candidates: Vec::new(),
        exact: false,
        examined: 0,
    };
    let mut answers = vec![none; probes.len()];
    // The probes for which fewer than `k` identities were found.
    let mut open: Vec<usize> = (0..probes.len()).collect();
    while !open.is_empty() {
        let wanted = rows_wanted.min(all);
        let asked_again: Vec<Embedding>;
        let asked = if open.len() == probes.len() {
            probes
        } else {
            asked_again = open.iter().map(|i| probes[*i].clone()).collect();
            &asked_again
        };
        let at_once = (PROPOSED / wanted.max(1)).max(1);
        let mut still_open = Vec::new();
        for (numbers, probes) in open.chunks(at_once).zip(asked.chunks(at_once)) {
            let proposed = gallery.search(&SearchRequest { probes, k: wanted, ..*request })?;
            let ranked: Vec<Vec<Candidate>> = probes
                .par_iter()
                .zip(&proposed)
                .map(|(probe, proposed)| rank(gallery, probe, &proposed.rows))
                .collect();
            for ((number, mut candidates), proposed) in numbers.iter().zip(ranked).zip(proposed) {
                if candidates.len() < k && rows_wanted < all {
                    still_open.push(*number);
                }
                candidates.truncate(k);
                let Candidates { exact, examined, .. } = proposed;
                let answer = &mut answers[*number];
                (answer.candidates, answer.exact) = (candidates, exact);
                answer.examined += examined;
            }
        }
        open = still_open;
        rows_wanted = rows_wanted.saturating_mul(8);
    }
    Ok(answers)
}

/// How many photos of a candidate, among the rows that may be found, are within the threshold.
fn support(
    gallery: &dyn Gallery,
    probe: &Embedding,
    candidate: &Candidate,
    among: Option<&RowSet>,
    threshold: &Threshold,
) -> usize {
    if !threshold.accepts(candidate.distance) {
        return 0;
    }
    let CandidateName::Identity(identity) = candidate.name else { return 1 };
    let within = |row: &Row| {
        among.is_none_or(|among| among.contains(*row))
            && threshold.accepts(distance(probe.as_slice(), gallery.vector(*row)))
    };
    let rows = gallery.rows_of(identity).into_iter().filter(within);
    rows.map(|row| gallery.face(row).photo.0).collect::<BTreeSet<u32>>().len()
}

/// The best row of each identity among `rows`, nearest first.
fn rank(gallery: &dyn Gallery, probe: &Embedding, rows: &[Row]) -> Vec<Candidate> {
    let mut best: BTreeMap<(u8, u32), (f64, Row, CandidateName)> = BTreeMap::new();
    for &row in rows {
        let squared = squared_distance(probe.as_slice(), gallery.vector(row));
        let face = gallery.face(row);
        let (key, name) = match face.identity {
            Some(identity) => ((0, identity.0), CandidateName::Identity(identity)),
            // Nothing says that two unlabelled faces are one person, so each stands alone.
            None => ((1, row.0), CandidateName::Photo(face.photo)),
        };
        let entry = best.entry(key).or_insert((squared, row, name));
        if (squared, row) < (entry.0, entry.1) {
            *entry = (squared, row, name);
        }
    }
    let mut ranked: Vec<_> = best.into_values().collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let candidate = |(squared, row, name)| {
        let distance = Distance::from_squared(squared);
        Candidate { name, distance, row, support: 0, evidence: None }
    };
    ranked.into_iter().map(candidate).collect()
}

#[cfg(test)]
mod tests;
