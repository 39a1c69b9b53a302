//! A crowd that travels with a model: points that stand for other people.
//!
//! The file of a cohort is a line that says so, a line of JSON with the [facts](CohortFacts) and
//! the tail, the numbers of the mixture (32-bit floats of the weights and deviations, 16-bit floats
//! of the means and directions, little-endian), and the BLAKE3 of all that.

use facesearch_core::{Contract, distance};
use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::mixture::Mixture;
use super::nearest::crowding;
use super::strangers::Population;
use super::tail::{StrangerTail, Strangers};
use super::{Crowding, usual_deviation};
use crate::{Faces, PeopleError};

const MAGIC: &[u8] = b"facesearch cohort 1\n";
/// Points of a mixture.
const POINTS: usize = 2500;
/// Of those, how many nearest make the crowding of a face.
const NEAREST: usize = 50;

/// The cohorts that are built in.
static BUILTIN: [&[u8]; 2] = [
    include_bytes!("../../../../models/cohorts/dlib.cohort"),
    include_bytes!("../../../../models/cohorts/retail-0095.cohort"),
];

/// What a cohort was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CohortFacts {
    /// The recognition model.
    pub model: String,
    /// SHA-256 of its weights, as a [`Contract`] has it.
    pub weights: String,
    /// Whether embeddings are scaled to unit length.
    pub unit: bool,
    /// Length of every embedding.
    pub dimension: usize,
    /// Components of the mixture.
    pub components: usize,
    /// Directions of each component.
    pub rank: usize,
    /// People of each population that the mixture was fitted to.
    pub people: Vec<usize>,
}

/// The head of the file.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(flatten)]
    facts: CohortFacts,
    usual_deviation: f64,
    tail: StrangerTail,
}

/// Points that stand for other people, and what strangers reach with them as the crowd.
pub struct Cohort {
    facts: CohortFacts,
    mixture: Mixture,
    usual_deviation: f64,
    tail: StrangerTail,
    points: Vec<f32>,
}

impl Cohort {
    /// The built-in cohort for embeddings of this contract; `None` where there is none.
    ///
    /// - **Cost:** some milliseconds, in which its points are drawn.
    pub fn builtin(contract: &Contract) -> Option<Self> {
        BUILTIN.iter().find_map(|bytes| {
            let (head, numbers) = split(bytes).ok()?;
            if head.facts.fits(contract) { Self::of(head, numbers).ok() } else { None }
        })
    }

    /// The cohort of a mixture that was fitted to these populations. What strangers reach is
    /// learned from the same people: those of each population, against those of all.
    ///
    /// # Errors
    ///
    /// [`PeopleError::TooFew`] with fewer than 20 people.
    pub fn new(
        facts: CohortFacts,
        mixture: Mixture,
        populations: &[&Faces],
    ) -> Result<Self, PeopleError> {
        let mixture = mixture.rounded();
        let points = mixture.points(POINTS);
        let (usual_deviation, tail) = learn(&points, populations)?;
        Ok(Self { facts, mixture, usual_deviation, tail, points })
    }

    /// Reads a cohort.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Cohort`] where the bytes are damaged or of another format.
    pub fn read(bytes: &[u8]) -> Result<Self, PeopleError> {
        let (head, numbers) = split(bytes)?;
        Self::of(head, numbers)
    }

