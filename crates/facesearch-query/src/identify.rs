//! Who is nearest to a probe, and is that near enough?

use std::collections::{BTreeMap, BTreeSet};

use facesearch_core::{
    Candidates, Distance, Effort, Embedding, Gallery, GalleryError, IdentityIndex, PhotoIndex, Row,
    RowSet, Threshold, l2_squared_f64,
};
use rayon::prelude::*;

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
    let mut answers = identify_each(gallery, std::slice::from_ref(probe), options, among)?;
    Ok(answers.remove(0))
}

/// The answers for many probes, in their order: those of [`identify_among`], on all cores and with the
/// gallery gone through for all of them together where it is scanned.
///
/// # Errors
///
/// What [`Gallery::candidates_of_each`] and [`Gallery::candidates_among`] report.
pub fn identify_each(
    gallery: &dyn Gallery,
    probes: &[Embedding],
    options: &SearchOptions,
    among: Option<&RowSet>,
) -> Result<Vec<Answer>, GalleryError> {
    let source = Source { gallery, effort: options.effort, among };
    // The decision hangs on the nearest identity, so one is looked for even where none is shown.
    let ranked = source.nearest_identities(probes, options.k.max(1))?;
    let judged = probes.par_iter().zip(ranked).map(|(probe, ranked)| {
        let Ranked { mut candidates, exact, examined } = ranked;
        for candidate in &mut candidates {
            candidate.support = source.support(probe, candidate, options.threshold);
        }
        let decision = match candidates.first() {
            Some(nearest) if options.threshold.accepts(nearest.distance) => Decision::Match,
            _ => Decision::Unknown,
        };
        candidates.truncate(options.k);
        Answer { decision, candidates, exact, examined }
    });
    Ok(judged.collect())
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
    let source = Source { gallery, effort, among: None };
    let Ranked { candidates, exact, examined } =
        source.nearest_identities(std::slice::from_ref(probe), k)?.remove(0);
    Ok((candidates, exact, examined))
}

/// The nearest identities of one probe.
#[derive(Clone, Default)]
struct Ranked {
    candidates: Vec<Candidate>,
    exact: bool,
    examined: u64,
}

/// Rows that are proposed at once, for all probes together: some tens of megabytes.
const PROPOSED: usize = 1 << 20;

/// What is searched, and how.
struct Source<'a> {
    gallery: &'a dyn Gallery,
    effort: Effort,
    among: Option<&'a RowSet>,
}

impl Source<'_> {
    fn nearest_identities(
        &self,
        probes: &[Embedding],
        k: usize,
    ) -> Result<Vec<Ranked>, GalleryError> {
        /// Rows asked for beyond `k` at first: most identities have a few photos each.
        const SPARE: usize = 4;
        let mut rows_wanted = k.saturating_mul(SPARE).max(20);
        let all = self.among.map_or(self.gallery.len(), RowSet::len);
        let mut ranked = vec![Ranked::default(); probes.len()];
        // Those of whom fewer than `k` identities are known yet.
        let mut open: Vec<usize> = (0..probes.len()).collect();
        while !open.is_empty() {
            let wanted = rows_wanted.min(all);
            let mut still_open = Vec::new();
            for some in open.chunks((PROPOSED / wanted.max(1)).max(1)) {
                let asked: Vec<Embedding> = some.iter().map(|i| probes[*i].clone()).collect();
                let proposed = self.candidates(&asked, wanted)?;
                let found: Vec<Ranked> = asked
                    .par_iter()
                    .zip(proposed)
                    .map(|(probe, Candidates { rows, exact, examined })| {
                        let candidates = rank(self.gallery, probe, &rows);
                        Ranked { candidates, exact, examined }
                    })
                    .collect();
                for (i, mut found) in some.iter().zip(found) {
                    found.examined += ranked[*i].examined;
                    if found.candidates.len() < k && rows_wanted < all {
                        still_open.push(*i);
                    }
                    found.candidates.truncate(k);
                    ranked[*i] = found;
                }
            }
            open = still_open;
            rows_wanted = rows_wanted.saturating_mul(8);
        }
        Ok(ranked)
    }

    fn candidates(&self, probes: &[Embedding], k: usize) -> Result<Vec<Candidates>, GalleryError> {
        match (self.among, probes) {
            (None, [one]) => Ok(vec![self.gallery.candidates(one, k, self.effort)?]),
            (None, many) => self.gallery.candidates_of_each(many, k, self.effort),
            (Some(among), many) => many
                .par_iter()
                .map(|probe| self.gallery.candidates_among(probe, k, self.effort, among))
                .collect(),
        }
    }

    fn support(&self, probe: &Embedding, candidate: &Candidate, threshold: Threshold) -> usize {
        if !threshold.accepts(candidate.distance) {
            return 0;
        }
        let CandidateName::Identity(identity) = candidate.name else { return 1 };
        let within = |row: &Row| {
            self.among.is_none_or(|among| among.contains(*row))
                && threshold.accepts(distance(self.gallery, probe, *row))
        };
        let rows = self.gallery.rows_of(identity).into_iter().filter(within);
        rows.map(|row| self.gallery.face(row).photo.0).collect::<BTreeSet<u32>>().len()
    }
}

/// The best row of each identity among `rows`, nearest first.
fn rank(gallery: &dyn Gallery, probe: &Embedding, rows: &[Row]) -> Vec<Candidate> {
    let mut best: BTreeMap<(u8, u32), (f64, Row, CandidateName)> = BTreeMap::new();
    for &row in rows {
        let squared = squared(gallery, probe, row);
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
        let distance = Distance::from_squared_f64(squared);
        Candidate { name, distance, row, support: 0 }
    };
    ranked.into_iter().map(candidate).collect()
}

fn distance(gallery: &dyn Gallery, probe: &Embedding, row: Row) -> Distance {
    Distance::from_squared_f64(squared(gallery, probe, row))
}

fn squared(gallery: &dyn Gallery, probe: &Embedding, row: Row) -> f64 {
    l2_squared_f64(probe.as_slice(), gallery.vector(row))
}

#[cfg(test)]
mod tests;
