//! What is damaged and can be derived is made again, and so is an index that was only begun.

use std::fs;
use std::path::Path;

use crate::support::{
    Dice, crowd, files_below, index_of, json_lines, photo, run_for, scratch, stderr, stdout, text,
};

/// The only file of sled's whose name begins so.
fn sled_file(index: &Path, start: &str) -> std::path::PathBuf {
    let mut files = files_below(&index.join("store/sled")).into_iter();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.rfind(|path| name(path).starts_with(start)).expect("sled has one")
}

#[test]
fn a_command_that_only_looks_mends_the_store_and_says_so_once() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(3, 2, &mut Dice(31)));
    let log = || run_for(0, &["identity", "log", "--index", text(&index)]);
    run_for(0, &["identity", "rename", "person 0001", "Anna", "--index", text(&index)]);
    let truth = stdout(&log());
    assert!(truth.contains("Anna"), "{truth}");
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[11] ^= 0x20;
        fs::write(path, bytes).unwrap();
    };
    let unfinished = index.join("store/sled/snap.00000000FFFFFFFF.generating");
    for (what, said) in [
        ("snap.", "`snap."),
        ("conf", "`conf` was damaged"),
        ("checkpoint", "`checkpoint` was damaged"),
        ("unfinished", "not finished"),
    ] {
        match what {
            "unfinished" => fs::write(&unfinished, b"half of a snapshot").unwrap(),
            "checkpoint" => flip(&index.join("store/checkpoint")),
            file => flip(&sled_file(&index, file)),
        }
        let mended = log();
        assert_eq!(stdout(&mended), truth, "{what}");
        assert!(stderr(&mended).contains(said), "{what}: {}", stderr(&mended));
        assert_eq!(stderr(&log()), "", "{what}");
    }
}

#[test]
fn an_index_that_was_only_begun_is_made_by_the_next_run() {
    let dir = scratch();
    for begun in ["store", "store/sled", "store/sled.new/blobs", "published/1"] {
        let index = dir.path().join(begun.replace('/', "-"));
        fs::create_dir_all(index.join(begun)).unwrap();
        let missing = run_for(4, &["stats", "--index", text(&index)]);
        assert!(stderr(&missing).contains("no index at"), "{begun}: {}", stderr(&missing));
        let missing = run_for(4, &["purge", "--index", text(&index)]);
        assert!(stderr(&missing).contains("no index at"), "{begun}: {}", stderr(&missing));
        run_for(0, &["index", text(&photo("obama.jpg")), "--index", text(&index)]);
        let stats = run_for(0, &["stats", "--json", "--index", text(&index)]);
        assert_eq!(json_lines(&stats)[0]["faces"], 1, "{begun}");
    }
    // Nor is it in the way of vectors from elsewhere.
    let (index, file) = (dir.path().join("imported"), dir.path().join("faces.npy"));
    fs::create_dir_all(index.join("store")).unwrap();
    crate::eval::write_npy(&file, &[vec![1.0, 2.0], vec![3.0, 4.0]]);
    run_for(0, &["import", text(&file), "--index", text(&index)]);
}
