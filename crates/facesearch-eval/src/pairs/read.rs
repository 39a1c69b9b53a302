//! Lists of labelled pairs: LFW's text form, and csv.

use std::io;

use super::Trial;
use crate::EvalError;

/// Two photos, and whether they show one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledPair {
    /// The first photo: a path relative to wherever the photos are.
    pub a: String,
    /// The second photo.
    pub b: String,
    /// Whether the two are one person.
    pub same: bool,
    /// The fold, from 0, where the list has folds.
    pub fold: Option<usize>,
}

/// Reads LFW's lists: `pairs.txt` (a first line `folds n`) and `pairsDevTest.txt` (a first line
/// `n`, one fold that is no fold). Each fold has `n` lines `name i j` of one person, then `n` lines
/// `name i name j` of two. Photo `i` of `Some_One` is `Some_One/Some_One_0001.jpg`.
///
/// The trap: names contain underscores, dots and hyphens but no white space, so fields are split at
/// any white space, and files that were re-saved with spaces for tabs still read.
///
/// # Errors
///
/// [`EvalError::Pairs`] with the line where the list is not of this form, or ends early.
pub fn read_lfw(text: &str) -> Result<Vec<LabelledPair>, EvalError> {
    let mut lines = (1..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.split_whitespace().collect::<Vec<_>>()))
        .filter(|(_, fields)| !fields.is_empty());
    let (line, header) = lines.next().ok_or_else(|| bad(1, "the list is empty"))?;
    let counts: Vec<usize> = header.iter().filter_map(|field| field.parse().ok()).collect();
    let (folds, each) = match (header.len(), &counts[..]) {
        (1, [each]) => (None, *each),
        (2, [folds, each]) => (Some(*folds), *each),
        _ => return Err(bad(line, "the first line must be `n` or `folds n`")),
    };
    let mut pairs: Vec<LabelledPair> = Vec::new();
    let mut last = line;
    for (line, fields) in lines {
        last = line;
        let place = pairs.len() / each.max(1);
        let (fold, same) = (place / 2, place.is_multiple_of(2));
        if each == 0 || fold >= folds.unwrap_or(1) {
            return Err(bad(line, "there are more lines than the first line says"));
        }
        let (a, b) = match (same, &fields[..]) {
            (true, [name, i, j]) => (photo(line, name, i)?, photo(line, name, j)?),
            (false, [one, i, other, j]) => (photo(line, one, i)?, photo(line, other, j)?),
            (true, _) => return Err(bad(line, "expected `name i j`")),
            (false, _) => return Err(bad(line, "expected `name i name j`")),
        };
        pairs.push(LabelledPair { a, b, same, fold: folds.map(|_| fold) });
    }
    let wanted = folds.unwrap_or(1).checked_mul(2).and_then(|halves| halves.checked_mul(each));
    if Some(pairs.len()) != wanted {
        return Err(bad(last, "there are fewer lines than the first line says"));
    }
    Ok(pairs)
}

fn photo(line: u64, name: &str, number: &str) -> Result<String, EvalError> {
    let number: u32 =
        number.parse().map_err(|_| bad(line, &format!("`{number}` is no photo's number")))?;
    Ok(format!("{name}/{name}_{number:04}.jpg"))
}

/// Reads a csv with the columns `a`, `b` and `same`, in any order, and optionally `fold`, from 0.
///
/// `same` is `1`, `true`, `yes` or `same`, or `0`, `false`, `no` or `different`, in any case.
///
/// # Errors
///
/// [`EvalError::Pairs`] with the line where a column is missing or a field cannot be read.
pub fn read_csv(csv: impl io::Read) -> Result<Vec<LabelledPair>, EvalError> {
    let table = Table::new(csv)?;
    let (a, b, same) = (table.needed("a")?, table.needed("b")?, table.needed("same")?);
    let fold = table.column("fold");
    let mut pairs = Vec::new();
    table.rows(|line, record| {
        pairs.push(LabelledPair {
            a: record[a].to_owned(),
            b: record[b].to_owned(),
            same: truth_in(line, &record[same])?,
            fold: fold.map(|fold| fold_in(line, &record[fold])).transpose()?,
        });
        Ok(())
    })?;
    Ok(pairs)
}

/// The names of the columns that [`read_distances`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The distance; empty or no number where a face was missing.
    pub distance: String,
    /// Whether the two are one person, as in [`read_csv`].
    pub same: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { distance: "distance".into(), same: "same".into() }
    }
}

