//! Which form a file has, as its name says.

use std::path::Path;

use crate::error::ExchangeError;

/// The form of a file of embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One NumPy array, `(rows, dimension)`.
    Npy,
    /// Named NumPy arrays.
    Npz,
    /// Apache Parquet: a column of lists, or one column for each number.
    Parquet,
    /// Each vector behind its length, as the TEXMEX data sets are written.
    Fvecs,
    /// Text: one line a vector.
    Csv,
    /// deepface's representations; read only.
    Pickle,
}

impl Format {
    /// The form that a file's ending names.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Unknown`] where it names none.
    pub fn of(path: &Path) -> Result<Self, ExchangeError> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        Ok(match &*ending {
            "npy" => Self::Npy,
            "npz" => Self::Npz,
            "parquet" | "pq" => Self::Parquet,
            "fvecs" => Self::Fvecs,
            "csv" => Self::Csv,
            "pkl" | "pickle" => Self::Pickle,
            _ => return Err(ExchangeError::Unknown { path: path.to_owned() }),
        })
    }

    /// As people call it, with its article.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Npy => "a NumPy array (.npy)",
            Self::Npz => "a NumPy archive (.npz)",
            Self::Parquet => "a Parquet file",
            Self::Fvecs => "an fvecs file",
            Self::Csv => "a CSV file",
            Self::Pickle => "a pickle of deepface's representations",
        }
    }
}
