//! A folder of everything that breaks decoders is indexed to its end.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{facesearch, json_lines, photo, run_for, scratch, shared, stderr, text};

#[test]
fn bad_files_get_one_line_each_and_stop_nothing() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    let good = fs::read(photo("obama2.jpg")).unwrap();
    let bad: [(&str, Vec<u8>); 5] = [
        ("empty.jpg", vec![]),
        ("text.jpg", b"this is no picture".to_vec()),
        ("truncated.jpg", good[..good.len() / 10].to_vec()),
        (
            "random.png",
            (0..5_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        ),
        ("new\nline \u{1b}[31m.jpg", b"x".to_vec()),
    ];
    for (name, bytes) in &bad {
        fs::write(photos.join(name), bytes).unwrap();
    }
    image::RgbImage::new(1, 1).save(photos.join("one pixel.png")).unwrap();
    image::RgbImage::new(30_000, 2).save(photos.join("wide.png")).unwrap();
    fs::write(photos.join("notes.txt"), "not a photo, and no failure").unwrap();
    fs::write(photos.join("mis-named.png"), &good).unwrap();
    fs::write(photos.join("no extension"), [&good[..], b"1"].concat()).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9 \xff.jpg");
    fs::write(photos.join(odd), [&good[..], b"2"].concat()).unwrap();
    fs::write(photos.join(format!("{}.jpg", "x".repeat(251))), [&good[..], b"3"].concat()).unwrap();
    let mut deep: PathBuf = photos.clone();
    deep.extend((0..40).map(|i| format!("d{i}")));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep.jpg"), [&good[..], b"4"].concat()).unwrap();
    symlink(&photos, deep.join("loop")).unwrap();
    symlink("nowhere", photos.join("dangling.jpg")).unwrap();
    let locked = photos.join("locked.jpg");
    fs::write(&locked, &good).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::read(&locked).is_ok();

    let index = dir.path().join("index");
    let output = run_for(5, &["index", text(&photos), "--index", text(&index), "--json"]);
    let said = stderr(&output);
    for name in ["empty.jpg", "text.jpg", "truncated.jpg", "random.png", "dangling.jpg"] {
        let lines = said.lines().filter(|line| line.contains(name)).count();
        assert_eq!(lines, 1, "{name} in:\n{said}");
    }
    assert!(said.contains("new\\nline \\u{1b}[31m.jpg"), "{said}");
    let summary = &json_lines(&output)[0];
    let failed = 6 + u64::from(!is_root);
    assert_eq!(summary["failed"], failed, "{said}");
    let stats = json_lines(&run_for(0, &["stats", "--files", "--json", "--index", text(&index)]));
    let outcome = |name: &str| {
        let line =
            stats.iter().find(|line| line["path"].as_str().is_some_and(|p| p.ends_with(name)));
        line.unwrap_or_else(|| panic!("{name} is not in the ledger"))["outcome"].clone()
    };
    assert_eq!(outcome("one pixel.png"), "no face");
    assert_eq!(outcome("wide.png"), "no face");
    assert_eq!(outcome("deep.jpg"), "faces");
    assert_eq!(outcome("no extension"), "faces");
    assert_eq!(outcome("empty.jpg"), "cannot decode");
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn every_file_known_to_break_decoders_ends_in_an_outcome() {
    let hostile = shared("data/hostile");
    let dir = scratch();
    let index = dir.path().join("index");
    run_for(5, &["index", text(&hostile), "--index", text(&index)]);
    let lines = json_lines(&run_for(0, &["stats", "--files", "--json", "--index", text(&index)]));
    let outcome = |name: &str| {
        let line =
            lines.iter().find(|line| line["path"].as_str().is_some_and(|p| p.ends_with(name)));
        line.map(|line| line["outcome"].as_str().unwrap().to_owned())
    };
    for i in 1..=8 {
        let name = format!("exif_orientation_{i}.jpg");
        assert_eq!(outcome(&name).as_deref(), Some("faces"), "{name}");
    }
    for name in ["bomb_50000x50000_gray.png", "bomb.gif", "bomb_huge_dims.png"] {
        let outcome = outcome(name).unwrap();
        assert!(outcome == "rejected" || outcome == "cannot decode", "{name}: {outcome}");
    }
    let photos = fs::read_dir(&hostile).unwrap().count();
    // The last line is the summary.
    assert!(lines.len() > photos / 2 && lines.len() <= photos + 1);
}

/// A lossy WebP of a few bytes that claims to have many pixels.
fn webp(width: u16, height: u16) -> Vec<u8> {
    let mut chunk = vec![0x10, 0, 0, 0x9D, 0x01, 0x2A];
    chunk.extend(width.to_le_bytes());
    chunk.extend(height.to_le_bytes());
    let body = [&b"WEBPVP8 "[..], &(chunk.len() as u32).to_le_bytes(), &chunk].concat();
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// Runs the program; its exit code, and the most memory that it had in use, in KiB.
#[cfg(target_os = "linux")]
fn most_memory(what: &[&str]) -> (Option<i32>, u64) {
    let mut command = facesearch();
    let mut child = command.args(what).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(now.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            return (ended.code(), most);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_few_bytes_that_claim_a_gigabyte_do_not_get_it() {
    files_that_claim_too_much_do_not_get_it(&[]);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn a_known_to_break_jpeg_does_not_get_a_gigabyte() {
    files_that_claim_too_much_do_not_get_it(&[shared("data/breaking/jpg200Mcmykprog.jpg")]);
}

#[cfg(target_os = "linux")]
fn files_that_claim_too_much_do_not_get_it(others: &[PathBuf]) {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("large.webp"), webp(14_000, 14_000)).unwrap();
    fs::copy(photo("obama2.jpg"), photos.join("z.jpg")).unwrap();
    for other in others {
        fs::copy(other, photos.join(other.file_name().unwrap())).unwrap();
    }
    let large = 1 + others.len();
    let limited = ["index", text(&photos), "--index", text(&index), "--memory", "512M"];
    let (code, most) = most_memory(&limited);
    assert_eq!(code, Some(5));
    assert!(most < 512 << 10, "{most} KiB");
    let stats = json_lines(&run_for(0, &["stats", "--files", "--json", "--index", text(&index)]));
    let unread = stats.iter().filter(|line| {
        line["reason"].as_str().is_some_and(|reason| reason.contains("bytes of memory"))
    });
    assert_eq!(unread.count(), large);
    assert_eq!(stats.last().unwrap()["outcomes"]["cannot_read"], large);
    assert_eq!(stats.last().unwrap()["outcomes"]["faces"], 1);
    // A small file of many pixels is asked about as well.
    let list = dir.path().join("list");
    fs::write(&list, format!("{}\n", text(&photos.join("large.webp")))).unwrap();
    let batch = ["batch", text(&list), "--index", text(&index), "--memory", "512M"];
    let (_, most) = most_memory(&batch);
    assert!(most < 512 << 10, "{most} KiB");
}

#[test]
fn what_has_no_end_is_no_photo() {
    let index = crate::support::demo().join("index");
    let output = run_for(3, &["query", "/dev/zero", "--index", text(&index)]);
    assert!(stderr(&output).contains("larger than") || !output.stdout.is_empty());
}
