//! What people say can be taken back to the byte, and a writer that is killed leaves each statement
//! whole or unsaid.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its children speak by printing"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use facesearch_core::{
    BoundingBox, Change, ContentHash, Contract, DetectedFace, Embedding, FaceId, FaceRecord,
    FaceStore, Judgement, Landmarks, Metric,
};
use facesearch_store::{JournalError, SledStore, Statement};

const CHILD: &str = "FACESEARCH_JOURNAL_TEST_CHILD";
const FACES: u64 = 3000;

fn contract() -> Contract {
    Contract {
        model: "fake".into(),
        weights: String::new(),
        dimension: 2,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "fake".into(),
        min_face: 20,
        preprocessing: "none".into(),
        precision: "f32".into(),
    }
}

fn filled(dir: &Path) -> SledStore {
    let store = SledStore::create_or_open(dir, &contract()).unwrap();
    let add = |id: u64| {
        let face = DetectedFace {
            bbox: BoundingBox { x: 0.1, y: 0.2, width: 30.0, height: 40.0 },
            score: 0.7,
            landmarks: Landmarks([[1.0; 2]; 5]),
        };
        let identity = (!id.is_multiple_of(3)).then(|| format!("person {}", id % 50));
        let photo = ContentHash([id as u8; 32]);
        let record = FaceRecord { id: FaceId(id), photo, face, quality: None, identity };
        Change::AddFace(record, Embedding::new(vec![id as f32, 1.0], Metric::L2).unwrap())
    };
    store.commit(&(0..FACES).map(add).collect::<Vec<_>>()).unwrap();
    store.flush().unwrap();
    store
}

/// Every record but those of the journal and the counters, as sled has it.
fn records(store: SledStore, dir: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    drop(store);
    // sled lets go of its lock a moment after it is closed.
    let opened = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        sled::open(dir.join("sled")).ok()
    });
    let db = opened.expect("nobody else has the database open");
    let all = db.iter().map(|record| record.unwrap());
    all.map(|(key, value)| (key.to_vec(), value.to_vec()))
        .filter(|(key, _)| key[0] != b'j' && key != b"mstate")
        .collect()
}

fn open(dir: &Path) -> SledStore {
    SledStore::open(dir).unwrap()
}

/// Labels with what they stand for from now on.
type Labels<'a> = &'a [(&'a str, Option<&'a str>)];
/// Faces, whose they are, and labels.
type Said<'a> = (&'a [u64], Option<&'a str>, Labels<'a>);

fn say(store: &SledStore, faces: &[u64], to: Option<&str>, labels: Labels<'_>) -> u64 {
    let statement = Statement {
        what: format!("{faces:?} to {to:?}"),
        faces: faces.iter().map(|id| (FaceId(*id), to.map(str::to_owned))).collect(),
        labels: labels.iter().map(|(l, to)| ((*l).into(), to.map(str::to_owned))).collect(),
        judged: Vec::new(),
    };
    store.say(&statement).unwrap().unwrap()
}

#[test]
fn every_statement_can_be_taken_back_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut states = vec![records(filled(dir), dir)];
    let everybody: Vec<u64> = (0..FACES).collect();
    let statements: [Said<'_>; 5] = [
        (&[1, 4], Some("Anna"), &[("person 1", Some("Anna"))]),
        (&[4, 7, 9], Some("Berta"), &[("person 1", Some("Berta")), ("x", Some("y"))]),
        (&[1, 2, 3], None, &[("x", None)]),
        (&everybody, Some("all of them, under a name that is not short"), &[]),
        (&[5], Some("person 5"), &[]),
    ];
    for (faces, to, labels) in statements {
        let store = open(dir);
        say(&store, faces, to, labels);
        assert!(store.is_said(FaceId(faces[0])).unwrap());
        states.push(records(store, dir));
    }
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "each statement changed something");
    // Backwards, one by one; then all of it again, by taking back what took it back.
    for want in states.iter().rev().skip(1) {
        let store = open(dir);
        store.undo(None).unwrap();
        assert!(records(store, dir) == *want);
    }
    assert!(matches!(open(dir).undo(None), Err(JournalError::Empty)));
    for (undoing, want) in (6..=10).rev().zip(&states[1..]) {
        let store = open(dir);
        assert_eq!(store.undo(Some(undoing)).unwrap(), undoing);
        assert!(records(store, dir) == *want, "redone {undoing}");
    }
    let journal = open(dir).journal().unwrap();
    let numbers: Vec<u64> = journal.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>());
    assert_eq!(journal[3].faces.len() as u64, FACES);
}

