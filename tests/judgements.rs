//! `facesearch identity confirm` and `deny`: yes and no are remembered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{
    Dice, crowd, files_below, holding, index_of, json_lines, many_photos, newest, published,
    run_for, scratch, stderr, stdout, text,
};

fn identity(index: &Path, what: &[&str]) -> String {
    stdout(&run_for(0, &[&["identity", "--index", text(index)][..], what].concat()))
}

fn refused(index: &Path, what: &[&str]) -> String {
    stderr(&run_for(3, &[&["identity", "--index", text(index)][..], what].concat()))
}

/// The faces that `identity show` lists, with what was said of them.
fn shown(index: &Path, name: &str) -> BTreeMap<u64, Option<String>> {
    let shown = run_for(0, &["identity", "show", name, "--json", "--index", text(index)]);
    let of = |face: &serde_json::Value| {
        (face["face"].as_u64().unwrap(), face["judgement"].as_str().map(str::to_owned))
    };
    json_lines(&shown).iter().map(of).collect()
}

/// The faces that have a name.
fn faces_of(index: &Path, name: &str) -> Vec<u64> {
    let denied = Some("denied".to_owned());
    shown(index, name).into_iter().filter(|(_, said)| *said != denied).map(|(id, _)| id).collect()
}

fn names(index: &Path) -> Vec<(String, u64)> {
    let listed = run_for(0, &["identity", "list", "--json", "--index", text(index)]);
    let of = |line: &serde_json::Value| {
        (line["identity"].as_str().unwrap().to_owned(), line["faces"].as_u64().unwrap())
    };
    json_lines(&listed).iter().map(of).collect()
}

fn audit(index: &Path) -> Vec<serde_json::Value> {
    json_lines(&run_for(0, &["audit", "--threshold", "0.85", "--json", "--index", text(index)]))
}

#[test]
fn a_confirmed_face_has_the_name_and_is_not_in_doubt() {
    let dir = scratch();
    let index = dir.path().join("index");
    let mut faces = crowd(40, 6, &mut Dice(9));
    faces[0].identity = Some("person 0001".into());
    index_of(&index, &faces);
    let before = published(&index);
    let found = audit(&index);
    assert_eq!((found.len(), &found[0]["kind"]), (1, &"mislabelled".into()), "{found:?}");

    let said = identity(&index, &["confirm", "0", "person 0001"]);
    assert!(said.contains("confirm face 0 as `person 0001` (1 face)"), "{said}");
    assert_eq!(audit(&index), Vec::<serde_json::Value>::new());
    assert_eq!(shown(&index, "person 0001")[&0].as_deref(), Some("confirmed"));
    let words = identity(&index, &["show", "person 0001"]);
    assert_eq!(words.matches(", confirmed").count(), 1, "{words}");
    let again = run_for(0, &["identity", "confirm", "0", "person 0001", "--index", text(&index)]);
    assert!(stderr(&again).contains("it is so already"), "{}", stderr(&again));

    // The face gets a name that it did not have, also one that nobody has.
    identity(&index, &["confirm", "13", "Anna"]);
    assert_eq!((faces_of(&index, "Anna"), faces_of(&index, "person 0002").len()), (vec![13], 5));
    // Another name ends it.
    identity(&index, &["assign", "13", "--to", "Berta"]);
    assert_eq!(shown(&index, "Berta")[&13], None);
    refused(&index, &["show", "Anna"]);
    for _ in 0..3 {
        identity(&index, &["undo"]);
    }
    assert!(published(&index) == before, "the published files are what they were");
    assert_eq!(audit(&index), found);
}

#[test]
fn a_denied_face_loses_the_name_and_no_cluster_gives_it_back() {
    let dir = scratch();
    let index = dir.path().join("index");
    let mut faces = crowd(40, 5, &mut Dice(5));
    // Three photos of person 3 are named.
    for (place, face) in faces.iter_mut().enumerate() {
        face.identity = matches!(place, 15..18).then(|| "Anna".into());
    }
    index_of(&index, &faces);
    let before = published(&index);
    assert!(!before.contains_key("judgements"), "there is no file where nothing was said");
    let at = ["--threshold", "0.85", "--index", text(&index)];
    let anna = || -> Vec<u64> {
        let groups = json_lines(&run_for(0, &[&["cluster", "--json"][..], &at].concat()));
        let group = groups.into_iter().find(|group| group["name"] == "Anna").expect("her group");
        let faces = group["faces"].as_array().unwrap();
        faces.iter().map(|face| face["face"].as_u64().unwrap()).collect()
    };
    assert_eq!(anna(), [15, 16, 17, 18, 19]);

    identity(&index, &["deny", "15", "Anna"]);
    identity(&index, &["deny", "18", "Anna"]);
    assert!(published(&index).contains_key("judgements"));
    assert_eq!(faces_of(&index, "Anna"), [16, 17]);
    assert!(!anna().contains(&15) && !anna().contains(&18), "{:?}", anna());
    run_for(0, &[&["cluster", "--write"][..], &at].concat());
    let said = shown(&index, "Anna");
    assert_eq!([&said[&15], &said[&18]], [&Some("denied".to_owned()); 2]);
    assert_eq!(said.values().flatten().count(), 2, "{said:?}");
    assert!(identity(&index, &["show", "Anna"]).contains(", denied"));
    identity(&index, &["undo"]);

    let why = refused(&index, &["assign", "15", "--to", "Anna"]);
    assert!(why.contains("face 15 was denied to be `Anna`"), "{why}");
    refused(&index, &["deny", "15", "Anan"]);
    refused(&index, &["deny", "999", "Anna"]);
    identity(&index, &["confirm", "15", "Anna"]);
    assert_eq!(faces_of(&index, "Anna"), [15, 16, 17]);
    assert!(anna().contains(&15));
    let log = identity(&index, &["log"]);
    assert!(log.contains("2: deny that face 18 is `Anna` (1 face)"), "{log}");
    for _ in 0..3 {
        identity(&index, &["undo"]);
    }
    assert!(published(&index) == before, "the published files are what they were");
}

