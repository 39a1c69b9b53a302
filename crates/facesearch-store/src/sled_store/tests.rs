//! The store on disk against the one in memory, and what opening refuses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use facesearch_core::{
    BoundingBox, DetectedFace, Embedding, FileStat, Landmarks, Metric, Outcome, Quality,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::MemoryStore;

fn contract(dimension: u32) -> Contract {
    Contract {
        model: "fake".into(),
        weights: String::new(),
        dimension,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "fake".into(),
        min_face: 20,
        preprocessing: "none".into(),
        precision: "f32".into(),
    }
}

/// What both stores are asked to do. Faces are named by their order of birth.
#[derive(Debug, Clone)]
enum Step {
    Put { path: u8, content: Option<u8>, keeps: Option<u8> },
    Remove { path: u8 },
    PutPhoto { content: u8, faces: Vec<u64> },
    RemovePhoto { content: u8 },
    Forget { content: u8 },
    Add { content: u8, value: f32 },
    Update { which: prop::sample::Index },
    RemoveFace { which: prop::sample::Index },
}

#[derive(Debug, Clone)]
enum Act {
    Commit(Vec<Step>),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let content = 0u8..4;
    let some = prop::option::of(0u8..4);
    prop_oneof![
        4 => (0u8..12, some.clone(), some)
            .prop_map(|(path, content, keeps)| Step::Put { path, content, keeps }),
        1 => (0u8..12).prop_map(|path| Step::Remove { path }),
        1 => (content.clone(), vec(any::<u64>(), 0..3))
            .prop_map(|(content, faces)| Step::PutPhoto { content, faces }),
        1 => content.clone().prop_map(|content| Step::RemovePhoto { content }),
        1 => content.clone().prop_map(|content| Step::Forget { content }),
        3 => (content, any::<f32>().prop_filter("no norm that is refused", |v| v.abs() < 1e16))
            .prop_map(|(content, value)| Step::Add { content, value }),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Update { which }),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::RemoveFace { which }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => vec(step(), 0..12).prop_map(Act::Commit),
        1 => Just(Act::Flush),
        1 => Just(Act::Reopen),
    ]
}

/// Names that differ in how bytes and components sort, and one that is no UTF-8.
fn path(number: u8) -> PathBuf {
    let names: [&[u8]; 12] = [
        b"/a",
        b"/a/b",
        b"/a/b/c",
        b"/a/b!",
        b"/a/bc",
        b"/a/b/\xff\xfe",
        b"/a/b\n",
        b"/z",
        b"/a/b-",
        b"/",
        b"/a/b/c/d",
        b"/\xf0\x9f\x98\x80.jpg",
    ];
    PathBuf::from(OsStr::from_bytes(names[usize::from(number)]))
}

