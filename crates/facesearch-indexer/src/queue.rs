//! What is between the stages: files in order, photos to look at, chips to embed, results.
//!
//! One lock guards it all; each stage holds it for moments only. Bounds: [`WINDOW`] files and
//! [`BYTES`] of their content may be between the reader and the committer. Files leave in the order
//! in which they came, whoever finishes first.
//!
//! No wait is for ever. The reader waits once for a file, in [`Queue::reserve`], before it holds
//! anything of it, so it never waits for what it holds itself. The committer looks at the stop flag
//! while it waits; when it ends, it ends all other waits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use facesearch_core::{AlignedFace, Chip, ContentHash, Embedding, FoundFaces, VisionError};

use crate::item::{Item, Reading, Seen, SeenFace};

/// How many files may be under way.
const WINDOW: u64 = 1024;

/// How many bytes of files may wait in memory, but for one file that is larger by itself: dozens of
/// large photos, for which a disk need not be waited for. More would only fill up: reading is the
/// faster part.
const BYTES: u64 = 32 << 20;

/// How often the committer looks at the stop flag while it waits: a signal handler can set a flag,
/// but wakes nobody.
const GLANCE: Duration = Duration::from_millis(50);

/// The place of a file in the walk.
pub(crate) type Place = u64;

/// A place among the files under way and the bytes of one file's content. It goes back to the queue
/// with the file.
#[must_use]
#[derive(Debug)]
pub(crate) struct Reservation {
    bytes: u64,
}

/// A photo that waits to be looked at.
pub(crate) struct PhotoJob {
    pub(crate) place: Place,
    pub(crate) bytes: Vec<u8>,
    reserved: u64,
    /// Bytes that looking at it takes besides.
    needs: u64,
}

/// A chip that waits for its embedding.
pub(crate) struct ChipJob {
    place: Place,
    face: usize,
    chip: Option<Chip>,
}

impl ChipJob {
    /// The chip, which is not needed any more once it is embedded.
    pub(crate) fn take_chip(&mut self) -> Chip {
        self.chip.take().expect("a chip is taken once")
    }
}

/// What a worker does next.
pub(crate) enum Work {
    Look(PhotoJob),
    Embed(Vec<ChipJob>),
    Done,
}

/// The stages' common ground.
pub(crate) struct Queue<'a> {
    state: Mutex<State>,
    /// Something for a worker.
    work: Condvar,
    /// Room for the reader.
    room: Condvar,
    /// A file for the committer.
    ready: Condvar,
    /// The caller's wish to end early.
    stop: &'a AtomicBool,
    /// How many bytes of files may wait.
    waiting: u64,
    /// How many bytes the photos in the hands of workers may take together.
    memory: u64,
}

#[derive(Default)]
struct State {
    /// The place of the next file that comes, and of the next that leaves.
    next_in: Place,
    next_out: Place,
    /// Files that were reserved for and have not left.
    files: u64,
    /// Bytes that were reserved and not given back.
    bytes: u64,
    photos: VecDeque<PhotoJob>,
    chips: VecDeque<ChipJob>,
    /// Files that were looked at but lack embeddings.
    partly: HashMap<Place, Partly>,
    /// Files that wait for their photo's result.
    waiting: HashMap<Place, Item>,
    /// Files that wait for their turn.
    done: HashMap<Place, Item>,
    being_seen: HashSet<ContentHash>,
    /// Photos in the hands of workers.
    looking: usize,
    /// Bytes that these take.
    working: u64,
    /// No file comes any more.
    drained: bool,
    /// Nothing is wanted any more.
    abandoned: bool,
    failure: Option<VisionError>,
}

struct Partly {
    seen: Seen,
    missing: usize,
}

impl<'a> Queue<'a> {
    /// `memory` bounds the bytes of files that wait and the photos that are looked at, together.
    pub(crate) fn new(stop: &'a AtomicBool, memory: u64) -> Self {
        let waiting = BYTES.min(memory / 4);
        Self {
            waiting,
            memory: memory - waiting,
            state: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            ready: Condvar::new(),
            stop,
        }
    }

