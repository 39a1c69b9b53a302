//! `facesearch identity`: people are named, merged, split, and all of it is taken back.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{
    Dice, crowd, facesearch, index_of, json_lines, many_photos, published, run_for, scratch,
    stderr, stdout, text,
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

#[test]
fn killed_at_any_moment_what_was_said_is_a_prefix_and_is_taken_back_to_the_byte() {
    const PEOPLE: u32 = 24;
    let dir = scratch();
    let (calm, rough) = (dir.path().join("calm"), dir.path().join("rough"));
    for index in [&calm, &rough] {
        index_of(index, &crowd(PEOPLE as usize, 2, &mut Dice(4)));
    }
    // Each concerns another person, so that it can be said whatever readers saw of those before.
    let said = |n: u32| match n % 3 {
        0 => ["rename".to_owned(), format!("person {n:04}"), format!("Anna {n}")].to_vec(),
        1 => {
            ["assign".to_owned(), (2 * n).to_string(), "--to".into(), format!("Berta {n}")].to_vec()
        }
        _ => ["remove".to_owned(), format!("person {n:04}")].to_vec(),
    };
    let mut states = vec![published(&calm)];
    for n in 0..PEOPLE {
        let what = said(n);
        identity(&calm, &what.iter().map(String::as_str).collect::<Vec<_>>());
        states.push(published(&calm));
    }
    let entries = |index: &Path| {
        json_lines(&run_for(0, &["identity", "log", "--json", "--index", text(index)]))
    };
    let told = entries(&calm);

    let (mut seed, mut done, mut killed, mut limit) = (0x9e37_79b9_7f4a_7c15u64, 0, 0, 40);
    while done < PEOPLE {
        let mut child = facesearch()
            .args(["identity", "--index", text(&rough)])
            .args(said(done))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % limit));
        child.kill().unwrap();
        let survived = child.wait().unwrap().success();
        killed += u32::from(!survived);
        // Also where the machine is so slow that nothing is ever said in time.
        limit += if survived { 0 } else { limit / 10 };
        let now = entries(&rough);
        assert!(
            now.len() as u32 == done || now.len() as u32 == done + 1,
            "{} of {done}",
            now.len()
        );
        assert!(now.len() as u32 > done || !survived, "what was reported is there");
        assert_eq!(now[..], told[..now.len()], "a prefix of what was said");
        done = now.len() as u32;
        // Readers see that prefix, or, until the next publication, the one before.
        let seen = published(&rough);
        let place = states.iter().position(|state| *state == seen).expect("no state in between");
        assert!(place as u32 <= done);
    }
    assert!(killed > 0, "nothing was interrupted");
    for want in states.iter().rev().skip(1) {
        identity(&rough, &["undo"]);
        assert!(published(&rough) == *want, "the published files are what they were");
    }
}

#[test]
fn what_was_said_and_not_published_is_published_by_the_next_command() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(3, 2, &mut Dice(4)));
    let (old, new) = ("person 0000".to_owned(), "Anna".to_owned());
    let faces = faces_of(&index, &old);
    let open = || facesearch_store::SledStore::open(&index.join("store")).unwrap();
    // A process that is killed between its store and its publication leaves this.
    let statement = facesearch_store::Statement {
        what: format!("rename `{old}` to `{new}`"),
        faces: faces.iter().map(|f| (facesearch_core::FaceId(*f), Some(new.clone()))).collect(),
        labels: vec![(old.clone(), Some(new.clone()))],
        judged: Vec::new(),
    };
    let before = published(&index);
    open().say(&statement).unwrap();
    assert_eq!(names(&index)[0].0, old);
    // Said again, it is no news to the store, but to those who read.
    run_for(0, &["identity", "rename", &old, &new, "--index", text(&index)]);
    assert_eq!(names(&index)[0].0, new);
    // Once it is published, it is a mistake.
    run_for(3, &["identity", "rename", &old, &new, "--index", text(&index)]);
    open().undo(None).unwrap();
    run_for(0, &["identity", "undo", "--index", text(&index)]);
    assert!(published(&index) == before);
    run_for(3, &["identity", "undo", "--index", text(&index)]);
    // Whoever is gone from the store and still there for readers.
    let names_of_old = std::collections::BTreeSet::from([old.clone()]);
    facesearch_indexer::remove_identity(&open(), &old, &names_of_old).unwrap();
    run_for(0, &["remove", "--identity", &old, "--index", text(&index)]);
    assert_eq!(names(&index).len(), 2);
    run_for(1, &["remove", "--identity", &old, "--index", text(&index)]);
}

#[test]
fn names_of_folders_follow_every_renaming() {
    let dir = scratch();
    let (index, people) = (dir.path().join("index"), dir.path().join("people"));
    let add = |name: &str, from: &str| {
        let folder = people.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(crate::support::photo(from), folder.join(from)).unwrap();
        run_for(0, &["index", text(&people), "--index", text(&index), "-q"]);
    };
    add("A", "obama.jpg");
    add("B", "biden.jpg");
    identity(&index, &["rename", "A", "C"]);
    identity(&index, &["rename", "C", "D"]);
    add("A", "obama2.jpg");
    assert_eq!(names(&index), [("B".into(), 1), ("D".into(), 2)]);
    identity(&index, &["rename", "D", "A"]);
    add("A", "obama3.jpg");
    assert_eq!(names(&index), [("A".into(), 3), ("B".into(), 1)]);
    identity(&index, &["merge", "B", "A"]);
    identity(&index, &["rename", "B", "E"]);
    add("A", "biden2.jpg");
    assert_eq!(names(&index), [("E".into(), 5)]);
}

#[test]
fn undoing_goes_on_where_undoings_were_undone() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(3, 2, &mut Dice(5)));
    let start = published(&index);
    let face = faces_of(&index, "person 0000")[0].to_string();
    let said = identity(&index, &["assign", &format!("{face},{face}"), "--to", "First", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["entry"], &said["faces"]), (&1.into(), &1.into()));
    identity(&index, &["rename", "person 0001", "Joe"]);
    identity(&index, &["undo"]); // 3 undoes 2
    identity(&index, &["undo", "3"]); // 4: 2 stands
    identity(&index, &["undo", "4"]); // 5: 2 does not
    identity(&index, &["undo"]);
    assert!(published(&index) == start);
}
