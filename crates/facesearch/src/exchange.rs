//! Embeddings to and from the files of other programs.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use facesearch_core::{Contract, Embedding, Gallery, Metric, Row, display_path};
use facesearch_exchange::{
    Beside, Columns, ExchangeError, Format, Row as FileRow, Rows, Writer, read, read_beside,
    read_one,
};
use serde::Serialize;

use crate::engine::{Engine, STORE};
use crate::error::{Error, Result};
use crate::imported::{IMPORTED, Imported, Newcomer, is_imported};
use crate::reader::Reader;

/// How a file of embeddings is imported.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportOptions {
    /// Which array or column has the embeddings; `None` for the usual name, or the only one.
    pub column: Option<String>,
    /// What each is called: a column or array, or a file with a name a line (or .npy).
    pub ids: Option<String>,
    /// Who each is: a column or array, or a file with a name a line (or .npy).
    pub identities: Option<String>,
    /// What the embeddings' model is called; `None` for the index's, or `imported`.
    pub model: Option<String>,
    /// How they are compared; `None` for the index's, or normalised L2.
    pub metric: Option<Metric>,
    /// Largest distance of one person, L2; `None` for the index's.
    pub threshold: Option<f32>,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportReport {
    /// Embeddings that came.
    pub imported: u64,
    /// Embeddings of the file that the index had already, by name, identity and numbers.
    pub present: u64,
    /// Faces in the index now.
    pub faces: u64,
    /// The publication that shows them.
    pub generation: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Embeddings of a file, each with a name.
pub type NamedEmbeddings = Box<dyn Iterator<Item = Result<(PathBuf, Embedding)>> + Send>;

impl Engine {
    /// Takes embeddings from a file into the index of imported vectors in `dir`, made where there
    /// is none. Either all of a file is taken or nothing; what the index has already, by name,
    /// identity and numbers, is not taken again.
    ///
    /// # Errors
    ///
    /// [`Error::Exchange`] or [`Error::Input`] where the file cannot be used, [`Error::Index`]
    /// where the index holds photos' faces or other vectors.
    pub fn import(dir: &Path, file: &Path, options: &ImportOptions) -> Result<ImportReport> {
        let start = Instant::now();
        let name = display_path(file);
        let mut rows = rows(file, options)?.peekable();
        let dimension = match rows.peek() {
            Some(Ok(row)) => row.vector.len(),
            Some(Err(_)) => 0,
            None => {
                let what = format!("{name} holds no embeddings; nothing is imported");
                return Err(Error::input(what));
            }
        };
        if dimension == 0
            && let Some(row) = rows.next()
        {
            row?;
            return Err(Error::input(format!("the first vector of {name} has no numbers")));
        }
        refuse_store(dir)?;
        let index = Imported::open(dir)?;
        let contract = contract(file, options, dir, &index, dimension)?;
        let report = take(rows, file, &index, &contract)?;
        Ok(ImportReport { seconds: start.elapsed().as_secs_f64(), ..report })
    }
}

/// Publishes those rows that the index does not have; nothing, where it has all of them.
///
/// So a run that died at any moment, also just after it had published, can be repeated.
fn take(
    rows: impl Iterator<Item = Result<FileRow, ExchangeError>>,
    file: &Path,
    index: &Imported,
    contract: &Contract,
) -> Result<ImportReport> {
    // The name of a row without one is the same wherever the import is started.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (imported, present) = (Cell::new(0), Cell::new(0));
    let mut known = index.present();
    let rows = (0u64..).zip(rows).map(|(i, row)| newcomer(i, row?, &file, contract));
    let mut comers = rows
        .filter(|row| {
            let is_known = row.as_ref().is_ok_and(|row| known.take(row));
            let counted = if is_known { &present } else { &imported };
            counted.set(counted.get() + 1);
            !is_known
        })
        .peekable();
    let (faces, generation) = match index.standing() {
        Some(standing) if comers.peek().is_none() && standing.contract() == contract => {
            (standing.len() as u64, standing.generation())
        }
        _ => {
            let published = index.publish(contract, true, |_, _| true, comers)?;
            (published.faces, published.generation)
        }
    };
    let (imported, present) = (imported.get(), present.get());
    Ok(ImportReport { imported, present, faces, generation, seconds: 0.0 })
}

impl Reader {
    /// Writes all embeddings to a file, whose ending names the form; gives how many there are.
    ///
    /// `.npz`, `.parquet` and `.csv` have the face's number, its identity and its photo beside each
    /// embedding; `.npy` and `.fvecs` have the embeddings alone, in the same order.
    ///
    /// # Errors
    ///
    /// [`Error::Exchange`] where the file cannot be written, [`Error::Gallery`] where the index is
    /// missing or damaged.
    pub fn export(&self, file: &Path) -> Result<u64> {
        let format = Format::of(file)?;
        let gallery = self.published()?;
        gallery.verify()?;
        let dimension = gallery.contract().dimension as usize;
        let mut writer = Writer::create(file, format, dimension, gallery.len() as u64)?;
        for row in (0..gallery.len() as u32).map(Row) {
            let face = gallery.face(row);
            writer.push(&FileRow {
                vector: gallery.vector(row).to_vec(),
                id: Some(face.id.0),
                name: Some(gallery.photo_path(face.photo).to_string_lossy().into_owned()),
                identity: face.identity.map(|identity| gallery.identity(identity).to_owned()),
            })?;
        }
        writer.finish()?;
        Ok(gallery.len() as u64)
    }

    /// The embeddings of a file, as the index compares them; `-` is NumPy or CSV on stdin. What is
    /// wrong with a row is told when the row comes.
    ///
    /// # Errors
    ///
    /// [`Error::Exchange`] where the file cannot be read, [`Error::Input`] where it is empty.
    pub fn embeddings_of(&self, file: &Path) -> Result<NamedEmbeddings> {
        let contract = self.contract()?;
        let rows = if file.as_os_str() == "-" {
            read_one(std::io::stdin(), file)?
        } else {
            read(file, Format::of(file)?, &Columns::default())?
        };
        let name = display_path(file);
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Err(Error::input(format!("{name} holds no embeddings")));
        }
        Ok(Box::new((0..).zip(rows).map(move |(i, row): (u64, _)| {
            let row = row?;
            let (got, wanted) = (row.vector.len(), contract.dimension);
            if got != wanted as usize {
                let model = &contract.model;
                return Err(Error::input(format!(
                    "vector {i} of {name} has {got} numbers, but the index holds vectors of \
                     {wanted}, made by `{model}`; make the probe with the same model"
                )));
            }
            let embedding = Embedding::new(row.vector, contract.metric)
                .map_err(|error| Error::input(format!("vector {i} of {name}: {error}")))?;
            Ok((row.name.unwrap_or_else(|| format!("{name}#{i}")).into(), embedding))
        })))
    }
}

