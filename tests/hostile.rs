//! A folder of everything that breaks decoders is indexed to its end.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::support::{json_lines, photo, run_for, scratch, shared, stderr, text};

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
fn every_file_known_to_break_decoders_ends_in_an_outcome() {
    let Some(hostile) = shared("data/hostile") else { return };
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
