//! Learns a calibration from an index: its people are impostors to each other.

use facesearch_core::{Gallery, IdentityIndex, Row, distance};
use rayon::prelude::*;
use serde::Serialize;

use super::calibration::Probability;
use super::isotonic::Isotonic;
use super::logistic::Logistic;
use super::{Calibration, Impostors, Reliability, nearest_impostors};
use crate::pairs::Trial;
use crate::{Faces, PeopleError, Random};

/// Probes that are compared with the whole index at once.
const BATCH: usize = 64;
/// With this many right and wrong answers the curve is isotonic; with fewer it is logistic.
const ENOUGH: usize = 200;
/// Bins of the reliability diagram.
const BINS: usize = 10;

/// How to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitOptions {
    /// How many people are searched for at most. More take longer, and say more about rare false
    /// alarms.
    pub probes: usize,
    /// Seed for the random choice of people and of their faces.
    pub seed: u64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { probes: 4000, seed: 1 }
    }
}

/// A calibration, and how it was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedCalibration {
    /// What was learned.
    pub calibration: Calibration,
    /// How well the probabilities do on people they were not learned from; `None` where there are
    /// no probabilities.
    pub reliability: Option<Reliability>,
    /// How many probes the false alarm rates rest on.
    pub probes: usize,
    /// The searches behind the probabilities: the distance of the first-ranked identity, and
    /// whether it was the right one.
    searches: Vec<Trial>,
    /// How many of the searches were for somebody who has another photo to be found by.
    enrolled: usize,
}

/// The error rates of open-set identification at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ErrorRates {
    /// Share of the searches for people who are not enrolled that are answered with a name.
    pub fpir: f64,
    /// The threshold, L2.
    pub threshold: f64,
    /// Share of the enrolled people who are missed or given another name; `None` where no person of
    /// the index has two labelled photos.
    pub fnir: Option<f64>,
}

impl FittedCalibration {
    /// What `threshold` does in a gallery of `people`.
    pub fn at_threshold(&self, threshold: f64, people: usize) -> ErrorRates {
        let fpir = self.calibration.impostors.fpir(threshold, people);
        ErrorRates { fpir, threshold, fnir: self.fnir(threshold) }
    }

    /// What the threshold for a wanted `fpir` in a gallery of `people` does.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Option`] where `fpir` is not above 0 and below 1.
    pub fn at_fpir(&self, fpir: f64, people: usize) -> Result<ErrorRates, PeopleError> {
        let threshold = self.calibration.threshold(fpir, people)?;
        Ok(ErrorRates { fpir, threshold, fnir: self.fnir(threshold) })
    }

    /// The share of the enrolled people whom `threshold` misses, or who rank behind somebody else;
    /// `None` where no person of the index has two labelled photos.
    pub fn fnir(&self, threshold: f64) -> Option<f64> {
        let right = self.searches.iter().filter(|trial| trial.same());
        let found = right.filter(|trial| trial.accepted(threshold)).count();
        (self.enrolled > 0).then(|| 1.0 - found as f64 / self.enrolled as f64)
    }
}

/// Learns a calibration from the labelled faces of `gallery`, which must have been verified.
///
/// A random face of each person is searched for among all others, and identities are ranked by
/// their nearest face, as in a query. Without its own identity the probe is an impostor. With its
/// other photos it is somebody who is enrolled. So the probabilities hold where half of those who
/// are searched for are enrolled.
///
/// - **Input:** `cohort`: faces of people who are surely not in the gallery. If it is given, the
///   false alarm rates are learned from it: one face of each person against the whole gallery. It
///   has no right answers, so the probabilities still come from the gallery's own people. With too
///   few of those there are no probabilities.
/// - **Trap:** faces without a name are left out, because each may be anybody. Against a cohort
///   each counts as a person.
/// - **Cost:** `probes` times all faces.
///
/// # Errors
///
/// [`PeopleError::TooFew`] with fewer than 20 labelled people and no cohort, or with a cohort and
/// fewer than 20 people in it or in the gallery; [`PeopleError::Dimension`] where the cohort is of
/// another model.
pub fn fit(
    gallery: &dyn Gallery,
    cohort: Option<&Faces>,
    options: &FitOptions,
) -> Result<FittedCalibration, PeopleError> {
    let own = fit_to_own_people(gallery, options);
    let Some(cohort) = cohort else { return own };
    let (impostors, probes) = cohort_impostors(gallery, cohort)?;
    Ok(match own {
        Ok(own) => {
            let calibration = Calibration { impostors, ..own.calibration };
            FittedCalibration { calibration, probes, ..own }
        }
        Err(_) => with_probabilities(impostors, &[], probes),
    })
}

/// The two searches for one probe.
struct Searches {
    /// With its own identity enrolled; `None` where it has no other photo.
    enrolled: Option<Trial>,
    /// Without its own identity.
    impostor: Trial,
}

