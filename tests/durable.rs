//! What a command has reported as done survives a power cut: the names, too.
//!
//! The system calls of the program are looked at with `strace`; where that is missing, the test
//! says so.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{files_below, photo, scratch, text};

/// What a program did that matters here, in order.
enum Call {
    /// A directory, a rename or a link got this name.
    Named(PathBuf),
    /// A file was opened that is made where it is not there.
    Opened(PathBuf),
    Synced(PathBuf),
}

/// Runs the binary under `strace`; `None`, and a word about it, where that cannot be done.
fn traced(what: &[&str], log: &Path) -> Option<Vec<Call>> {
    let can = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is not there, or may not trace");
        return None;
    }
    let calls = "trace=mkdir,mkdirat,rename,renameat,renameat2,link,linkat,open,openat,creat,fsync";
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "4096", "-e", calls, "-o", text(log)])
        .arg(env!("CARGO_BIN_EXE_facesearch"))
        .args(what)
        .status()
        .unwrap();
    assert!(status.success(), "{what:?}");
    Some(fs::read_to_string(log).unwrap().lines().filter_map(call).collect())
}

/// A line of strace's, such as `17 fsync(3</tmp/x>) = 0`.
fn call(line: &str) -> Option<Call> {
    let (_, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    if arguments.contains(" = -1 ") {
        return None;
    }
    if name == "fsync" {
        let path = arguments.split_once('<')?.1.split('>').next()?;
        return Some(Call::Synced(path.into()));
    }
    // The last path is the new name.
    let path = arguments.split('"').skip(1).step_by(2).last()?.into();
    match name.starts_with("open") {
        true if arguments.contains("O_CREAT") => Some(Call::Opened(path)),
        true => None,
        false => Some(Call::Named(path)),
    }
}

/// Insists that every name below `top` that came and is still there was synced afterwards; how many
/// came. `there` are the files that were there before.
fn are_synced(calls: &[Call], top: &Path, there: &[PathBuf]) -> usize {
    let mut known: BTreeSet<&Path> = there.iter().map(PathBuf::as_path).collect();
    let mut open: BTreeSet<&Path> = BTreeSet::new();
    for call in calls {
        match call {
            Call::Named(path) | Call::Opened(path) if !path.starts_with(top) => {}
            Call::Opened(path) if known.contains(&**path) => {}
            Call::Named(path) | Call::Opened(path) => {
                known.insert(path);
                open.insert(path);
            }
            Call::Synced(dir) => open.retain(|path| path.parent() != Some(dir.as_path())),
        }
    }
    // sled makes its snapshots again where they are not there.
    let is_derived = |path: &Path| path.file_name().unwrap().to_string_lossy().contains("snap.");
    let left: Vec<_> = open.iter().filter(|path| path.exists() && !is_derived(path)).collect();
    assert!(left.is_empty(), "names that a power cut can take back: {left:?}");
    known.len() - there.len()
}

#[test]
fn no_name_is_left_to_be_forgotten_by_a_power_cut() {
    let dir = scratch();
    let top = fs::canonicalize(dir.path()).unwrap();
    let log = scratch();
    let log = log.path().join("calls");
    let (index, imported) = (top.join("a/b/index"), top.join("c/imported"));
    let (out, file) = (top.join("out.npy"), top.join("faces.npy"));
    let picture = photo("obama.jpg");
    crate::eval::write_npy(&file, &[vec![1.0, 2.0], vec![3.0, 4.0]]);
    for (least, what) in [
        (12, &["index", text(&picture), "--index", text(&index)][..]),
        (1, &["export", text(&out), "--index", text(&index)]),
        (8, &["purge", "--index", text(&index)]),
        (8, &["import", text(&file), "--index", text(&imported)]),
    ] {
        let there = files_below(&top);
        let Some(calls) = traced(what, &log) else { return };
        let named = are_synced(&calls, &top, &there);
        assert!(named >= least, "{what:?}: only {named} names were seen");
    }
}
