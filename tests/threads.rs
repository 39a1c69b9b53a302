//! Where the system allows no more threads, every command says so and ends.

#![cfg(target_os = "linux")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::{demo, ended_within, photo, scratch, stderr, text};

/// Runs the binary with 0.8 GB of addresses; the stacks of 1,000 threads take 2.
fn starved(what: &[&str]) -> Output {
    let child = Command::new("sh")
        .args(["-c", "ulimit -v 800000 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_facesearch"))
        .args(what)
        .args(["--threads", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    ended_within(Duration::from_secs(120), child.unwrap())
}

#[test]
fn too_few_threads_are_an_error_that_says_what_to_do() {
    let dir = scratch();
    let (index, image) = (dir.path().join("index"), photo("obama2.jpg"));
    let (photos, filled) = (demo().join("people"), demo().join("index"));
    let commands: [&[&str]; 3] = [
        &["index", text(&photos), "--index", text(&index)],
        &["query", text(&image), "--index", text(&filled)],
        &["stats", "--index", text(&filled)],
    ];
    for command in commands {
        let output = starved(command);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(6), "{command:?}: {said}");
        assert!(said.contains("cannot start a thread; use fewer `--threads`"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(!index.exists());
}
