//! Labelled faces that are in no index: photos in a folder for each person, or rows of a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use facesearch_core::{Embedding, Metric, Progress, display_path};
use facesearch_exchange::{Columns, Format, read};
use facesearch_indexer::PhotosBelow;
use facesearch_people::Faces;

use crate::error::{Error, Result};
use crate::vision::Vision;

/// Faces with names, all embedded alike.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedFaces {
    /// What made the embeddings, in words.
    pub model: String,
    /// How they are compared.
    pub metric: Metric,
    /// Each name with its face; `None` where there is none. Names ascending, each once.
    pub faces: Vec<(String, Option<Embedding>)>,
    /// The quality of each face, by its name, where it was measured.
    quality: HashMap<String, f32>,
    /// Photos that could not be read.
    pub unreadable: u64,
}

impl NamedFaces {
    /// Faces that were embedded elsewhere.
    pub fn new(model: String, metric: Metric, faces: Vec<(String, Embedding)>) -> Self {
        let faces = faces.into_iter().map(|(name, face)| (name, Some(face))).collect();
        Self { model, metric, faces, quality: HashMap::new(), unreadable: 0 }
    }

    /// How many photos gave no face.
    pub fn without_face(&self) -> usize {
        self.faces.iter().filter(|(_, face)| face.is_none()).count()
    }

    /// The faces with their people: the folder that a photo is in.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where a name has no folder, [`Error::People`] where embeddings differ in
    /// length.
    pub fn by_folder(&self) -> Result<Faces> {
        by_folder(self.faces.iter().filter_map(|(name, face)| Some((&**name, face.as_ref()?))))
    }

    /// The face of each name.
    pub fn by_name(&self) -> HashMap<&str, Option<&Embedding>> {
        self.faces.iter().map(|(name, face)| (&**name, face.as_ref())).collect()
    }

    /// The quality of a face; 0 where there is none, `None` where none was measured at all.
    pub fn quality(&self, name: &str) -> Option<f32> {
        (!self.quality.is_empty()).then(|| self.quality.get(name).copied().unwrap_or(0.0))
    }
}

impl Vision {
    /// The most prominent face of each photo, by its name below `root`.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] where the model broke.
    pub fn named_faces(
        &self,
        mut names: Vec<String>,
        root: &Path,
        progress: &dyn Progress,
    ) -> Result<NamedFaces> {
        names.sort_unstable();
        names.dedup();
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found = self.prominent_faces(&asked, root, progress)?;
        let contract = self.contract();
        let mut named = NamedFaces {
            model: format!("{}, faces by {}", contract.model, contract.detector),
            metric: contract.metric,
            faces: Vec::with_capacity(names.len()),
            quality: HashMap::new(),
            unreadable: 0,
        };
        for name in &names {
            let Some(face) = found.remove(name.as_str()) else { continue };
            named.unreadable += u64::from(face.unreadable);
            named.quality.extend(face.quality.map(|quality| (name.clone(), quality)));
            named.faces.push((name.clone(), face.embedding.ok()));
        }
        Ok(named)
    }
}

/// Every photo below a folder, by its path from there.
///
/// # Errors
///
/// [`Error::Input`] where there is none, or a name is not UTF-8.
pub fn photo_names(folder: &Path) -> Result<Vec<String>> {
    // Data sets are often made of links to the photos of another.
    let photos = photos_in(folder, true)?.photos;
    if photos.is_empty() {
        let what = if folder.is_dir() { "there is no photo in it" } else { "it is no folder" };
        return Err(Error::input(format!("{}: {what}", display_path(folder))));
    }
    let name = |path: &PathBuf| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        let text = below.to_str().map(str::to_owned);
        text.ok_or_else(|| {
            let path = display_path(path);
            Error::input(format!("the name of {path} is not UTF-8; rename it first"))
        })
    };
    photos.iter().map(name).collect()
}

/// Every photo below a folder, in the order of an indexing run. `follow_links`: whether to follow
/// symbolic links that lead out of the folder.
///
/// # Errors
///
/// [`Error::Read`] where the working directory is unknown.
pub fn photos_in(folder: &Path, follow_links: bool) -> Result<PhotosBelow> {
    facesearch_indexer::photos_below(folder, follow_links).map_err(Error::read(folder))
}

/// Faces with their people, by names such as `person/photo.jpg`.
///
/// # Errors
///
/// [`Error::Input`] where a name has no folder, [`Error::People`] where embeddings differ in
/// length.
pub fn by_folder<'a>(faces: impl IntoIterator<Item = (&'a str, &'a Embedding)>) -> Result<Faces> {
    let mut labelled = Vec::new();
    for (name, face) in faces {
        let person = Path::new(name).parent().and_then(Path::file_name);
        let person = person.and_then(|person| person.to_str()).ok_or_else(|| {
            Error::input(format!("`{name}` is in no person's folder; name it person/photo"))
        })?;
        labelled.push((person, face.as_slice()));
    }
    Ok(Faces::new(labelled)?)
}

/// The rows of a NumPy file (.npy) as embeddings, with their names, which stand one a line in
/// another.
///
/// # Errors
///
/// [`Error::Exchange`] where the file is no table of numbers, [`Error::Read`] where the names
/// cannot be read, [`Error::Input`] where there are more or fewer names than rows.
pub fn named_rows(file: &Path, names: &Path, metric: Metric) -> Result<Vec<(String, Embedding)>> {
    let shown = display_path(file);
    let bad = |what: String| Error::input(format!("{shown}: {what}"));
    let rows = read(file, Format::Npy, &Columns::default())?.collect::<Result<Vec<_>, _>>()?;
    let text = std::fs::read_to_string(names).map_err(Error::read(names))?;
    let names: Vec<&str> = text.lines().collect();
    if names.len() != rows.len() {
        let (rows, names) = (rows.len(), names.len());
        return Err(bad(format!("has {rows} rows, but there are {names} names")));
    }
    let named = names.into_iter().zip(rows).enumerate().map(|(number, (name, row))| {
        let face = Embedding::new(row.vector, metric);
        let face = face.map_err(|error| bad(format!("row {number} ({name}): {error}")))?;
        Ok((name.to_owned(), face))
    });
    named.collect()
}

/// The rows of a NumPy file (.npy) as embeddings.
///
/// # Errors
///
/// [`Error::Exchange`] where the file is no table of numbers, [`Error::Input`] where a row is no
/// embedding.
pub fn unnamed_rows(file: &Path, metric: Metric) -> Result<Vec<Embedding>> {
    let rows = read(file, Format::Npy, &Columns::default())?.enumerate().map(|(number, row)| {
        let face = Embedding::new(row?.vector, metric);
        face.map_err(|error| Error::input(format!("{}: row {number}: {error}", display_path(file))))
    });
    rows.collect()
}
