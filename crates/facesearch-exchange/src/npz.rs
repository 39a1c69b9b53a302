//! NumPy archives: zip files of arrays. Arrays are read as streams side by side, whether they are
//! compressed or not.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use crate::error::{ExchangeError, Place};
use crate::npy::{self, Names};
use crate::row::open;
use crate::{Columns, Rows};

pub(crate) fn read(place: Place, columns: &Columns) -> Result<Rows, ExchangeError> {
    let mut archive = ZipArchive::new(open(&place.path)?).map_err(|e| place.bad(e))?;
    let members = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let members = members.collect::<Result<Vec<_>, _>>().map_err(|e| place.bad(e))?;
    let arrays: Vec<String> =
        members.iter().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect();
    let vectors = columns.vectors_of(&arrays).map_err(|e| place.bad(e))?;
    let vectors = match (vectors, &arrays[..]) {
        (Some(place), _) => &arrays[place],
        (None, [single]) => single,
        (None, _) => {
            let there = arrays.join("`, `");
            let why = format!("which of `{there}` has the vectors? name it with --column");
            return Err(place.bad(why));
        }
    };
    let (count, rows) = npy::read(member(&mut archive, vectors, &place)?, place.clone())?;
    let mut beside = |which: Result<Option<usize>, String>| -> Result<_, ExchangeError> {
        let Some(array) = which.map_err(|e| place.bad(e))? else { return Ok(None) };
        let array = &arrays[array];
        let (names, texts) = npy::texts(member(&mut archive, array, &place)?, place.clone())?;
        if names != count {
            let why = format!("`{array}` has {names} names, and there are {count} vectors");
            return Err(place.bad(why));
        }
        Ok(Some(texts))
    };
    let mut names = beside(columns.names_of(&arrays))?;
    let mut identities = beside(columns.identities_of(&arrays))?;
    Ok(Box::new(rows.map(move |row| {
        let mut row = row?;
        row.name = next(&mut names)?;
        row.identity = next(&mut identities)?.filter(|label| !label.is_empty());
        Ok(row)
    })))
}

fn next(texts: &mut Option<Names>) -> Result<Option<String>, ExchangeError> {
    texts.as_mut().and_then(Iterator::next).transpose()
}

/// A member as a stream of its own, which outlives the archive.
fn member(
    archive: &mut ZipArchive<impl Read + Seek>,
    array: &str,
    place: &Place,
) -> Result<Box<dyn Read + Send>, ExchangeError> {
    let entry = archive.by_name(&format!("{array}.npy")).map_err(|e| place.bad(e))?;
    let (method, packed) = (entry.compression(), entry.compressed_size());
    let start = entry.data_start().ok_or_else(|| place.bad("a member has no content"))?;
    let io = |e| ExchangeError::io("read", &place.path)(e);
    let mut file = File::open(&place.path).map_err(io)?;
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    let bytes = std::io::BufReader::with_capacity(1 << 20, file).take(packed);
    match method {
        CompressionMethod::Stored => Ok(Box::new(bytes)),
        CompressionMethod::Deflated => {
            let plain = flate2::bufread::DeflateDecoder::new(bytes);
            Ok(Box::new(std::io::BufReader::with_capacity(1 << 16, plain)))
        }
        other => Err(place.bad(format!("its members are compressed by {other}"))),
    }
}
