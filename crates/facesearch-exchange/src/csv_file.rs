//! CSV: one line a vector. Where the first line has a word in it, it names the columns: those that
//! are called as names and identities are, are those, and all others are the numbers.

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
    let beside = [names, identities, id];
    let rows = records.enumerate().skip(skip).map(move |(line, record)| {
        let record = record.map_err(|e| place.bad(e))?;
        let text = |column: Option<usize>| {
            column.and_then(|i| record.get(i)).filter(|cell| !cell.is_empty()).map(str::to_owned)
        };
        let cells = record.iter().enumerate().filter(|(i, _)| !beside.contains(&Some(*i)));
        let numbers = cells.map(|(_, cell)| {
            let why = || place.bad(format!("line {}: `{cell}` is not a number", line + 1));
            number(cell).ok_or_else(why)
        });
        Ok(Row {
            vector: numbers.collect::<Result<_, ExchangeError>>()?,
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

pub(crate) fn write_head(to: &mut csv::Writer<impl Write>, dim: usize) -> csv::Result<()> {
    let numbers = (0..dim).map(|i| i.to_string());
    to.write_record(HEAD.into_iter().map(String::from).chain(numbers))
}

pub(crate) fn write(to: &mut csv::Writer<impl Write>, row: &Row) -> csv::Result<()> {
    let id = row.id.map(|id| id.to_string()).unwrap_or_default();
    to.write_field(id)?;
    to.write_field(row.identity.as_deref().unwrap_or_default())?;
    to.write_field(row.name.as_deref().unwrap_or_default())?;
    for number in &row.vector {
        to.write_field(number.to_string())?;
    }
    to.write_record(None::<&[u8]>)
}
