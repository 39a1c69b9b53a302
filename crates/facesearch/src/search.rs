//! Searching an index: photos or embeddings in, ranked identities and decisions out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use facesearch_core::{
    Effort, Embedding, Gallery, IdentityIndex, RowSet, SearchRequest, Threshold, ThresholdSource,
    VisionError, display_path,
};
use facesearch_people::calibrate::people_among;
use facesearch_people::crowd::Crowd;
use facesearch_query::{CrowdRule, Filter, Judge, Loaded, PhotoProbe, Probe, identify};

use crate::answer::{FaceAnswer, PhotoAnswer, Place};
use crate::calibration::Stored;
use crate::error::{Error, Result};
use crate::index::for_photos;
use crate::reader::Reader;
use crate::search_options::{DecisionRule, RATE, SearchOptions, ThresholdChoice};
use crate::vision::{PORTION, Vision, listed_photo, photo_bytes, read_photo};

/// Of those who are asked about, the share that is taken to be enrolled.
const ENROLLED: f64 = 0.5;

/// Embeddings that are searched for together: enough for a scan to be worth it, few enough that
/// their answers do not fill the memory.
pub const TOGETHER: usize = 1 << 10;

/// A search of one state of an index, for any number of photos and embeddings.
pub struct Search {
    reader: Reader,
    gallery: Arc<dyn Gallery>,
    options: SearchOptions,
    threshold: Threshold,
    /// Rows that may be found, where a filter leaves any out.
    among: Option<RowSet>,
    /// Search structures, and faces in none; where that is asked for.
    structure: Option<Structure>,
    /// Whom a face is compared with besides; `None` where the distance decides alone.
    crowd: Option<Arc<Crowd>>,
    calibration: Option<Stored>,
    /// Identities that a face is compared with.
    people: usize,
    memory: u64,
    /// Whether each photo must be a file.
    listed: bool,
}

/// How the published faces are searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Structure {
    pub(crate) segments: usize,
    pub(crate) scanned: usize,
}

impl Reader {
    /// Prepares a search of the index as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where there is no index; [`Error::NoThreshold`] where the model has no
    /// threshold and none is given; [`Error::Index`] where [`ThresholdChoice::Fpir`] is asked of an
    /// index without a calibration; [`Error::Input`] where the filter names nobody.
    pub fn search(&self, options: SearchOptions) -> Result<Search> {
        Search::new(self, options)
    }

    /// Asks who is in one photo: [`Query::run`] does it.
    ///
    /// ```no_run
    /// # use facesearch::{Options, Reader};
    /// let reader = Reader::open("faces.index", Options::default())?;
    /// for face in reader.query("new.jpg").k(5).run()?.faces {
    ///     println!("{}", face.decision);
    /// }
    /// # Ok::<(), facesearch::Error>(())
    /// ```
    pub fn query(&self, photo: impl Into<PathBuf>) -> Query<'_> {
        Query { reader: self, photo: photo.into(), options: SearchOptions::default() }
    }
}

/// One photo to ask about, made by [`Reader::query`] or [`Engine::query`](crate::Engine::query).
pub struct Query<'r> {
    reader: &'r Reader,
    photo: PathBuf,
    options: SearchOptions,
}

