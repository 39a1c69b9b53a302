//! One file out of a package archive.
//!
//! Paths and sizes inside an archive are claims of whoever made it. The path asked for is compared
//! with them byte by byte and nothing is ever written where they say; what comes out goes to a
//! writer that the caller owns and bounds.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;

/// More than any source archive unpacks to; stops one that never ends.
const MAX_UNPACKED: u64 = 4 << 30;

/// Why an archive did not give the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("there is no file {0} in it")]
    NoMember(String),
    #[error("it is damaged ({0})")]
    Damaged(io::Error),
}

/// Copies the file called `member` to `out`.
///
/// Reads a wheel through its directory, a source archive up to the member: about a second for
/// 100 MB.
///
/// # Errors
///
/// [`ArchiveError::Damaged`] also for errors of `out`.
pub(crate) fn extract(
    archive: &Path,
    is_wheel: bool,
    member: &str,
    out: &mut dyn Write,
) -> Result<(), ArchiveError> {
    let file = BufReader::new(File::open(archive).map_err(ArchiveError::Damaged)?);
    if is_wheel { from_zip(file, member, out) } else { from_tar_gz(file, member, out) }
}

fn from_zip(file: BufReader<File>, member: &str, out: &mut dyn Write) -> Result<(), ArchiveError> {
    let damaged = |err: zip::result::ZipError| ArchiveError::Damaged(err.into());
    let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
    let Some(index) = archive.index_for_name(member) else {
        return Err(ArchiveError::NoMember(member.into()));
    };
    let mut entry = archive.by_index(index).map_err(damaged)?;
    if !entry.is_file() {
        return Err(ArchiveError::NoMember(member.into()));
    }
    io::copy(&mut entry, out).map_err(ArchiveError::Damaged)?;
    Ok(())
}

fn from_tar_gz(
    file: BufReader<File>,
    member: &str,
    out: &mut dyn Write,
) -> Result<(), ArchiveError> {
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(MAX_UNPACKED));
    for entry in archive.entries().map_err(ArchiveError::Damaged)? {
        let mut entry = entry.map_err(ArchiveError::Damaged)?;
        if entry.header().entry_type().is_file() && *entry.path_bytes() == *member.as_bytes() {
            io::copy(&mut entry, out).map_err(ArchiveError::Damaged)?;
            return Ok(());
        }
    }
    Err(ArchiveError::NoMember(member.into()))
}

#[cfg(test)]
mod tests;
