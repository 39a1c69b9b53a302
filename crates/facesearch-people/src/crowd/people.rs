//! The crowd that an index is searched with.

use std::collections::BTreeSet;

use facesearch_core::{Gallery, Row};
use rayon::prelude::*;

use super::cohort::Cohort;
use super::nearest::crowding;
use super::strangers::Population;
use super::tail::StrangerTail;
use super::{Crowding, score, usual_deviation};
use crate::PeopleError;

/// With fewer people a gallery is no crowd.
pub const LEAST_PEOPLE: usize = 50;
/// People of a gallery who are its crowd, at most.
const MOST_PEOPLE: usize = 1000;
/// The share of a gallery's crowd that makes the crowding of a face, and the least number.
const NEAREST: (f64, usize) = (0.025, 10);

/// Other people, to compare a probe and a candidate with.
pub enum Crowd {
    /// That of the model.
    Cohort(Box<Cohort>),
    /// People of the gallery itself.
    People(People),
}

/// People of a gallery, each by one face.
pub struct People {
    /// The faces, one after another.
    points: Vec<f32>,
    /// Who each is.
    who: Vec<Who>,
    tail: StrangerTail,
    /// The deviation that is usual.
    usual: f64,
}

/// A label, or a face that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Labelled(u32),
    Face(u32),
}

impl Who {
    fn of(gallery: &dyn Gallery, row: Row) -> Self {
        gallery.face(row).identity.map_or(Self::Face(row.0), |identity| Self::Labelled(identity.0))
    }
}

impl Crowd {
    /// The crowd for this gallery: the cohort of its model, or else its own people, where there are
    /// at least [`LEAST_PEOPLE`]. `None` where there is neither.
    ///
    /// - **Cost:** of a gallery's own people the distances of a thousand to each other.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Gallery`] where the gallery is damaged.
    pub fn new(gallery: &dyn Gallery, cohort: Option<Cohort>) -> Result<Option<Self>, PeopleError> {
        match cohort {
            Some(cohort) => Ok(Some(Self::Cohort(Box::new(cohort)))),
            None => Ok(People::new(gallery)?.map(Self::People)),
        }
    }

    /// The scores of a probe with rows of the gallery at these L2 distances. A candidate's own
    /// person is no part of the crowd. `None` where nobody else is.
    pub fn scores(
        &self,
        gallery: &dyn Gallery,
        probe: &[f32],
        candidates: &[(Row, f64)],
    ) -> Vec<Option<f64>> {
        let each = candidates.iter();
        match self {
            Self::Cohort(cohort) => {
                // The crowd around the probe is the same for all candidates.
                let own = (!candidates.is_empty()).then(|| cohort.crowding(probe)).flatten();
                let usual = cohort.usual_deviation();
                let of = |(row, distance): &(Row, f64)| {
                    Some(score(*distance, own?, cohort.crowding(gallery.vector(*row))?, usual))
                };
                each.map(of).collect()
            }
            Self::People(people) => {
                let of = |(row, distance): &(Row, f64)| {
                    let around = |vector| people.crowding(vector, Who::of(gallery, *row));
                    let (own, other) = (around(probe)?, around(gallery.vector(*row))?);
                    Some(score(*distance, own, other, people.usual))
                };
                each.map(of).collect()
            }
        }
    }

    /// The probability that a stranger reaches `score` or better with one of `people`.
    pub fn chance(&self, score: f64, people: usize) -> f64 {
        match self {
            Self::Cohort(cohort) => cohort.tail().chance(score, people),
            Self::People(own) => own.tail.chance(score, people),
        }
    }
}

impl People {
    fn new(gallery: &dyn Gallery) -> Result<Option<Self>, PeopleError> {
        let rows = one_row_each(gallery)?;
        if rows.len() < LEAST_PEOPLE {
            return Ok(None);
        }
        let who: Vec<Who> = rows.iter().map(|row| Who::of(gallery, *row)).collect();
        let points: Vec<f32> = rows.iter().flat_map(|row| gallery.vector(*row)).copied().collect();
        let own = |(row, who_is): (&Row, &Who)| {
            let vector = gallery.vector(*row);
            crowding(&points, nearest(who.len()), vector, |other| who[other] != *who_is)
        };
        let crowding: Option<Vec<Crowding>> = rows.par_iter().zip(&who).map(own).collect();
        let Some(crowding) = crowding else { return Ok(None) };
        let usual = usual_deviation(&crowding);
        let faces = rows.iter().map(|row| gallery.vector(*row)).collect();
        // A gallery whose faces are all alike says nothing of strangers.
        let Ok(tail) = StrangerTail::learn(&[&Population { faces, crowding, usual }]) else {
            return Ok(None);
        };
        Ok(Some(Self { points, who, tail, usual }))
    }

    fn crowding(&self, vector: &[f32], candidate: Who) -> Option<Crowding> {
        let others = |other: usize| self.who[other] != candidate;
        crowding(&self.points, nearest(self.who.len()), vector, others)
    }
}

/// How many of so many people make the crowding of a face.
fn nearest(people: usize) -> usize {
    let (share, least) = NEAREST;
    least.max((people as f64 * share) as usize)
}

/// A row of each of at most [`MOST_PEOPLE`] people, from all over the gallery.
fn one_row_each(gallery: &dyn Gallery) -> Result<Vec<Row>, PeopleError> {
    let step = (gallery.len() / (4 * MOST_PEOPLE)).max(1);
    let rows: Vec<Row> = (0..gallery.len() as u32).step_by(step).map(Row).collect();
    gallery.check_rows(&rows)?;
    let mut seen = BTreeSet::new();
    let firsts = rows.into_iter().filter(|row| seen.insert(Who::of(gallery, *row)));
    let firsts: Vec<Row> = firsts.collect();
    let step = firsts.len().div_ceil(MOST_PEOPLE).max(1);
    Ok(firsts.into_iter().step_by(step).collect())
}
