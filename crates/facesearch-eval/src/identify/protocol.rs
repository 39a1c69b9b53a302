//! Who is enrolled, with which photos, and who stays outside.

use facesearch_people::Random;
use serde::Serialize;

use crate::{EvalError, Faces};

/// How to make an experiment of labelled faces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Protocol {
    /// How many photos of a person are enrolled; whoever has fewer is enrolled with all of them
    /// and gives no probe.
    pub enrol: usize,
    /// Share of the people who are held out: all of their photos are probes of unknown people.
    pub unknown: f64,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Default for Protocol {
    fn default() -> Self {
        Self { enrol: 1, unknown: 0.5, seed: 1 }
    }
}

/// An experiment: rows of [`Faces`], each in one of three places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The enrolled rows of each person. The people are in random order, so that the first N of
    /// them are a fair gallery of N.
    pub gallery: Vec<Vec<usize>>,
    /// Probes of enrolled people: the position in `gallery`, and the row.
    pub known: Vec<(usize, usize)>,
    /// Probes of people who are not enrolled.
    pub unknown: Vec<usize>,
}

/// Deals the people of `faces` into enrolled and unknown, and the photos of the enrolled into
/// gallery and probes, at random.
///
/// # Errors
///
/// [`EvalError::Option`] where `enrol` is 0 or `unknown` is no share; [`EvalError::TooFew`] where
/// no person would be enrolled or nobody be left to probe with.
pub fn split(faces: &Faces, protocol: &Protocol) -> Result<Split, EvalError> {
    let Protocol { enrol, unknown, seed } = *protocol;
    if enrol == 0 {
        let (what, wanted) = ("the number of photos to enrol", "at least 1");
        return Err(EvalError::Option { what, got: 0.0, wanted });
    }
    if !(0.0..1.0).contains(&unknown) {
        let (what, wanted) = ("the share of unknown people", "from 0 to below 1");
        return Err(EvalError::Option { what, got: unknown, wanted });
    }
    let mut random = Random::new(seed);
    let mut people = faces.rows_by_person();
    random.shuffle(&mut people);
    let held_out = (people.len() as f64 * unknown).round() as usize;
    let outside = people.split_off(people.len() - held_out.min(people.len()));
    let mut split = Split {
        gallery: Vec::new(),
        known: Vec::new(),
        unknown: outside.into_iter().flatten().collect(),
    };
    for mut rows in people {
        random.shuffle(&mut rows);
        let probes = rows.split_off(enrol.min(rows.len()));
        split.known.extend(probes.into_iter().map(|row| (split.gallery.len(), row)));
        split.gallery.push(rows);
    }
    for (what, got) in [
        ("people to enrol", split.gallery.len()),
        ("photos to probe with", split.known.len() + split.unknown.len()),
    ] {
        if got == 0 {
            return Err(EvalError::TooFew { what, got, wanted: 1 });
        }
    }
    Ok(split)
}
