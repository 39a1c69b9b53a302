//! What is removed and purged is in no file of the index; and its files are their owner's alone.

use std::fs;
use std::path::{Path, PathBuf};

use facesearch_core::{FaceStore, FileEntry, FileStat, Outcome};
use facesearch_store::SledStore;

use crate::support::{
    Dice, Made, crowd, demo, files_below, holding, index_of, json_lines, run_for, scratch, stderr,
    stdout, text,
};

/// People, of whom number 7 has changed her name twice, has a face in a photo of number 8, and
/// folders with a photo of nobody and with a broken one.
fn index_with_zoe(index: &Path) {
    let mut faces = crowd(12, 3, &mut Dice(21));
    let with_her = Made {
        photo: faces[24].photo.clone(),
        identity: Some("person 0007".into()),
        vector: Dice(22).vector(16, 0.5),
    };
    faces.insert(25, with_her);
    index_of(index, &faces);
    let store = SledStore::open(&index.join("store")).unwrap();
    let line = |path: &str, outcome: Outcome| {
        let stat = FileStat { size: 3, modified_ns: 1, changed_ns: 1, inode: 99 };
        let entry = FileEntry { stat, read_ns: 2, content: None, outcome, keeps: None };
        facesearch_core::Change::PutFile(PathBuf::from(path), entry)
    };
    store
        .commit(&[
            line("/photos/person 0007/landscape.jpg", Outcome::NoFace),
            line("/photos/person 0007/broken.jpg", Outcome::Unreadable("no way".into())),
        ])
        .unwrap();
    drop(store);
    let say = |what: &[&str]| {
        run_for(0, &[&["identity", "--index", text(index)], what].concat());
    };
    say(&["rename", "person 0007", "Zoë Maiden"]);
    say(&["rename", "person 0001", "Anna"]);
    say(&["rename", "Zoë Maiden", "Zoë Wedded"]);
    say(&["undo"]);
    say(&["rename", "Zoë Maiden", "Zoë Wedded"]);
}

#[test]
fn a_person_who_is_removed_and_purged_is_in_no_file() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_with_zoe(&index);
    let vectors: Vec<Vec<u8>> = {
        let mut faces = crowd(12, 3, &mut Dice(21));
        faces.push(Made { photo: String::new(), identity: None, vector: Dice(22).vector(16, 0.5) });
        let hers = faces[21..24].iter().chain(&faces[36..]);
        hers.map(|face| face.vector.iter().flat_map(|x| x.to_le_bytes()).collect()).collect()
    };
    let store = SledStore::open(&index.join("store")).unwrap();
    let content = |path: &str| store.file(Path::new(path)).unwrap().unwrap().content.unwrap();
    let own: Vec<_> =
        (0..3).map(|i| content(&format!("/photos/person 0007/{i}.jpg")).0.to_vec()).collect();
    let shared = content("/photos/person 0008/0.jpg");
    drop(store);
    let names = ["person 0007", "Zoë Maiden", "Zoë Wedded"].map(|name| name.as_bytes().to_vec());
    let traces: Vec<Vec<u8>> = names.into_iter().chain(own).chain(vectors).collect();
    for trace in &traces {
        assert!(!holding(&index, trace).is_empty(), "{:?}", String::from_utf8_lossy(trace));
    }

    let removed = run_for(0, &["remove", "--identity", "Zoë Wedded", "--index", text(&index)]);
    assert_eq!((stdout(&removed).trim(), stderr(&removed).trim()), ("4 faces removed", ""));
    run_for(0, &["purge", "--index", text(&index)]);
    for trace in &traces {
        let found = holding(&index, trace);
        assert_eq!(found, Vec::<PathBuf>::new(), "{:?}", String::from_utf8_lossy(trace));
    }

    // The others are there, with what was said of them, and can still be renamed back.
    let listed = run_for(0, &["identity", "list", "--json", "--index", text(&index)]);
    assert_eq!(json_lines(&listed).len(), 11);
    let store = SledStore::open(&index.join("store")).unwrap();
    assert_eq!(store.photo(&shared).unwrap().unwrap().faces.len(), 2);
    drop(store);
    let log = stdout(&run_for(0, &["identity", "log", "--index", text(&index)]));
    assert!(log.contains("2: rename `person 0001` to `Anna` (3 faces)"), "{log}");
    assert!(log.contains("1: rename (removed) to (removed) (0 faces)"), "{log}");
    let refused = run_for(3, &["identity", "undo", "5", "--index", text(&index)]);
    assert!(stderr(&refused).contains("removed"), "{}", stderr(&refused));
    run_for(0, &["identity", "undo", "--index", text(&index)]);
    let listed = run_for(0, &["identity", "list", "--index", text(&index)]);
    assert!(stdout(&listed).contains("person 0001"), "{}", stdout(&listed));
}

#[test]
fn a_photo_of_others_that_names_the_person_is_told() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_with_zoe(&index);
    // Number 8 goes; a photo of hers stays for Zoë's sake.
    let removed = run_for(0, &["remove", "--identity", "person 0008", "--index", text(&index)]);
    let said = stderr(&removed);
    assert!(said.contains("1 photo stays") && said.contains("/photos/person 0008/0.jpg"), "{said}");
    run_for(0, &["remove", "/photos/person 0008/0.jpg", "--index", text(&index)]);
    run_for(0, &["purge", "--index", text(&index)]);
    assert_eq!(holding(&index, b"person 0008"), Vec::<PathBuf>::new());
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Everything in an index that is readable for others than its owner, but for itself.
#[cfg(unix)]
fn readable_for_others(index: &Path) -> Vec<PathBuf> {
    let mut paths = files_below(index);
    let folders = paths.iter().filter_map(|path| path.parent()).filter(|dir| *dir != index);
    let folders: Vec<PathBuf> = folders.map(Path::to_owned).collect();
    paths.extend(folders);
    paths.into_iter().filter(|path| mode(path) & 0o077 != 0).collect()
}

#[cfg(unix)]
#[test]
fn the_files_of_an_index_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let made = demo().join("index");
    assert_eq!((readable_for_others(&made), mode(&made)), (Vec::new(), 0o700));

    // A folder of the user's keeps its mode; what is made in it is private all the same.
    let dir = scratch();
    let index = dir.path().join("index");
    fs::create_dir(&index).unwrap();
    fs::set_permissions(&index, fs::Permissions::from_mode(0o755)).unwrap();
    index_of(&index, &crowd(60, 2, &mut Dice(23)));
    run_for(0, &["identity", "rename", "person 0001", "Anna", "--index", text(&index)]);
    run_for(0, &["calibrate", "--index", text(&index)]);
    run_for(0, &["remove", "--identity", "person 0002", "--index", text(&index)]);
    run_for(0, &["purge", "--index", text(&index)]);
    run_for(0, &["optimize", "--index", text(&index)]);
    assert_eq!((readable_for_others(&index), mode(&index)), (Vec::new(), 0o755));
    let imported = dir.path().join("deep/imported");
    let file = dir.path().join("faces.npy");
    crate::eval::write_npy(&file, &[vec![1.0, 2.0], vec![3.0, 4.0]]);
    run_for(0, &["import", text(&file), "--index", text(&imported)]);
    assert_eq!((readable_for_others(&imported), mode(&imported)), (Vec::new(), 0o700));
}
