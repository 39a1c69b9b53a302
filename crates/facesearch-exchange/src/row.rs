//! A vector with what stands beside it, and the reading of any file of them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{ExchangeError, Place};
use crate::{Format, csv_file, fvecs, npy, npz, parquet_file, representations};

/// Numbers that a vector may have at most. What claims more is damaged or made to do harm.
pub(crate) const LONGEST: usize = 1 << 20;

/// Bytes that a name or a label may have at most, for the same reason.
pub(crate) const LONGEST_NAME: usize = 1 << 14;

/// One embedding of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Its numbers, as they are in the file: neither scaled nor checked.
    pub vector: Vec<f32>,
    /// The number it had in an index, where the file keeps one.
    pub id: Option<u64>,
    /// What it is called: the path of its photo, or any other name.
    pub name: Option<String>,
    /// Who it is.
    pub identity: Option<String>,
}

/// The embeddings of a file, in its order.
pub type Rows = Box<dyn Iterator<Item = Result<Row, ExchangeError>> + Send>;

/// What the parts of a file with named parts are called; where a name is not given, the usual ones
/// are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The embeddings.
    pub vectors: Option<String>,
    /// What each is called.
    pub names: Option<String>,
    /// Who each is.
    pub identities: Option<String>,
}

impl Columns {
    const VECTORS: [&str; 4] = ["embedding", "embeddings", "vector", "vectors"];
    const NAMES: [&str; 6] = ["photo", "name", "names", "path", "ids", "id"];
    const IDENTITIES: [&str; 5] = ["identity", "identities", "label", "labels", "person"];

    /// Which of `there` has the vectors.
    pub(crate) fn vectors_of(&self, there: &[String]) -> Result<Option<usize>, String> {
        pick(&self.vectors, &Self::VECTORS, there)
    }

    /// Which of `there` has the names.
    pub(crate) fn names_of(&self, there: &[String]) -> Result<Option<usize>, String> {
        pick(&self.names, &Self::NAMES, there)
    }

    /// Which of `there` has the identities.
    pub(crate) fn identities_of(&self, there: &[String]) -> Result<Option<usize>, String> {
        pick(&self.identities, &Self::IDENTITIES, there)
    }
}

fn pick(
    wanted: &Option<String>,
    usual: &[&str],
    there: &[String],
) -> Result<Option<usize>, String> {
    let find = |name: &str| there.iter().position(|other| other == name);
    match wanted {
        None => Ok(usual.iter().find_map(|name| find(name))),
        Some(name) => match find(name) {
            Some(place) => Ok(Some(place)),
            None => Err(format!("it has no `{name}`, but {}", quoted(there))),
        },
    }
}

fn quoted(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > shown.len() { " and more" } else { "" };
    if shown.is_empty() { "nothing".into() } else { shown.join(", ") + more }
}

/// Opens a file of embeddings. What is wrong with a row is told when the row comes.
///
/// - **Limits:** vectors of 1,048,576 numbers, names of 16,384 bytes. Memory is bounded by that and
///   by the length of the file, whatever sizes the file claims.
///
/// # Errors
///
/// [`ExchangeError`] where the file cannot be opened or is not what `format` says.
pub fn read(path: &Path, format: Format, columns: &Columns) -> Result<Rows, ExchangeError> {
    let place = Place { path: path.to_owned(), format: format.name() };
    let rows = match format {
        Format::Npy => npy::read(open(path)?, place.clone())?.1,
        Format::Npz => npz::read(place.clone(), columns)?,
        Format::Parquet => parquet_file::read(place.clone(), columns)?,
        Format::Fvecs => fvecs::read(open(path)?, place.clone())?,
        Format::Csv => csv_file::read(open(path)?, place.clone(), columns)?,
        Format::Pickle => representations::read(place.clone())?,
    };
    Ok(bounded(rows, place))
}

/// The same rows, up to the first that is longer than any may be.
fn bounded(rows: Rows, place: Place) -> Rows {
    Box::new((0u64..).zip(rows).map(move |(i, row)| {
        let row = row?;
        if row.vector.len() > LONGEST {
            let why = format!("vector {i} has {} numbers, at most {LONGEST}", row.vector.len());
            return Err(place.bad(why));
        }
        for text in [&row.name, &row.identity].into_iter().flatten() {
            check_name(text, &place)?;
        }
        Ok(row)
    }))
}

