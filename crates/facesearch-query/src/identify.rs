//! Who is nearest to a probe, and is that near enough?

use std::collections::{BTreeMap, BTreeSet};

use facesearch_core::{
    Candidates, Distance, Effort, Embedding, Gallery, GalleryError, IdentityIndex, PhotoIndex, Row,
    RowSet, Threshold,
};

/// How to search, and how to judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchOptions {
    /// How many identities to rank.
    pub k: usize,
    /// The largest distance that counts as the same person.
    pub threshold: Threshold,
    /// How much work the candidates are worth.
    pub effort: Effort,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { k: 5, threshold: Threshold::DEFAULT, effort: Effort::default() }
    }
}

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
}

/// The decision on a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The nearest identity is within the threshold.
    Match,
    /// Nobody is.
    Unknown,
}

/// What is known of one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Match or unknown.
    pub decision: Decision,
    /// The nearest identities, nearest first, whatever the decision.
    pub candidates: Vec<Candidate>,
    /// Whether the ranking is certainly that of a full scan.
    pub exact: bool,
    /// Vectors or codes that were compared with the probe.
    pub examined: u64,
}

/// Ranks the identities of `gallery` for `probe` and decides.
///
/// # Errors
///
/// What [`Gallery::candidates`] reports.
pub fn identify(
    gallery: &dyn Gallery,
    probe: &Embedding,
    options: &SearchOptions,
) -> Result<Answer, GalleryError> {
    identify_among(gallery, probe, options, None)
}

/// As [`identify`], with only the rows in `among` there to be found; all where that is `None`.
///
/// # Errors
///
/// What [`Gallery::candidates_among`] reports.
pub fn identify_among(
    gallery: &dyn Gallery,
    probe: &Embedding,
    options: &SearchOptions,
    among: Option<&RowSet>,
) -> Result<Answer, GalleryError> {
    // The decision hangs on the nearest identity, so one is looked for even where none is shown.
    let source = Source { gallery, probe, effort: options.effort, among };
    let (mut candidates, exact, examined) = source.nearest_identities(options.k.max(1))?;
    for candidate in &mut candidates {
        candidate.support = source.support(candidate, options.threshold);
    }
    let decision = match candidates.first() {
        Some(nearest) if options.threshold.accepts(nearest.distance) => Decision::Match,
        _ => Decision::Unknown,
    };
    candidates.truncate(options.k);
    Ok(Answer { decision, candidates, exact, examined })
}

/// The `k` identities whose nearest face is nearest to `probe`, with exact distances, ties by the
/// smaller row; [`Candidate::support`] is left at 0. Also whether that is certain, and how many
/// vectors were looked at.
///
/// Candidates come as rows, and one person with many photos could fill them all, so more are asked
/// for until `k` identities are among them or the gallery has no more.
///
/// # Errors
///
/// What [`Gallery::candidates`] reports.
pub fn nearest_identities(
    gallery: &dyn Gallery,
    probe: &Embedding,
    k: usize,
    effort: Effort,
) -> Result<(Vec<Candidate>, bool, u64), GalleryError> {
    Source { gallery, probe, effort, among: None }.nearest_identities(k)
}

/// What is searched, and for what.
struct Source<'a> {
    gallery: &'a dyn Gallery,
    probe: &'a Embedding,
    effort: Effort,
    among: Option<&'a RowSet>,
}

impl Source<'_> {
    fn nearest_identities(&self, k: usize) -> Result<(Vec<Candidate>, bool, u64), GalleryError> {
        /// Rows asked for beyond `k` at first: most identities have a few photos each.
        const SPARE: usize = 4;
        let mut rows_wanted = k.saturating_mul(SPARE).max(20);
        let all = self.among.map_or(self.gallery.len(), RowSet::len);
        let mut examined = 0;
        loop {
            let found = self.candidates(rows_wanted.min(all))?;
            examined += found.examined;
            let ranked = rank(self.gallery, self.probe, &found.rows);
            if ranked.len() >= k || rows_wanted >= all {
                let candidates = ranked.into_iter().take(k).collect();
                return Ok((candidates, found.exact, examined));
            }
            rows_wanted = rows_wanted.saturating_mul(8);
        }
    }

    fn candidates(&self, k: usize) -> Result<Candidates, GalleryError> {
        match self.among {
            None => self.gallery.candidates(self.probe, k, self.effort),
            Some(among) => self.gallery.candidates_among(self.probe, k, self.effort, among),
        }
    }

    fn support(&self, candidate: &Candidate, threshold: Threshold) -> usize {
        if !threshold.accepts(candidate.distance) {
            return 0;
        }
        let CandidateName::Identity(identity) = candidate.name else { return 1 };
        let within = |row: &Row| {
            self.among.is_none_or(|among| among.contains(*row))
                && threshold.accepts(distance(self.gallery, self.probe, *row))
        };
        let rows = self.gallery.rows_of(identity).into_iter().filter(within);
        rows.map(|row| self.gallery.face(row).photo.0).collect::<BTreeSet<u32>>().len()
    }
}

/// The best row of each identity among `rows`, nearest first.
fn rank(gallery: &dyn Gallery, probe: &Embedding, rows: &[Row]) -> Vec<Candidate> {
    let mut best: BTreeMap<(u8, u32), (Distance, Row, CandidateName)> = BTreeMap::new();
    for &row in rows {
        let distance = distance(gallery, probe, row);
        let face = gallery.face(row);
        let (key, name) = match face.identity {
            Some(identity) => ((0, identity.0), CandidateName::Identity(identity)),
            // Nothing says that two unlabelled faces are one person, so each stands alone.
            None => ((1, row.0), CandidateName::Photo(face.photo)),
        };
        let entry = best.entry(key).or_insert((distance, row, name));
        if (distance, row) < (entry.0, entry.1) {
            *entry = (distance, row, name);
        }
    }
    let mut ranked: Vec<_> = best.into_values().collect();
    ranked.sort_by_key(|(distance, row, _)| (*distance, *row));
    ranked
        .into_iter()
        .map(|(distance, row, name)| Candidate { name, distance, row, support: 0 })
        .collect()
}

fn distance(gallery: &dyn Gallery, probe: &Embedding, row: Row) -> Distance {
    let squared = facesearch_core::l2_squared(probe.as_slice(), gallery.vector(row));
    Distance::from_squared(squared)
}

#[cfg(test)]
mod tests;
