//! Embeddings to and from the files of other programs.
//!
//! [`read`] gives the vectors of a file one after another, with the names that stand beside them;
//! [`Writer`] makes such a file. Neither holds more than a few thousand vectors in memory, so a
//! file may be larger than the machine's. NumPy's formats, Parquet, fvecs and CSV go both ways;
//! deepface's `representations_*.pkl` are read as the data they are, and nothing in them is
//! executed.
//!
//! ```
//! use facesearch_exchange::{Columns, Format, Row, Writer, read};
//! # let dir = tempfile::tempdir()?;
//! let file = dir.path().join("two.npy");
//! let mut writer = Writer::create(&file, Format::Npy, 3, 2)?;
//! for vector in [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]] {
//!     writer.push(&Row { vector: vector.to_vec(), ..Row::default() })?;
//! }
//! writer.finish()?;
//! let rows = read(&file, Format::Npy, &Columns::default())?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(rows[1].vector, [4.0, 5.0, 6.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod csv_file;
mod error;
mod format;
mod fvecs;
mod npy;
mod npz;
mod parquet_file;
mod pickle;
mod representations;
mod row;
mod table;
mod writer;

pub use csv_file::{guard_cell, unguard_cell};
pub use error::ExchangeError;
pub use format::Format;
pub use row::{Beside, Columns, Row, Rows, read, read_beside, read_names, read_one};
pub use table::{Cell, Kind, write_table};
pub use writer::Writer;
