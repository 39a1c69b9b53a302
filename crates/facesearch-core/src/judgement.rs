//! What people said of a face and a name: it is this person for sure, or it is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::face::FaceId;

/// What somebody said of a face and a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The face is of this person for sure. It has the name.
    Confirmed,
    /// The face is not of this person. It does not have the name, and does not get it.
    Denied,
}

/// The judgements of an index, at most one for each face and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgements(BTreeMap<FaceId, BTreeMap<String, Judgement>>);

impl Judgements {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// What was said of a face and a name; `None` where nothing was.
    pub fn get(&self, face: FaceId, name: &str) -> Option<Judgement> {
        self.0.get(&face)?.get(name).copied()
    }

    /// Sets what is said of a face and a name; `None` takes it away.
    pub fn set(&mut self, face: FaceId, name: &str, judgement: Option<Judgement>) {
        if let Some(judgement) = judgement {
            self.0.entry(face).or_default().insert(name.to_owned(), judgement);
        } else if let Some(names) = self.0.get_mut(&face) {
            names.remove(name);
            if names.is_empty() {
                self.0.remove(&face);
            }
        }
    }

    /// Whether the face is of this person for sure.
    pub fn is_confirmed(&self, face: FaceId, name: &str) -> bool {
        self.get(face, name) == Some(Judgement::Confirmed)
    }

    /// Whether the face is not of this person.
    pub fn is_denied(&self, face: FaceId, name: &str) -> bool {
        self.get(face, name) == Some(Judgement::Denied)
    }

    /// Whether anything was said of this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.iter().any(|(_, of, _)| of == name)
    }

    /// The judgements of a face, names ascending byte by byte.
    pub fn of(&self, face: FaceId) -> impl Iterator<Item = (&str, Judgement)> {
        let names = self.0.get(&face).into_iter().flatten();
        names.map(|(name, judgement)| (name.as_str(), *judgement))
    }

    /// Whether a face that has the label `identity`, or none, agrees with its judgements: it has
    /// the name that was confirmed, and none that was denied.
    pub fn agree_with(&self, face: FaceId, identity: Option<&str>) -> bool {
        let is_confirmed = |judgement| judgement == Judgement::Confirmed;
        self.of(face).all(|(name, said)| (identity == Some(name)) == is_confirmed(said))
    }

    /// All of them: faces ascending, then names byte by byte.
    pub fn iter(&self) -> impl Iterator<Item = (FaceId, &str, Judgement)> {
        self.0.iter().flat_map(|(face, names)| {
            names.iter().map(|(name, judgement)| (*face, name.as_str(), *judgement))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_agrees_with_a_name_that_was_confirmed_and_with_none_that_was_denied() {
        let (mut said, face) = (Judgements::default(), FaceId(3));
        assert!(said.agree_with(face, Some("Anna")) && said.agree_with(face, None));
        said.set(face, "Anna", Some(Judgement::Denied));
        assert!(!said.agree_with(face, Some("Anna")));
        assert!(said.agree_with(face, Some("Berta")) && said.agree_with(face, None));
        said.set(face, "Berta", Some(Judgement::Confirmed));
        assert!(said.agree_with(face, Some("Berta")) && !said.agree_with(face, None));
        let all: Vec<_> = said.iter().collect();
        let want = [(face, "Anna", Judgement::Denied), (face, "Berta", Judgement::Confirmed)];
        assert_eq!((all, said.len()), (want.to_vec(), 2));
        said.set(face, "Anna", None);
        said.set(face, "Berta", None);
        assert_eq!(said, Judgements::default());
    }
}
