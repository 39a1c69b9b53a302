//! A file on its way into the cache: bounded and hashed while it is written, named at the end.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::digest::HashingWriter;
use crate::{Artifact, Digest, ZooError};

/// What the names of files begin with that are not complete.
const PREFIX: &str = ".incoming-";

const HOUR: Duration = Duration::from_secs(3600);

/// Takes at most `limit` bytes; gone without a trace unless it is persisted.
#[derive(Debug)]
pub(super) struct Staging {
    out: HashingWriter<NamedTempFile>,
    length: u64,
    limit: u64,
    too_long: bool,
    /// An error of our own disk, which no other source can heal.
    disk: Option<io::Error>,
}

/// Why staged bytes are not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("what is there is larger than {0} bytes")]
    TooLong(u64),
    #[error("it has {found} bytes instead of {wanted}")]
    WrongSize { found: u64, wanted: u64 },
    #[error("its SHA-256 is {found} instead of {wanted}")]
    WrongContent { found: Digest, wanted: Digest },
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    Local(ZooError),
}

/// Complete bytes whose digest is known.
#[derive(Debug)]
pub(super) struct Staged {
    file: NamedTempFile,
    length: u64,
    pub(super) digest: Digest,
}

impl Staging {
    pub(super) fn new(dir: &Path, limit: u64) -> Result<Self, ZooError> {
        let file = new_file(dir)?;
        Ok(Self { out: HashingWriter::new(file), length: 0, limit, too_long: false, disk: None })
    }

    /// Runs `fill` and takes what it wrote; an error of our own disk is told from one of `fill`.
    pub(super) fn fill<E: std::fmt::Display>(
        mut self,
        dir: &Path,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Staged, Refusal> {
        let outcome = fill(&mut self);
        if let Some(err) = self.disk {
            return Err(Refusal::Local(ZooError::write("write into", dir)(err)));
        }
        if self.too_long {
            return Err(Refusal::TooLong(self.limit));
        }
        outcome.map_err(|err| Refusal::Unreadable(err.to_string()))?;
        let (file, digest) = self.out.finish();
        Ok(Staged { file, length: self.length, digest })
    }
}

impl Write for Staging {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.len() as u64 > self.limit - self.length {
            self.too_long = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match self.out.write(buf) {
            Ok(n) => {
                self.length += n as u64;
                Ok(n)
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Err(err),
            Err(err) => {
                self.disk = Some(io::Error::new(err.kind(), err.to_string()));
                Err(err)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Staged {
    /// Lets the bytes in under the artifact's name, if they are the artifact.
    pub(super) fn persist(self, artifact: &Artifact, path: &Path) -> Result<(), Refusal> {
        if self.length != artifact.size {
            return Err(Refusal::WrongSize { found: self.length, wanted: artifact.size });
        }
        if self.digest != artifact.sha256 {
            return Err(Refusal::WrongContent { found: self.digest, wanted: artifact.sha256 });
        }
        let write = |err| Refusal::Local(ZooError::write("write", path)(err));
        // Before the rename, or a power cut could leave the name with an empty file.
        self.file.as_file().sync_all().map_err(write)?;
        self.file.persist(path).map_err(|err| write(err.error))?;
        Ok(())
    }
}

/// A file that has no name in `dir` yet.
pub(super) fn new_file(dir: &Path) -> Result<NamedTempFile, ZooError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // As an ordinary new file, so that a shared cache stays readable for others.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(dir).map_err(ZooError::write("write into", dir))
}

/// Deletes what a process that was killed has left. For the holder of the lock only; but a file of
/// the last hour is spared, in case the file system knows no locks.
pub(super) fn sweep(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().map(|at| at.elapsed());
        let old = age.and_then(Result::ok).is_some_and(|age| age > HOUR);
        if ours && old && std::fs::remove_file(entry.path()).is_ok() {
            tracing::debug!(path = %entry.path().display(), "deleted an abandoned file");
        }
    }
}
