//! The first stage: walks, reads what may have changed, and hashes it.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use facesearch_core::{FaceFinder, FaceStore, FileStat, Outcome, StoreError};

use crate::claims::is_gone;
use crate::file::{MAX_PHOTO, NOT_A_FILE, begins_like_photo, read_and_hash, too_large};
use crate::item::{Item, Reading, Seen};
use crate::kind::is_named_like_photo;
use crate::queue::Queue;
use crate::roots::Roots;
use crate::stat::{is_unchanged, now_ns, stat_of};
use crate::walk::{Met, Scope, Walk};

/// What the first stage needs to know.
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a dyn FaceStore,
    pub(crate) roots: &'a Roots,
    pub(crate) scope: Scope<'a>,
    pub(crate) rehash: bool,
    /// Whether photos are looked at that somebody had taken out with all people in them.
    pub(crate) readmit: bool,
    pub(crate) queue: &'a Queue<'a>,
    /// The caller's wish to end early.
    pub(crate) stop: &'a AtomicBool,
    /// Knows what a photo needs.
    pub(crate) finder: &'a dyn FaceFinder,
}

/// How a walk went.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Whether it came to its end.
    pub(crate) complete: bool,
    /// Links out of the roots that were not followed.
    pub(crate) links_not_followed: u64,
}

impl Reader<'_> {
    /// Puts every file of the walk into the queue, in order, until the walk ends or nobody wants
    /// more.
    pub(crate) fn run(&self) -> Result<Walked, StoreError> {
        let mut walk = Walk::new(self.roots, self.scope);
        let mut complete = true;
        while complete && let Some(met) = walk.next() {
            complete = !self.queue.is_stopped()
                && match met {
                    Met::File(path) => self.file(path)?,
                    Met::Unreadable(path, error) => self.unreadable(path, &error),
                };
        }
        Ok(Walked { complete, links_not_followed: walk.links_not_followed() })
    }

    fn unreadable(&self, path: PathBuf, error: &io::Error) -> bool {
        let stat = fs::symlink_metadata(&path).map_or(NO_STAT, |metadata| stat_of(&metadata));
        let reading = Reading::Unreadable(reason(error));
        self.pass_on(Item { path, stat, read_ns: now_ns(), reading })
    }

    /// Puts a file that was not read into the queue. Returns whether more is wanted.
    fn pass_on(&self, item: Item) -> bool {
        let reserved = self.queue.reserve(0);
        reserved.map(|reserved| self.queue.push(item, reserved)).is_some()
    }

    /// Returns whether more is wanted.
    fn file(&self, path: PathBuf) -> Result<bool, StoreError> {
        let read_ns = now_ns();
        let known = self.store.file(&path)?;
        let tried = known.is_some() || self.roots.name(&path) || is_named_like_photo(&path);
        let push =
            |stat, reading| self.pass_on(Item { path: path.clone(), stat, read_ns, reading });
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Removed since it was met: the end of the run sees to that.
            Err(_) if is_gone(&path) => return Ok(push(NO_STAT, Reading::NotPhoto)),
            Err(error) if tried => return Ok(push(NO_STAT, Reading::Unreadable(reason(&error)))),
            Err(_) => return Ok(push(NO_STAT, Reading::NotPhoto)),
        };
        let stat = stat_of(&metadata);
        if !metadata.is_file() {
            // A pipe would never end, and a link into a folder that is walked is met there.
            return Ok(push(stat, self.no_file(&path, &metadata)));
        }
        if known.is_some_and(|entry| !self.rehash && is_unchanged(&entry, &stat)) {
            return Ok(push(stat, Reading::Unchanged));
        }
        if !tried && !begins_like_photo(&path) {
            return Ok(push(stat, Reading::NotPhoto));
        }
        self.read(path, stat, read_ns)
    }

    fn no_file(&self, path: &Path, metadata: &Metadata) -> Reading {
        if self.roots.name(path) && !metadata.is_dir() {
            return Reading::Unreadable(NOT_A_FILE.into());
        }
        Reading::NotPhoto
    }

    fn read(&self, path: PathBuf, stat: FileStat, read_ns: i64) -> Result<bool, StoreError> {
        // Room first, bytes then: what waits in memory is bounded. A larger file is only hashed.
        let held = if stat.size > MAX_PHOTO { 0 } else { stat.size };
        let Some(reserved) = self.queue.reserve(held) else { return Ok(false) };
        let mut item = Item { path, stat, read_ns, reading: Reading::NotPhoto };
        let (content, bytes) = match read_and_hash(&item.path, self.stop) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(false),
            Err(error) => {
                item.reading = Reading::Unreadable(reason(&error));
                self.queue.push(item, reserved);
                return Ok(true);
            }
        };
        // In this order: a content that is committed leaves the one only for the other.
        let known = self.queue.is_being_seen(&content)
            || self.store.photo(&content)?.is_some()
            || (!self.readmit && self.store.is_forgotten(&content)?);
        let seen = match bytes {
            Some(bytes) if !known => {
                let needs = self.finder.memory(&bytes);
                if let Some(too_large) = self.queue.refuses(needs) {
                    // It says nothing of the photo itself: a run that may take more tries it again.
                    item.reading = Reading::Unreadable(too_large);
                    self.queue.push(item, reserved);
                    return Ok(true);
                }
                item.reading = Reading::Content(content, None);
                self.queue.push_photo(item, bytes, needs, reserved);
                return Ok(true);
            }
            None if !known => Some(Seen::failed(Outcome::Rejected(too_large()))),
            _ => None,
        };
        item.reading = Reading::Content(content, seen);
        self.queue.push(item, reserved);
        Ok(true)
    }
}

/// Where the file system says nothing.
const NO_STAT: FileStat = FileStat { size: 0, modified_ns: 0, changed_ns: 0, inode: 0 };

/// An error of the operating system without its number, which says nothing to people.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
