//! Parquet, through its columns.
//!
//! - **Read:** embeddings are a column of lists of numbers, or, where there is none, all columns of
//!   single floats in their order, as a data frame of numbers is written.
//! - **Written:** `id`, `identity`, `photo` and a list column `embedding`.
//! - **Memory:** a few thousand rows, and the pages they are in. What a file may take follows from
//!   its length (`pages.rs`), whatever it claims.

mod pages;

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use facesearch_core::catch_panic;

use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::SchemaDescriptor;

use self::pages::{Allowance, Pages, Use};
use crate::error::{ExchangeError, Place};
use crate::row::LONGEST_NAME;
use crate::{Columns, Row, Rows};

/// Rows that are read together, and the numbers that they may have.
const PORTION: usize = 4096;
const NUMBERS: usize = 1 << 22;

pub(crate) fn read(place: Place, columns: &Columns) -> Result<Rows, ExchangeError> {
    let io = |e| ExchangeError::io("open", &place.path)(e);
    let file = File::open(&place.path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let metadata = || ParquetMetaDataReader::new().parse_and_finish(&file);
    let metadata = caught(|| metadata().map_err(|e| e.to_string())).map_err(|e| place.bad(e))?;
    let file = Arc::new(file);
    let leaves = caught(|| Leaves::find(metadata.file_metadata().schema_descr(), columns));
    let leaves = leaves.map_err(|why| place.bad(why))?;
    let allowance = Arc::new(Allowance::new(length));
    let mut portions = (0..metadata.num_row_groups()).flat_map(move |group| {
        let opened =
            caught(|| Group::open((&file, metadata.row_group(group)), &leaves, &allowance));
        let mut over = false;
        let mut group = opened.map_err(Some);
        std::iter::from_fn(move || {
            if over {
                return None;
            }
            let portion = match &mut group {
                Ok(group) => caught(|| group.portion()).transpose(),
                Err(error) => error.take().map(Err),
            };
            over = !matches!(portion, Some(Ok(_)));
            portion
        })
    });
    let mut ready = Vec::new().into_iter();
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(row) = ready.next() {
                return Some(Ok(row));
            }
            match portions.next()? {
                Ok(rows) => ready = rows.into_iter(),
                Err(why) => return Some(Err(place.bad(why))),
            }
        }
    })))
}

/// Which leaf columns have what.
#[derive(Debug, Clone)]
struct Leaves {
    vectors: Vec<usize>,
    names: Option<usize>,
    identities: Option<usize>,
}

impl Leaves {
    fn find(schema: &SchemaDescriptor, columns: &Columns) -> Result<Self, String> {
        let leaves = schema.columns();
        let roots: Vec<String> = leaves.iter().map(|leaf| leaf.path().parts()[0].clone()).collect();
        let names = columns.names_of(&roots)?;
        let identities = columns.identities_of(&roots)?;
        let is_float = |leaf: &usize| {
            matches!(leaves[*leaf].physical_type(), Physical::FLOAT | Physical::DOUBLE)
        };
        let is_list = |leaf: &usize| is_float(leaf) && leaves[*leaf].max_rep_level() == 1;
        let chosen = columns.vectors_of(&roots)?;
        if let Some(leaf) = chosen.filter(|leaf| !is_list(leaf)) {
            return Err(format!("its column `{}` is no list of floats", roots[leaf]));
        }
        let list = chosen.or_else(|| (0..leaves.len()).find(|leaf| is_list(leaf)));
        let vectors = match list {
            Some(list) => vec![list],
            None => (0..leaves.len())
                .filter(|leaf| is_float(leaf) && leaves[*leaf].max_rep_level() == 0)
                .collect(),
        };
        if vectors.is_empty() {
            return Err("it has no column of floats, nor of lists of them".into());
        }
        Ok(Self { vectors, names, identities })
    }
}

/// The columns of one row group, as far as they were read.
struct Group {
    allowance: Arc<Allowance>,
    vectors: Vec<ColumnReader>,
    is_list: bool,
    /// Numbers of the last vector; of the first one nothing is known before it is read.
    dim: usize,
    names: Option<Column>,
    identities: Option<Column>,
    left: usize,
}

struct Column {
    reader: ColumnReader,
    /// The definition level of a value that is there.
    full: i16,
}

/// What `read` gives. The library panics on some damaged pages; that is an error like any other.
fn caught<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // What a panic leaves behind is not read any further: a file ends with its first error.
    catch_panic(AssertUnwindSafe(read)).flatten()
}

