//! Files that change behind the cache's back, with and without a sign.

use std::path::PathBuf;

use facesearch_core::NoProgress;

use super::*;
use crate::testing::{artifact, bytes};
use crate::{Artifact, FetchOptions};

fn setup() -> (tempfile::TempDir, Cache, Artifact, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let content = bytes(3, 50_000);
    let file = artifact("a.dat", &content, vec![]);
    let path = cache.path_of(&file);
    fs::write(&path, content).unwrap();
    (folder, cache, file, path)
}

/// Gives a file an old date; that of its last change is now.
fn age(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(1000);
    File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    content[25_000] ^= 1;
    fs::write(path, content).unwrap();
}

/// A stamp of the file as it is, as if it had been hashed long after it was written.
fn stamp(cache: &Cache, file: &Artifact, path: &Path) {
    let stat = Stat::of(&fs::metadata(path).unwrap());
    cache.stamp(file.file.clone(), Stamp { sha256: file.sha256, stat });
}

#[test]
fn a_flipped_bit_is_noticed_at_the_next_use() {
    let (_folder, cache, file, path) = setup();
    stamp(&cache, &file, &path);
    assert!(cache.holds(&path, file.sha256).unwrap());
    flip(&path);
    age(&path);
    assert!(cache.present(&file), "its length is right");
    assert!(!cache.holds(&path, file.sha256).unwrap());
    let offline = FetchOptions { offline: true, ..FetchOptions::default() };
    let error = cache.fetch(&file, offline, &NoProgress).unwrap_err();
    assert!(matches!(error, ZooError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("a.dat"), "{error}");
}

#[test]
fn what_was_hashed_is_not_hashed_again() {
    let (_folder, cache, file, path) = setup();
    // A stamp that lies shows that the file itself is not read.
    let other = Digest::of(b"something else");
    let stat = Stat::of(&fs::metadata(&path).unwrap());
    cache.stamp(file.file.clone(), Stamp { sha256: other, stat });
    assert!(cache.holds(&path, other).unwrap());
    // What is wanted decides; where the stamp is of another content, the file is read.
    assert!(cache.holds(&path, file.sha256).unwrap());
}

#[cfg(unix)]
#[test]
fn a_file_in_its_place_is_another_one() {
    let (_folder, cache, file, path) = setup();
    stamp(&cache, &file, &path);
    let (copy, date) = (path.with_extension("copy"), fs::metadata(&path).unwrap().modified());
    fs::copy(&path, &copy).unwrap();
    flip(&copy);
    // Of the same length and date.
    File::options().write(true).open(&copy).unwrap().set_modified(date.unwrap()).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert!(!cache.holds(&path, file.sha256).unwrap());
}

#[test]
fn what_was_just_written_gets_no_stamp() {
    let (_folder, cache, file, path) = setup();
    assert!(cache.holds(&path, file.sha256).unwrap());
    assert!(cache.stamps().is_empty());
    let stat = Stat::of(&fs::metadata(&path).unwrap());
    assert!(!stat.is_quiet(SystemTime::now()));
    assert!(stat.is_quiet(SystemTime::now() + Duration::from_secs(5)));
}

#[test]
fn a_list_that_is_damaged_costs_a_hash_and_no_more() {
    let (folder, cache, file, path) = setup();
    stamp(&cache, &file, &path);
    let list = folder.path().join(NAME);
    let whole = fs::read(&list).unwrap();
    assert_eq!(cache.stamps().len(), 1);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        for text in [&damaged[..], &whole[..at]] {
            fs::write(&list, text).unwrap();
            assert_eq!(cache.stamps(), Stamps::new(), "{at}");
        }
    }
    for text in [&b""[..], b"\n", b"\xff\xfe", &whole.repeat(2)] {
        fs::write(&list, text).unwrap();
        assert_eq!(cache.stamps(), Stamps::new());
        assert!(cache.holds(&path, file.sha256).unwrap());
    }
    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    assert!(cache.holds(&path, file.sha256).unwrap());
}

#[test]
fn stamps_of_files_that_are_gone_go_with_the_next() {
    let (_folder, cache, file, path) = setup();
    stamp(&cache, &file, &path);
    let other = cache.dir().join("imported").join("b c");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, b"b").unwrap();
    cache.note(&other).unwrap();
    assert_eq!(cache.noted(&other), Some(Digest::of(b"b")));
    assert_eq!(cache.noted(&path), Some(file.sha256));
    fs::remove_file(&path).unwrap();
    cache.note(&other).unwrap();
    assert_eq!(cache.noted(&path), None);
    assert!(cache.holds(&path, file.sha256).is_err());
}