impl Query<'_> {
    /// How many identities to rank for each face; 5 by default.
    #[must_use]
    pub fn k(mut self, k: usize) -> Self {
        self.options.k = k;
        self
    }

    /// The largest L2 distance of one person, instead of the model's own.
    #[must_use]
    pub fn threshold(mut self, l2: f32) -> Self {
        self.options.threshold = ThresholdChoice::Given(l2);
        self
    }

    /// The share of strangers who may be given a name, in `(0, 1)`; 0.01 by default.
    #[must_use]
    pub fn fpir(mut self, rate: f64) -> Self {
        self.options.rate = Some(rate);
        self
    }

    /// What decides besides the threshold.
    #[must_use]
    pub fn rule(mut self, rule: DecisionRule) -> Self {
        self.options.rule = rule;
        self
    }

    /// Which faces may be found.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.options.filter = filter;
        self
    }

    /// Work for the search.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.options.effort = effort;
        self
    }

    /// Finds the faces of the photo, and who each is.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where the photo cannot be read or decoded; what [`Reader::search`] and
    /// [`Reader::vision`] report.
    pub fn run(self) -> Result<PhotoAnswer> {
        let search = self.reader.search(self.options)?;
        let photos = search.probe(std::slice::from_ref(&self.photo))?;
        let named = [self.photo.as_path()].into_iter().zip(photos);
        let mut answers = search.answer(named.collect())?;
        match answers.pop() {
            Some((answer, None)) => Ok(answer),
            Some((_, Some(error))) => Err(error.into()),
            None => Err(Error::input("no photo was asked about")),
        }
    }
}

impl Search {
    fn new(reader: &Reader, options: SearchOptions) -> Result<Self> {
        let gallery = reader.gallery()?;
        let crowd = match options.rule {
            DecisionRule::Crowd => reader.crowd(&*gallery)?,
            DecisionRule::Distance => None,
        };
        let fpir = match (&options.threshold, options.rate) {
            (ThresholdChoice::Fpir(fpir), _) => Some(*fpir),
            // Without a crowd, the calibration is what knows of strangers.
            (ThresholdChoice::Own, Some(rate)) if crowd.is_none() => Some(rate),
            _ => None,
        };
        let calibration = match Stored::load(reader.dir(), gallery.contract()) {
            // What is not asked for may be missing.
            Err(error) if fpir.is_none() => {
                reader.options().progress.note(&error.to_string());
                None
            }
            loaded => loaded?,
        };
        let among = match options.filter.is_empty() {
            true => None,
            false => Some(rows_of(&options.filter, &*gallery)?),
        };
        // A stranger is compared with those alone whom the filter lets through.
        let people = match &among {
            Some(rows) => people_among(&*gallery, rows),
            None => gallery.people(),
        };
        let threshold = match (fpir, &calibration) {
            (None, _) => reader.threshold(&options.threshold, gallery.contract())?,
            (Some(fpir), Some(stored)) => {
                if stored.is_outgrown(&*gallery) {
                    let what = "the index has changed much since it was calibrated; do it again";
                    reader.options().progress.note(what);
                }
                calibrated(stored, fpir, people)?
            }
            (Some(_), None) => {
                return Err(Error::index(
                    "this index was never calibrated, so no threshold is known for --fpir: it has \
                     no crowd to judge by, which takes a model with a cohort or 50 people, or the \
                     distance shall decide alone; run `facesearch calibrate` first",
                ));
            }
        };
        let structure = match options.explain {
            true => {
                let published = reader.published()?;
                let segments = published.certificates().count();
                Some(Structure { segments, scanned: published.rows_scanned() })
            }
            false => None,
        };
        let (reader, memory) = (reader.clone(), u64::MAX);
        Ok(Self {
            reader,
            gallery,
            options,
            threshold,
            among,
            structure,
            crowd,
            calibration,
            people,
            memory,
            listed: false,
        })
    }

    /// Most bytes of memory that the process should take, at least 512 MiB.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where that is too little.
    pub fn within(self, memory: Option<u64>) -> Result<Self> {
        Ok(Self { memory: for_photos(memory)?, ..self })
    }

    /// For photos from a list, which must be files: nobody waits for the other end of a pipe in the
    /// middle of a list.
    #[must_use]
    pub fn listed(self) -> Self {
        Self { listed: true, ..self }
    }

    /// What decides.
    pub fn threshold(&self) -> &Threshold {
        &self.threshold
    }

    /// The state that is searched.
    pub fn gallery(&self) -> &dyn Gallery {
        &*self.gallery
    }