impl Group {
    fn open(
        (file, group): (&Arc<File>, &RowGroupMetaData),
        leaves: &Leaves,
        allowance: &Arc<Allowance>,
    ) -> Result<Self, String> {
        let rows = usize::try_from(group.num_rows()).map_err(|e| e.to_string())?;
        let schema = group.schema_descr_ptr();
        let reader = |leaf: usize, used_for: Use| {
            let meta = (group.column(leaf), rows);
            let pages = Pages::new(file, meta, used_for, allowance).map_err(|e| e.to_string())?;
            Ok::<_, String>(get_column_reader(schema.column(leaf), Box::new(pages)))
        };
        let column = |leaf: Option<usize>| -> Result<Option<Column>, String> {
            let Some(leaf) = leaf else { return Ok(None) };
            let full = schema.column(leaf).max_def_level();
            Ok(Some(Column { reader: reader(leaf, Use::Names)?, full }))
        };
        let is_list = schema.column(leaves.vectors[0]).max_rep_level() == 1;
        let vectors = leaves.vectors.iter().map(|leaf| reader(*leaf, Use::Vectors));
        Ok(Self {
            allowance: Arc::clone(allowance),
            vectors: vectors.collect::<Result<_, _>>()?,
            is_list,
            dim: if is_list { NUMBERS } else { leaves.vectors.len() },
            names: column(leaves.names)?,
            identities: column(leaves.identities)?,
            left: rows,
        })
    }

    /// The next rows; `None` at the end.
    fn portion(&mut self) -> Result<Option<Vec<Row>>, String> {
        let count = (NUMBERS / self.dim.max(1)).clamp(1, PORTION).min(self.left);
        if count == 0 {
            return Ok(None);
        }
        self.left -= count;
        let vectors = self.vectors(count)?;
        self.dim = vectors.last().map_or(1, Vec::len);
        let texts = |column: &mut Option<Column>| match column {
            Some(column) => texts(column, count),
            None => Ok(vec![None; count]),
        };
        let (names, identities) = (texts(&mut self.names)?, texts(&mut self.identities)?);
        let rows = vectors.into_iter().zip(names).zip(identities);
        let row = |((vector, name), identity)| Row { vector, id: None, name, identity };
        Ok(Some(rows.map(row).collect()))
    }

    fn vectors(&mut self, count: usize) -> Result<Vec<Vec<f32>>, String> {
        self.allowance.next_portion();
        if self.is_list {
            return match &mut self.vectors[0] {
                ColumnReader::FloatColumnReader(reader) => lists(reader, count, |x| x),
                ColumnReader::DoubleColumnReader(reader) => lists(reader, count, |x| x as f32),
                _ => Err("its vectors are no floats".into()),
            };
        }
        let mut vectors = vec![Vec::with_capacity(self.vectors.len()); count];
        for column in &mut self.vectors {
            self.allowance.next_portion();
            let numbers = match column {
                ColumnReader::FloatColumnReader(reader) => singles(reader, count, |x| x),
                ColumnReader::DoubleColumnReader(reader) => singles(reader, count, |x| x as f32),
                _ => Err("its vectors are no floats".into()),
            }?;
            vectors.iter_mut().zip(numbers).for_each(|(vector, number)| vector.push(number));
        }
        Ok(vectors)
    }
}

fn lists<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    number: impl Fn(T::T) -> f32,
) -> Result<Vec<Vec<f32>>, String> {
    let (mut defs, mut reps, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let read = reader.read_records(count, Some(&mut defs), Some(&mut reps), &mut values);
    let (records, ..) = read.map_err(|e| e.to_string())?;
    if records != count || values.len() != reps.len() {
        return Err("a list is missing, empty, or has an empty place".into());
    }
    let mut lists: Vec<Vec<f32>> = Vec::with_capacity(count);
    for (rep, value) in reps.into_iter().zip(values) {
        match lists.last_mut() {
            Some(list) if rep > 0 => list.push(number(value)),
            _ => lists.push(vec![number(value)]),
        }
    }
    Ok(lists)
}

fn singles<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    number: impl Fn(T::T) -> f32,
) -> Result<Vec<f32>, String> {
    let (mut defs, mut values) = (Vec::new(), Vec::new());
    let read = reader.read_records(count, Some(&mut defs), None, &mut values);
    read.map_err(|e| e.to_string())?;
    if values.len() != count {
        return Err("a number is missing".into());
    }
    Ok(values.into_iter().map(number).collect())
}

/// Text, or whole numbers as text.
fn texts(column: &mut Column, count: usize) -> Result<Vec<Option<String>>, String> {
    (0..count).map(|_| text(column)).collect()
}