fn check_name(text: &str, place: &Place) -> Result<(), ExchangeError> {
    if text.len() <= LONGEST_NAME {
        return Ok(());
    }
    Err(place.bad(format!("a name of {} bytes; at most {LONGEST_NAME} are read", text.len())))
}

/// Reads vectors that no names stand beside from a stream: NumPy's array if it begins as one, else
/// CSV.
///
/// # Errors
///
/// [`ExchangeError`] where it is neither.
pub fn read_one(stream: impl Read + Send + 'static, path: &Path) -> Result<Rows, ExchangeError> {
    let mut stream = BufReader::new(stream);
    let start = stream.fill_buf().map_err(ExchangeError::io("read", path))?;
    let format = if start.starts_with(b"\x93NUMPY") { Format::Npy } else { Format::Csv };
    let place = Place { path: path.to_owned(), format: format.name() };
    let rows = match format {
        Format::Npy => npy::read(stream, place.clone())?.1,
        _ => csv_file::read(stream, place.clone(), &Columns::default())?,
    };
    Ok(bounded(rows, place))
}

/// Reads a list of names: a NumPy array of text or numbers, or one name a line.
///
/// # Errors
///
/// [`ExchangeError`] where the file cannot be read as either, or a name has more than 16,384 bytes.
pub fn read_names(path: &Path) -> Result<Vec<String>, ExchangeError> {
    let mut stream = open(path)?;
    let start = stream.fill_buf().map_err(ExchangeError::io("read", path))?;
    if start.starts_with(b"\x93NUMPY") {
        let place = Place { path: path.to_owned(), format: Format::Npy.name() };
        return npy::texts(stream, place)?.1.collect();
    }
    let place = Place { path: path.to_owned(), format: "a list of names" };
    let mut names = Vec::new();
    loop {
        let mut name = String::new();
        let mut line = stream.by_ref().take(LONGEST_NAME as u64 + 2);
        if line.read_line(&mut name).map_err(|e| place.bad(e))? == 0 {
            return Ok(names);
        }
        let text = name.strip_suffix('\n').unwrap_or(&name);
        let text = text.strip_suffix('\r').unwrap_or(text);
        check_name(text, &place)?;
        names.push(text.to_owned());
    }
}

/// What texts stand for that belong to the rows of a file, one to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// What each row is called.
    Names,
    /// Who each is; nobody, where the text is empty.
    Identities,
}

/// Puts the texts of `file`, as [`read_names`] reads them, beside rows.
///
/// # Errors
///
/// [`ExchangeError`] where the file cannot be read; in place of a row, where there are more texts
/// than rows, or fewer, with both numbers.
pub fn read_beside(rows: Rows, file: &Path, what: Beside) -> Result<Rows, ExchangeError> {
    let texts = read_names(file)?;
    let place = Place { path: file.to_owned(), format: "a list of names" };
    Ok(beside(rows, texts, place, what))
}

pub(crate) fn beside(mut rows: Rows, texts: Vec<String>, place: Place, what: Beside) -> Rows {
    let total = texts.len();
    let mut texts = texts.into_iter();
    let mut vectors = 0u64;
    Box::new(std::iter::from_fn(move || {
        let uneven = |vectors: u64| {
            let what = match what {
                Beside::Names => "names",
                Beside::Identities => "identities",
            };
            place.bad(format!("it has {total} {what}, but there are {vectors} vectors"))
        };
        let (mut row, text) = match (rows.next(), texts.next()) {
            (Some(Ok(row)), Some(text)) => (row, text),
            (None, None) => return None,
            (None, Some(_)) => return Some(Err(uneven(vectors))),
            (Some(Ok(_)), None) => {
                let more = rows.by_ref().map_while(Result::ok).count() as u64;
                return Some(Err(uneven(vectors + 1 + more)));
            }
            (error, _) => return error,
        };
        vectors += 1;
        match what {
            Beside::Names => row.name = Some(text),
            Beside::Identities => row.identity = Some(text).filter(|label| !label.is_empty()),
        }
        Some(Ok(row))
    }))
}

pub(crate) fn open(path: &Path) -> Result<BufReader<File>, ExchangeError> {
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}