/// An error where the index holds photos' faces: vectors from elsewhere do not go beside them.
fn refuse_store(index: &Path) -> Result<()> {
    if !facesearch_store::SledStore::is_at(&index.join(STORE)) {
        return Ok(());
    }
    let index = display_path(index);
    Err(Error::index(format!("{index} holds faces of photos; import into another `--index`")))
}

/// The rows of the file, with names and identities from files of their own where those were named.
fn rows(file: &Path, options: &ImportOptions) -> Result<Rows> {
    let is_file =
        |named: &Option<String>| named.as_ref().is_some_and(|name| Path::new(name).is_file());
    let column = |named: &Option<String>| named.clone().filter(|_| !is_file(named));
    let columns = Columns {
        vectors: options.column.clone(),
        names: column(&options.ids),
        identities: column(&options.identities),
    };
    let format = Format::of(file)?;
    if matches!(format, Format::Npy | Format::Fvecs | Format::Pickle) {
        let file = display_path(file);
        if let Some(missing) = columns.names.as_ref().or(columns.identities.as_ref()) {
            return Err(Error::input(format!(
                "{file} has no columns, and there is no file `{missing}` either"
            )));
        }
        if columns.vectors.is_some() {
            return Err(Error::usage(format!("{file} has no columns; leave --column out")));
        }
    }
    let mut rows = read(file, format, &columns)?;
    let beside = [(&options.ids, Beside::Names), (&options.identities, Beside::Identities)];
    for (named, what) in beside {
        let Some(file) = named.as_ref().filter(|_| is_file(named)) else { continue };
        rows = read_beside(rows, Path::new(file), what)?;
    }
    Ok(rows)
}

/// What the index is pinned to, or will be.
fn contract(
    file: &Path,
    options: &ImportOptions,
    dir: &Path,
    index: &Imported,
    dimension: usize,
) -> Result<Contract> {
    let asked = Contract {
        model: options.model.clone().unwrap_or_else(|| IMPORTED.into()),
        weights: String::new(),
        dimension: u32::try_from(dimension).map_err(|_| Error::input("a vector is too long"))?,
        metric: options.metric.unwrap_or(Metric::NormalisedL2),
        threshold: options.threshold,
        detector: IMPORTED.into(),
        min_face: 0,
        preprocessing: IMPORTED.into(),
        precision: "f32".into(),
    };
    let Some(pinned) = index.standing().map(|standing| standing.contract()) else {
        return Ok(asked);
    };
    let shown = display_path(dir);
    if !is_imported(pinned) {
        return Err(Error::index(format!(
            "{shown} holds faces of photos; import into another `--index`"
        )));
    }
    let wanted = Contract {
        model: options.model.clone().unwrap_or_else(|| pinned.model.clone()),
        metric: options.metric.unwrap_or(pinned.metric),
        ..asked
    };
    pinned.check(&wanted).map_err(|mismatch| {
        Error::index(format!(
            "{shown} cannot take {}: {mismatch}; import into another `--index`",
            display_path(file)
        ))
    })?;
    let threshold = options.threshold.or(pinned.threshold);
    Ok(Contract { threshold, ..pinned.clone() })
}

fn newcomer(i: u64, row: FileRow, file: &Path, contract: &Contract) -> Result<Newcomer> {
    let (got, wanted) = (row.vector.len(), contract.dimension as usize);
    let bad = |why: String| {
        let file = display_path(file);
        Error::input(format!("vector {i} of {file} {why}; nothing was imported"))
    };
    if got != wanted {
        return Err(bad(format!("has {got} numbers, those before it {wanted}")));
    }
    let embedding = Embedding::new(row.vector, contract.metric)
        .map_err(|error| bad(format!("cannot be taken: {error}")))?;
    Ok(Newcomer {
        vector: embedding.as_slice().to_vec(),
        name: row.name.unwrap_or_else(|| format!("{}#{i}", file.display())).into(),
        identity: row.identity,
    })
}

/// Writes embeddings to a file, whose ending names the form, a row each.
///
/// # Errors
///
/// [`Error::Exchange`] where the file cannot be written.
pub fn write_embeddings(file: &Path, dimension: usize, rows: Vec<Vec<f32>>) -> Result<()> {
    let mut writer = Writer::create(file, Format::of(file)?, dimension, rows.len() as u64)?;
    for vector in rows {
        writer.push(&FileRow { vector, ..FileRow::default() })?;
    }
    Ok(writer.finish()?)
}
