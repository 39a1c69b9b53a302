//! CSV: one line a vector. Where the first line has a word in it, it names the columns: those that
//! are called as names and identities are, are those, and all others are the numbers. A column that
//! is asked for by its name, or is called `embedding` and has a bracket in it, holds the whole
//! vector as a list such as `[0.1, 0.2]`, as pandas writes it.
//!
//! Text that a spreadsheet would take for a formula is guarded by an apostrophe when it is written
//! ([`guard_cell`]), which is taken off again when it is read.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{ExchangeError, Place};
use crate::{Columns, Row, Rows};

/// Bytes that a line may have at most: the numbers of the longest vector. A quote that is never
/// closed would make one line of the whole file.
const LONGEST_LINE: usize = 1 << 24;

/// Counts the bytes since the last whole line, and fails where they are too many.
struct Metered<R> {
    stream: R,
    since: Arc<AtomicUsize>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        if self.since.fetch_add(read, Ordering::Relaxed) + read > LONGEST_LINE {
            let why = format!("a line has more than {LONGEST_LINE} bytes");
            return Err(io::Error::other(why));
        }
        Ok(read)
    }
}

/// Columns of a file written here, before the numbers.
pub(crate) const HEAD: [&str; 3] = ["id", "identity", "photo"];

pub(crate) fn read(
    stream: impl Read + Send + 'static,
    place: Place,
    columns: &Columns,
) -> Result<Rows, ExchangeError> {
    let since = Arc::new(AtomicUsize::new(0));
    let stream = Metered { stream, since: Arc::clone(&since) };
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(stream);
    let records = reader.into_records().inspect(move |_| since.store(0, Ordering::Relaxed));
    let mut records = records.peekable();
    let is_head = |record: &csv::StringRecord| record.iter().any(|cell| number(cell).is_none());
    let head = match records.peek() {
        Some(Ok(record)) if is_head(record) => {
            record.iter().map(|cell| cell.trim().to_owned()).collect()
        }
        _ => Vec::new(),
    };
    let skip = usize::from(!head.is_empty());
    let names = columns.names_of(&head).map_err(|e| place.bad(e))?;
    let identities = columns.identities_of(&head).map_err(|e| place.bad(e))?;
    let id = head.iter().position(|name| name == "id");
    let vectors = columns.vectors_of(&head).map_err(|e| place.bad(e))?;
    let is_asked_for = columns.vectors.is_some();
    let beside = [names, identities, id];
    let rows = records.enumerate().skip(skip).map(move |(line, record)| {
        let record = record.map_err(|e| place.bad(e))?;
        let text = |column: Option<usize>| {
            let cell = column.and_then(|i| record.get(i)).filter(|cell| !cell.is_empty());
            cell.map(|cell| unguard_cell(cell).to_owned())
        };
        let vector = vectors.map(|i| record.get(i).unwrap_or_default().trim());
        let vector = vector.filter(|cell| is_asked_for || cell.starts_with('['));
        let numbers = match vector {
            Some(list) => numbers(items(list)),
            None => {
                let cells = record.iter().enumerate();
                numbers(cells.filter(|(i, _)| !beside.contains(&Some(*i))).map(|(_, cell)| cell))
            }
        };
        let not_a_number =
            |cell: String| place.bad(format!("line {}: `{cell}` is not a number", line + 1));
        Ok(Row {
            vector: numbers.map_err(not_a_number)?,
            id: text(id).and_then(|id| id.parse().ok()),
            name: text(names),
            identity: text(identities),
        })
    });
    Ok(Box::new(rows))
}

fn number(cell: &str) -> Option<f32> {
    cell.trim().parse().ok()
}

/// The numbers of some cells, or the first that is none, as short as an error message wants it.
fn numbers<'a>(cells: impl Iterator<Item = &'a str>) -> Result<Vec<f32>, String> {
    const SHOWN: usize = 40;
    let short = |cell: &str| -> String { cell.chars().take(SHOWN).collect() };
    cells.map(|cell| number(cell).ok_or_else(|| short(cell))).collect()
}

/// The items of a list in brackets; without brackets it is one all the same.
fn items(list: &str) -> impl Iterator<Item = &str> {
    let inside = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
    inside.split([',', ';', ' ', '\t', '\n']).filter(|item| !item.trim().is_empty())
}

/// A cell of text for CSV: what a spreadsheet would take for a formula, because it begins with `=`,
/// `+`, `-`, `@`, a tab or a line end, gets an apostrophe in front. So does what would look like
/// that after [`unguard_cell`], which gives every text back as it was.
pub fn guard_cell(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text of a cell that [`guard_cell`] wrote.
pub fn unguard_cell(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(cell)
}

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

pub(crate) fn write_head(to: &mut csv::Writer<impl Write>, dim: usize) -> csv::Result<()> {
    let numbers = (0..dim).map(|i| i.to_string());
    to.write_record(HEAD.into_iter().map(String::from).chain(numbers))
}

pub(crate) fn write(to: &mut csv::Writer<impl Write>, row: &Row) -> csv::Result<()> {
    let id = row.id.map(|id| id.to_string()).unwrap_or_default();
    to.write_field(id)?;
    to.write_field(&*guard_cell(row.identity.as_deref().unwrap_or_default()))?;
    to.write_field(&*guard_cell(row.name.as_deref().unwrap_or_default()))?;
    for number in &row.vector {
        to.write_field(number.to_string())?;
    }
    to.write_record(None::<&[u8]>)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_are_guarded_and_numbers_of_a_vector_are_not() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-rf.jpg", "'-rf.jpg"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("'=1", "''=1"),
            ("O'Hara", "O'Hara"),
            ("'x'", "'x'"),
            ("", ""),
        ] {
            assert_eq!(guard_cell(text), cell);
        }
        let mut file = csv::Writer::from_writer(Vec::new());
        let row = Row { vector: vec![-0.5], name: Some("=x".into()), ..Row::default() };
        write(&mut file, &row).unwrap();
        assert_eq!(file.into_inner().unwrap(), b",,'=x,-0.5\n");
    }

    proptest! {
        #[test]
        fn guarded_text_comes_back(text in "['=+@a\t\r\n-]{0,5}") {
            let cell = guard_cell(&text);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            prop_assert_eq!(unguard_cell(&cell), &text);
        }
    }
}
