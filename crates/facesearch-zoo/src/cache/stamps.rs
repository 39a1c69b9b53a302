//! Which files were found to be what, so that a model need not be hashed whenever it is used.
//!
//! A stamp is what the file system said of a file when it was hashed, and its SHA-256. Where it
//! says the same now, nobody has written to the file since. Stamps are a convenience: a list of
//! them that is damaged, or cannot be written, costs another hash.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Cache, staging};
use crate::{Digest, ZooError};

/// The list's name in the cache.
const NAME: &str = ".verified";

/// A list longer than this is not ours.
const LONGEST: u64 = 1 << 20;

/// A file written this shortly before it is hashed may be written again without any sign: clocks of
/// file systems tick as rarely as every two seconds (FAT).
const RACY: Duration = Duration::from_secs(2);

/// What the file system says of a file. Whoever writes to it changes the last of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stat {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// A file that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    sha256: Digest,
    /// As it was then; of a file that was just written, nothing is noted.
    stat: Stat,
}

/// Stamps by the files' paths in the cache.
type Stamps = BTreeMap<String, Stamp>;

impl Cache {
    /// Whether the file at `path`, in the cache, holds the bytes of this SHA-256. Hashes it unless
    /// that was done before and nobody has written to it since.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] where it cannot be read.
    pub(crate) fn holds(&self, path: &Path, sha256: Digest) -> Result<bool, ZooError> {
        let unread = || ZooError::io("read", path);
        let stat = Stat::of(&fs::metadata(path).map_err(unread())?);
        let name = self.name_of(path);
        let stamp = name.as_deref().and_then(|name| self.stamps().get(name).copied());
        if stamp == Some(Stamp { sha256, stat }) {
            return Ok(true);
        }
        let start = SystemTime::now();
        if Digest::of_file(path).map_err(unread())? != sha256 {
            return Ok(false);
        }
        if let Some(name) = name.filter(|_| stat.is_quiet(start)) {
            self.stamp(name, Stamp { sha256, stat });
        }
        Ok(true)
    }

    /// The SHA-256 of the file at `path`, as it was noted when the file was made; `None` where it
    /// was not.
    pub(crate) fn noted(&self, path: &Path) -> Option<Digest> {
        Some(self.stamps().get(&self.name_of(path)?)?.sha256)
    }

    /// Notes what a file is that was just made.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] where it cannot be read.
    pub(crate) fn note(&self, path: &Path) -> Result<(), ZooError> {
        let sha256 = Digest::of_file(path).map_err(ZooError::io("read", path))?;
        if let Some(name) = self.name_of(path) {
            self.stamp(name, Stamp { sha256, stat: Stat::default() });
        }
        Ok(())
    }

    /// The name of a file of the cache, unless it cannot stand in a line of text.
    fn name_of(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(self.dir()).ok()?.to_str()?;
        (!name.is_empty() && !name.contains('\n')).then(|| name.to_owned())
    }

    fn stamps(&self) -> Stamps {
        read(&self.dir().join(NAME)).unwrap_or_default()
    }

    fn stamp(&self, name: String, stamp: Stamp) {
        self.change(|stamps| {
            stamps.insert(name, stamp);
        });
    }

    /// Forgets what a file was.
    pub(super) fn forget(&self, path: &Path) {
        if let Some(name) = self.name_of(path) {
            self.change(|stamps| {
                stamps.remove(&name);
            });
        }
    }

    /// Changes the list. A change may be lost to another process that makes one at the same time.
    fn change(&self, change: impl FnOnce(&mut Stamps)) {
        let mut stamps = self.stamps();
        change(&mut stamps);
        stamps.retain(|name, _| self.dir().join(name).is_file());
        let write = || -> Result<(), ZooError> {
            let path = self.dir().join(NAME);
            let mut file = staging::new_file(self.dir())?;
            file.write_all(text(&stamps).as_bytes()).map_err(ZooError::io("write", &path))?;
            file.persist(&path).map(drop).map_err(|e| ZooError::io("write", &path)(e.error))
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "hashes are not noted; they are computed again next time");
        }
    }
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        let since_1970 = |time: io::Result<SystemTime>| {
            let since = time.ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            i128::try_from(since.as_nanos()).ok()
        };
        let modified_ns = since_1970(metadata.modified()).unwrap_or(0);
        let (device, inode, changed_ns) = identity(metadata);
        Self { device, inode, size: metadata.len(), modified_ns, changed_ns }
    }

    /// Whether nobody can have written to the file at `now` without changing this.
    fn is_quiet(&self, now: SystemTime) -> bool {
        let racy =
            now.checked_sub(RACY).and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        let racy = racy.and_then(|since| i128::try_from(since.as_nanos()).ok());
        racy.is_some_and(|racy| self.modified_ns < racy && self.changed_ns < racy)
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64, i128) {
    use std::os::unix::fs::MetadataExt;
    let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    (metadata.dev(), metadata.ino(), changed)
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64, i128) {
    (0, 0, 0)
}

/// A line for each file, and the SHA-256 of all lines.
fn text(stamps: &Stamps) -> String {
    let line = |(name, stamp): (&String, &Stamp)| {
        let Stamp { sha256, stat: Stat { device, inode, size, modified_ns, changed_ns } } = stamp;
        format!("{sha256} {device} {inode} {size} {modified_ns} {changed_ns} {name}\n")
    };
    let lines: String = stamps.iter().map(line).collect();
    format!("{lines}{}\n", Digest::of(lines.as_bytes()))
}

/// `None` where the list is not there or not as it was written.
fn read(path: &Path) -> Option<Stamps> {
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    let rest = text.strip_suffix('\n')?;
    let start = rest.rfind('\n').map_or(0, |end| end + 1);
    let (lines, sum) = rest.split_at(start);
    if sum.parse() != Ok(Digest::of(lines.as_bytes())) {
        return None;
    }
    let parse = |line: &str| {
        let mut parts = line.splitn(7, ' ');
        let sha256 = parts.next()?.parse().ok()?;
        let stat = Stat {
            device: parts.next()?.parse().ok()?,
            inode: parts.next()?.parse().ok()?,
            size: parts.next()?.parse().ok()?,
            modified_ns: parts.next()?.parse().ok()?,
            changed_ns: parts.next()?.parse().ok()?,
        };
        Some((parts.next()?.to_owned(), Stamp { sha256, stat }))
    };
    lines.lines().map(parse).collect()
}

#[cfg(test)]
mod tests;
