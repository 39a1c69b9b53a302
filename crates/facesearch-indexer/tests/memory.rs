//! Photos that are looked at together take no more memory than is allowed.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{World, dump, store};
use facesearch_core::{FaceFinder, FoundFaces, Photo, VisionError};
use facesearch_indexer::{IndexOptions, Indexer};

/// Takes a hundred bytes for each of a file's, and knows what it takes at any time.
struct Greedy<'a> {
    world: &'a World,
    now: AtomicU64,
    most: AtomicU64,
}

impl FaceFinder for Greedy<'_> {
    fn find(&self, bytes: &[u8]) -> Result<FoundFaces, VisionError> {
        let needs = self.memory(bytes);
        let now = self.now.fetch_add(needs, Ordering::SeqCst) + needs;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        let found = self.world.find(bytes);
        self.now.fetch_sub(needs, Ordering::SeqCst);
        found
    }

    fn find_in(&self, photo: &Photo) -> Result<FoundFaces, VisionError> {
        self.find(photo.rgb())
    }

    fn memory(&self, bytes: &[u8]) -> u64 {
        bytes.len() as u64 * 100
    }
}

#[test]
fn memory_is_kept_to_and_changes_nothing_else() {
    let world = World::new();
    for number in 0..60 {
        let long = "x".repeat(number % 7 * 5);
        world.write(&format!("{number:02}.jpg"), &format!("1 {number} {long}"));
    }
    let free = store();
    world.run(&free);
    let want = dump(&free, &world.dir);
    let mut most_of = Vec::new();
    // A quarter is for files that wait, so 5000 leave 3750 for photos of 400 to 3600 bytes each.
    for memory in [5_000, u64::MAX] {
        let greedy = Greedy { world: &world, now: AtomicU64::new(0), most: AtomicU64::new(0) };
        let store = store();
        let indexer = Indexer {
            finder: &greedy,
            embedder: &world,
            store: &store,
            publisher: &world,
            progress: &world,
            options: IndexOptions { threads: 8, memory, ..world.options() },
        };
        indexer.run(std::slice::from_ref(&world.dir)).unwrap();
        assert_eq!(dump(&store, &world.dir), want);
        most_of.push(greedy.most.load(Ordering::SeqCst));
    }
    assert!(most_of[0] <= 3_750, "{most_of:?}");
    assert!(most_of[1] > 3_750, "without a limit there is nothing to test: {most_of:?}");
}

#[test]
fn a_photo_that_needs_too_much_is_left_for_a_run_that_may_take_more() {
    let world = World::new();
    world.write("a small.jpg", "1 1");
    world.write("b large.jpg", &format!("1 2 {}", "x".repeat(60)));
    world.write("c small.jpg", "1 3");
    let store = store();
    let run = |memory| {
        let greedy = Greedy { world: &world, now: AtomicU64::new(0), most: AtomicU64::new(0) };
        let indexer = Indexer {
            finder: &greedy,
            embedder: &world,
            store: &store,
            publisher: &world,
            progress: &world,
            options: IndexOptions { memory, ..world.options() },
        };
        let report = indexer.run(std::slice::from_ref(&world.dir)).unwrap();
        assert!(greedy.most.load(Ordering::SeqCst) <= memory);
        (report.outcomes.faces, report.failures())
    };
    for _ in 0..2 {
        assert_eq!(run(4_000), (2, 1));
    }
    assert_eq!(run(u64::MAX), (3, 0));
}

#[test]
fn photos_larger_than_what_may_wait_are_indexed_whatever_the_memory() {
    let world = World::new();
    for number in 0..5 {
        let name = format!("{number}.jpg");
        world.write(&name, &format!("1 {number} "));
        let file = std::fs::File::options().write(true).open(world.path(&name)).unwrap();
        file.set_len((32 << 20) + number).unwrap();
    }
    for memory in [0, 64 << 20, u64::MAX] {
        for threads in [1, 4] {
            let options = IndexOptions { threads, memory, ..world.options() };
            let report = world.run_with(&store(), options, &[""]).unwrap();
            assert_eq!((report.outcomes.faces, report.faces_added), (5, 5));
        }
    }
}
