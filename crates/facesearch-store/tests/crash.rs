//! A writer killed at any moment leaves whole commits, in order, and all that it had flushed; a
//! damaged store never answers wrongly.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its children speak by printing"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use facesearch_core::{
    BoundingBox, Change, ContentHash, Contract, DetectedFace, Embedding, FaceId, FaceRecord,
    FaceStore, FileEntry, FileStat, Landmarks, Metric, Outcome, PhotoRecord,
};
use facesearch_store::{MemoryStore, SledStore};

const CHILD: &str = "FACESEARCH_STORE_TEST_CHILD";
const COUNTER: &str = "/counter";
const FACES: u64 = 3;

fn contract() -> Contract {
    Contract {
        model: "fake".into(),
        weights: String::new(),
        dimension: 700,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "fake".into(),
        min_face: 20,
        preprocessing: "none".into(),
        precision: "f32".into(),
    }
}

/// A small generator with a fixed seed, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn entry(number: u64, outcome: Outcome) -> FileEntry {
    FileEntry {
        stat: FileStat { size: number, modified_ns: 1, changed_ns: 2, inode: 3 },
        read_ns: number as i64,
        content: Some(content(number)),
        outcome,
        keeps: None,
    }
}

fn content(number: u64) -> ContentHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    ContentHash(hash)
}

fn face(id: u64, number: u64, identity: Option<&str>) -> FaceRecord {
    FaceRecord {
        id: FaceId(id),
        photo: content(number),
        face: DetectedFace {
            bbox: BoundingBox { x: 1.0, y: 2.0, width: 3.0, height: 4.0 },
            score: 0.5,
            landmarks: Landmarks([[0.0; 2]; 5]),
        },
        quality: None,
        identity: identity.map(str::to_owned),
    }
}

/// Commit `number`, which says its number at [`COUNTER`], adds, updates and removes.
fn commit(number: u64) -> Vec<Change> {
    let first = number * FACES;
    let mut random = Random(number + 1);
    let mut changes: Vec<_> = (first..first + FACES)
        .map(|id| {
            let vector = (0..700).map(|_| random.below(1 << 20) as f32 / 1024.0).collect();
            let vector = Embedding::new(vector, Metric::L2).unwrap();
            Change::AddFace(face(id, number, None), vector)
        })
        .collect();
    let path = PathBuf::from(format!("/photos/{number:06}.jpg"));
    changes.push(Change::PutPhoto(PhotoRecord {
        content: content(number),
        path: path.clone(),
        width: 4,
        height: 3,
        outcome: Outcome::Faces(3),
        faces: (first..first + FACES).map(FaceId).collect(),
    }));
    changes.push(Change::PutFile(path, entry(number, Outcome::Faces(3))));
    if number > 0 {
        changes.push(Change::UpdateFace(face(first - 1, number - 1, Some("somebody"))));
    }
    if number % 4 == 3 {
        changes.push(Change::RemoveFace(FaceId(first - 2 * FACES)));
        let path = format!("/photos/{:06}.jpg", number - 2);
        changes.push(Change::RemoveFile(path.into()));
        changes.push(Change::RemovePhoto(content(number - 2)));
    }
    changes.push(Change::PutFile(COUNTER.into(), entry(number, Outcome::NoFace)));
    changes
}

/// How many commits the store holds.
fn commits(store: &dyn FaceStore) -> u64 {
    store.file(Path::new(COUNTER)).unwrap().map_or(0, |entry| entry.read_ns as u64 + 1)
}

/// A digest of all a store says, or why it could not be said.
fn everything(store: &dyn FaceStore) -> Result<String, facesearch_core::StoreError> {
    let mut said = format!("{} {}\n", store.face_count()?, store.next_face_id()?);
    let mut hashes = Vec::new();
    store.for_each_file(Path::new(""), &mut |path, entry| {
        said += &format!("{path:?} {entry:?}\n");
        hashes.extend(entry.content);
        Ok(())
    })?;
    for hash in hashes {
        said += &format!("{:?} {:?}\n", store.photo(&hash)?, store.paths_of(&hash)?);
    }
    store.for_each_face(&mut |record, vector| {
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        said += &format!("{record:?} {}\n", blake3::hash(&bytes));
        Ok(())
    })?;
    Ok(said)
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = SledStore::create_or_open(Path::new(&dir), &contract()).unwrap();
    let mut out = std::io::stdout();
    for number in commits(&store).. {
        store.commit(&commit(number)).unwrap();
        if number % 7 == 0 {
            store.flush().unwrap();
            writeln!(out, "\nflushed {}", number + 1).unwrap();
        }
    }
}

