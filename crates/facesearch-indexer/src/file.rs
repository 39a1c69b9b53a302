//! Opening and reading files that somebody else may replace at any time.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use facesearch_core::ContentHash;

use crate::kind::{MAGIC, looks_like_photo};

/// A larger file is no photo, and does not fit into memory.
pub const MAX_PHOTO: u64 = 1 << 28;

/// The bytes of a photo's file, which must be a regular file of at most [`MAX_PHOTO`] bytes.
///
/// # Errors
///
/// Where the file cannot be read, is larger, or is something else, such as a pipe or a device.
/// A pipe without a writer is refused at once and not waited for.
pub fn read_photo(path: &Path) -> io::Result<Vec<u8>> {
    let (file, metadata) = open_file(path)?;
    let bytes = read_at_most(&file, metadata.len())?;
    bytes.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, too_large()))
}

/// Why a file is not read to its end.
pub(crate) fn too_large() -> String {
    format!("the file is larger than {} MiB", MAX_PHOTO >> 20)
}

/// Opens a regular file.
///
/// What a path leads to can change between a look and the opening. Without `O_NONBLOCK`, opening a
/// pipe waits until somebody writes to it, which may be never. Regular files do not heed the flag.
pub(crate) fn open_file(path: &Path) -> io::Result<(File, Metadata)> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_A_FILE))
    }
}

/// Why a pipe or a device is not read.
pub(crate) const NOT_A_FILE: &str = "it is neither a file nor a folder";

/// The hash of a file's content, and its bytes unless they are more than [`MAX_PHOTO`].
///
/// `None` where `stop` is set before the end: hashing a very large file takes minutes.
pub(crate) fn read_and_hash(
    path: &Path,
    stop: &AtomicBool,
) -> io::Result<Option<(ContentHash, Option<Vec<u8>>)>> {
    let (file, metadata) = open_file(path)?;
    let bytes = read_at_most(&file, metadata.len())?;
    let mut hasher = blake3::Hasher::new();
    if let Some(bytes) = bytes {
        hasher.update(&bytes);
        return Ok(Some((ContentHash(*hasher.finalize().as_bytes()), Some(bytes))));
    }
    // No further than to where it ended when it was opened: somebody may be writing it.
    let mut file = File::take(file, metadata.len());
    io::Seek::rewind(file.get_mut())?;
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        match file.read(&mut buffer)? {
            0 => return Ok(Some((ContentHash(*hasher.finalize().as_bytes()), None))),
            read => hasher.update(&buffer[..read]),
        };
    }
    Ok(None)
}

/// Whether the file at `path` can be read and begins as photos do.
pub(crate) fn begins_like_photo(path: &Path) -> bool {
    let mut start = Vec::with_capacity(MAGIC);
    let read =
        open_file(path).and_then(|(file, _)| file.take(MAGIC as u64).read_to_end(&mut start));
    read.is_ok() && looks_like_photo(path, &start)
}

/// All bytes of `file`, which is about `length` bytes long, or `None` where they are too many.
fn read_at_most(file: &File, length: u64) -> io::Result<Option<Vec<u8>>> {
    if length > MAX_PHOTO {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize + 1)?;
    file.take(MAX_PHOTO + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_PHOTO).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_large_file_is_hashed_in_pieces_and_no_further_than_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        File::create(&path).unwrap().set_len(MAX_PHOTO + 1).unwrap();
        let (hash, bytes) = read_and_hash(&path, &AtomicBool::new(false)).unwrap().unwrap();
        assert!(bytes.is_none());
        let mut want = blake3::Hasher::new();
        want.update_reader(File::open(&path).unwrap()).unwrap();
        assert_eq!(hash.0, *want.finalize().as_bytes());
        assert!(read_and_hash(&path, &AtomicBool::new(true)).unwrap().is_none());
        assert!(read_photo(&path).unwrap_err().to_string().contains("larger than 256 MiB"));

        File::create(&path).unwrap().set_len(MAX_PHOTO).unwrap();
        let (_, bytes) = read_and_hash(&path, &AtomicBool::new(false)).unwrap().unwrap();
        assert_eq!(bytes.map(|bytes| bytes.len() as u64), Some(MAX_PHOTO));
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe.jpg");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&*pipe, Path::new("/dev/zero"), dir.path()] {
            let error = open_file(path).unwrap_err();
            assert_eq!(error.to_string(), NOT_A_FILE, "{}", path.display());
        }
    }
}
