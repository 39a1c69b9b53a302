//! What can be derived is made again: damage there, and death while a store is made, leave every
//! record as it was.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Random, commit, contract, copy_tree, everything, list};
use facesearch_core::{FaceStore, StoreError};
use facesearch_store::SledStore;

mod common;

/// A store that was opened and closed a few times, so that sled has written snapshots and parts of
/// its log are in use again; and what it says.
fn filled(dir: &Path) -> String {
    let mut said = String::new();
    for round in 0..4 {
        let store = SledStore::create_or_open(dir, &contract()).unwrap();
        for number in round * 60..(round + 1) * 60 {
            store.commit(&commit(number)).unwrap();
        }
        said = everything(&store).unwrap();
    }
    // An opening after a change is what makes sled write a snapshot.
    drop(SledStore::open(dir).unwrap());
    said
}

/// The file of sled's whose name begins so.
fn sled_file(dir: &Path, start: &str) -> PathBuf {
    let mut files = Vec::new();
    list(&dir.join("sled"), &mut files);
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found = files.into_iter().filter(|path| name(path).starts_with(start));
    let file = found.next().unwrap_or_else(|| panic!("no {start} in {}", dir.display()));
    assert!(found.next().is_none(), "sled keeps one {start}");
    file
}

/// Opens what was damaged: it says what it said before; and it can be opened again, changed, and
/// opened once more. Nothing of the repair is left.
fn is_healed(dir: &Path, said: &str, what: &str) {
    let store = SledStore::open(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(everything(&store).unwrap() == said, "{what}: other records");
    drop(store);
    let store = SledStore::open(dir).unwrap();
    store.commit(&commit(240)).unwrap();
    let more = everything(&store).unwrap();
    drop(store);
    assert!(everything(&SledStore::open(dir).unwrap()).unwrap() == more, "{what}: later records");
    let mut files = Vec::new();
    list(dir, &mut files);
    let left = files.iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".damaged") || name.ends_with(".generating") || name.ends_with(".next")
    });
    assert_eq!(left, None, "{what}");
}

#[test]
fn a_snapshot_that_sled_did_not_finish_is_made_again() {
    let top = tempfile::tempdir().unwrap();
    let (whole, copy) = (top.path().join("whole"), top.path().join("copy"));
    let said = filled(&whole);
    let snapshot = fs::read(sled_file(&whole, "snap.")).unwrap();
    let half = &snapshot[..snapshot.len() / 2];
    for (what, content) in [
        ("empty", &b""[..]),
        ("short", b"12 bytes____"),
        ("half", half),
        ("garbage", &[0xa5; 5000]),
        ("full", &snapshot),
    ] {
        for keeps_old in [true, false] {
            copy_tree(&whole, &copy);
            let old = sled_file(&copy, "snap.");
            // Its name is that of a later state of the log than that of the finished one.
            fs::write(copy.join("sled/snap.00000000FFFFFFFF.generating"), content).unwrap();
            if !keeps_old {
                fs::remove_file(old).unwrap();
            }
            is_healed(&copy, &said, &format!("{what}, old one kept: {keeps_old}"));
            fs::remove_dir_all(&copy).unwrap();
        }
    }
}

/// Damages a file of a whole store in many ways, one at a time, and sees each healed.
fn heals(whole: &Path, said: &str, file: &Path, places: &[usize]) {
    let copy = whole.with_file_name("copy");
    let bytes = fs::read(whole.join(file)).unwrap();
    let check = |content: Option<&[u8]>, what: String| {
        copy_tree(whole, &copy);
        match content {
            Some(content) => fs::write(copy.join(file), content).unwrap(),
            None => fs::remove_file(copy.join(file)).unwrap(),
        }
        is_healed(&copy, said, &format!("{}: {what}", file.display()));
        fs::remove_dir_all(&copy).unwrap();
    };
    for at in places.iter().copied() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        check(Some(&flipped), format!("flipped at {at}"));
    }
    for at in places.iter().step_by(3).copied() {
        check(Some(&bytes[..at]), format!("cut to {at}"));
    }
    check(Some(&[&bytes[..], b"more"].concat()), "made longer".into());
    check(Some(&vec![0; bytes.len()]), "zeros".into());
    check(None, "missing".into());
}

#[test]
fn damaged_snapshots_settings_and_checkpoints_are_made_again() {
    let top = tempfile::tempdir().unwrap();
    let whole = top.path().join("whole");
    let said = filled(&whole);
    let snapshot = sled_file(&whole, "snap.");
    let mut random = Random(11);
    for file in [&snapshot, &whole.join("sled/conf"), &whole.join("checkpoint")] {
        let len = fs::metadata(file).unwrap().len();
        let mut places: Vec<usize> = match len {
            ..=100 => (0..len as usize).step_by(3).collect(),
            _ => (0..12).map(|_| random.below(len) as usize).collect(),
        };
        places.extend([1, len as usize - 1]);
        heals(&whole, &said, file.strip_prefix(&whole).unwrap(), &places);
    }
}

