//! What the cache says of a folder, compared with what was put there.

use std::fs;

use super::*;
use crate::testing::{artifact, bytes};

#[test]
fn the_configured_folder_wins_and_an_empty_one_does_not_count() {
    assert_eq!(Cache::default_dir(Some("/models".as_ref())).unwrap(), Path::new("/models"));
    let fallback = Cache::default_dir(Some("".as_ref())).unwrap();
    assert_eq!(fallback, Cache::default_dir(None).unwrap());
    assert!(fallback.ends_with("facesearch/models"), "{}", fallback.display());
}

#[test]
fn a_check_tells_good_missing_cut_and_altered_files_apart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let content = bytes(1, 5000);
    let file = artifact("a.dat", &content, vec![]);
    assert_eq!(cache.check(&file).unwrap(), Check::Missing);
    assert!(!cache.present(&file));

    fs::write(cache.path_of(&file), &content).unwrap();
    assert_eq!(cache.check(&file).unwrap(), Check::Good);
    assert!(cache.present(&file));

    fs::write(cache.path_of(&file), &content[..4999]).unwrap();
    assert_eq!(cache.check(&file).unwrap(), Check::WrongSize { found: 4999 });
    assert!(!cache.present(&file));

    let mut flipped = content.clone();
    flipped[2500] ^= 1;
    fs::write(cache.path_of(&file), &flipped).unwrap();
    assert_eq!(cache.check(&file).unwrap(), Check::WrongContent { found: Digest::of(&flipped) });
    assert!(cache.present(&file), "the cheap look does not see it, as documented");
}