    /// How it is searched.
    pub fn options(&self) -> &SearchOptions {
        &self.options
    }

    /// The answers for photos, in their order. A photo that cannot be used has an answer that says
    /// why. The faces of all are in memory at once: many photos are passed in portions.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is damaged, what [`Reader::vision`] reports.
    pub fn photos(&self, paths: &[PathBuf]) -> Result<Vec<PhotoAnswer>> {
        let mut answers = Vec::with_capacity(paths.len());
        for portion in paths.chunks(PORTION) {
            let photos = self.probe(portion)?;
            let named = portion.iter().map(PathBuf::as_path).zip(photos).collect();
            answers.extend(self.answer(named)?.into_iter().map(|(answer, _)| answer));
        }
        Ok(answers)
    }

    /// The answers for embeddings, in their order; each has one face.
    ///
    /// # Errors
    ///
    /// [`Error::Gallery`] where the index is damaged or of another dimension.
    pub fn embeddings(&self, named: Vec<(PathBuf, Embedding)>) -> Result<Vec<PhotoAnswer>> {
        let (names, probes): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let faces = self.faces(&probes)?;
        let answers = names.iter().zip(faces).map(|(name, face)| PhotoAnswer {
            faces: vec![face],
            expected_false_alarms: self.expected_false_alarms(1),
            ..self.empty(name)
        });
        Ok(answers.collect())
    }

    /// What an answer depends on, besides its photo: answers of searches with equal terms are
    /// equal.
    pub fn terms(&self) -> String {
        let learnt = self.calibration.as_ref().map(|stored| (stored.generation, stored.probes));
        format!(
            "{:?} {:?} calibrated {learnt:?} index {:016x}",
            self.options,
            self.threshold,
            self.gallery.fingerprint()
        )
    }

    /// The faces of photos, and their embeddings.
    fn probe(&self, paths: &[PathBuf]) -> Result<Vec<Result<PhotoProbe, VisionError>>> {
        // Opening the models takes as long as decoding a large photo, and leaves cores idle. Only a
        // file is read ahead: whoever has no models should not wait for a pipe.
        let mut first = None;
        let vision = rayon::in_place_scope(|scope| -> Result<&Vision> {
            let ahead = paths.first().filter(|path| !self.reader.has_vision() && path.is_file());
            if let Some(path) = ahead {
                let first = &mut first;
                scope.spawn(move |_| *first = Some((path, read_photo(path))));
            }
            self.reader.vision()
        })?;
        let first = Mutex::new(first);
        let load = |path: &PathBuf| {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            match first.take_if(|(of, _)| *of == path) {
                Some((_, photo)) => photo.map(Loaded::Decoded),
                None => {
                    drop(first);
                    let bytes = if self.listed { listed_photo(path) } else { photo_bytes(path) };
                    bytes.map(Loaded::File)
                }
            }
        };
        Ok(vision.pipeline().within(self.memory).probe_all(paths, load)?)
    }

    /// Searches for the faces of photos, all together. A photo that could not be used comes with
    /// its error.
    fn answer(
        &self,
        photos: Vec<(&Path, Result<PhotoProbe, VisionError>)>,
    ) -> Result<Vec<(PhotoAnswer, Option<VisionError>)>> {
        let mut probes = Vec::new();
        // The places of each photo's faces, and whether they have an embedding.
        let mut places = Vec::new();
        let mut answers = Vec::new();
        for (image, photo) in photos {
            let mut answer = self.empty(image);
            let (mut faces, mut failed) = (Vec::new(), None);
            match photo {
                Ok(photo) => {
                    answer.expected_false_alarms = self.expected_false_alarms(photo.faces.len());
                    for Probe { face, quality, embedding } in photo.faces {
                        faces.push((Place::new(&face, quality), embedding.is_some()));
                        probes.extend(embedding);
                    }
                }
                Err(error) => {
                    answer.error = Some(error.to_string());
                    failed = Some(error);
                }
            }
            answers.push((answer, failed));
            places.push(faces);
        }
        let mut found = self.faces(&probes)?.into_iter();
        for ((answer, _), places) in answers.iter_mut().zip(places) {
            for (place, has_embedding) in places {
                let searched = if has_embedding { found.next() } else { None };
                let face = searched.unwrap_or_else(|| FaceAnswer::nobody(self));
                answer.faces.push(FaceAnswer { place: Some(place), ..face });
            }
        }
        Ok(answers)
    }

