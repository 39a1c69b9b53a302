//! The table of photos: their paths, as raw bytes, because a file name need not be text.

use std::path::{Path, PathBuf};

use facesearch_core::{GalleryError, StoreError};

use super::Strings;
use crate::files::{DataFile, FileSeal, Header, Kind, Mapped};

/// The mapped table.
pub(crate) struct Photos {
    file: Mapped,
    paths: Strings,
}

impl Photos {
    pub(crate) fn new(file: Mapped) -> Result<Self, GalleryError> {
        let paths = Strings::layout(&file)?;
        if paths.end != file.bytes().len() || paths.count > u32::MAX as usize {
            return Err(file.corrupt("its size does not fit its number of photos"));
        }
        Ok(Self { file, paths })
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.count
    }

    pub(crate) fn file(&self) -> &Mapped {
        &self.file
    }

    pub(crate) fn check(&self, photo: u32) -> Result<(), GalleryError> {
        if photo as usize >= self.len() {
            return Err(self.file.corrupt("a face is in a photo that is not there"));
        }
        self.paths.check(&self.file, photo as usize)
    }

    /// The path of a photo. Panics where there is no such photo.
    pub(crate) fn path(&self, photo: u32) -> PathBuf {
        path_of(self.paths.get(&self.file, photo as usize))
    }
}

#[cfg(unix)]
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

#[cfg(not(unix))]
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    Path::new(&*String::from_utf8_lossy(bytes)).to_owned()
}

#[cfg(unix)]
pub(super) fn bytes_of(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().into()
}

#[cfg(not(unix))]
pub(super) fn bytes_of(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    path.to_string_lossy().into_owned().into_bytes().into()
}

/// The table being written; keeps eight bytes a photo in memory.
pub(crate) struct PhotosWriter {
    file: DataFile,
    offsets: Vec<u64>,
}

impl PhotosWriter {
    pub(crate) fn new(file: DataFile) -> Self {
        Self { file, offsets: vec![0] }
    }

    pub(crate) fn push(&mut self, path: &Path) -> Result<(), StoreError> {
        self.file.write(&bytes_of(path))?;
        self.offsets.push(self.file.len() - Header::LEN as u64);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<FileSeal, StoreError> {
        let extra = self.file.len() - Header::LEN as u64;
        self.file.align(8)?;
        for offset in &self.offsets {
            self.file.write(&offset.to_le_bytes())?;
        }
        let count = self.offsets.len() as u64 - 1;
        self.file.seal(Header { kind: Kind::Photos, count, extra })
    }
}
