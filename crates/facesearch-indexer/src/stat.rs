//! What the file system says of a file, and when that is enough to leave it unread.

use std::fs::Metadata;
use std::time::{SystemTime, UNIX_EPOCH};

use facesearch_core::{FileEntry, FileStat};

/// A file changed this shortly before it was read may have changed again without any sign: clocks
/// of file systems tick as rarely as every two seconds (FAT).
const RACY_NS: i64 = 2_000_000_000;

/// The time now, nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    nanoseconds(SystemTime::now())
}

pub(crate) fn stat_of(metadata: &Metadata) -> FileStat {
    let modified_ns = metadata.modified().map_or(0, nanoseconds);
    let (changed_ns, inode) = inode_of(metadata);
    FileStat { size: metadata.len(), modified_ns, changed_ns, inode }
}

/// Whether a file that is `now` like this surely has the content of its ledger line.
pub(crate) fn is_unchanged(entry: &FileEntry, now: &FileStat) -> bool {
    let quiet = |time_ns: i64| time_ns < entry.read_ns.saturating_sub(RACY_NS);
    entry.content.is_some() && entry.stat == *now && quiet(now.modified_ns) && quiet(now.changed_ns)
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

#[cfg(unix)]
fn inode_of(metadata: &Metadata) -> (i64, u64) {
    use std::os::unix::fs::MetadataExt;
    let changed = metadata.ctime().saturating_mul(1_000_000_000);
    (changed.saturating_add(metadata.ctime_nsec()), metadata.ino())
}

#[cfg(not(unix))]
fn inode_of(_metadata: &Metadata) -> (i64, u64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use facesearch_core::{ContentHash, Outcome};

    use super::*;

    #[test]
    fn only_an_old_and_equal_stat_is_trusted() {
        const SECOND: i64 = 1_000_000_000;
        let stat = FileStat { size: 1, modified_ns: 0, changed_ns: 10 * SECOND, inode: 4 };
        let read_at = |read_ns| FileEntry {
            stat,
            read_ns,
            content: Some(ContentHash([0; 32])),
            outcome: Outcome::NoFace,
            keeps: None,
        };
        assert!(is_unchanged(&read_at(13 * SECOND), &stat));
        assert!(!is_unchanged(&read_at(12 * SECOND), &stat));
        assert!(!is_unchanged(&read_at(13 * SECOND), &FileStat { inode: 5, ..stat }));
        assert!(!is_unchanged(&read_at(13 * SECOND), &FileStat { size: 2, ..stat }));
        let unread = FileEntry { content: None, ..read_at(13 * SECOND) };
        assert!(!is_unchanged(&unread, &stat));
    }

    #[test]
    fn times_before_1970_are_negative() {
        assert_eq!(nanoseconds(UNIX_EPOCH - std::time::Duration::from_nanos(5)), -5);
    }
}
