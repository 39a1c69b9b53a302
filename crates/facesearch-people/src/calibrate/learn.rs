//! Learning from an index itself: its people are strangers to each other.

use facesearch_core::{Gallery, IdentityIndex, Row, RowSet, l2_squared};
use rayon::prelude::*;

use super::{
    Calibration, Impostors, Isotonic, Logistic, Probability, Reliability, nearest_impostors,
};
use crate::pairs::Trial;
use crate::random::Random;
use crate::{Faces, PeopleError};

/// Probes that are compared with the whole index together.
const PORTION: usize = 64;
/// From so many right and wrong answers on, the curve is what they make it; below, a logistic one.
const ENOUGH: usize = 200;
/// Ranges of the reliability diagram.
const BINS: usize = 10;

/// What an index says of its own distances.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// What was learnt.
    pub calibration: Calibration,
    /// How the probabilities fare on people whom they were not learnt from; `None` where there are
    /// none.
    pub reliability: Option<Reliability>,
    /// The searches behind the probabilities: the nearest identity's distance, and whether it was
    /// the right one.
    pub searches: Vec<Trial>,
    /// How many of those were of somebody who has another photo to be found by.
    pub known: usize,
    /// How many probes the false alarm rates rest on.
    pub probes: usize,
}

/// Learns from the labelled faces of `gallery`, which must have been verified.
///
/// A random face of each person (of at most `probes` people) is searched for among all others, as a
/// query would do it: by the nearest face of each identity. Without its own identity it is a
/// stranger; with its other photos it is somebody who is enrolled. Probabilities so hold where half
/// of those who are asked about are enrolled. Faces that nobody labelled are left aside, since each
/// may be of anybody, but they count where the size of the gallery is asked for ([`people_in`]).
///
/// - **Cost:** `probes` times all faces.
///
/// # Errors
///
/// [`PeopleError::TooFew`] with fewer than 20 labelled people.
pub fn learn(gallery: &dyn Gallery, probes: usize, seed: u64) -> Result<Learnt, PeopleError> {
    let (people, faces) = labelled(gallery);
    let mut random = Random::new(seed);
    let mut chosen: Vec<(usize, Row)> = people
        .iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(person, rows)| (person, rows[random.below(rows.len())]))
        .collect();
    random.shuffle(&mut chosen);
    chosen.truncate(probes);
    let mut searches = Vec::new();
    let impostors = in_portions(
        &chosen,
        |(person, row)| {
            let mut scores =
                nearest_of_each(gallery, gallery.vector(*row), &faces, people.len(), *row);
            let own = std::mem::replace(&mut scores[*person], f32::INFINITY);
            (own, scores)
        },
        |own, scores| {
            let other = scores.iter().copied().fold(f32::INFINITY, f32::min);
            searches.push([
                (own.is_finite()).then(|| trial(own.min(other), own < other)),
                Some(trial(other, false)),
            ]);
        },
    )?;
    Ok(finish(impostors, &searches, chosen.len()))
}

/// Learns false alarm rates from people who are surely not enrolled, one face of each; faces that
/// nobody labelled count as people of their own. There are no right answers in it, so there are no
/// probabilities.
///
/// # Errors
///
/// [`PeopleError::TooFew`] with fewer than 20 outsiders or 20 people in the gallery,
/// [`PeopleError::Dimension`] where the cohort is of another model.
pub fn learn_from_cohort(gallery: &dyn Gallery, cohort: &Faces) -> Result<Learnt, PeopleError> {
    let expected = gallery.contract().dimension as usize;
    if cohort.dim() != expected {
        return Err(PeopleError::Dimension { expected, got: cohort.dim() });
    }
    let mut faces: Vec<(Row, usize)> = Vec::with_capacity(gallery.len());
    let mut people = gallery.identity_count();
    for row in (0..gallery.len() as u32).map(Row) {
        let person = gallery.face(row).identity.map(|identity| identity.0 as usize);
        faces.push((
            row,
            person.unwrap_or_else(|| {
                people += 1;
                people - 1
            }),
        ));
    }
    let probes: Vec<usize> = cohort.rows_by_person().iter().map(|rows| rows[0]).collect();
    let none = Row(u32::MAX);
    let impostors = in_portions(
        &probes,
        |row| ((), nearest_of_each(gallery, cohort.vector(*row), &faces, people, none)),
        |(), _| (),
    )?;
    Ok(finish(impostors, &[], probes.len()))
}