    /// Why a photo that needs so many bytes cannot be looked at, even alone; `None` where it can.
    pub(crate) fn refuses(&self, needs: u64) -> Option<String> {
        let allowed = self.memory;
        (needs > allowed).then(|| {
            format!("it takes about {needs} bytes of memory to look at, {allowed} are allowed")
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        sound(self.state.lock())
    }

    /// Whether the caller or a failure wants no more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.state().abandoned
    }

    /// Waits until one more file of `bytes` bytes may be under way. `None` where none is wanted.
    ///
    /// To be called by one thread, which holds no other reservation: it is the only one that waits
    /// for room, and nothing that it holds is in its way.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let full = |state: &mut State| {
            let too_much = state.bytes > 0 && state.bytes + bytes > self.waiting;
            !state.abandoned && (state.files >= WINDOW || (bytes > 0 && too_much))
        };
        let mut state = sound(self.room.wait_while(self.state(), full));
        if state.abandoned {
            return None;
        }
        state.files += 1;
        state.bytes += bytes;
        Some(Reservation { bytes })
    }

    /// Adds a file that needs no looking at, and gives its bytes back.
    pub(crate) fn push(&self, item: Item, reserved: Reservation) {
        let mut state = self.state();
        state.bytes -= reserved.bytes;
        let place = state.take_place();
        state.done.insert(place, item);
        self.ready.notify_one();
    }

    /// Adds a file whose content is new; looking at it will take `needs` bytes.
    pub(crate) fn push_photo(&self, item: Item, bytes: Vec<u8>, needs: u64, reserved: Reservation) {
        let mut state = self.state();
        let place = state.take_place();
        if let Reading::Content(content, _) = item.reading {
            state.being_seen.insert(content);
        }
        state.waiting.insert(place, item);
        state.photos.push_back(PhotoJob { place, bytes, reserved: reserved.bytes, needs });
        self.work.notify_one();
    }

    /// Whether a file with this content is under way.
    pub(crate) fn is_being_seen(&self, content: &ContentHash) -> bool {
        self.state().being_seen.contains(content)
    }

    /// No file comes any more.
    pub(crate) fn drain(&self) {
        self.state().drained = true;
        self.wake_all();
    }

    /// Nothing is wanted any more: every stage ends as soon as it can.
    pub(crate) fn abandon(&self) {
        self.state().abandoned = true;
        self.wake_all();
    }

    /// Ends the run because the model cannot go on.
    pub(crate) fn fail(&self, failure: VisionError) {
        let mut state = self.state();
        state.failure.get_or_insert(failure);
        state.abandoned = true;
        drop(state);
        self.wake_all();
    }

    /// Why the run ended, where the model could not go on.
    pub(crate) fn failure(&self) -> Option<VisionError> {
        self.state().failure.take()
    }

    fn wake_all(&self) {
        self.work.notify_all();
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// Waits for work. The furthest along comes first: a full batch of chips, then photos, then
    /// what chips there are, since a worker without work costs more than a small batch.
    pub(crate) fn take_work(&self, batch: usize) -> Work {
        let mut state = self.state();
        loop {
            if state.abandoned {
                return Work::Done;
            }
            if state.chips.len() >= batch {
                return Work::Embed(state.chips.drain(..batch).collect());
            }
            // One photo is always looked at, however large it is.
            let fits = |job: &PhotoJob| {
                state.looking == 0 || state.working.saturating_add(job.needs) <= self.memory
            };
            if state.photos.front().is_some_and(fits)
                && let Some(job) = state.photos.pop_front()
            {
                if self.stop.load(Ordering::Relaxed) {
                    state.drop_photo(job);
                    self.ready.notify_one();
                    continue;
                }
                state.looking += 1;
                state.working += job.needs;
                return Work::Look(job);
            }
            if !state.chips.is_empty() {
                return Work::Embed(state.chips.drain(..).collect());
            }
            if state.drained && state.looking == 0 {
                return Work::Done;
            }
            state = sound(self.work.wait(state));
        }
    }

    /// Takes what was found in a photo.
    pub(crate) fn looked(&self, job: PhotoJob, found: Result<FoundFaces, Seen>) {
        let mut state = self.state();
        state.looking -= 1;
        state.working -= job.needs;
        state.bytes -= job.reserved;
        match found {
            Ok(found) if !found.faces.is_empty() => state.add_chips(job.place, found),
            Ok(FoundFaces { width, height, .. }) => {
                state.finish(job.place, Seen { width, height, failure: None, faces: Vec::new() });
            }
            Err(failed) => state.finish(job.place, failed),
        }
        drop(state);
        self.wake_all();
    }

    /// Takes the embeddings of a batch, in its order.
    pub(crate) fn embedded(&self, batch: Vec<ChipJob>, embeddings: Vec<Option<Embedding>>) {
        let mut state = self.state();
        for (ChipJob { place, face, .. }, embedding) in batch.into_iter().zip(embeddings) {
            let partly = state.partly.get_mut(&place).expect("a chip's photo waits for it");
            partly.seen.faces[face].embedding = embedding;
            partly.missing -= 1;
            if partly.missing == 0 {
                let partly = state.partly.remove(&place).expect("it was there a moment ago");
                state.finish(place, partly.seen);
            }
        }
        self.ready.notify_one();
    }

    /// Waits for the next file in order; `None` when there is none, or none is wanted.
    ///
    /// Once the caller wants to stop, only a file in the hands of a worker is waited for: the
    /// reader may be waiting for a disk that does not answer.
    pub(crate) fn next(&self) -> Option<Item> {
        let mut state = self.state();
        while !state.is_next_known(self.stop.load(Ordering::Relaxed)) {
            state = sound(self.ready.wait_timeout(state, GLANCE)).0;
        }
        let place = state.next_out;
        let item = state.done.remove(&place)?;
        state.next_out += 1;
        state.files -= 1;
        self.room.notify_one();
        Some(item)
    }

    /// Whether every file came and left.
    pub(crate) fn is_finished(&self) -> bool {
        let state = self.state();
        state.drained && state.next_out == state.next_in
    }

    /// Says that the content of a file which has left is in the store now.
    pub(crate) fn committed(&self, content: &ContentHash) {
        self.state().being_seen.remove(content);
    }
}