/// Reads a csv of pairs that were measured already: one column with the distance, one with the
/// truth, and optionally `fold`, from 0. The second list has a fold for every pair, or is `None`.
///
/// # Errors
///
/// [`EvalError::Pairs`] with the line where a column is missing or a field cannot be read. A
/// negative distance is an error, for it is a similarity in disguise.
pub fn read_distances(
    csv: impl io::Read,
    columns: &Columns,
) -> Result<(Vec<Trial>, Option<Vec<usize>>), EvalError> {
    let table = Table::new(csv)?;
    let (distance, same) = (table.needed(&columns.distance)?, table.needed(&columns.same)?);
    let fold = table.column("fold");
    let (mut trials, mut folds) = (Vec::new(), Vec::new());
    table.rows(|line, record| {
        let measured: Option<f64> = record[distance].parse().ok();
        if let Some(negative) = measured.filter(|d| *d < 0.0) {
            return Err(bad(line, &format!("`{negative}` is below 0, so it is no distance")));
        }
        trials.push(Trial::new(measured, truth_in(line, &record[same])?));
        folds.extend(fold.map(|fold| fold_in(line, &record[fold])).transpose()?);
        Ok(())
    })?;
    Ok((trials, fold.map(|_| folds)))
}

/// Reads several distances of each pair from a csv: a row of numbers for each pair, `NaN` where one
/// is missing, then the truth, then the folds where there is a column `fold`.
///
/// # Errors
///
/// As [`read_distances`].
#[expect(clippy::type_complexity, reason = "three columns of a table, each told apart by its type")]
pub fn read_columns(
    csv: impl io::Read,
    distances: &[String],
    same: &str,
) -> Result<(Vec<Vec<f64>>, Vec<bool>, Option<Vec<usize>>), EvalError> {
    let table = Table::new(csv)?;
    let columns = distances.iter().map(|name| table.needed(name)).collect::<Result<Vec<_>, _>>()?;
    let same = table.needed(same)?;
    let fold = table.column("fold");
    let (mut rows, mut truth, mut folds) = (Vec::new(), Vec::new(), Vec::new());
    table.rows(|line, record| {
        let row = columns.iter().map(|column| record[*column].parse().unwrap_or(f64::NAN));
        let row: Vec<f64> = row.collect();
        if let Some(negative) = row.iter().find(|distance| **distance < 0.0) {
            return Err(bad(line, &format!("`{negative}` is below 0, so it is no distance")));
        }
        rows.push(row);
        truth.push(truth_in(line, &record[same])?);
        folds.extend(fold.map(|fold| fold_in(line, &record[fold])).transpose()?);
        Ok(())
    })?;
    Ok((rows, truth, fold.map(|_| folds)))
}

/// A csv with a header, fields trimmed.
struct Table<R> {
    reader: csv::Reader<R>,
    header: csv::StringRecord,
}

impl<R: io::Read> Table<R> {
    fn new(csv: R) -> Result<Self, EvalError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
        let header = reader.headers().map_err(|err| from_csv(&err))?.clone();
        Ok(Self { reader, header })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|head| head.eq_ignore_ascii_case(name))
    }

    fn needed(&self, name: &str) -> Result<usize, EvalError> {
        self.column(name).ok_or_else(|| bad(1, &format!("there is no column `{name}`")))
    }

    fn rows(
        mut self,
        mut row: impl FnMut(u64, &csv::StringRecord) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        for record in self.reader.records() {
            let record = record.map_err(|err| from_csv(&err))?;
            row(record.position().map_or(0, csv::Position::line), &record)?;
        }
        Ok(())
    }
}

fn from_csv(err: &csv::Error) -> EvalError {
    bad(err.position().map_or(1, csv::Position::line), &err.to_string())
}

fn truth_in(line: u64, field: &str) -> Result<bool, EvalError> {
    truth(field).ok_or_else(|| bad(line, &format!("`{field}` is neither yes nor no")))
}

fn fold_in(line: u64, field: &str) -> Result<usize, EvalError> {
    field.parse().map_err(|_| bad(line, &format!("`{field}` is no fold")))
}

fn truth(field: &str) -> Option<bool> {
    match field.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "same" => Some(true),
        "0" | "false" | "no" | "different" => Some(false),
        _ => None,
    }
}

fn bad(line: u64, what: &str) -> EvalError {
    EvalError::Pairs { line, what: what.to_owned() }
}