#[test]
fn what_was_overtaken_is_not_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let first = say(&store, &[1, 2], Some("Anna"), &[]);
    let second = say(&store, &[2], Some("Berta"), &[]);
    let refused = store.undo(Some(first));
    assert!(matches!(refused, Err(JournalError::Overtaken { face: FaceId(2), .. })), "{refused:?}");
    assert_eq!(store.undo(Some(second)).unwrap(), second);
    let refused = store.undo(Some(second));
    assert!(matches!(refused, Err(JournalError::Undone { by: 3, .. })), "{refused:?}");
    assert!(matches!(store.undo(Some(99)), Err(JournalError::Unknown { number: 99 })));
    // A face that was removed meanwhile stays so, and the rest comes back.
    store.commit(&[Change::RemoveFace(FaceId(1))]).unwrap();
    assert!(!store.is_said(FaceId(1)).unwrap());
    assert_eq!(store.undo(None).unwrap(), first);
    assert_eq!(store.face(FaceId(1)).unwrap(), None);
    assert_eq!(store.face(FaceId(2)).unwrap().unwrap().identity.as_deref(), Some("person 2"));
    let nobody =
        Statement { what: "x".into(), faces: vec![(FaceId(1), None)], ..Statement::default() };
    assert!(matches!(store.say(&nobody), Err(JournalError::NoFace { face: FaceId(1) })));
    let same = Statement::default();
    assert_eq!(store.say(&same).unwrap(), None);
}

fn judge(store: &SledStore, face: u64, name: &str, judgement: Judgement) -> u64 {
    let judged = vec![(FaceId(face), name.to_owned(), judgement)];
    let what = format!("{judgement:?} {face} `{name}`");
    store.say(&Statement { what, judged, ..Statement::default() }).unwrap().unwrap()
}

fn identity(store: &SledStore, face: u64) -> Option<String> {
    store.face(FaceId(face)).unwrap().unwrap().identity
}

#[test]
fn judgements_follow_names_and_are_taken_back_to_the_byte() {
    use Judgement::{Confirmed, Denied};
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut states = vec![records(filled(dir), dir)];
    let mut step = |act: &dyn Fn(&SledStore)| {
        let store = open(dir);
        act(&store);
        states.push(records(store, dir));
    };
    step(&|store| {
        judge(store, 101, "person 1", Denied);
        assert_eq!(identity(store, 101), None);
        assert!(store.is_said(FaceId(101)).unwrap(), "no name of a file brings it back");
    });
    step(&|store| {
        judge(store, 2, "person 1", Denied);
        assert_eq!(identity(store, 2).as_deref(), Some("person 2"));
        assert!(!store.is_said(FaceId(2)).unwrap(), "whose it is was not said");
        let faces = vec![(FaceId(2), Some("person 1".to_owned()))];
        let refused = store.say(&Statement { faces, ..Statement::default() });
        assert!(
            matches!(refused, Err(JournalError::Denied { face: FaceId(2), .. })),
            "{refused:?}"
        );
    });
    step(&|store| {
        judge(store, 3, "person 1", Confirmed);
        assert_eq!(identity(store, 3).as_deref(), Some("person 1"));
    });
    step(&|store| {
        // Person 1 is person 2, too: then face 2 is not, and face 3 is.
        say(store, &[1, 3], Some("person 2"), &[("person 1", Some("person 2"))]);
        let judged = store.judgements().unwrap();
        let want = [(2, Denied), (3, Confirmed), (101, Denied)];
        let all: Vec<_> = judged.iter().map(|(face, name, said)| (face.0, name, said)).collect();
        assert_eq!(all, want.map(|(face, said)| (face, "person 2", said)));
        assert_eq!([identity(store, 2), identity(store, 101)], [None, None]);
    });
    step(&|store| {
        // Another name ends a confirmation.
        say(store, &[3], Some("Anna"), &[]);
        assert_eq!(store.judgement(FaceId(3), "person 2").unwrap(), None);
    });
    for want in states.iter().rev().skip(1) {
        let store = open(dir);
        store.undo(None).unwrap();
        assert!(records(store, dir) == *want);
    }
    let journal = open(dir).journal().unwrap();
    assert_eq!(journal.iter().map(|entry| entry.face_count()).collect::<Vec<_>>()[..2], [1, 1]);
}

