//! A plain table as Parquet: named columns of text, whole numbers or floats.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::error::ExchangeError;

/// One place of a table. A column's places are all of one kind, or empty.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Whole(Option<i64>),
    /// A number.
    Number(Option<f64>),
}

/// Rows that are written together.
const PORTION: usize = 1 << 14;

/// Writes `rows` under `columns`, whose kinds are those of `kinds`, and returns once the file would
/// survive a power cut.
///
/// # Errors
///
/// [`ExchangeError`] where the file cannot be written, and what `rows` reports.
pub fn write_table<E: From<ExchangeError>>(
    path: &Path,
    columns: &[&str],
    kinds: &[Cell],
    rows: impl IntoIterator<Item = std::result::Result<Vec<Cell>, E>>,
) -> std::result::Result<(), E> {
    let unwritable = |why: parquet::errors::ParquetError| ExchangeError::Unwritable {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let file = File::create(path).map_err(ExchangeError::io("create", path))?;
    let mut writer = open(file, columns, kinds).map_err(unwritable)?;
    let mut portion = Vec::new();
    for row in rows {
        portion.push(row?);
        if portion.len() == PORTION {
            group(&mut writer, kinds, &portion).map_err(unwritable)?;
            portion.clear();
        }
    }
    if !portion.is_empty() {
        group(&mut writer, kinds, &portion).map_err(unwritable)?;
    }
    let file = writer.into_inner().map_err(unwritable)?;
    file.sync_all().map_err(ExchangeError::io("write", path))?;
    Ok(())
}

fn open(file: File, columns: &[&str], kinds: &[Cell]) -> Result<SerializedFileWriter<File>> {
    let fields = columns.iter().zip(kinds).map(|(name, kind)| match kind {
        Cell::Text(_) => format!("optional binary {name} (UTF8);"),
        Cell::Whole(_) => format!("optional int64 {name};"),
        Cell::Number(_) => format!("optional double {name};"),
    });
    let schema = format!("message table {{ {} }}", fields.collect::<String>());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(file, Arc::new(parse_message_type(&schema)?), Arc::new(properties))
}

fn group(
    writer: &mut SerializedFileWriter<File>,
    kinds: &[Cell],
    rows: &[Vec<Cell>],
) -> Result<()> {
    let mut group = writer.next_row_group()?;
    let mut at = 0;
    while let Some(mut column) = group.next_column()? {
        let cells = rows.iter().map(|row| &row[at]);
        let defs: Vec<i16> = cells.clone().map(|cell| i16::from(!cell.is_empty())).collect();
        match kinds[at] {
            Cell::Text(_) => {
                let texts: Vec<ByteArray> = cells.filter_map(Cell::text).collect();
                column.typed::<ByteArrayType>().write_batch(&texts, Some(&defs), None)?;
            }
            Cell::Whole(_) => {
                let numbers: Vec<i64> = cells.filter_map(Cell::whole).collect();
                column.typed::<Int64Type>().write_batch(&numbers, Some(&defs), None)?;
            }
            Cell::Number(_) => {
                let numbers: Vec<f64> = cells.filter_map(Cell::number).collect();
                column.typed::<DoubleType>().write_batch(&numbers, Some(&defs), None)?;
            }
        }
        column.close()?;
        at += 1;
    }
    group.close()?;
    Ok(())
}

impl Cell {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Whole(None) | Self::Number(None))
    }

    fn text(&self) -> Option<ByteArray> {
        match self {
            Self::Text(text) => text.as_deref().map(ByteArray::from),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => *number,
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => *number,
            _ => None,
        }
    }
}
