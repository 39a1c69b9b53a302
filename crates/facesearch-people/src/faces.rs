//! Embeddings with labels that are in no index.

use std::collections::BTreeMap;

use crate::PeopleError;

/// Labelled embeddings of one model, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Faces {
    dim: usize,
    values: Vec<f32>,
    person: Vec<u32>,
    people: usize,
}

impl Faces {
    /// Takes the name and the embedding of every face. People are numbered in order of their names'
    /// bytes, so their numbers do not depend on the order of the faces.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Dimension`] where two embeddings differ in length.
    pub fn new<'a, V: AsRef<[f32]>>(
        faces: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Self, PeopleError> {
        let (mut values, mut labels, mut dim) = (Vec::new(), Vec::new(), None);
        for (name, vector) in faces {
            let vector = vector.as_ref();
            let expected = *dim.get_or_insert(vector.len());
            if vector.len() != expected {
                return Err(PeopleError::Dimension { expected, got: vector.len() });
            }
            values.extend_from_slice(vector);
            labels.push(name);
        }
        let mut numbers: BTreeMap<&str, u32> = labels.iter().map(|name| (*name, 0)).collect();
        for (number, entry) in (0..).zip(numbers.values_mut()) {
            *entry = number;
        }
        let person = labels.iter().map(|name| numbers[name]).collect();
        Ok(Self { dim: dim.unwrap_or(0), values, person, people: numbers.len() })
    }

    /// How many faces there are.
    pub fn len(&self) -> usize {
        self.person.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.person.is_empty()
    }

    /// Length of every embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The embedding of face `row`. Panics where there is no such face, as do all below.
    pub fn vector(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..][..self.dim]
    }

    /// The number of the person in face `row`.
    pub fn person(&self, row: usize) -> u32 {
        self.person[row]
    }

    /// How many people there are.
    pub fn people(&self) -> usize {
        self.people
    }

    /// The faces of each person, ascending.
    pub fn rows_by_person(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.people];
        for (row, person) in self.person.iter().enumerate() {
            rows[*person as usize].push(row);
        }
        rows
    }

    /// L2 distance of two faces.
    pub fn distance(&self, a: usize, b: usize) -> f32 {
        facesearch_core::distance(self.vector(a), self.vector(b)).get()
    }
}