/// One damaged copy of the checkpoint does not make an old log look like a whole one; without both
/// copies that cannot be told, and what is opened is what some commit left behind.
#[test]
fn an_older_log_is_refused_while_a_copy_of_the_checkpoint_is_left() {
    let top = tempfile::tempdir().unwrap();
    let (old, new) = (top.path().join("old"), top.path().join("new"));
    let said = filled(&old);
    copy_tree(&old, &new);
    let store = SledStore::open(&new).unwrap();
    store.commit(&commit(240)).unwrap();
    drop(store);
    let checkpoint = fs::read(new.join("checkpoint")).unwrap();
    let half = checkpoint.len() / 2;
    let with = |flips: &[usize]| {
        let mut damaged = checkpoint.clone();
        flips.iter().for_each(|at| damaged[*at] ^= 4);
        fs::write(old.join("checkpoint"), damaged).unwrap();
        SledStore::open(&old)
    };
    for flips in [&[][..], &[2], &[half + 2]] {
        match with(flips) {
            Err(StoreError::Corrupt { what, .. }) => {
                assert_eq!(what, "of 241 commits only 240 are left", "{flips:?}");
            }
            other => panic!("{flips:?}: {other:?}"),
        }
    }
    let store = with(&[2, half + 2]).unwrap();
    assert!(everything(&store).unwrap() == said);
}

/// What a process leaves that dies while it makes a store, now and in earlier versions.
fn prefixes(top: &Path) -> Vec<(String, PathBuf)> {
    let made = top.join("made");
    drop(SledStore::create_or_open(&made, &contract()).unwrap());
    let conf = fs::read(made.join("sled/conf")).unwrap();
    let log = fs::read(made.join("sled/db")).unwrap();
    let checkpoint = fs::read(made.join("checkpoint")).unwrap();
    let mut prefixes = Vec::new();
    let mut add = |what: String, files: &[(&str, &[u8])]| {
        let dir = top.join(format!("prefix-{}", prefixes.len()));
        for (name, content) in files {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            fs::create_dir_all(dir.join(folder)).unwrap();
            if !file.is_empty() {
                fs::write(dir.join(name), content).unwrap();
            }
        }
        prefixes.push((what, dir));
    };
    add("nothing".into(), &[]);
    add("the folder".into(), &[("", b"")]);
    add("the lock".into(), &[("lock", b"")]);
    for database in ["sled.new", "sled"] {
        let [folder, blobs] = [format!("{database}/"), format!("{database}/blobs/")];
        let [conf_name, log_name] = [format!("{database}/conf"), format!("{database}/db")];
        add(folder.clone(), &[("lock", b""), (&folder, b"")]);
        add(blobs.clone(), &[("lock", b""), (&blobs, b"")]);
        for len in [0, 1, 8, 9, conf.len() / 2, conf.len() - 4, conf.len() - 1, conf.len()] {
            let files: [(&str, &[u8]); 2] = [(&blobs, b""), (&conf_name, &conf[..len])];
            add(format!("{len} bytes of {conf_name}"), &files);
        }
        let files: [(&str, &[u8]); 3] = [(&blobs, b""), (&conf_name, &conf), (&log_name, b"")];
        add(format!("an empty {log_name}"), &files);
    }
    // Of the log any beginning, and anything where it was not synced.
    for (what, content) in [
        ("half of the log", &log[..log.len() / 2]),
        ("a log of zeros", &vec![0; log.len()][..]),
        ("the whole log", &log),
    ] {
        for database in ["sled.new", "sled"] {
            let [conf_name, log_name] = [format!("{database}/conf"), format!("{database}/db")];
            add(format!("{what} in {database}"), &[(&conf_name, &conf), (&log_name, content)]);
        }
    }
    let whole: [(&str, &[u8]); 3] = [("lock", b""), ("sled/conf", &conf), ("sled/db", &log)];
    add("a database without checkpoint".into(), &whole);
    let half = ("checkpoint.next", &checkpoint[..9]);
    add("half a checkpoint".into(), &[&whole[..], &[half]].concat());
    prefixes
}

#[test]
fn a_store_whose_making_was_interrupted_is_made_by_the_next() {
    let top = tempfile::tempdir().unwrap();
    for (what, dir) in prefixes(top.path()) {
        // Whoever only looks finds no store, or an empty one, and blocks nobody.
        match SledStore::open(&dir) {
            Err(StoreError::NotFound { .. }) => {}
            Ok(store) => assert_eq!(store.face_count().unwrap(), 0, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        let store = SledStore::create_or_open(&dir, &contract())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.face_count().unwrap(), 0, "{what}");
        store.commit(&commit(0)).unwrap();
        let said = everything(&store).unwrap();
        drop(store);
        assert!(SledStore::is_at(&dir));
        assert!(everything(&SledStore::open(&dir).unwrap()).unwrap() == said, "{what}");
    }
}

/// A folder that holds more than a beginning is not taken for one.
#[test]
fn a_store_without_its_log_is_damaged_and_stays_as_it_is() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("store");
    filled(&dir);
    fs::remove_file(dir.join("sled/db")).unwrap();
    let files = || {
        let mut files = Vec::new();
        list(&dir.join("sled"), &mut files);
        files.sort();
        files
    };
    let before = files();
    assert!(before.len() >= 2, "settings and a snapshot");
    for checkpoint in ["kept", "lost"] {
        match SledStore::create_or_open(&dir, &contract()) {
            Err(StoreError::Corrupt { what, .. }) => assert_eq!(what, "its log is missing"),
            other => panic!("{checkpoint}: {other:?}"),
        }
        assert_eq!(files(), before, "{checkpoint}");
        let _ = fs::remove_file(dir.join("checkpoint"));
    }
}

#[test]
fn files_are_their_owners_alone() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("index/store");
    filled(&dir);
    let check = |dir: &Path| {
        let mut paths = Vec::new();
        list(dir, &mut paths);
        let folders = ["", "sled", "sled/blobs"].map(|name| dir.join(name));
        for path in paths.iter().chain(&folders) {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let want = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, want, "{mode:o} {}", path.display());
        }
    };
    check(&dir);
    SledStore::rewrite(&dir).unwrap();
    drop(SledStore::open(&dir).unwrap());
    check(&dir);
}
