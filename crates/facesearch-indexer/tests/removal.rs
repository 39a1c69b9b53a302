//! People who are removed: what goes with them, what stays, and what later runs make of it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{Mortal, World, dump, faces, ledger, store};
use facesearch_core::{ContentHash, FaceStore};
use facesearch_indexer::{IndexOptions, Removed, remove_identity};

fn remove(store: &dyn FaceStore, who: &str, names: &[&str]) -> Removed {
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    remove_identity(store, who, &names).unwrap()
}

fn content(text: &str) -> ContentHash {
    ContentHash(*blake3::hash(text.as_bytes()).as_bytes())
}

/// Anna alone, twice the same, with Ben in the background, in a folder of his, and folders of hers
/// with photos that show nobody or are none.
fn people() -> World {
    let world = World::new();
    for (name, text) in [
        ("anna/alone.jpg", "1 alone"),
        ("anna/empty room.jpg", "0"),
        ("anna/with ben.jpg", "2 both"),
        ("anna/broken.jpg", "bad"),
        ("ben/anna alone.jpg", "1 alone"),
        ("ben/ben.jpg", "1 ben"),
        ("ben/hall.jpg", "0 hall"),
        ("z/anna.jpg", "0 an empty photo called anna"),
        ("z/copy of both.jpg", "2 both"),
    ] {
        world.write(name, text);
    }
    world
}

#[test]
fn a_person_goes_with_the_photos_that_nobody_else_is_in_and_stays_out() {
    let world = people();
    let store = store();
    world.run(&store);
    assert_eq!(faces(&store, &world.dir).len(), 4);
    let removed = remove(&store, "anna", &["anna"]);
    // A copy elsewhere of the photo with both answers for it from now on.
    assert_eq!((removed.faces, removed.files, removed.left.len()), (2, 6, 0), "{removed:?}");
    assert_eq!(
        ledger(&store, &world.dir),
        ["ben/ben.jpg Faces(1)", "ben/hall.jpg NoFace", "z/copy of both.jpg Faces(2)"]
    );
    assert_eq!(faces(&store, &world.dir), ["2 z/copy of both.jpg -", "3 ben/ben.jpg ben"]);
    assert_eq!(store.photo(&content("1 alone")).unwrap(), None);
    assert!(store.is_forgotten(&content("1 alone")).unwrap());
    assert!(!store.is_forgotten(&content("2 both")).unwrap());

    // Nothing of her comes back, nor the path or the hash of a photo of hers.
    for rehash in [false, true] {
        let options = IndexOptions { rehash, ..world.options() };
        let report = world.run_with(&store, options, &[""]).unwrap();
        assert_eq!((report.forgotten, report.faces_added, report.not_photos), (2, 0, 0));
        let lines = ledger(&store, &world.dir);
        let alone = lines.iter().find(|line| line.contains("alone"));
        assert_eq!(alone, None);
        assert!(faces(&store, &world.dir).iter().all(|face| !face.ends_with("anna")));
    }
    // But where that is asked for.
    let options = IndexOptions { readmit: true, ..world.options() };
    let report = world.run_with(&store, options, &[""]).unwrap();
    assert_eq!((report.forgotten, report.faces_added), (0, 1));
    assert!(faces(&store, &world.dir).contains(&"4 anna/alone.jpg anna".to_owned()));
    assert!(!store.is_forgotten(&content("1 alone")).unwrap());
    assert_eq!(world.run(&store).forgotten, 0, "it is known again");
}

#[test]
fn a_photo_with_others_in_it_stays_and_is_told_where_its_path_has_the_name() {
    let world = people();
    world.remove("z/copy of both.jpg");
    let store = store();
    world.run(&store);
    let removed = remove(&store, "anna", &["anna"]);
    assert_eq!(removed.left, [world.path("anna/with ben.jpg")]);
    assert_eq!(
        ledger(&store, &world.dir),
        ["anna/with ben.jpg Faces(2)", "ben/ben.jpg Faces(1)", "ben/hall.jpg NoFace"]
    );
    assert_eq!(faces(&store, &world.dir), ["2 anna/with ben.jpg -", "3 ben/ben.jpg ben"]);
    // Under another name of the person nothing more is found.
    let removed = remove(&store, "anna", &["anna", "Anna"]);
    assert_eq!((removed.faces, removed.files), (0, 0));
    // The face that is left does not get the name of its folder.
    world.run(&store);
    assert!(faces(&store, &world.dir).contains(&"2 anna/with ben.jpg -".to_owned()));
}

#[test]
fn an_earlier_content_that_a_broken_file_keeps_goes_with_its_people() {
    let world = World::new();
    world.write("anna/1.jpg", "1 anna");
    world.write("b/2.jpg", "1 ben");
    let store = store();
    world.run(&store);
    world.write("anna/1.jpg", "bad");
    world.run(&store);
    assert!(ledger(&store, &world.dir)[0].ends_with("keeps"));
    let removed = remove(&store, "anna", &[]);
    assert_eq!((removed.faces, removed.files), (1, 1));
    assert_eq!(ledger(&store, &world.dir), ["b/2.jpg Faces(1)"]);
    assert_eq!(store.photo(&content("bad")).unwrap(), None, "no photo is left without a line");
    // Her photo is put over another: that one's face goes, and hers does not come.
    world.write("b/2.jpg", "1 anna");
    let report = world.run(&store);
    assert_eq!((report.forgotten, report.faces_removed, report.faces_added), (1, 1, 0));
    assert_eq!(ledger(&store, &world.dir), ["anna/1.jpg Undecodable(\"`bad` is no photo\")"]);
}

#[test]
fn an_interrupted_removal_is_completed_by_the_next() {
    let calm = {
        let world = people();
        let store = store();
        world.run(&store);
        remove(&store, "anna", &["anna"]);
        dump(&store, &world.dir)
    };
    let mut deaths = 0;
    for commits in 0.. {
        let world = people();
        let store = store();
        world.run(&store);
        let names = BTreeSet::from(["anna".to_owned()]);
        let died = remove_identity(&Mortal::new(&store, commits), "anna", &names).is_err();
        deaths += u64::from(died);
        remove(&store, "anna", &["anna"]);
        assert_eq!(dump(&store, &world.dir), calm, "after {commits} commits");
        assert!(store.is_forgotten(&content("1 alone")).unwrap());
        if !died {
            break;
        }
    }
    assert!(deaths > 3, "{deaths}");
}

#[test]
fn a_photo_that_is_read_only_when_it_is_committed_is_left_out_too() {
    let world = World::new();
    world.write("anna/1.jpg", "1 anna");
    world.write("b/2.jpg", "1 ben");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let store = store();
    world.run(&store);
    // A ledger line without its photo, as if it were from elsewhere: the file is read again.
    let path = world.path("anna/1.jpg");
    let entry = store.file(&path).unwrap().unwrap();
    remove(&store, "anna", &[]);
    store.commit(&[facesearch_core::Change::PutFile(path.clone(), entry)]).unwrap();
    let report = world.run(&store);
    assert_eq!((report.forgotten, report.faces_added), (1, 0));
    assert_eq!(store.file(&path).unwrap(), None);
    assert!(fs::exists(&path).unwrap());
}
