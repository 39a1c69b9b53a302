//! Photos of any size pass, and every wait ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use facesearch_core::FileStat;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `run` returns, or a panic where it does not return.
fn ended<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (told, hear) = mpsc::channel();
    thread::spawn(move || told.send(run()));
    hear.recv_timeout(PATIENCE).expect("it hangs, or it panicked")
}

fn item(number: usize, reading: Reading) -> Item {
    let stat = FileStat { size: 0, modified_ns: 0, changed_ns: 0, inode: 0 };
    Item { path: PathBuf::from(number.to_string()), stat, read_ns: 0, reading }
}

fn content(number: usize) -> Reading {
    Reading::Content(ContentHash(*blake3::hash(&number.to_le_bytes()).as_bytes()), None)
}

/// Puts photos of these sizes into `queue`, every third as one that need not be looked at.
fn read(queue: &Queue<'_>, sizes: &[u64]) {
    for (number, size) in sizes.iter().enumerate() {
        let Some(reserved) = queue.reserve(*size) else { return };
        if number % 3 == 2 {
            queue.push(item(number, Reading::NotPhoto), reserved);
        } else {
            let item = item(number, content(number));
            queue.push_photo(item, Vec::new(), size.saturating_mul(4), reserved);
        }
    }
    queue.drain();
}

/// Finds nothing in any photo.
fn work(queue: &Queue<'_>) {
    while let Work::Look(job) = queue.take_work(1) {
        queue.looked(job, Ok(FoundFaces { width: 1, height: 1, faces: Vec::new() }));
    }
}

/// The files that leave, after photos of these sizes came, with so many workers.
fn pass(sizes: Vec<u64>, memory: u64, workers: usize) -> Vec<String> {
    ended(move || {
        let stop = AtomicBool::new(false);
        let queue = Queue::new(&stop, memory);
        thread::scope(|scope| {
            scope.spawn(|| read(&queue, &sizes));
            for _ in 0..workers {
                scope.spawn(|| work(&queue));
            }
            let mut left = Vec::new();
            while let Some(item) = queue.next() {
                left.push(item.path.display().to_string());
            }
            assert!(queue.is_finished());
            let state = queue.state();
            assert_eq!((state.files, state.bytes, state.working), (0, 0, 0));
            left
        })
    })
}

fn in_order(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn a_photo_larger_than_all_that_may_wait_passes() {
    for size in [BYTES - 1, BYTES, BYTES + 1, 8 * BYTES] {
        assert_eq!(pass(vec![size], u64::MAX, 1), in_order(1), "{size} bytes");
        assert_eq!(pass(vec![0, 0, size], u64::MAX, 1), in_order(3), "{size} bytes, unread");
    }
}

#[test]
fn photos_of_every_size_pass_in_order_whatever_the_memory_and_the_threads() {
    let large = vec![2 * BYTES; 9];
    let small = (0..3000).map(|number| number % 7).collect();
    let mixed = (0..200).map(|number| (number * 7919 % 101) << 19).collect();
    for sizes in [large, small, mixed] {
        for memory in [0, 1, 1000, BYTES, u64::MAX] {
            for workers in [1, 2, 16] {
                let left = pass(sizes.clone(), memory, workers);
                assert_eq!(left, in_order(sizes.len()), "{memory} bytes, {workers} workers");
            }
        }
    }
}

#[test]
fn what_waits_is_bounded() {
    let stop = AtomicBool::new(false);
    let queue = Queue::new(&stop, 400);
    let first = queue.reserve(60).unwrap();
    let second = queue.reserve(40).unwrap();
    thread::scope(|scope| {
        let third = scope.spawn(|| queue.reserve(1).is_some());
        thread::sleep(Duration::from_millis(50));
        assert!(!third.is_finished(), "100 bytes may wait, and 101 do");
        queue.push(item(0, Reading::NotPhoto), first);
        assert!(queue.next().is_some());
        assert!(third.join().unwrap());
    });
    queue.push(item(1, Reading::NotPhoto), second);
    assert_eq!(queue.state().bytes, 1);

    // The window: files without bytes.
    let queue = Queue::new(&stop, 400);
    for number in 0..WINDOW {
        let reserved = queue.reserve(0).unwrap();
        queue.push(item(number as usize, Reading::NotPhoto), reserved);
    }
    thread::scope(|scope| {
        let one_more = scope.spawn(|| queue.reserve(0).is_some());
        thread::sleep(Duration::from_millis(50));
        assert!(!one_more.is_finished());
        assert!(queue.next().is_some());
        assert!(one_more.join().unwrap());
    });
}

#[test]
fn a_stop_ends_the_wait_for_a_reader_that_does_not_answer() {
    let stop: &'static AtomicBool = Box::leak(Box::default());
    let queue = Arc::new(Queue::new(stop, u64::MAX));
    let reserved = queue.reserve(3).unwrap();
    queue.push(item(0, Reading::NotPhoto), reserved);
    // The reader holds room for a second file, and never comes back.
    let _reserved = queue.reserve(5).unwrap();
    let waiting = Arc::clone(&queue);
    let left = thread::spawn(move || std::iter::from_fn(|| waiting.next()).count());
    thread::sleep(Duration::from_millis(100));
    assert!(!left.is_finished(), "until then the file is waited for");
    stop.store(true, Ordering::SeqCst);
    assert_eq!(ended(move || left.join().unwrap()), 1);
    assert!(!queue.is_finished());
}

#[test]
fn a_stop_waits_only_for_photos_in_the_hands_of_workers() {
    let stop: &'static AtomicBool = Box::leak(Box::default());
    let queue = Arc::new(Queue::new(stop, u64::MAX));
    for number in 0..3 {
        let reserved = queue.reserve(1).unwrap();
        queue.push_photo(item(number, content(number)), Vec::new(), 1, reserved);
    }
    let Work::Look(job) = queue.take_work(1) else { panic!("there are photos to look at") };
    stop.store(true, Ordering::SeqCst);
    let waiting = Arc::clone(&queue);
    let left = thread::spawn(move || {
        let items = std::iter::from_fn(|| waiting.next());
        items.map(|item| matches!(item.reading, Reading::Stopped)).collect::<Vec<_>>()
    });
    thread::sleep(Duration::from_millis(100));
    assert!(!left.is_finished());
    queue.looked(job, Ok(FoundFaces { width: 1, height: 1, faces: Vec::new() }));
    let working = Arc::clone(&queue);
    let worker = thread::spawn(move || work(&working));
    assert_eq!(ended(move || left.join().unwrap()), [false, true, true]);
    queue.abandon();
    ended(move || worker.join().unwrap());
    assert!(queue.reserve(1).is_none());
}
