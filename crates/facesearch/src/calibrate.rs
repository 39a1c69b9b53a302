//! Calibrating an index, grouping its faces, and looking for wrong labels.

use std::path::PathBuf;

use facesearch_core::{Gallery, ThresholdSource};
use facesearch_people::calibrate::{
    ErrorRates, FitOptions, FittedCalibration, Reliability, fit, labelled_pairs,
};
use facesearch_people::cluster::{
    ClusterOptions, ClusterThreshold, Clusters, Group, Member, cluster_gallery, name_groups,
};
use facesearch_people::pairs::Trial;
use facesearch_people::{Faces, Finding, PeopleError, audit};
use facesearch_store::Statement;
use serde::Serialize;

use crate::calibration::Stored;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::people::Said;
use crate::reader::Reader;
use crate::search_options::ThresholdChoice;

/// The false positive identification rates (FPIR) that a calibration always gives thresholds for.
pub const RATES: [f64; 3] = [0.1, 0.01, 0.001];

/// What a calibration learned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// The file it is kept in.
    pub kept: String,
    /// People of the index.
    pub people: usize,
    /// People who were searched for.
    pub probes: usize,
    /// Whether those were strangers, rather than the index's own people.
    pub cohort: bool,
    /// The share of enrolled people among those who were searched for.
    pub prior: f64,
    /// The thresholds for [`RATES`], and for the rate that was asked for.
    pub thresholds: Vec<ErrorRates>,
    /// What the model's own threshold does here; `None` where it has none.
    pub default: Option<ErrorRates>,
    /// How good the probabilities are; `None` where there are none.
    pub reliability: Option<Reliability>,
    /// All that was learned, for curves.
    #[serde(skip)]
    pub fitted: FittedCalibration,
    /// The file it is kept in, as a path.
    #[serde(skip)]
    pub path: PathBuf,
}

impl Reader {
    /// Learns which thresholds keep to which rates of false alarms in this index, and keeps that
    /// beside it: [`ThresholdChoice::Fpir`] works from then on.
    ///
    /// `cohort` are faces of people who are surely not in the index; without it, the index's own
    /// people are strangers to each other. `fpir` is a rate to report besides [`RATES`].
    ///
    /// # Errors
    ///
    /// [`Error::People`] where there are too few people to learn from, [`Error::Write`] where the
    /// file cannot be written.
    pub fn calibrate(
        &self,
        options: &FitOptions,
        cohort: Option<&Faces>,
        fpir: Option<f64>,
    ) -> Result<CalibrationReport> {
        let gallery = self.published()?;
        gallery.verify()?;
        let fitted = fit(&*gallery, cohort, options).map_err(|error| match error {
            PeopleError::TooFew { .. } if cohort.is_none() => Error::input(format!(
                "an index is calibrated on its labelled people, or on strangers given with \
                 --cohort: {error}"
            )),
            error => error.into(),
        })?;
        let people = gallery.people();
        let stored = Stored::new(&*gallery, people, &fitted, cohort.is_some());
        let path = stored.save(self.dir())?;
        let rates = RATES.into_iter().chain(fpir.filter(|rate| !RATES.contains(rate)));
        let thresholds =
            rates.map(|fpir| fitted.at_fpir(fpir, people)).collect::<Result<_, _>>()?;
        let own = gallery.contract().threshold;
        Ok(CalibrationReport {
            kept: path.to_string_lossy().into_owned(),
            people,
            probes: fitted.probes,
            cohort: cohort.is_some(),
            prior: fitted.calibration.prior,
            thresholds,
            default: own.map(|own| fitted.at_threshold(own.into(), people)),
            reliability: fitted.reliability.clone(),
            fitted,
            path,
        })
    }

    /// Labelled pairs of the index's own faces, as many of two people as of one.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is missing or damaged.
    pub fn labelled_pairs(&self) -> Result<Vec<Trial>> {
        let gallery = self.published()?;
        gallery.verify()?;
        Ok(labelled_pairs(&*gallery))
    }

    /// What looks wrong: mislabelled faces, people with two names, names with two people, copies;
    /// and the threshold that was used.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is missing or damaged, [`Error::NoThreshold`] where the
    /// model has no threshold and none is given.
    pub fn audit(&self, threshold: &ThresholdChoice) -> Result<(Vec<Finding>, f32)> {
        let gallery = self.published()?;
        gallery.verify()?;
        let limit = self.threshold(threshold, gallery.contract())?.l2();
        Ok((audit(&*gallery, limit)?, limit))
    }

    /// Clusters of faces that are one person. `fixed` is how near two clusters must be on average;
    /// without it, that follows from the faces and the model's threshold. `use_names` holds
    /// together and keeps apart what has a name, and keeps denied faces out of a name's cluster.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is missing or damaged, [`Error::NoThreshold`] where the
    /// model has no threshold and `fixed` is `None`.
    pub fn clusters(
        &self,
        fixed: Option<f32>,
        neighbours: usize,
        use_names: bool,
    ) -> Result<Clusters> {
        let gallery = self.published()?;
        gallery.verify()?;
        let threshold = match fixed {
            Some(threshold) => ClusterThreshold::Fixed(threshold),
            None => {
                let own = self.threshold(&ThresholdChoice::Own, gallery.contract())?;
                debug_assert!(matches!(own.source(), ThresholdSource::Model(_)));
                ClusterThreshold::FromModel(own.l2())
            }
        };
        let options = ClusterOptions { neighbours, threshold, use_names };
        Ok(cluster_gallery(&*gallery, &options)?)
    }

    /// Clusters of at least `min_size` faces, the largest first, each with a name.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where nothing is published, [`Error::People`] where what was said of
    /// single faces is damaged.
    pub fn groups(&self, clusters: &Clusters, min_size: usize) -> Result<Vec<Group>> {
        Ok(name_groups(&*self.published()?, clusters, min_size)?)
    }
}

impl Engine {
    /// Names every face that has no name as its group is called, unless it was denied to have that
    /// name; `None` where all have one.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where nothing is published; [`Error::Store`] where the store cannot be
    /// written.
    pub fn name_groups(&mut self, groups: &[Group]) -> Result<Option<Said>> {
        let judgements = self.reader().gallery()?.judgements()?;
        let mut faces = Vec::new();
        for group in groups {
            let is_open =
                |face: &&Member| !face.named && !judgements.is_denied(face.face, &group.name);
            let unnamed = group.faces.iter().filter(is_open);
            faces.extend(unnamed.map(|face| (face.face, Some(group.name.clone()))));
        }
        if faces.is_empty() {
            return Ok(None);
        }
        let people = if groups.len() == 1 { "person" } else { "people" };
        let what = format!("cluster into {} {people}", groups.len());
        self.state(&Statement { what, faces, ..Statement::default() })
    }
}
