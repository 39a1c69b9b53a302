//! Writing a file of embeddings.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;

use crate::error::{BoxError, ExchangeError};
use crate::parquet_file::ParquetWriter;
use crate::{Format, Row, csv_file, fvecs};

/// A file being written. It has the name asked for once it is finished; until then the name has
/// `.partial` behind it.
pub struct Writer {
    path: PathBuf,
    partial: PathBuf,
    dim: usize,
    /// Rows that are still promised.
    left: u64,
    form: Form,
}

enum Form {
    Npy(BufWriter<File>),
    Npz(Box<NpzForm>),
    Fvecs(BufWriter<File>),
    Csv(Box<csv::Writer<File>>),
    Parquet(Box<ParquetWriter<File>>),
}

/// The vectors go to the archive at once; what stands beside them waits.
struct NpzForm {
    archive: zip::ZipWriter<FirstError>,
    ids: Vec<i64>,
    names: Vec<String>,
    identities: Vec<String>,
}

impl Writer {
    /// Starts a file of `rows` vectors of `dim` numbers.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Write`] where the file cannot be made, [`ExchangeError::ReadOnly`] where
    /// files of this format are only read.
    pub fn create(
        path: &Path,
        format: Format,
        dim: usize,
        rows: u64,
    ) -> Result<Self, ExchangeError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        if format == Format::Pickle {
            return Err(ExchangeError::ReadOnly { path: path.to_owned() });
        }
        let file = File::create(&partial).map_err(ExchangeError::write(&partial))?;
        let form = Form::start(file, format, dim, rows).map_err(ExchangeError::write(&partial))?;
        Ok(Self { path: path.to_owned(), partial, dim, left: rows, form })
    }

    /// Appends a row. Panics where its vector is of another length or more rows come than were
    /// announced: that is a bug in the caller.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Write`] where the disk refuses.
    pub fn push(&mut self, row: &Row) -> Result<(), ExchangeError> {
        assert_eq!(row.vector.len(), self.dim, "a vector of another length");
        self.left = self.left.checked_sub(1).expect("no more rows come than were announced");
        self.form.push(row).map_err(ExchangeError::write(&self.partial))
    }

    /// Completes the file and gives it its name; both would survive a power cut then.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Write`] where the disk refuses.
    pub fn finish(self) -> Result<(), ExchangeError> {
        assert_eq!(self.left, 0, "fewer rows came than were announced");
        let file = self.form.finish().map_err(ExchangeError::write(&self.partial))?;
        file.sync_all().map_err(ExchangeError::write(&self.partial))?;
        facesearch_disk::rename(&self.partial, &self.path).map_err(ExchangeError::write(&self.path))
    }
}

impl Form {
    fn start(file: File, format: Format, dim: usize, rows: u64) -> Result<Self, BoxError> {
        let buffered = |file| BufWriter::with_capacity(1 << 20, file);
        Ok(match format {
            Format::Npy => {
                let mut file = buffered(file);
                npy_head(&mut file, dim, rows)?;
                Self::Npy(file)
            }
            Format::Npz => {
                let mut archive = zip::ZipWriter::new(FirstError::new(buffered(file)));
                archive.start_file("embeddings.npy", stored())?;
                npy_head(&mut archive, dim, rows)?;
                let (ids, names, identities) = (Vec::new(), Vec::new(), Vec::new());
                Self::Npz(Box::new(NpzForm { archive, ids, names, identities }))
            }
            Format::Fvecs => Self::Fvecs(buffered(file)),
            Format::Csv => {
                let mut file = csv::Writer::from_writer(file);
                csv_file::write_head(&mut file, dim)?;
                Self::Csv(Box::new(file))
            }
            Format::Parquet => Self::Parquet(Box::new(ParquetWriter::new(file)?)),
            Format::Pickle => unreachable!("the caller refuses it"),
        })
    }

    fn push(&mut self, row: &Row) -> Result<(), BoxError> {
        match self {
            Self::Npy(file) => file.write_all(bytemuck::cast_slice(&row.vector))?,
            Self::Npz(form) => {
                form.ids.push(row.id.map_or(-1, |id| id as i64));
                form.names.push(row.name.clone().unwrap_or_default());
                form.identities.push(row.identity.clone().unwrap_or_default());
                form.archive.write_all(bytemuck::cast_slice(&row.vector))?;
            }
            Self::Fvecs(file) => fvecs::write(file, &row.vector)?,
            Self::Csv(file) => csv_file::write(file, row)?,
            Self::Parquet(file) => file.push(row.clone())?,
        }
        Ok(())
    }