#[test]
fn denials_follow_a_name_and_hold_when_people_become_one() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(5, 3, &mut Dice(1)));
    let (one, two) = ("person 0000", "person 0001");
    identity(&index, &["deny", "3", one]);
    assert_eq!(faces_of(&index, two), [3, 4, 5]);
    let before = published(&index);
    identity(&index, &["merge", one, two]);
    assert_eq!(faces_of(&index, one), [0, 1, 2, 4, 5]);
    identity(&index, &["undo"]);
    assert!(published(&index) == before);

    identity(&index, &["rename", one, "Anna"]);
    assert_eq!(shown(&index, "Anna")[&3].as_deref(), Some("denied"));
    identity(&index, &["confirm", "3", two]);
    let why = refused(&index, &["merge", "Anna", two]);
    assert!(why.contains("face 3 was confirmed as one person and denied"), "{why}");
    // A name that nobody has any more is still known to be denied.
    identity(&index, &["remove", "Anna"]);
    assert_eq!(shown(&index, "Anna"), BTreeMap::from([(3, Some("denied".to_owned()))]));
}

#[test]
fn a_person_who_is_removed_takes_judgements_along() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(5, 3, &mut Dice(1)));
    let (one, two) = ("person 0000", "person 0001");
    identity(&index, &["confirm", "0", one]);
    identity(&index, &["deny", "3", one]);
    identity(&index, &["confirm", "4", two]);
    run_for(0, &["remove", "--identity", one, "--index", text(&index)]);
    refused(&index, &["show", one]);
    assert_eq!(shown(&index, two)[&4].as_deref(), Some("confirmed"));
    let log = identity(&index, &["log"]);
    assert!(log.contains("2: deny that face 3 is (removed) (0 faces)"), "{log}");
    run_for(0, &["purge", "--index", text(&index)]);
    assert_eq!(holding(&index, one.as_bytes()), Vec::<std::path::PathBuf>::new());
    assert_eq!(shown(&index, two)[&4].as_deref(), Some("confirmed"));
}

#[test]
fn indexing_again_does_not_give_a_denied_name_back() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    many_photos(&photos, 3);
    let again =
        || run_for(0, &["index", text(&photos), "--index", text(&index), "--quiet", "--prune"]);
    again();
    let biden = faces_of(&index, "biden")[0];
    identity(&index, &["deny", &biden.to_string(), "obama"]);
    assert_eq!(names(&index), [("biden".into(), 1), ("obama".into(), 2)]);
    // The photo moves into the folder of whom it does not show. The face is the same.
    let [from, to] = ["biden", "obama"].map(|person| photos.join(person).join("0002.jpg"));
    fs::rename(&from, &to).unwrap();
    again();
    assert_eq!(names(&index), [("obama".into(), 2)]);
    assert_eq!(shown(&index, "obama")[&biden].as_deref(), Some("denied"));
    fs::rename(&to, &from).unwrap();
    again();
    assert_eq!(names(&index), [("biden".into(), 1), ("obama".into(), 2)]);
    // Who loses a name stays without.
    identity(&index, &["deny", &biden.to_string(), "biden"]);
    again();
    assert_eq!(names(&index), [("obama".into(), 2)]);
}

#[test]
fn what_was_judged_and_not_published_is_published_by_the_next_command() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(3, 2, &mut Dice(4)));
    let name = "person 0000".to_owned();
    let face = facesearch_core::FaceId(4);
    let statement = facesearch_store::Statement {
        what: format!("deny that face 4 is `{name}`"),
        judged: vec![(face, name.clone(), facesearch_core::Judgement::Denied)],
        ..facesearch_store::Statement::default()
    };
    // A process that is killed between its store and its publication leaves this.
    let store = facesearch_store::SledStore::open(&index.join("store")).unwrap();
    store.say(&statement).unwrap();
    drop(store);
    assert!(!published(&index).contains_key("judgements"));
    // Said again, it is no news to the store, but to those who read.
    let said = identity(&index, &["deny", "4", &name]);
    assert!(said.contains("takes it back"), "{said}");
    assert_eq!(shown(&index, &name)[&4].as_deref(), Some("denied"));
}

#[test]
fn damaged_judgements_are_told() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crowd(3, 2, &mut Dice(4)));
    identity(&index, &["deny", "4", "person 0000"]);
    let file = newest(&index).join("judgements");
    assert!(files_below(&newest(&index)).contains(&file));
    let whole = fs::read(&file).unwrap();
    for damaged in [whole[..whole.len() - 1].to_vec(), {
        let mut bytes = whole.clone();
        bytes[70] ^= 1;
        bytes
    }] {
        fs::write(&file, damaged).unwrap();
        for what in [&["audit"][..], &["cluster"], &["identity", "show", "person 0000"]] {
            let told = run_for(4, &[what, &["--index", text(&index)]].concat());
            assert!(stderr(&told).contains("judgements"), "{}", stderr(&told));
        }
    }
    fs::write(&file, whole).unwrap();
    run_for(0, &["audit", "--index", text(&index)]);
}
