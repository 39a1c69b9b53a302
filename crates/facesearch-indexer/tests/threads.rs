//! A thread that cannot be started ends a run.

#![cfg(target_os = "linux")]

mod common;

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{World, store};
use facesearch_indexer::{IndexError, IndexOptions};

const CHILD: &str = "FACESEARCH_INDEXER_TEST_THREADS";

/// Not a test of its own: the process that the next one starts, with 1 GB of addresses.
#[test]
fn child() {
    let Some(done) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let world = World::new();
    for number in 0..20 {
        world.write(&format!("{number}.jpg"), &format!("1 {number}"));
    }
    // Their stacks take 4 GB.
    let options = IndexOptions { threads: 2_000, ..world.options() };
    let error = world.run_with(&store(), options, &[""]).unwrap_err();
    assert!(matches!(error, IndexError::Thread { .. }), "{error}");
    assert!(error.source().is_some());
    assert_eq!(world.finds(), 0);
    // Everything was joined, so there is room for another run.
    assert_eq!(world.run(&store()).outcomes.total(), 20);
    std::fs::write(done, "").unwrap();
}

#[test]
fn a_thread_that_cannot_be_started_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" --exact child --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, &done)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("the run does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success() && done.exists());
}
