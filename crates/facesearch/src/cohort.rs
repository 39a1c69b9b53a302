//! The crowds that travel with models: fitting one, and finding it again.

use std::fs;
use std::path::{Path, PathBuf};

use facesearch_ann::Snapshot;
use facesearch_core::{Contract, Gallery, IdentityIndex, Row, display_path, squared_distance};
use facesearch_people::Faces;
use facesearch_people::crowd::{Cohort, CohortFacts, MixtureOptions, fit_mixture};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::models::Models;

/// Two faces nearer than this part of the threshold are of one person.
const SAME: f64 = 0.42;

/// A cohort that was fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CohortReport {
    /// The file it is kept in.
    pub kept: PathBuf,
    /// What it was made of.
    pub facts: CohortFacts,
    /// L2 distance of the faces to the nearest point of the cohort: the least, and the median.
    pub nearest_point: [f32; 2],
    /// The same to the nearest other person.
    pub nearest_person: [f32; 2],
}

impl Models {
    /// Fits a cohort to the people of indexes, each a population that counts as much as every
    /// other, and keeps it in `out`, or else among the model files, where every search of an index
    /// of this model finds it.
    ///
    /// Each person counts by one face. In an index without names each face is a person.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where an index cannot be opened, [`Error::Index`] where two are of
    /// different models, [`Error::People`] where there are too few people, [`Error::Write`] where
    /// the file cannot be written.
    pub fn fit_cohort(&self, indexes: &[PathBuf], out: Option<&Path>) -> Result<CohortReport> {
        let mut contract: Option<Contract> = None;
        let mut populations = Vec::new();
        for index in indexes {
            let gallery = Snapshot::open(index)?;
            gallery.verify()?;
            if let Some(contract) = &contract {
                gallery.contract().check(contract).map_err(|mismatch| {
                    Error::index(format!("{}: {mismatch}", display_path(index)))
                })?;
            }
            contract = Some(gallery.contract().clone());
            populations.push(people_of(&gallery)?);
        }
        let contract = contract.ok_or_else(|| Error::usage("no index is given"))?;
        let populations: Vec<&Faces> = populations.iter().collect();
        let unit = contract.metric.is_normalised();
        let options = MixtureOptions { unit, ..MixtureOptions::default() };
        let facts = CohortFacts {
            model: contract.model.clone(),
            weights: contract.weights.clone(),
            unit,
            dimension: contract.dimension as usize,
            components: options.components,
            rank: options.rank.min(contract.dimension as usize),
            people: populations.iter().map(|faces| faces.people()).collect(),
        };
        let mixture = fit_mixture(&populations, &options)?;
        let cohort = Cohort::new(facts.clone(), mixture, &populations)?;
        let kept = match out {
            Some(out) => out.to_owned(),
            None if contract.weights.is_empty() => {
                return Err(Error::usage(
                    "nobody knows which model these embeddings are of, so no search would find \
                     their cohort; give `--out FILE`",
                ));
            }
            None => self.place_of_cohort(&contract),
        };
        if let Some(folder) = kept.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            facesearch_disk::make_dir(folder).map_err(Error::write(folder))?;
        }
        facesearch_disk::replace(&kept, &cohort.write()?).map_err(Error::write(&kept))?;
        let mut nearest = [Vec::new(), Vec::new()];
        for population in &populations {
            for (all, of_population) in nearest.iter_mut().zip(cohort.nearest_to_points(population))
            {
                all.extend(of_population);
            }
        }
        let [nearest_point, nearest_person] = nearest.map(|mut distances| {
            distances.sort_by(f32::total_cmp);
            [distances[0], distances[distances.len() / 2]]
        });
        Ok(CohortReport { kept, facts, nearest_point, nearest_person })
    }

    /// The cohort for embeddings of this contract: the one that was fitted here, or else the
    /// built-in one; `None` where there is neither.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] where the one that was fitted here is damaged.
    pub fn cohort_for(&self, contract: &Contract) -> Result<Option<Cohort>> {
        let path = self.place_of_cohort(contract);
        let given = if path.exists() { Some(read_cohort(&path)?) } else { None };
        let given = given.filter(|cohort| cohort.facts().fits(contract));
        Ok(given.or_else(|| Cohort::builtin(contract)))
    }

    fn place_of_cohort(&self, contract: &Contract) -> PathBuf {
        let scale = if contract.metric.is_normalised() { "unit" } else { "plain" };
        let weights = blake3::hash(contract.weights.as_bytes()).to_hex();
        self.dir().join("cohorts").join(format!("{weights}-{scale}.cohort"))
    }
}

/// Reads the file of a cohort.
///
/// # Errors
///
/// [`Error::Read`] where it cannot be read, [`Error::Model`] where it is damaged.
pub fn read_cohort(path: &Path) -> Result<Cohort> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    Cohort::read(&bytes).map_err(|error| Error::model(format!("{}: {error}", display_path(path))))
}

/// One face of each person: of each label, or of each face where there are no labels. Faces that
/// are surely of one person count once, or strangers would seem to be near each other.
fn people_of(gallery: &dyn Gallery) -> Result<Faces> {
    let mut rows: Vec<Row> = match gallery.identity_count() {
        0 => (0..gallery.len() as u32).map(Row).collect(),
        labels => (0..labels as u32)
            .filter_map(|label| gallery.rows_of(IdentityIndex(label)).first().copied())
            .collect(),
    };
    let same = f64::from(gallery.contract().threshold.unwrap_or(0.0)) * SAME;
    let is_again = |i: usize| {
        let face = gallery.vector(rows[i]);
        rows[..i].iter().any(|other| squared_distance(face, gallery.vector(*other)) < same * same)
    };
    let again: Vec<bool> = (0..rows.len()).into_par_iter().map(is_again).collect();
    let mut again = again.into_iter();
    rows.retain(|_| !again.next().unwrap_or(false));
    let names: Vec<String> = rows.iter().map(|row| format!("{:010}", row.0)).collect();
    let named = names.iter().zip(&rows);
    Ok(Faces::new(named.map(|(name, row)| (name.as_str(), gallery.vector(*row))))?)
}