/// One of them. A text may be made of the one before it, so that a few bytes stand for many long
/// ones: they are taken one by one.
fn text(column: &mut Column) -> Result<Option<String>, String> {
    let full = column.full;
    match &mut column.reader {
        ColumnReader::ByteArrayColumnReader(reader) => optional(reader, full, |text| {
            if text.len() > LONGEST_NAME {
                let length = text.len();
                return Err(format!("a name of {length} bytes; at most {LONGEST_NAME} are read"));
            }
            text.as_utf8().map(str::to_owned).map_err(|e| e.to_string())
        }),
        ColumnReader::Int64ColumnReader(reader) => {
            optional(reader, full, |number| Ok(number.to_string()))
        }
        ColumnReader::Int32ColumnReader(reader) => {
            optional(reader, full, |number| Ok(number.to_string()))
        }
        _ => Err("its names or identities are neither text nor whole numbers".into()),
    }
}

fn optional<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    full: i16,
    text: impl Fn(&T::T) -> Result<String, String>,
) -> Result<Option<String>, String> {
    let (mut defs, mut values) = (Vec::new(), Vec::new());
    let read = reader.read_records(1, Some(&mut defs), None, &mut values);
    let (records, ..) = read.map_err(|e| e.to_string())?;
    if records != 1 {
        return Err("a column is too short".into());
    }
    if full > 0 && defs.first() != Some(&full) {
        return Ok(None);
    }
    values.first().map(text).transpose()
}

pub(crate) use write::ParquetWriter;

mod write {
    use super::Arc;
    use std::io::Write;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
    use parquet::errors::Result;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::ColumnPath;

    use crate::Row;

    const SCHEMA: &str = "message faces {
        optional int64 id;
        optional binary identity (UTF8);
        optional binary photo (UTF8);
        required group embedding (LIST) { repeated group list { required float element; } }
    }";

    /// Numbers that make a row group.
    const GROUP: usize = 1 << 22;

    /// A file being written.
    pub(crate) struct ParquetWriter<W: Write + Send> {
        file: SerializedFileWriter<W>,
        rows: Vec<Row>,
        numbers: usize,
    }

    impl<W: Write + Send> ParquetWriter<W> {
        pub(crate) fn new(to: W) -> Result<Self> {
            let schema = Arc::new(parse_message_type(SCHEMA)?);
            let path = ["embedding", "list", "element"].map(String::from).to_vec();
            // Numbers of embeddings do not repeat, so neither a dictionary nor compression helps.
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_column_compression(ColumnPath::new(path.clone()), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(ColumnPath::new(path), false)
                .build();
            let file = SerializedFileWriter::new(to, schema, Arc::new(properties))?;
            Ok(Self { file, rows: Vec::new(), numbers: 0 })
        }

        pub(crate) fn push(&mut self, row: Row) -> Result<()> {
            self.numbers += row.vector.len();
            self.rows.push(row);
            if self.numbers >= GROUP { self.group() } else { Ok(()) }
        }

        fn group(&mut self) -> Result<()> {
            let rows = std::mem::take(&mut self.rows);
            self.numbers = 0;
            let mut group = self.file.next_row_group()?;
            let texts = |text: fn(&Row) -> Option<&String>| {
                let texts = rows.iter().filter_map(text).map(|t| ByteArray::from(t.as_str()));
                let defs = rows.iter().map(|row| i16::from(text(row).is_some()));
                (texts.collect::<Vec<_>>(), defs.collect::<Vec<_>>())
            };
            if let Some(mut column) = group.next_column()? {
                let ids: Vec<i64> =
                    rows.iter().filter_map(|row| row.id).map(|id| id as i64).collect();
                let defs: Vec<i16> = rows.iter().map(|row| i16::from(row.id.is_some())).collect();
                column.typed::<Int64Type>().write_batch(&ids, Some(&defs), None)?;
                column.close()?;
            }
            for (texts, defs) in
                [texts(|row| row.identity.as_ref()), texts(|row| row.name.as_ref())]
            {
                if let Some(mut column) = group.next_column()? {
                    column.typed::<ByteArrayType>().write_batch(&texts, Some(&defs), None)?;
                    column.close()?;
                }
            }
            if let Some(mut column) = group.next_column()? {
                let numbers = rows.iter().flat_map(|row| row.vector.iter().copied());
                let reps =
                    rows.iter().flat_map(|row| (0..row.vector.len()).map(|i| i16::from(i > 0)));
                let (numbers, reps): (Vec<f32>, Vec<i16>) = numbers.zip(reps).unzip();
                let defs = vec![1; numbers.len()];
                column.typed::<FloatType>().write_batch(&numbers, Some(&defs), Some(&reps))?;
                column.close()?;
            }
            group.close()?;
            Ok(())
        }

        pub(crate) fn finish(mut self) -> Result<W> {
            if !self.rows.is_empty() {
                self.group()?;
            }
            self.file.into_inner()
        }
    }
}
