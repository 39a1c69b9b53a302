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
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Random, commit, commits, contract, copy_tree, everything, list};
use facesearch_core::FaceStore;
use facesearch_store::{MemoryStore, SledStore};

mod common;

const CHILD: &str = "FACESEARCH_STORE_TEST_CHILD";

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