#[test]
fn what_judgements_contradict_is_not_said_and_not_taken_back() {
    use Judgement::{Confirmed, Denied};
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let first = say(&store, &[2], Some("Anna"), &[]);
    judge(&store, 2, "person 2", Denied);
    // It would get the name back that was denied since.
    let refused = store.undo(Some(first));
    assert!(matches!(refused, Err(JournalError::Overtaken { face: FaceId(2), .. })), "{refused:?}");
    judge(&store, 2, "Anna", Confirmed);
    let both = Statement {
        labels: vec![("person 2".to_owned(), Some("Anna".to_owned()))],
        ..Statement::default()
    };
    let refused = store.say(&both);
    assert!(matches!(refused, Err(JournalError::Contradiction { .. })), "{refused:?}");
    // What was said last counts.
    judge(&store, 2, "Anna", Denied);
    assert_eq!(identity(&store, 2), None);
    judge(&store, 2, "Anna", Confirmed);
    assert_eq!(identity(&store, 2).as_deref(), Some("Anna"));
    let again = vec![(FaceId(2), "Anna".to_owned(), Confirmed)];
    let again = Statement { judged: again, ..Statement::default() };
    assert_eq!(store.say(&again).unwrap(), None);
    let nobody = vec![(FaceId(FACES), "Anna".to_owned(), Denied)];
    let nobody = Statement { judged: nobody, ..Statement::default() };
    assert!(matches!(store.say(&nobody), Err(JournalError::NoFace { .. })));
}

#[test]
fn judgements_go_with_their_face_and_with_a_person_who_is_removed() {
    use Judgement::{Confirmed, Denied};
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    judge(&store, 1, "Anna", Confirmed);
    judge(&store, 2, "Anna", Denied);
    judge(&store, 2, "Berta", Denied);
    store.commit(&[Change::RemoveFace(FaceId(1))]).unwrap();
    assert_eq!(store.judgements().unwrap().len(), 2);
    let names = std::collections::BTreeSet::from(["Anna".to_owned()]);
    assert!(store.forget_names(&names).unwrap());
    assert!(!store.forget_names(&names).unwrap(), "once is enough");
    let judged = store.judgements().unwrap();
    let all: Vec<_> = judged.iter().map(|(face, name, _)| (face.0, name)).collect();
    assert_eq!(all, [(2, "Berta")]);
    let said = format!("{:?}", store.journal().unwrap());
    assert!(!said.contains("Anna") && !said.contains("FaceId(1)"), "{said}");
    assert!(matches!(store.undo(Some(2)), Err(JournalError::Forgotten { .. })));
    store.undo(None).unwrap();
    assert!(store.judgements().unwrap().is_empty());
}

/// The words of each entry of the journal.
fn words(store: &SledStore) -> Vec<String> {
    store.journal().unwrap().into_iter().map(|entry| entry.what).collect()
}