    fn faces(&self, probes: &[Embedding]) -> Result<Vec<FaceAnswer>> {
        let start = Instant::now();
        let request = SearchRequest {
            among: self.among.as_ref(),
            ..SearchRequest::new(probes, self.options.k).effort(self.options.effort)
        };
        let judge = Judge { threshold: &self.threshold, crowd: self.crowd_rule() };
        let answers = identify(&*self.gallery, &request, judge)?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3 / probes.len().max(1) as f64;
        Ok(answers.iter().map(|answer| FaceAnswer::new(answer, milliseconds, self)).collect())
    }

    fn empty(&self, image: &Path) -> PhotoAnswer {
        PhotoAnswer {
            image: image.to_string_lossy().into_owned(),
            model: self.gallery.contract().model.clone(),
            threshold: self.threshold.l2(),
            expected_false_alarms: None,
            error: None,
            faces: Vec::new(),
        }
    }

    fn crowd_rule(&self) -> Option<CrowdRule<'_>> {
        let crowd = self.crowd.as_deref()?;
        Some(CrowdRule { crowd, rate: self.rate(), people: self.people })
    }

    fn rate(&self) -> f64 {
        self.options.rate.unwrap_or(RATE)
    }

    pub(crate) fn structure(&self) -> Option<Structure> {
        self.structure
    }

    /// How many faces may be found.
    pub(crate) fn allowed(&self) -> usize {
        self.among.as_ref().map_or(self.gallery.len(), RowSet::len)
    }

    /// The probability that the nearest identity, at `distance`, is the right one, if half of those
    /// asked about are enrolled; `None` without a calibration that knows.
    pub(crate) fn probability(&self, distance: f32) -> Option<f64> {
        self.calibration.as_ref()?.calibration.probability(distance.into(), ENROLLED)
    }

    /// How many of `faces` strangers would be given a name.
    fn expected_false_alarms(&self, faces: usize) -> Option<f64> {
        if self.crowd.is_some() {
            return Some(self.rate() * faces as f64);
        }
        let calibration = &self.calibration.as_ref()?.calibration;
        let threshold = f64::from(self.threshold.l2());
        Some(calibration.expected_false_alarms(threshold, self.people, faces))
    }
}

/// The threshold for a rate, rounded down to an `f32`, so that the rate is kept.
fn calibrated(stored: &Stored, fpir: f64, people: usize) -> Result<Threshold> {
    let exact = stored.calibration.threshold(fpir, people)?;
    let near = exact as f32;
    let l2 = if f64::from(near) > exact { near.next_down() } else { near };
    Threshold::new(l2, ThresholdSource::Calibrated { fpir })
        .ok_or_else(|| Error::index(format!("the calibration gives no threshold for {fpir}")))
}

/// The rows that pass; somebody who is asked for but not there is an error.
fn rows_of(filter: &Filter, gallery: &dyn Gallery) -> Result<RowSet> {
    let rows = filter.rows(gallery)?;
    let is_there = |label: &String| -> Option<IdentityIndex> { gallery.find_identity(label) };
    if let Some(nobody) = filter.within.iter().find(|label| is_there(label).is_none()) {
        let nobody = display_path(Path::new(nobody));
        return Err(Error::input(format!(
            "nobody in the index is called `{nobody}`; `facesearch export` lists the identities"
        )));
    }
    Ok(rows)
}