    fn of(head: Head, numbers: &[u8]) -> Result<Self, PeopleError> {
        let Head { facts, usual_deviation, tail } = head;
        let CohortFacts { dimension, components, rank, .. } = facts;
        let sizes = [components, components, components * dimension, components * rank * dimension];
        let wanted = 4 * (sizes[0] + sizes[1]) + 2 * (sizes[2] + sizes[3]);
        if components == 0 || dimension == 0 || numbers.len() != wanted {
            return Err(PeopleError::Cohort { what: "its size does not fit its head" });
        }
        let (singles, halves) = numbers.split_at(4 * (sizes[0] + sizes[1]));
        let single = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect()
        };
        let half = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks().0.iter().map(|x| f16::from_le_bytes(*x).to_f32()).collect()
        };
        let (weights, noise) = singles.split_at(4 * sizes[0]);
        let (means, directions) = halves.split_at(2 * sizes[2]);
        let mixture = Mixture {
            dim: dimension,
            rank,
            weights: single(weights),
            means: half(means),
            directions: half(directions),
            noise: single(noise),
            unit: facts.unit,
        };
        let points = mixture.points(POINTS);
        Ok(Self { facts, mixture, usual_deviation, tail, points })
    }

    /// The bytes of its file.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Cohort`] where the head cannot be written.
    pub fn write(&self) -> Result<Vec<u8>, PeopleError> {
        let Self { facts, usual_deviation, tail, .. } = self;
        let (facts, tail) = (facts.clone(), tail.clone());
        let head = Head { facts, usual_deviation: *usual_deviation, tail };
        let head = serde_json::to_vec(&head)
            .map_err(|_| PeopleError::Cohort { what: "its head cannot be written" })?;
        let mut bytes = [MAGIC, &head, b"\n"].concat();
        let Mixture { weights, means, directions, noise, .. } = &self.mixture;
        bytes.extend(weights.iter().chain(noise).flat_map(|x| x.to_le_bytes()));
        let halves = means.iter().chain(directions);
        bytes.extend(halves.flat_map(|x| f16::from_f32(*x).to_le_bytes()));
        bytes.extend(blake3::hash(&bytes).as_bytes());
        Ok(bytes)
    }

    /// How far each of `faces` is from the nearest point, and from the nearest other person:
    /// ascending L2 distances. Were a point somebody's embedding, the first would be far smaller
    /// than the second.
    pub fn nearest_to_points(&self, faces: &Faces) -> [Vec<f32>; 2] {
        let people = faces.rows_by_person();
        let firsts: Vec<&[f32]> =
            people.iter().filter_map(|rows| rows.first()).map(|row| faces.vector(*row)).collect();
        let nearest = |face: &[f32], others: &mut dyn Iterator<Item = &[f32]>| {
            others.map(|other| distance(face, other).get()).fold(f32::INFINITY, f32::min)
        };
        let points = || self.points.chunks_exact(self.facts.dimension);
        let mut to_points: Vec<f32> =
            firsts.par_iter().map(|face| nearest(face, &mut points())).collect();
        let numbered = firsts.par_iter().enumerate();
        let mut to_people: Vec<f32> = numbered
            .map(|(i, face)| {
                let others = firsts.iter().enumerate().filter(|(j, _)| *j != i);
                nearest(face, &mut others.map(|(_, other)| *other))
            })
            .collect();
        to_points.sort_by(f32::total_cmp);
        to_people.sort_by(f32::total_cmp);
        [to_points, to_people]
    }

    /// What it was made of.
    pub fn facts(&self) -> &CohortFacts {
        &self.facts
    }

    /// The points, one after another: shape `points x dimension`.
    pub fn points(&self) -> &[f32] {
        &self.points
    }

    /// The crowding of a face among the points.
    pub fn crowding(&self, vector: &[f32]) -> Option<Crowding> {
        crowding(&self.points, NEAREST, vector, |_| true)
    }

    /// The deviation that is usual.
    pub fn usual_deviation(&self) -> f64 {
        self.usual_deviation
    }

    /// What strangers reach.
    pub fn tail(&self) -> &StrangerTail {
        &self.tail
    }
}

impl CohortFacts {
    /// Whether the cohort stands for embeddings of this contract; never where nobody knows whose
    /// they are.
    pub fn fits(&self, contract: &Contract) -> bool {
        !contract.weights.is_empty()
            && self.weights == contract.weights
            && self.unit == contract.metric.is_normalised()
            && self.dimension == contract.dimension as usize
    }
}

impl Mixture {
    /// The same with the numbers that a file keeps.
    fn rounded(self) -> Self {
        let half = |x: f32| f16::from_f32(x).to_f32();
        let means = self.means.into_iter().map(half).collect();
        let directions = self.directions.into_iter().map(half).collect();
        Self { means, directions, ..self }
    }
}

/// The head of a cohort's file, and the numbers behind it.
fn split(bytes: &[u8]) -> Result<(Head, &[u8]), PeopleError> {
    let damaged = |what| PeopleError::Cohort { what };
    let rest = bytes.strip_prefix(MAGIC).ok_or(damaged("it does not begin as one"))?;
    let (_, sum) = bytes.split_last_chunk::<32>().ok_or(damaged("it is cut off"))?;
    if blake3::hash(&bytes[..bytes.len() - 32]).as_bytes() != sum {
        return Err(damaged("its checksum is wrong"));
    }
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(damaged("it is cut off"))?;
    let head = serde_json::from_slice(&rest[..end]).map_err(|_| damaged("its head is damaged"))?;
    Ok((head, rest.get(end + 1..rest.len() - 32).ok_or(damaged("it is cut off"))?))
}