/// How many identities a search in `gallery` ranks: the labelled, and each face that nobody
/// labelled for itself. Walks all faces of a gallery that must have been verified.
pub fn people_in(gallery: &dyn Gallery) -> usize {
    let rows = (0..gallery.len() as u32).map(Row);
    let alone = rows.filter(|row| gallery.face(*row).identity.is_none()).count();
    gallery.identity_count() + alone
}

/// The same of the rows in `among` alone, of a gallery whose tables must have been verified.
pub fn people_among(gallery: &dyn Gallery, among: &RowSet) -> usize {
    let mut seen = vec![false; gallery.identity_count()];
    let mut people = 0;
    for row in among.iter() {
        let is_new = match gallery.face(row).identity {
            Some(identity) => !std::mem::replace(&mut seen[identity.0 as usize], true),
            None => true,
        };
        people += usize::from(is_new);
    }
    people
}

/// The rows of each identity, and every labelled row with its identity.
fn labelled(gallery: &dyn Gallery) -> (Vec<Vec<Row>>, Vec<(Row, usize)>) {
    let mut people = vec![Vec::new(); gallery.identity_count()];
    let mut faces = Vec::new();
    for row in (0..gallery.len() as u32).map(Row) {
        if let Some(IdentityIndex(person)) = gallery.face(row).identity {
            people[person as usize].push(row);
            faces.push((row, person as usize));
        }
    }
    (people, faces)
}

/// The distance of `probe` to the nearest face of each person, passing over the row `itself`.
fn nearest_of_each(
    gallery: &dyn Gallery,
    probe: &[f32],
    faces: &[(Row, usize)],
    people: usize,
    itself: Row,
) -> Vec<f32> {
    let mut nearest = vec![f32::INFINITY; people];
    for (row, person) in faces.iter().filter(|(row, _)| *row != itself) {
        let square = l2_squared(probe, gallery.vector(*row));
        nearest[*person] = nearest[*person].min(square);
    }
    nearest.iter_mut().for_each(|square| *square = square.max(0.0).sqrt());
    nearest
}

/// Scores probes on all cores, a portion at a time, and shows each to `see` in order.
fn in_portions<P: Sync, T: Send>(
    probes: &[P],
    score: impl Fn(&P) -> (T, Vec<f32>) + Sync,
    mut see: impl FnMut(T, &[f32]),
) -> Result<Impostors, PeopleError> {
    nearest_impostors(probes.chunks(PORTION).flat_map(|portion| {
        let scored: Vec<(T, Vec<f32>)> = portion.par_iter().map(&score).collect();
        let seen = scored.into_iter().map(|(more, scores)| {
            see(more, &scores);
            scores
        });
        seen.collect::<Vec<_>>()
    }))
}

fn trial(distance: f32, right: bool) -> Trial {
    Trial::new(Some(distance.into()), right)
}

/// Fits the probabilities, and judges each half of the people by what the other half says.
fn finish(impostors: Impostors, searches: &[[Option<Trial>; 2]], probes: usize) -> Learnt {
    let flat = |part: &[[Option<Trial>; 2]]| -> Vec<Trial> {
        part.iter().flatten().flatten().copied().collect()
    };
    let all = flat(searches);
    let (one, other) = searches.split_at(searches.len() / 2);
    let mut judged = Vec::new();
    for (learnt, asked) in [(one, other), (other, one)] {
        if let Some(curve) = fit(&flat(learnt)) {
            judged.extend(flat(asked).iter().map(|t| (curve.at(t.distance()), t.same())));
        }
    }
    let same = all.iter().filter(|trial| trial.same()).count();
    let known = searches.iter().filter(|pair| pair[0].is_some()).count();
    Learnt {
        known,
        calibration: Calibration {
            probability: fit(&all),
            prior: same as f64 / all.len().max(1) as f64,
            impostors,
        },
        reliability: (!judged.is_empty()).then(|| Reliability::of(&judged, BINS)),
        searches: all,
        probes,
    }
}

fn fit(trials: &[Trial]) -> Option<Probability> {
    let same = trials.iter().filter(|trial| trial.same()).count();
    if same.min(trials.len() - same) >= ENOUGH {
        return Isotonic::fit(trials).map(Probability::Isotonic);
    }
    Logistic::fit(trials).map(Probability::Logistic)
}