fn fit_to_own_people(
    gallery: &dyn Gallery,
    options: &FitOptions,
) -> Result<FittedCalibration, PeopleError> {
    let (people, faces) = labelled_faces(gallery);
    let mut random = Random::new(options.seed);
    let mut chosen: Vec<(usize, Row)> = people
        .iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(person, rows)| (person, rows[random.below(rows.len())]))
        .collect();
    random.shuffle(&mut chosen);
    chosen.truncate(options.probes);
    let mut searches = Vec::new();
    let impostors = impostors_in_batches(
        &chosen,
        |(person, row)| {
            let probe = gallery.vector(*row);
            let mut distances = nearest_of_each(gallery, probe, &faces, people.len(), *row);
            let own = std::mem::replace(&mut distances[*person], f32::INFINITY);
            (own, distances)
        },
        |own, distances| {
            let other = distances.iter().copied().fold(f32::INFINITY, f32::min);
            let search = |distance: f32, right| Trial::new(Some(distance.into()), right);
            searches.push(Searches {
                enrolled: own.is_finite().then(|| search(own.min(other), own < other)),
                impostor: search(other, false),
            });
        },
    )?;
    Ok(with_probabilities(impostors, &searches, chosen.len()))
}

/// The impostors of a cohort, and how many probes they rest on.
fn cohort_impostors(
    gallery: &dyn Gallery,
    cohort: &Faces,
) -> Result<(Impostors, usize), PeopleError> {
    let expected = gallery.contract().dimension as usize;
    if cohort.dim() != expected {
        return Err(PeopleError::Dimension { expected, got: cohort.dim() });
    }
    let mut faces: Vec<(Row, usize)> = Vec::with_capacity(gallery.len());
    let mut people = gallery.identity_count();
    for row in (0..gallery.len() as u32).map(Row) {
        let person = match gallery.face(row).identity {
            Some(IdentityIndex(identity)) => identity as usize,
            None => {
                people += 1;
                people - 1
            }
        };
        faces.push((row, person));
    }
    let probes: Vec<usize> = cohort.rows_by_person().iter().map(|rows| rows[0]).collect();
    let no_row = Row(u32::MAX);
    let impostors = impostors_in_batches(
        &probes,
        |row| ((), nearest_of_each(gallery, cohort.vector(*row), &faces, people, no_row)),
        |(), _| (),
    )?;
    Ok((impostors, probes.len()))
}

/// The rows of each identity, and every labelled row with its identity.
fn labelled_faces(gallery: &dyn Gallery) -> (Vec<Vec<Row>>, Vec<(Row, usize)>) {
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

/// The L2 distance of `probe` to the nearest face of each person, without the row `excluded`.
fn nearest_of_each(
    gallery: &dyn Gallery,
    probe: &[f32],
    faces: &[(Row, usize)],
    people: usize,
    excluded: Row,
) -> Vec<f32> {
    let mut nearest = vec![f32::INFINITY; people];
    for (row, person) in faces.iter().filter(|(row, _)| *row != excluded) {
        let distance = distance(probe, gallery.vector(*row)).get();
        nearest[*person] = nearest[*person].min(distance);
    }
    nearest
}

/// Measures probes on all cores, a batch at a time. `measure` returns something of its own, which
/// is shown to `see` in the order of the probes, and the distances to all impostors.
fn impostors_in_batches<P: Sync, T: Send>(
    probes: &[P],
    measure: impl Fn(&P) -> (T, Vec<f32>) + Sync,
    mut see: impl FnMut(T, &[f32]),
) -> Result<Impostors, PeopleError> {
    nearest_impostors(probes.chunks(BATCH).flat_map(|batch| {
        let measured: Vec<(T, Vec<f32>)> = batch.par_iter().map(&measure).collect();
        let seen = measured.into_iter().map(|(own, distances)| {
            see(own, &distances);
            distances
        });
        seen.collect::<Vec<_>>()
    }))
}

/// Fits the probabilities. They are judged on each half of the people, fitted to the other half.
fn with_probabilities(
    impostors: Impostors,
    searches: &[Searches],
    probes: usize,
) -> FittedCalibration {
    let trials = |searches: &[Searches]| -> Vec<Trial> {
        let both = searches.iter().map(|search| (search.enrolled, search.impostor));
        both.flat_map(|(enrolled, impostor)| enrolled.into_iter().chain([impostor])).collect()
    };
    let all = trials(searches);
    let (first, second) = searches.split_at(searches.len() / 2);
    let mut judged = Vec::new();
    for (train, test) in [(first, second), (second, first)] {
        if let Some(curve) = fit_probability(&trials(train)) {
            let predict = |trial: &Trial| (curve.at(trial.distance()), trial.same());
            judged.extend(trials(test).iter().map(predict));
        }
    }
    let right = all.iter().filter(|trial| trial.same()).count();
    FittedCalibration {
        enrolled: searches.iter().filter(|search| search.enrolled.is_some()).count(),
        calibration: Calibration {
            probability: fit_probability(&all),
            prior: right as f64 / all.len().max(1) as f64,
            impostors,
        },
        reliability: (!judged.is_empty()).then(|| Reliability::new(&judged, BINS)),
        searches: all,
        probes,
    }
}

fn fit_probability(trials: &[Trial]) -> Option<Probability> {
    let right = trials.iter().filter(|trial| trial.same()).count();
    if right.min(trials.len() - right) >= ENOUGH {
        return Isotonic::fit(trials).map(Probability::Isotonic);
    }
    Logistic::fit(trials).map(Probability::Logistic)
}