/// The queue also where a thread panicked with it in hand, which is a bug: that panic is passed on
/// when the threads are joined, and to join them the others must be told to end.
fn sound<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Whether there is nothing to wait for before the next file leaves, or none does.
    fn is_next_known(&self, stopped: bool) -> bool {
        let over = (self.drained || stopped) && self.next_out == self.next_in;
        over || self.abandoned || self.done.contains_key(&self.next_out)
    }

    fn take_place(&mut self) -> Place {
        self.next_in += 1;
        self.next_in - 1
    }

    fn add_chips(&mut self, place: Place, found: FoundFaces) {
        let FoundFaces { width, height, faces } = found;
        let mut detected = Vec::new();
        for (face, aligned) in faces.into_iter().enumerate() {
            let AlignedFace { face: found, quality, chip } = aligned;
            detected.push(SeenFace { face: found, quality, embedding: None });
            self.chips.push_back(ChipJob { place, face, chip: Some(chip) });
        }
        let missing = detected.len();
        let seen = Seen { width, height, failure: None, faces: detected };
        self.partly.insert(place, Partly { seen, missing });
    }

    fn finish(&mut self, place: Place, seen: Seen) {
        let mut item = self.waiting.remove(&place).expect("a photo's file waits for it");
        if let Reading::Content(_, slot) = &mut item.reading {
            *slot = Some(seen);
        }
        self.done.insert(place, item);
    }

    fn drop_photo(&mut self, job: PhotoJob) {
        let mut item = self.waiting.remove(&job.place).expect("a photo's file waits for it");
        item.reading = Reading::Stopped;
        self.bytes -= job.reserved;
        self.done.insert(job.place, item);
    }
}

#[cfg(test)]
mod tests;