#[test]
fn a_person_who_is_removed_is_in_no_entry_and_the_others_can_still_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let say = |what: &str, faces: &[u64], to: &str, labels: Labels<'_>| {
        let statement = Statement {
            what: what.into(),
            faces: faces.iter().map(|id| (FaceId(*id), Some(to.to_owned()))).collect(),
            labels: labels.iter().map(|(l, to)| ((*l).into(), to.map(str::to_owned))).collect(),
            judged: Vec::new(),
        };
        store.say(&statement).unwrap().unwrap()
    };
    say("assign to `Anna`", &[1], "Anna", &[]);
    say("assign to `Berta`", &[1], "Berta", &[]);
    let moved = say("assign to `Anna`", &[2, 7], "Anna", &[]);
    say("rename `Berta` to `Clara`", &[1], "Clara", &[("Berta", Some("Clara"))]);
    say("assign to `Clara`", &[4, 7], "Clara", &[]);
    say("assign to `Dora`", &[7], "Dora", &[]);
    assert_eq!(store.undo(Some(4)).unwrap(), 4);
    assert_eq!(store.undo(Some(7)).unwrap(), 7);

    let names = store.names_of("Clara").unwrap();
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["Berta", "Clara"]);
    store.commit(&[Change::RemoveFace(FaceId(1)), Change::RemoveFace(FaceId(4))]).unwrap();
    assert!(store.forget_names(&names).unwrap());
    assert!(!store.forget_names(&names).unwrap(), "once is enough");
    // `Anna` is somebody else's name, too, and `Dora` is that of a face which was the person's
    // once.
    assert_eq!(
        words(&store),
        [
            "assign to `Anna`",
            "assign to (removed)",
            "assign to `Anna`",
            "rename (removed) to (removed)",
            "assign to (removed)",
            "assign to `Dora`",
            "undo 4: rename (removed) to (removed)",
            "undo 7: undo 4: rename (removed) to (removed)"
        ]
    );
    let said = format!("{:?}", store.journal().unwrap());
    assert!(!said.contains("Berta") && !said.contains("Clara"), "{said}");
    assert!(!said.contains("FaceId(1)") && !said.contains("FaceId(4)"), "{said}");
    assert_eq!(store.names_of("Clara").unwrap().len(), 1, "no label stands for the person");

    for number in [1, 4, 5] {
        let refused = store.undo(Some(number));
        assert!(matches!(refused, Err(JournalError::Forgotten { .. })), "{number}: {refused:?}");
    }
    drop(store);
    let store = open(dir.path());
    let identity = |face| store.face(FaceId(face)).unwrap().unwrap().identity;
    assert_eq!([identity(2).as_deref(), identity(7).as_deref()], [Some("Anna"), Some("Dora")]);
    assert!(matches!(store.undo(Some(moved)), Err(JournalError::Overtaken { .. })));
}

/// What the killed process says: statement `n` names some faces `round n`.
fn faces_of(number: u64) -> Vec<u64> {
    (0..FACES).filter(|id| (id * 7 + number).is_multiple_of(5)).collect()
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&dir));
    let mut out = std::io::stdout();
    for number in store.journal().unwrap().len() as u64 + 1.. {
        if number % 4 == 0 {
            store.undo(None).unwrap();
        } else {
            say(&store, &faces_of(number), Some(&format!("round {number}")), &[]);
        }
        store.flush().unwrap();
        writeln!(out, "\nflushed {number}").unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_statements_whole_and_all_that_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(filled(dir));
    let mut said = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let flushed = |line: String| line.strip_prefix("flushed ")?.parse::<u64>().ok();
            lines.lines().map_while(Result::ok).filter_map(flushed).last()
        });
        std::thread::sleep(Duration::from_millis(60 + round * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        let flushed = reader.join().unwrap().unwrap_or(said);

        let store = open(dir);
        let journal = store.journal().unwrap();
        said = journal.len() as u64;
        assert!(said >= flushed, "{flushed} were flushed, {said} came back");
        // The records are what the journal makes of the beginning.
        let mut want: Vec<Option<String>> = (0..FACES)
            .map(|id| (!id.is_multiple_of(3)).then(|| format!("person {}", id % 50)))
            .collect();
        for entry in &journal {
            for named in &entry.faces {
                let place = &mut want[named.face.0 as usize];
                assert_eq!(*place, named.before.identity, "entry {}", entry.number);
                place.clone_from(&named.after.identity);
            }
        }
        let mut id = 0;
        store
            .for_each_face(&mut |face, _| {
                assert_eq!(face.identity, want[id]);
                id += 1;
                Ok(())
            })
            .unwrap();
    }
    println!("{said} statements");
    assert!(said > 20, "the test must have said something: {said}");
}
