//! The first Ctrl-C ends a run, whatever it waits for.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{ended_within, facesearch, json_lines, many_photos, run_for, scratch, text};

/// Waits until a process has a handler for `SIGINT`, which is signal 2.
fn wait_for_handler(child: &Child) {
    let began = Instant::now();
    let status = Path::new("/proc").join(child.id().to_string()).join("status");
    let caught = || {
        let text = fs::read_to_string(&status).ok()?;
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        Some(u64::from_str_radix(&mask, 16).ok()? & (1 << 1) != 0)
    };
    while caught() != Some(true) {
        assert!(began.elapsed() < Duration::from_secs(60), "it installs no handler");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, which: &str) {
    assert!(
        Command::new("kill").args([which, &child.id().to_string()]).status().unwrap().success()
    );
}

#[test]
fn the_first_signal_ends_a_run_in_order() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    many_photos(&photos, 600);
    for which in ["-INT", "-TERM", "-HUP"] {
        let index = dir.path().join(which);
        let child = facesearch()
            .args(["index", text(&photos), "--json", "--threads", "1", "--index", text(&index)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_handler(&child);
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, which);
        let output = ended_within(Duration::from_secs(30), child);
        assert_eq!(output.status.code(), Some(130), "{which}");
        // Had it been ended by force, there would be no summary.
        let summary = &json_lines(&output)[0];
        assert_eq!(summary["interrupted"], true);
        assert!(summary["files"].as_u64().unwrap() < 600, "{summary}");
    }
}

/// A run whose lines nobody reads waits for its reader. So may one wait for a disk.
#[test]
fn the_first_signal_ends_a_run_that_is_stuck() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    fs::create_dir(&photos).unwrap();
    // One line for each, and a pipe holds 64 KiB.
    for number in 0..1500 {
        fs::write(photos.join(format!("{number:0>200}.jpg")), b"no photo").unwrap();
    }
    let mut child = facesearch()
        .args(["index", text(&photos), "--index", text(&index)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_handler(&child);
    std::thread::sleep(Duration::from_secs(4));
    assert!(child.try_wait().unwrap().is_none(), "it is not stuck");
    signal(&child, "-INT");
    let output = ended_within(Duration::from_secs(30), child);
    assert_eq!(output.status.code(), Some(130));
    // The next run is as any other.
    run_for(5, &["index", text(&photos), "--quiet", "--index", text(&index)]);
}
