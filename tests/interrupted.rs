//! Killed at any moment, run again: the index is that of an undisturbed run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    ended_within, facesearch, json_lines, many_photos, published, run_for, scratch, text,
};

#[test]
fn twenty_kills_later_the_index_is_that_of_an_undisturbed_run() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    many_photos(&photos, 60);
    let (calm, rough) = (dir.path().join("calm"), dir.path().join("rough"));
    run_for(0, &["index", text(&photos), "--index", text(&calm), "--threads", "2"]);

    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..20 {
        let mut child = facesearch()
            .args(["index", text(&photos), "--quiet", "--index", text(&rough)])
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % 700));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run_for(0, &["index", text(&photos), "--index", text(&rough), "--threads", "1"]);
    let (calm, rough) = (published(&calm), published(&rough));
    assert_eq!(calm.keys().collect::<Vec<_>>(), rough.keys().collect::<Vec<_>>());
    for (name, bytes) in calm {
        assert!(rough[&name] == bytes, "{name} differs");
    }
}

/// Waits until a process has a handler for `SIGINT`, which is signal 2.
#[cfg(target_os = "linux")]
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

#[cfg(target_os = "linux")]
fn signal(child: &Child, which: &str) {
    assert!(
        Command::new("kill").args([which, &child.id().to_string()]).status().unwrap().success()
    );
}

#[cfg(target_os = "linux")]
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
#[cfg(target_os = "linux")]
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
