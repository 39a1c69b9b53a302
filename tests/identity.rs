//! `facesearch identity`: people are named, merged, split, and all of it is taken back.

use std::fs;
use std::path::Path;

use crate::support::{
    Dice, crowd, index_of, json_lines, many_photos, published, run_for, scratch, stderr, stdout,
    text,
};

fn identity(index: &Path, what: &[&str]) -> String {
    stdout(&run_for(0, &[&["identity", "--index", text(index)][..], what].concat()))
}

fn names(index: &Path) -> Vec<(String, u64)> {
    let listed = run_for(0, &["identity", "list", "--json", "--index", text(index)]);
    let of = |line: &serde_json::Value| {
        (line["identity"].as_str().unwrap().to_owned(), line["faces"].as_u64().unwrap())
    };
    json_lines(&listed).iter().map(of).collect()
}

fn faces_of(index: &Path, name: &str) -> Vec<u64> {
    let shown = run_for(0, &["identity", "show", name, "--json", "--index", text(index)]);
    json_lines(&shown).iter().map(|face| face["face"].as_u64().unwrap()).collect()
}

#[test]
fn everything_said_is_published_and_taken_back_to_the_byte() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(5, 3, &mut Dice(1)));
    let person = |n: u32| format!("person {n:04}");
    let mut states = vec![published(&index)];
    let mut step = |what: &[&str]| {
        identity(&index, what);
        states.push(published(&index));
    };
    step(&["rename", &person(0), "Anna"]);
    step(&["merge", "Anna", &person(1), &person(2)]);
    assert_eq!(names(&index), [("Anna".into(), 9), (person(3), 3), (person(4), 3)]);
    let some = faces_of(&index, "Anna")[3..6].iter().map(u64::to_string).collect::<Vec<_>>();
    step(&["split", "Anna", "--faces", &some.join(","), "--into", "Berta"]);
    step(&["assign", &some[0], "--to", "Clara"]);
    step(&["remove", &person(4)]);
    assert_eq!(
        names(&index),
        [("Anna".into(), 6), ("Berta".into(), 2), ("Clara".into(), 1), (person(3), 3)]
    );
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]));
    for want in states.iter().rev().skip(1) {
        identity(&index, &["undo"]);
        assert!(published(&index) == *want, "the published files are what they were");
    }
    let log = json_lines(&run_for(0, &["identity", "log", "--json", "--index", text(&index)]));
    assert_eq!(log.len(), 10);
    assert_eq!((&log[0]["entry"], &log[9]["undoes"]), (&1.into(), &1.into()));
}

#[test]
fn mistakes_are_named_and_change_nothing() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(3, 2, &mut Dice(2)));
    let before = published(&index);
    let refused = |code: i32, what: &[&str]| {
        stderr(&run_for(code, &[&["identity", "--index", text(&index)][..], what].concat()))
    };
    let (one, other) = ("person 0000", "person 0001");
    assert!(refused(3, &["rename", "Nobody", "x"]).contains("nobody is called `Nobody`"));
    assert!(refused(3, &["rename", one, other]).contains("merge"));
    assert!(
        refused(3, &["split", one, "--faces", "5", "--into", "x"]).contains("face 5 is not of")
    );
    assert!(refused(3, &["assign", "99", "--to", "x"]).contains("no face 99"));
    assert!(refused(2, &["rename", one, " "]).contains("at least one letter"));
    assert!(refused(3, &["undo"]).contains("nothing was said"));
    assert!(published(&index) == before);
    let elsewhere = dir.path().join("nowhere");
    run_for(4, &["identity", "list", "--index", text(&elsewhere)]);
}

#[test]
fn indexing_again_respects_what_was_said() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    many_photos(&photos, 3);
    let again = || run_for(0, &["index", text(&photos), "--index", text(&index), "--quiet"]);
    again();
    assert_eq!(names(&index), [("biden".into(), 1), ("obama".into(), 2)]);
    identity(&index, &["rename", "obama", "Barack"]);
    let biden = faces_of(&index, "biden")[0].to_string();
    identity(&index, &["assign", &biden, "--to", "Joe"]);
    again();
    assert_eq!(names(&index), [("Barack".into(), 2), ("Joe".into(), 1)]);
    // A photo that comes later goes by the new name of its folder; who was named alone does not
    // rename a folder.
    many_photos(&photos, 6);
    fs::remove_file(photos.join("obama").join("0000.jpg")).unwrap();
    again();
    assert_eq!(names(&index), [("Barack".into(), 4), ("Joe".into(), 1), ("biden".into(), 1)]);
    identity(&index, &["undo"]);
    identity(&index, &["undo"]);
    again();
    assert_eq!(names(&index), [("biden".into(), 2), ("obama".into(), 4)]);
}