    fn finish(self) -> Result<File, BoxError> {
        Ok(match self {
            Self::Npy(file) | Self::Fvecs(file) => {
                file.into_inner().map_err(io::IntoInnerError::into_error)?
            }
            Self::Npz(form) => form.finish()?,
            Self::Csv(file) => file.into_inner().map_err(|error| error.into_error())?,
            Self::Parquet(file) => file.finish()?,
        })
    }
}

impl NpzForm {
    fn finish(mut self) -> Result<File, BoxError> {
        self.archive.start_file("ids.npy", stored())?;
        head(&mut self.archive, "<i8", &format!("({},)", self.ids.len()))?;
        self.archive.write_all(bytemuck::cast_slice(&self.ids))?;
        for (name, texts) in [("names.npy", self.names), ("identities.npy", self.identities)] {
            self.archive.start_file(name, stored())?;
            write_texts(&mut self.archive, &texts)?;
        }
        let file = self.archive.finish()?.file;
        Ok(file.into_inner().map_err(io::IntoInnerError::into_error)?)
    }
}

/// A file that says once that it cannot be written, and from then on takes everything.
///
/// The library that writes archives completes one when it is dropped, also after an error, and
/// prints on stderr where that fails.
struct FirstError {
    file: BufWriter<File>,
    /// Where the next byte would be.
    at: u64,
    failed: bool,
}

impl FirstError {
    fn new(file: BufWriter<File>) -> Self {
        Self { file, at: 0, failed: false }
    }

    fn unless_failed<T>(
        &mut self,
        instead: T,
        run: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.failed {
            return Ok(instead);
        }
        let outcome = run(&mut self.file);
        self.failed = outcome.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::Interrupted);
        outcome
    }
}

impl Write for FirstError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.unless_failed(bytes.len(), |file| file.write(bytes))?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed((), BufWriter::flush)
    }
}

impl Seek for FirstError {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => place,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(_) => self.at,
        };
        self.at = self.unless_failed(place, |file| file.seek(to))?;
        Ok(self.at)
    }
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true)
}

/// NumPy's header for `(rows, dim)` little-endian `f32`, which then follow as they are.
fn npy_head(to: &mut impl Write, dim: usize, rows: u64) -> io::Result<()> {
    head(to, "<f4", &format!("({rows}, {dim})"))
}

/// Unicode text of a fixed width, as NumPy keeps it: UTF-32, zeros behind.
fn write_texts(to: &mut impl Write, texts: &[String]) -> io::Result<()> {
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    head(to, &format!("<U{width}"), &format!("({},)", texts.len()))?;
    let mut line = Vec::with_capacity(4 * width);
    for text in texts {
        line.clear();
        text.chars().for_each(|c| line.extend((c as u32).to_le_bytes()));
        line.resize(4 * width, 0);
        to.write_all(&line)?;
    }
    Ok(())
}

/// **Source:** NumPy's `numpy.lib.format`, version 1.0.
fn head(to: &mut impl Write, descr: &str, shape: &str) -> io::Result<()> {
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while !(10 + dict.len() + 1).is_multiple_of(64) {
        dict.push(' ');
    }
    dict.push('\n');
    to.write_all(b"\x93NUMPY\x01\x00")?;
    to.write_all(&(dict.len() as u16).to_le_bytes())?;
    to.write_all(dict.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_error_of_a_file_is_said() {
        // It is open for reading only, so that nothing can be written.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"x").unwrap();
        let file = BufWriter::with_capacity(4, File::open(path).unwrap());
        let mut file = FirstError::new(file);
        assert!(file.write_all(b"12345678").is_err());
        file.write_all(b"123").unwrap();
        assert_eq!(file.seek(SeekFrom::Start(1)).unwrap(), 1);
        file.write_all(b"23").unwrap();
        assert_eq!(file.stream_position().unwrap(), 3);
        file.flush().unwrap();
    }
}
