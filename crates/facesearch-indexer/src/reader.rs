//! The first stage: walks, reads what may have changed, and hashes it.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use facesearch_core::{ContentHash, FaceFinder, FaceStore, FileStat, Outcome, StoreError};

use crate::claims::is_gone;
use crate::item::{Item, Reading, Seen};
use crate::kind::{MAGIC, is_named_like_photo, looks_like_photo};
use crate::queue::Queue;
use crate::roots::Roots;
use crate::stat::{is_unchanged, now_ns, stat_of};
use crate::walk::{Met, Walk};

/// A file larger than this is rejected unread: no photo is, and it would not fit in memory.
const MAX_BYTES: u64 = 1 << 28;

/// What the first stage needs to know.
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a dyn FaceStore,
    pub(crate) roots: &'a Roots,
    pub(crate) exclude: &'a [PathBuf],
    pub(crate) rehash: bool,
    pub(crate) queue: &'a Queue<'a>,
    /// Knows what a photo needs.
    pub(crate) finder: &'a dyn FaceFinder,
}

impl Reader<'_> {
    /// Puts every file of the walk into the queue, in order, until the walk ends or nobody wants
    /// more. Returns whether the walk came to its end.
    pub(crate) fn run(&self) -> Result<bool, StoreError> {
        for met in Walk::new(self.roots, self.exclude) {
            if self.queue.is_stopped() {
                return Ok(false);
            }
            let wanted = match met {
                Met::File(path) => self.file(path)?,
                Met::Unreadable(path, error) => self.unreadable(path, &error),
            };
            if !wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unreadable(&self, path: PathBuf, error: &io::Error) -> bool {
        let stat = fs::symlink_metadata(&path).map_or(NO_STAT, |metadata| stat_of(&metadata));
        let reading = Reading::Unreadable(reason(error));
        self.queue.push(Item { path, stat, read_ns: now_ns(), reading }, 0)
    }

    /// Returns whether more is wanted.
    fn file(&self, path: PathBuf) -> Result<bool, StoreError> {
        let read_ns = now_ns();
        let known = self.store.file(&path)?;
        let tried = known.is_some() || self.roots.name(&path) || is_named_like_photo(&path);
        let push =
            |stat, reading| self.queue.push(Item { path: path.clone(), stat, read_ns, reading }, 0);
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
        if !tried && !starts_like_photo(&path) {
            return Ok(push(stat, Reading::NotPhoto));
        }
        self.read(path, stat, read_ns)
    }

    fn no_file(&self, path: &Path, metadata: &Metadata) -> Reading {
        if self.roots.name(path) && !metadata.is_dir() {
            return Reading::Unreadable("it is neither a file nor a folder".into());
        }
        Reading::NotPhoto
    }

    fn read(&self, path: PathBuf, stat: FileStat, read_ns: i64) -> Result<bool, StoreError> {
        // Room first, bytes then: what waits in memory is bounded.
        if !self.queue.make_room(stat.size.min(MAX_BYTES)) {
            return Ok(false);
        }
        let mut item = Item { path, stat, read_ns, reading: Reading::NotPhoto };
        let reserved = stat.size.min(MAX_BYTES);
        let (content, bytes) = match read_and_hash(&item.path) {
            Ok(read) => read,
            Err(error) => {
                item.reading = Reading::Unreadable(reason(&error));
                return Ok(self.queue.push(item, reserved));
            }
        };
        // In this order: a content that is committed leaves the one only for the other.
        if self.queue.is_being_seen(&content) || self.store.photo(&content)?.is_some() {
            item.reading = Reading::Content(content, None);
            return Ok(self.queue.push(item, reserved));
        }
        let Some(bytes) = bytes else {
            let too_long = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
            item.reading =
                Reading::Content(content, Some(Seen::failed(Outcome::Rejected(too_long))));
            return Ok(self.queue.push(item, reserved));
        };
        let needs = self.finder.memory(&bytes);
        if let Some(too_large) = self.queue.refuses(needs) {
            // Not a word on the photo itself: it is tried again by a run that may take more.
            item.reading = Reading::Unreadable(too_large);
            return Ok(self.queue.push(item, reserved));
        }
        item.reading = Reading::Content(content, None);
        Ok(self.queue.push_photo(item, bytes, reserved, needs))
    }
}

/// The content of a file, and its bytes unless they are too many.
pub(crate) fn read_and_hash(path: &Path) -> io::Result<(ContentHash, Option<Vec<u8>>)> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes);
    if bytes.len() as u64 <= MAX_BYTES {
        return Ok((ContentHash(*hasher.finalize().as_bytes()), Some(bytes)));
    }
    drop(bytes);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((ContentHash(*hasher.finalize().as_bytes()), None)),
            read => hasher.update(&buffer[..read]),
        };
    }
}

fn starts_like_photo(path: &Path) -> bool {
    let mut start = Vec::with_capacity(MAGIC);
    let read = File::open(path).and_then(|file| file.take(MAGIC as u64).read_to_end(&mut start));
    read.is_ok() && looks_like_photo(path, &start)
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
