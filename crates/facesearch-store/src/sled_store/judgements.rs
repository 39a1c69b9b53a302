//! Judgements in the database, and what becomes of them and of names when something is said.

use std::collections::{BTreeMap, BTreeSet};

use facesearch_core::{FaceId, Judgement, Judgements, StoreError};

use super::SledStore;
use crate::journal::judgement;
use crate::keys;
use crate::{JournalError, JudgedFace, Statement};

/// What a statement comes to once judgements are respected.
pub(super) struct Plan {
    /// The label of each face that is named; `None` for nobody.
    pub(super) faces: BTreeMap<FaceId, Option<String>>,
    before: Judgements,
    after: Judgements,
}

impl SledStore {
    /// Every judgement there is.
    pub(super) fn all_judgements(&self) -> Result<Judgements, StoreError> {
        let mut all = Judgements::default();
        self.scan(keys::JUDGEMENTS, &mut |key, value| {
            let is_confirmed: bool = self.decode(key, value)?;
            let (face, name) = keys::parts_of_judgement(key)
                .ok_or_else(|| self.damaged("a judgement has no face or no name"))?;
            all.set(face, name, Some(judgement(is_confirmed)));
            Ok(())
        })?;
        Ok(all)
    }

    /// What `statement` comes to: judgements follow a label that is renamed; a denied face loses
    /// the name, and a confirmed one gets it; a confirmation ends when the face gets another name.
    ///
    /// # Errors
    ///
    /// [`JournalError::Denied`] where a single face is given a name that it was denied to have,
    /// [`JournalError::Contradiction`] where a face was confirmed and denied to be people who
    /// become one, [`JournalError::NoFace`] where a judged face is not there.
    pub(super) fn plan(&self, statement: &Statement) -> Result<Plan, JournalError> {
        let before = self.all_judgements()?;
        let mut plan = Plan { faces: BTreeMap::new(), after: before.clone(), before };
        for (face, identity) in &statement.faces {
            plan.faces.entry(*face).or_insert_with(|| identity.clone());
        }
        plan.rename(&statement.labels)?;
        plan.judge(&statement.judged);
        self.keep_denials(&mut plan, statement)?;
        plan.end_confirmations();
        Ok(plan)
    }

    /// Takes names from faces that were denied to have them.
    fn keep_denials(&self, plan: &mut Plan, statement: &Statement) -> Result<(), JournalError> {
        let asked: BTreeSet<FaceId> = statement.judged.iter().map(|(face, ..)| *face).collect();
        let mut nobody = Vec::new();
        for (face, name, judgement) in plan.after.iter() {
            let target = plan.faces.get(&face);
            let gets_it = target.is_some_and(|to| to.as_deref() == Some(name));
            let is_new = plan.before.get(face, name) != Some(judgement) || asked.contains(&face);
            if judgement != Judgement::Denied || !(gets_it || (target.is_none() && is_new)) {
                continue;
            }
            let own = self.naming(face)?.ok_or(JournalError::NoFace { face })?.identity;
            let has_it = own.as_deref() == Some(name);
            // Whoever goes by a name that becomes this one is not that person either.
            let follows = statement
                .labels
                .iter()
                .any(|(old, new)| own.as_ref() == Some(old) && new.as_deref() == Some(name));
            if has_it || (gets_it && follows) {
                nobody.push(face);
            } else if gets_it {
                return Err(JournalError::Denied { face, name: name.to_owned() });
            }
        }
        plan.faces.extend(nobody.into_iter().map(|face| (face, None)));
        Ok(())
    }
}

impl Plan {
    /// Judgements of a label become those of the label that stands for it from now on.
    fn rename(&mut self, labels: &[(String, Option<String>)]) -> Result<(), JournalError> {
        for (old, new) in labels {
            let Some(new) = new.as_ref().filter(|new| *new != old) else { continue };
            let of_old = self.after.iter().filter(|(_, name, _)| name == old);
            let of_old: Vec<(FaceId, Judgement)> =
                of_old.map(|(face, _, judgement)| (face, judgement)).collect();
            for (face, judgement) in of_old {
                if self.after.get(face, new).is_some_and(|there| there != judgement) {
                    return Err(JournalError::Contradiction { face, name: new.clone() });
                }
                self.after.set(face, old, None);
                self.after.set(face, new, Some(judgement));
            }
        }
        Ok(())
    }

    fn judge(&mut self, judged: &[(FaceId, String, Judgement)]) {
        for (face, name, judgement) in judged {
            if *judgement == Judgement::Confirmed {
                self.faces.insert(*face, Some(name.clone()));
            }
            self.after.set(*face, name, Some(*judgement));
        }
    }

    /// Ends what was confirmed of faces that get another name.
    fn end_confirmations(&mut self) {
        for (face, identity) in &self.faces {
            let is_over = |(name, judgement): &(&str, Judgement)| {
                *judgement == Judgement::Confirmed && Some(*name) != identity.as_deref()
            };
            let over = self.after.of(*face).filter(is_over);
            let over: Vec<String> = over.map(|(name, _)| name.to_owned()).collect();
            over.iter().for_each(|name| self.after.set(*face, name, None));
        }
    }

    /// Judgements that change, faces ascending, then names.
    pub(super) fn judged(&self) -> Vec<JudgedFace> {
        let all = self.before.iter().chain(self.after.iter());
        let all: BTreeSet<(FaceId, &str)> = all.map(|(face, name, _)| (face, name)).collect();
        let change = |(face, name): (FaceId, &str)| {
            let (before, after) = (self.before.get(face, name), self.after.get(face, name));
            let name = name.to_owned();
            (before != after).then_some(JudgedFace { face, name, before, after })
        };
        all.into_iter().filter_map(change).collect()
    }
}