#[test]
fn a_killed_writer_leaves_whole_commits_and_all_that_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    let mut random = Random(20_261_123);
    let memory = MemoryStore::new(contract());
    let mut applied = 0;
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let flushed = |line: String| line.strip_prefix("flushed ")?.parse::<u64>().ok();
            lines.lines().map_while(Result::ok).filter_map(flushed).last()
        });
        std::thread::sleep(Duration::from_millis(20 + random.below(400)));
        child.kill().unwrap();
        child.wait().unwrap();
        let flushed = reader.join().unwrap().unwrap_or(applied);

        let store = SledStore::create_or_open(&dir, &contract()).unwrap();
        let found = commits(&store);
        println!("round {round}: {flushed} flushed, {found} found");
        assert!(found >= flushed, "{flushed} commits were flushed, {found} came back");
        for number in applied..found {
            memory.commit(&commit(number)).unwrap();
        }
        applied = found;
        assert!(everything(&memory).unwrap() == everything(&store).unwrap(), "round {round}");
    }
    assert!(applied > 100, "the test must have written something: {applied} commits");
}

/// Flips or cuts every file of a store in many places. Each damaged copy is opened in a process of
/// its own, because what sled does then may not be survivable.
#[test]
fn a_damaged_store_is_an_error_or_still_right() {
    let top = tempfile::tempdir().unwrap();
    let whole = top.path().join("whole");
    let store = SledStore::create_or_open(&whole, &contract()).unwrap();
    for number in 0..120 {
        store.commit(&commit(number)).unwrap();
    }
    let right = blake3::hash(everything(&store).unwrap().as_bytes()).to_string();
    drop(store);

    let mut random = Random(7);
    let mut counts = std::collections::BTreeMap::new();
    for trial in 0..60 {
        let copy = top.path().join("copy");
        copy_tree(&whole, &copy);
        let what = damage(&copy, &mut random);
        let answer = open_in_child(&copy);
        println!("trial {trial}: {what}: {answer}");
        let kind = match answer.split_once(' ') {
            Some(("right", hash)) => {
                assert_eq!(hash, right, "trial {trial}: {what}");
                "right"
            }
            Some(("error", _)) => "error",
            _ => panic!("trial {trial}: {what}: {answer}"),
        };
        *counts.entry(kind).or_insert(0) += 1;
        fs::remove_dir_all(&copy).unwrap();
    }
    println!("{counts:?}");
    assert!(counts["error"] >= 20, "the damage must have been felt: {counts:?}");
}

const READER: &str = "FACESEARCH_STORE_TEST_READER";

/// Not a test of its own: opens what the test above has damaged, and says what it found.
#[test]
fn reader() {
    let Some(dir) = std::env::var_os(READER) else { return };
    let said = SledStore::open(Path::new(&dir)).and_then(|store| everything(&store));
    match said {
        Ok(said) => println!("\nanswer right {}", blake3::hash(said.as_bytes())),
        Err(error) => println!("\nanswer error {error}"),
    }
}

fn open_in_child(dir: &Path) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reader", "--nocapture"])
        .env(READER, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let answer = |line: String| line.strip_prefix("answer ").map(str::to_owned);
        lines.lines().map_while(Result::ok).find_map(answer)
    });
    for _ in 0..1000 {
        if let Some(status) = child.try_wait().unwrap() {
            return reader.join().unwrap().unwrap_or(format!("died {status}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap().map_or("hung".into(), |answer| format!("{answer} (then hung)"))
}

/// Changes one file somewhere, and says how.
fn damage(dir: &Path, random: &mut Random) -> String {
    let mut files = Vec::new();
    list(dir, &mut files);
    files.sort();
    files.retain(|file| fs::metadata(file).unwrap().len() > 0);
    // The log is one file among several but holds nearly everything.
    let log = dir.join("sled/db");
    let pick = random.below(3 * files.len() as u64) as usize;
    let file = files.get(pick).unwrap_or(&log);
    let mut bytes = fs::read(file).unwrap();
    let at = random.below(bytes.len() as u64) as usize;
    let how = match random.below(4) {
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            "zeros"
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            "flip"
        }
    };
    fs::write(file, bytes).unwrap();
    format!("{how} at {at} of {}", file.strip_prefix(dir).unwrap().display())
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
