//! A plain table as Parquet: named columns of text or numbers, any place of which may be empty.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use crate::error::ExchangeError;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in UTF-8.
    Text,
    /// Whole numbers of 64 bits.
    Whole,
    /// Numbers of 32 bits.
    Single,
    /// Numbers of 64 bits.
    Double,
}

/// One place of a table.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "see `Kind`")]
pub enum Cell {
    /// Nothing, in a column of any kind.
    Empty,
    Text(String),
    Whole(i64),
    Single(f32),
    Double(f64),
}

/// Rows that are written together.
const PORTION: usize = 1 << 14;

/// Writes `rows` under `columns`, and returns once the file would survive a power cut.
///
/// Some ten thousand rows are held at once. A name is one word of letters, digits and underscores.
/// Panics where a row has another number of cells than there are columns, or a cell is of another
/// kind than its column: that is a bug in the caller.
///
/// # Errors
///
/// [`ExchangeError::Write`] where the file cannot be written, and what `rows` reports.
pub fn write_table<E: From<ExchangeError>>(
    path: &Path,
    columns: &[(&str, Kind)],
    rows: impl IntoIterator<Item = std::result::Result<Vec<Cell>, E>>,
) -> std::result::Result<(), E> {
    let unwritable = |error: ParquetError| ExchangeError::write(path)(error);
    let file = File::create(path).map_err(ExchangeError::write(path))?;
    let mut writer = start(file, columns).map_err(unwritable)?;
    let mut portion = Vec::new();
    for row in rows {
        let row = row?;
        assert_eq!(row.len(), columns.len(), "a row has a cell for each column");
        portion.push(row);
        if portion.len() == PORTION {
            write_group(&mut writer, columns, &portion).map_err(unwritable)?;
            portion.clear();
        }
    }
    if !portion.is_empty() {
        write_group(&mut writer, columns, &portion).map_err(unwritable)?;
    }
    let file = writer.into_inner().map_err(unwritable)?;
    file.sync_all().map_err(ExchangeError::write(path))?;
    Ok(())
}

fn start(file: File, columns: &[(&str, Kind)]) -> Result<SerializedFileWriter<File>> {
    let fields = columns.iter().map(|(name, kind)| match kind {
        Kind::Text => format!("optional binary {name} (UTF8);"),
        Kind::Whole => format!("optional int64 {name};"),
        Kind::Single => format!("optional float {name};"),
        Kind::Double => format!("optional double {name};"),
    });
    let schema = format!("message table {{ {} }}", fields.collect::<String>());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(file, Arc::new(parse_message_type(&schema)?), Arc::new(properties))
}

fn write_group(
    writer: &mut SerializedFileWriter<File>,
    columns: &[(&str, Kind)],
    rows: &[Vec<Cell>],
) -> Result<()> {
    let mut group = writer.next_row_group()?;
    for (at, (name, kind)) in columns.iter().enumerate() {
        let Some(column) = group.next_column()? else { break };
        let cells = Cells { rows, at, name };
        match kind {
            Kind::Text => cells.write::<ByteArrayType>(column, |cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                _ => None,
            }),
            Kind::Whole => cells.write::<Int64Type>(column, |cell| match cell {
                Cell::Whole(number) => Some(*number),
                _ => None,
            }),
            Kind::Single => cells.write::<FloatType>(column, |cell| match cell {
                Cell::Single(number) => Some(*number),
                _ => None,
            }),
            Kind::Double => cells.write::<DoubleType>(column, |cell| match cell {
                Cell::Double(number) => Some(*number),
                _ => None,
            }),
        }?;
    }
    group.close()?;
    Ok(())
}

/// The cells of one column.
struct Cells<'a> {
    rows: &'a [Vec<Cell>],
    at: usize,
    name: &'a str,
}

impl Cells<'_> {
    fn write<T: DataType>(
        &self,
        mut column: SerializedColumnWriter<'_>,
        value: impl Fn(&Cell) -> Option<T::T>,
    ) -> Result<()> {
        let (mut values, mut defs) = (Vec::new(), Vec::with_capacity(self.rows.len()));
        for cell in self.rows.iter().map(|row| &row[self.at]) {
            let value = value(cell);
            assert!(value.is_some() || *cell == Cell::Empty, "{cell:?} in column {}", self.name);
            defs.push(i16::from(value.is_some()));
            values.extend(value);
        }
        column.typed::<T>().write_batch(&values, Some(&defs), None)?;
        column.close()
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: [(&str, Kind); 4] =
        [("a", Kind::Text), ("b", Kind::Whole), ("c", Kind::Single), ("d", Kind::Double)];

    /// A row of cells, and what a reader is to make of it.
    fn row() -> impl Strategy<Value = (Vec<Cell>, Vec<Field>)> {
        let text = proptest::option::of(".*");
        let (whole, single, double) =
            (any::<Option<i64>>(), any::<Option<f32>>(), any::<Option<f64>>());
        (text, whole, single, double).prop_map(|(a, b, c, d)| {
            let cells = vec![
                a.clone().map_or(Cell::Empty, Cell::Text),
                b.map_or(Cell::Empty, Cell::Whole),
                c.map_or(Cell::Empty, Cell::Single),
                d.map_or(Cell::Empty, Cell::Double),
            ];
            let fields = vec![
                a.map_or(Field::Null, Field::Str),
                b.map_or(Field::Null, Field::Long),
                c.map_or(Field::Null, Field::Float),
                d.map_or(Field::Null, Field::Double),
            ];
            (cells, fields)
        })
    }

    fn read(path: &Path) -> Vec<Vec<Field>> {
        let file = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows = file.get_row_iter(None).unwrap().map(|row| row.unwrap());
        rows.map(|row| row.get_column_iter().map(|(_, field)| field.clone()).collect()).collect()
    }

    fn write(path: &Path, rows: Vec<Vec<Cell>>) {
        let rows = rows.into_iter().map(Ok);
        write_table::<ExchangeError>(path, &COLUMNS, rows).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(row(), 0..20)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("table");
            let (cells, fields): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            write(&path, cells);
            let read = read(&path);
            // Not `==`: NaN is to come back, too.
            prop_assert_eq!(format!("{read:?}"), format!("{fields:?}"));
        }
    }

    #[test]
    fn rows_beyond_a_portion_are_in_the_next_group() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let row =
            |i: i64| vec![Cell::Text(format!("row {i}")), Cell::Whole(i), Cell::Empty, Cell::Empty];
        let rows = PORTION as i64 + 3;
        write(&path, (0..rows).map(row).collect());
        let read = read(&path);
        assert_eq!(read.len() as i64, rows);
        let last = &read[read.len() - 1];
        assert_eq!(last[..2], [Field::Str(format!("row {}", rows - 1)), Field::Long(rows - 1)]);
    }
}