/// The usual deviation, and what strangers reach: people of each population among themselves.
fn learn(points: &[f32], populations: &[&Faces]) -> Result<(f64, StrangerTail), PeopleError> {
    let with_crowding = |population: &&'_ Faces| {
        let people = population.rows_by_person();
        let firsts = people.iter().filter_map(|rows| rows.first());
        let faces: Vec<Vec<f32>> = firsts.map(|row| population.vector(*row).to_vec()).collect();
        let around = |face: &Vec<f32>| crowding(points, NEAREST, face, |_| true);
        let crowding: Vec<Crowding> = faces.par_iter().filter_map(around).collect();
        (faces, crowding)
    };
    let all: Vec<(Vec<Vec<f32>>, Vec<Crowding>)> = populations.iter().map(with_crowding).collect();
    let crowding: Vec<Crowding> = all.iter().flat_map(|(_, crowding)| crowding).copied().collect();
    let usual = usual_deviation(&crowding);
    let strangers: Vec<Population<'_>> = all
        .iter()
        .map(|(faces, crowding)| {
            let faces = faces.iter().map(Vec::as_slice).collect();
            Population { faces, crowding: crowding.clone(), usual }
        })
        .collect();
    let strangers: Vec<&dyn Strangers> =
        strangers.iter().map(|one| one as &dyn Strangers).collect();
    Ok((usual, StrangerTail::learn(&strangers)?))
}

#[cfg(test)]
mod tests {
    use facesearch_core::Metric;

    use super::*;

    fn contract(cohort: &Cohort) -> Contract {
        let CohortFacts { model, weights, unit, dimension, .. } = cohort.facts().clone();
        Contract {
            model,
            weights,
            dimension: dimension as u32,
            metric: if unit { Metric::Cosine } else { Metric::L2 },
            threshold: Some(0.55),
            detector: "any".into(),
            min_face: 40,
            preprocessing: "any".into(),
            precision: "f32".into(),
        }
    }

    #[test]
    fn the_built_in_cohorts_are_found_by_their_weights() {
        for bytes in BUILTIN {
            let cohort = Cohort::read(bytes).unwrap();
            assert_eq!(cohort.write().unwrap(), bytes);
            let contract = contract(&cohort);
            let found = Cohort::builtin(&contract).unwrap();
            assert_eq!(found.facts(), cohort.facts());
            assert!(Cohort::builtin(&Contract { weights: "others".into(), ..contract }).is_none());
        }
    }

    /// A point of a cohort is a stranger to the others: few come near.
    #[test]
    fn points_of_a_built_in_cohort_are_strangers_to_each_other() {
        for bytes in BUILTIN {
            let cohort = Cohort::read(bytes).unwrap();
            let points: Vec<&[f32]> =
                cohort.points().chunks_exact(cohort.facts().dimension).collect();
            let around: Vec<Crowding> = points[..600]
                .par_iter()
                .map(|point| crowding(&cohort.points, NEAREST, point, |_| true).unwrap())
                .collect();
            let named = (0..400).filter(|stranger| {
                let gallery = 400..600;
                let by_distance = |other: &usize| distance(points[*stranger], points[*other]);
                let nearest = gallery.min_by_key(by_distance).unwrap();
                let score = crate::crowd::score(
                    by_distance(&nearest).get().into(),
                    around[*stranger],
                    around[nearest],
                    cohort.usual_deviation(),
                );
                cohort.tail().chance(score, 200) <= 0.01
            });
            assert!(named.count() <= 12);
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = BUILTIN[0];
        for place in [0, 25, good.len() / 2, good.len() - 1] {
            let mut bad = good.to_vec();
            bad[place] ^= 1;
            assert!(matches!(Cohort::read(&bad), Err(PeopleError::Cohort { .. })), "{place}");
        }
        for length in [0, 10, 40, good.len() - 1] {
            assert!(Cohort::read(&good[..length]).is_err(), "{length}");
        }
    }
}