fn hash(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

fn face(id: u64, content: u8, identity: Option<String>) -> FaceRecord {
    FaceRecord {
        id: FaceId(id),
        photo: hash(content),
        face: DetectedFace {
            bbox: BoundingBox { x: -1.5, y: 2.0, width: id as f32, height: 4.0 },
            score: 0.9,
            landmarks: Landmarks([[1.0, 2.0]; 5]),
        },
        quality: id.is_multiple_of(2).then_some(Quality(0.5)),
        identity,
    }
}

/// Turns steps into changes that keep the contract: ids in order, updates of what is there.
fn changes(steps: &[Step], next: &mut u64, alive: &mut Vec<u64>, dim: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    for step in steps {
        changes.push(match step {
            Step::Put { path: p, content, keeps } => {
                let entry = FileEntry {
                    stat: FileStat { size: 1, modified_ns: -2, changed_ns: 3, inode: 4 },
                    read_ns: i64::from(*p),
                    content: content.map(hash),
                    outcome: match p % 3 {
                        0 => Outcome::DuplicateOf(path(5)),
                        1 => Outcome::Unreadable("no\nway".into()),
                        _ => Outcome::Faces(2),
                    },
                    keeps: keeps.map(hash),
                };
                Change::PutFile(path(*p), entry)
            }
            Step::Remove { path: p } => Change::RemoveFile(path(*p)),
            Step::PutPhoto { content, faces } => Change::PutPhoto(PhotoRecord {
                content: hash(*content),
                path: path(*content),
                width: 3,
                height: 5,
                outcome: Outcome::NoFace,
                faces: faces.iter().copied().map(FaceId).collect(),
            }),
            Step::RemovePhoto { content } => Change::RemovePhoto(hash(*content)),
            Step::Forget { content } => Change::Forget(hash(*content)),
            Step::Add { content, value } => {
                let id = *next;
                *next += 1;
                alive.push(id);
                let vector = Embedding::new(vec![*value; dim], Metric::L2).unwrap();
                Change::AddFace(face(id, *content, None), vector)
            }
            Step::Update { .. } | Step::RemoveFace { .. } if alive.is_empty() => continue,
            Step::Update { which } => {
                let id = *which.get(alive);
                Change::UpdateFace(face(id, 9, Some(format!("person {id}"))))
            }
            Step::RemoveFace { which } => {
                Change::RemoveFace(FaceId(alive.remove(which.index(alive.len()))))
            }
        });
    }
    changes
}

/// Everything a store says, in order.
fn everything(store: &dyn FaceStore) -> String {
    let counts = (store.face_count(), store.next_face_id(), store.commits());
    let mut said = format!("{counts:?}\n");
    for prefix in
        [Path::new(""), &path(9), &path(0), &path(1), &path(2), &path(7), Path::new("/a/")]
    {
        said += &format!("below {prefix:?}\n");
        store
            .for_each_file(prefix, &mut |path, entry| {
                said += &format!("{path:?} {entry:?}\n");
                Ok(())
            })
            .unwrap();
    }
    for number in 0..12 {
        said += &format!("{:?}\n", store.file(&path(number)).unwrap());
        let content = hash(number);
        said += &format!("{:?} {:?}\n", store.photo(&content).unwrap(), store.paths_of(&content));
        said += &format!("{:?}\n", store.is_forgotten(&content));
    }
    store
        .for_each_face(&mut |record, vector| {
            assert_eq!(store.face(record.id).unwrap().as_ref(), Some(&record));
            said += &format!("{record:?} {vector:?}\n");
            Ok(())
        })
        .unwrap();
    said
}

fn check_history(acts: &[Act], dimension: u32) {
    let dir = tempfile::tempdir().unwrap();
    let contract = contract(dimension);
    let memory = MemoryStore::new(contract.clone());
    let mut disk = SledStore::create_or_open(dir.path(), &contract).unwrap();
    let (mut next, mut alive) = (0, Vec::new());
    for act in acts {
        match act {
            Act::Commit(steps) => {
                let changes = changes(steps, &mut next, &mut alive, dimension as usize);
                memory.commit(&changes).unwrap();
                disk.commit(&changes).unwrap();
            }
            Act::Flush => disk.flush().unwrap(),
            Act::Reopen => {
                drop(disk);
                disk = SledStore::open(dir.path()).unwrap();
            }
        }
        assert_eq!(everything(&memory), everything(&disk));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_history_reads_as_it_does_in_memory(acts in vec(act(), 1..14)) {
        check_history(&acts, 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn embeddings_of_several_parts_come_back_whole(acts in vec(act(), 1..10)) {
        check_history(&acts, 2 * keys::PART as u32 + 7);
    }
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let first = SledStore::create_or_open(dir.path(), &contract(3)).unwrap();
    assert!(matches!(SledStore::open(dir.path()), Err(StoreError::Locked { .. })));
    drop(first);
    SledStore::open(dir.path()).unwrap();
}

#[test]
fn another_making_is_refused_and_both_are_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStore::create_or_open(dir.path(), &contract(3)).unwrap());
    let other = Contract { model: "other".into(), ..contract(3) };
    match SledStore::create_or_open(dir.path(), &other) {
        Err(StoreError::Contract { source, .. }) => {
            assert_eq!((source.found.as_str(), source.wanted.as_str()), ("fake", "other"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(SledStore::open(dir.path()).unwrap().contract(), &contract(3));
}

#[test]
fn where_there_is_no_store_opening_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none");
    assert!(matches!(SledStore::open(&missing), Err(StoreError::NotFound { .. })));
    assert!(!missing.exists());
}

#[test]
fn a_store_older_than_its_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::create_or_open(dir.path(), &contract(3)).unwrap();
    store.flush().unwrap();
    drop(store);
    checkpoint::write(dir.path(), State { commits: 7, ..State::default() }).unwrap();
    match SledStore::open(dir.path()) {
        Err(StoreError::Corrupt { what, .. }) => assert_eq!(what, "of 7 commits only 0 are left"),
        other => panic!("{other:?}"),
    }
}

/// Whether any file of the store has these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(path).unwrap().windows(bytes.len()).any(|part| part == bytes) {
                return true;
            }
        }
    }
    false
}

#[test]
fn a_forgotten_content_is_known_and_its_hash_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::create_or_open(dir.path(), &contract(3)).unwrap();
    let photo = |number| {
        let (outcome, faces) = (Outcome::NoFace, Vec::new());
        let (content, path) = (hash(number), path(1));
        Change::PutPhoto(PhotoRecord { content, path, width: 3, height: 5, outcome, faces })
    };
    store.commit(&[photo(77), photo(78)]).unwrap();
    store.flush().unwrap();
    assert!(holds(dir.path(), &hash(77).0));
    store.commit(&[Change::RemovePhoto(hash(77)), Change::Forget(hash(77))]).unwrap();
    drop(store);
    SledStore::rewrite(dir.path()).unwrap();
    assert!(!holds(dir.path(), &hash(77).0) && holds(dir.path(), &hash(78).0));
    let store = SledStore::open(dir.path()).unwrap();
    assert!(store.is_forgotten(&hash(77)).unwrap() && !store.is_forgotten(&hash(78)).unwrap());
    // The hash is keyed with numbers of this store alone.
    let other = tempfile::tempdir().unwrap();
    let other = SledStore::create_or_open(other.path(), &contract(3)).unwrap();
    other.commit(&[Change::Forget(hash(77))]).unwrap();
    let key = |store: &SledStore| {
        let salt: [u8; 32] = store.read(keys::SALT).unwrap().unwrap();
        keys::forgotten(&salt, &hash(77))
    };
    assert!(key(&store) != key(&other));
    store.commit(&[photo(77)]).unwrap();
    assert!(!store.is_forgotten(&hash(77)).unwrap(), "it is taken in again");
}

#[test]
fn a_visitor_that_fails_ends_the_visit() {
    let store = MemoryStore::new(contract(1));
    let dir = tempfile::tempdir().unwrap();
    let disk = SledStore::create_or_open(dir.path(), &contract(1)).unwrap();
    let vector = Embedding::new(vec![1.0], Metric::L2).unwrap();
    let two = [
        Change::AddFace(face(0, 1, None), vector.clone()),
        Change::AddFace(face(1, 1, None), vector),
    ];
    for store in [&store as &dyn FaceStore, &disk] {
        store.commit(&two).unwrap();
        let mut seen = 0;
        let result = store.for_each_face(&mut |_, _| {
            seen += 1;
            Err("enough".into())
        });
        assert!(matches!(result, Err(StoreError::Io { .. })) && seen == 1);
    }
}
