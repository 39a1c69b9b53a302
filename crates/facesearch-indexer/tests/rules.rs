//! What a run does with each kind of file and each kind of change.

#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{World, faces, ledger, store};
use facesearch_core::FaceStore;
use facesearch_indexer::{IdentityRule, IdentityTable, IndexError, IndexOptions};
use facesearch_store::SledStore;

#[test]
fn every_file_gets_its_line() {
    let world = World::new();
    world.write("a/two.jpg", "2 x");
    world.write("a/none.PNG", "0");
    world.write("b/bad.jpg", "garbage");
    world.write("b/empty.jpg", "");
    world.write("b/huge.jpg", "reject");
    world.write("b/panic.jpg", "panic");
    world.write("c/copy.jpg", "2 x");
    world.write("c/copy of bad.jpg", "garbage");
    world.write("notes.txt", "3 faces, but no photo");
    world.write("photo without extension", "\u{0}");
    fs::write(world.path("jpeg_without_extension"), b"\xff\xd8\xff not of the fake's kind")
        .unwrap();
    let store = store();
    let report = world.run(&store);
    assert_eq!(
        ledger(&store, &world.dir),
        [
            "a/none.PNG NoFace",
            "a/two.jpg Faces(2)",
            "b/bad.jpg Undecodable(\"`garbage` is no photo\")",
            "b/empty.jpg Undecodable(\"`empty` is no photo\")",
            "b/huge.jpg Rejected(\"too large\")",
            "b/panic.jpg Undecodable(\"the decoder broke\")",
            "c/copy of bad.jpg Undecodable(\"`garbage` is no photo\")",
            &format!("c/copy.jpg DuplicateOf(\"{}/a/two.jpg\")", world.dir.display())
                .replace(&format!("{}/", world.dir.display()), ""),
            "jpeg_without_extension Undecodable(\"`\u{fffd}\u{fffd}\u{fffd}` is no photo\")",
        ]
    );
    assert_eq!(faces(&store, &world.dir), ["0 a/two.jpg a", "1 a/two.jpg -"]);
    assert_eq!((report.outcomes.faces, report.outcomes.no_face), (1, 1));
    assert_eq!((report.outcomes.undecodable, report.outcomes.rejected), (5, 1));
    assert_eq!((report.outcomes.duplicates, report.not_photos, report.failures()), (1, 2, 6));
    assert_eq!((report.faces_added, report.embedded), (2, 2));
    assert_eq!(world.advanced.load(Ordering::SeqCst), 11);
    assert_eq!(world.total.load(Ordering::SeqCst), 11);
    assert_eq!(
        world.notes(),
        [
            "b/bad.jpg: cannot decode: `garbage` is no photo",
            "b/empty.jpg: cannot decode: `empty` is no photo",
            "b/huge.jpg: rejected: too large",
            "b/panic.jpg: cannot decode: the decoder broke",
            "c/copy of bad.jpg: cannot decode: `garbage` is no photo",
            "c/copy.jpg: the same photo as a/two.jpg, and counts as `a`",
            "jpeg_without_extension: cannot decode: `\u{fffd}\u{fffd}\u{fffd}` is no photo",
        ]
    );
    assert_eq!(world.publications.lock().unwrap().last(), Some(&(2, true)));
}

#[test]
fn a_second_run_looks_at_nothing_and_fails_alike() {
    let world = World::new();
    world.write("a/1.jpg", "2 x");
    world.write("a/2.jpg", "bad");
    world.write("a/3.jpg", "0");
    let store = store();
    let first = world.run(&store);
    let before = common::dump(&store, &world.dir);
    let second = world.run(&store);
    assert_eq!((world.finds(), world.embeds()), (0, 0));
    assert_eq!(second.outcomes, first.outcomes);
    assert_eq!(world.notes(), ["a/2.jpg: cannot decode: `bad` is no photo"]);
    assert_eq!(common::dump(&store, &world.dir), before);
}

#[test]
fn an_old_file_is_not_even_read_unless_that_is_asked_for() {
    let world = World::new();
    world.write("a/1.jpg", "2 x");
    world.write("a/2.jpg", "bad");
    world.write("a/3.jpg", "2 x");
    std::thread::sleep(Duration::from_millis(2100));
    let store = store();
    assert_eq!(world.run(&store).unchanged, 0);
    let commits = store.commits().unwrap();
    world.write("a/4.jpg", "1 new");
    let report = world.run(&store);
    assert_eq!((report.unchanged, report.outcomes.total(), report.failures()), (3, 4, 1));
    assert_eq!(store.commits().unwrap(), commits.map(|count| count + 1));
    let rehash = IndexOptions { rehash: true, ..world.options() };
    let report = world.run_with(&store, rehash, &[""]).unwrap();
    assert_eq!((report.unchanged, world.finds()), (0, 0));

    // A file of the same size with its old times put back: its inode's change time tells.
    let path = world.path("a/1.jpg");
    let times = fs::metadata(&path).unwrap();
    fs::write(&path, "2 y").unwrap();
    let times = fs::FileTimes::new().set_modified(times.modified().unwrap());
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    world.run(&store);
    assert_eq!(world.embeds(), 2);
}

#[test]
fn what_is_touched_renamed_moved_copied_or_swapped_is_not_embedded_again() {
    let world = World::new();
    for (name, content) in [("a/1.jpg", "1 x"), ("a/2.jpg", "2 y"), ("b/3.jpg", "1 z")] {
        world.write(name, content);
    }
    let store = store();
    world.run(&store);
    let step = |change: &dyn Fn(), want: &[&str]| {
        change();
        world.run(&store);
        assert_eq!((world.finds(), world.embeds()), (0, 0));
        assert_eq!(faces(&store, &world.dir), want);
    };
    // Touched.
    let same = ["0 a/1.jpg a", "1 a/2.jpg a", "2 a/2.jpg -", "3 b/3.jpg b"];
    step(&|| world.write("a/1.jpg", "1 x"), &same);
    // Renamed to what comes later, then moved to what comes earlier.
    let later = ["0 b/9.jpg b", "1 a/2.jpg a", "2 a/2.jpg -", "3 b/3.jpg b"];
    step(&|| world.rename("a/1.jpg", "b/9.jpg"), &later);
    let earlier = ["0 a/0.jpg a", "1 a/2.jpg a", "2 a/2.jpg -", "3 b/3.jpg b"];
    step(&|| world.rename("b/9.jpg", "a/0.jpg"), &earlier);
    // Copied.
    step(
        &|| world.write("A/copy.jpg", "1 z"),
        &["0 a/0.jpg a", "1 a/2.jpg a", "2 a/2.jpg -", "3 A/copy.jpg A"],
    );
    step(&|| world.remove("A/copy.jpg"), &earlier);
    // Swapped: neither path has what it had.
    let swapped = ["0 b/3.jpg b", "1 a/2.jpg a", "2 a/2.jpg -", "3 a/0.jpg a"];
    step(
        &|| {
            world.rename("a/0.jpg", "t");
            world.rename("b/3.jpg", "a/0.jpg");
            world.rename("t", "b/3.jpg");
        },
        &swapped,
    );
    // Numbers moved on by one, as when a photo is put in front.
    let shifted = ["0 b/4.jpg b", "1 a/0.jpg a", "2 a/0.jpg -", "3 b/3.jpg b"];
    step(
        &|| {
            world.rename("b/3.jpg", "b/4.jpg");
            world.rename("a/0.jpg", "b/3.jpg");
            world.rename("a/2.jpg", "a/0.jpg");
        },
        &shifted,
    );
    assert_eq!(ledger(&store, &world.dir).len(), 3);
}

#[test]
fn changed_content_replaces_the_old_but_a_broken_file_does_not() {
    let world = World::new();
    world.write("a/1.jpg", "1 x");
    world.write("a/2.jpg", "1 y");
    world.write("a/3.jpg", "1 y");
    let store = store();
    world.run(&store);
    world.write("a/1.jpg", "2 new");
    let report = world.run(&store);
    assert_eq!((report.faces_added, report.faces_removed, report.embedded), (2, 1, 2));
    assert_eq!(faces(&store, &world.dir), ["1 a/2.jpg a", "2 a/1.jpg a", "3 a/1.jpg -"]);

    world.write("a/1.jpg", "cut sho");
    world.write("a/2.jpg", "cut off");
    let report = world.run(&store);
    assert_eq!((report.failures(), report.faces_removed), (2, 0));
    // The copy has the bytes still, so it answers for them.
    assert_eq!(faces(&store, &world.dir), ["1 a/3.jpg a", "2 a/1.jpg a", "3 a/1.jpg -"]);
    assert_eq!(
        ledger(&store, &world.dir),
        [
            "a/1.jpg Undecodable(\"`cut` is no photo\") keeps",
            "a/2.jpg Undecodable(\"`cut` is no photo\") keeps",
            "a/3.jpg Faces(1)",
        ]
    );
    assert!(world.notes()[0].ends_with("; its earlier faces are kept"));
    // Broken otherwise, then whole again.
    world.write("a/1.jpg", "worse");
    assert_eq!(world.run(&store).faces_removed, 0);
    world.write("a/1.jpg", "2 new");
    let report = world.run(&store);
    assert_eq!((report.embedded, report.faces_removed), (0, 0));
    world.write("a/1.jpg", "0");
    assert_eq!(world.run(&store).faces_removed, 2);
}

#[test]
fn what_vanished_is_kept_until_it_is_pruned() {
    let world = World::new();
    world.write("a/1.jpg", "1 x");
    world.write("b/2.jpg", "1 y");
    let store = store();
    world.run(&store);
    world.remove("a/1.jpg");
    fs::remove_dir_all(world.path("b")).unwrap();
    let report = world.run(&store);
    assert_eq!((report.vanished, report.dropped), (2, 0));
    assert_eq!(store.face_count().unwrap(), 2);

    let prune = || IndexOptions { prune: true, ..world.options() };
    // Only below what was asked for, also where that is gone altogether.
    let report = world.run_with(&store, prune(), &["b"]).unwrap();
    assert_eq!((report.dropped, report.faces_removed), (1, 1));
    assert_eq!(faces(&store, &world.dir), ["0 a/1.jpg a"]);
    let report = world.run_with(&store, prune(), &[""]).unwrap();
    assert_eq!((report.dropped, report.faces_removed), (1, 1));
    assert!(ledger(&store, &world.dir).is_empty());
    assert!(matches!(world.run_with(&store, prune(), &["b"]), Err(IndexError::Root { .. })));
}

#[test]
fn a_file_that_cannot_be_read_is_a_line_and_is_tried_again() {
    let world = World::new();
    world.write("a/1.jpg", "1 x");
    symlink("nowhere", world.path("a/broken.jpg")).unwrap();
    symlink("nowhere", world.path("a/broken")).unwrap();
    symlink(world.path("a/1.jpg"), world.path("link.jpg")).unwrap();
    let store = store();
    let report = world.run(&store);
    assert_eq!((report.failures(), report.not_photos), (1, 1));
    assert_eq!(world.notes()[0], "a/broken.jpg: cannot read: No such file or directory");
    assert!(ledger(&store, &world.dir)[2].starts_with("link.jpg DuplicateOf"));
    // Now it leads to the folder it is in, and is a link to what is walked anyway.
    world.remove("a/broken.jpg");
    world.write("a/broken.jpg", "1 mended");
    assert_eq!(world.run(&store).failures(), 0);
}

#[test]
fn pipes_and_the_index_itself_are_passed_over() {
    let world = World::new();
    world.write("a/1.jpg", "1 x");
    world.write("index/2.jpg", "1 y");
    let pipe = world.path("a/pipe.jpg");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let store = store();
    let options = IndexOptions { exclude: vec![world.path("index")], ..world.options() };
    let report = world.run_with(&store, options, &[""]).unwrap();
    assert_eq!(ledger(&store, &world.dir), ["a/1.jpg Faces(1)"]);
    assert_eq!((report.not_photos, report.failures()), (1, 0));
    let report = world.run_with(&store, world.options(), &["a/pipe.jpg"]).unwrap();
    assert_eq!((report.failures(), world.notes().len()), (1, 1));
}

#[test]
fn a_file_named_by_itself_is_always_tried() {
    let world = World::new();
    world.write("a/odd.txt", "1 x");
    let store = store();
    assert_eq!(world.run(&store).outcomes.total(), 0);
    world.run_with(&store, world.options(), &["a/odd.txt", "a"]).unwrap();
    assert_eq!(faces(&store, &world.dir), ["0 a/odd.txt -"]);
    // From now on it is known, and followed.
    world.write("a/odd.txt", "2 y");
    assert_eq!(world.run(&store).faces_added, 2);
}

#[test]
fn any_name_at_any_depth_is_indexed_and_shown_on_one_line() {
    let world = World::new();
    let mut deep = world.dir.clone();
    for level in 0..40 {
        deep.push(format!("level {level}"));
    }
    fs::create_dir_all(&deep).unwrap();
    let names: [&[u8]; 4] =
        [b"\xff\xfe.jpg", b"new\nline\x1b[31m.jpg", "写真.jpg".as_bytes(), b" .jpg"];
    for (number, name) in names.iter().enumerate() {
        let path = deep.join(OsStr::from_bytes(name));
        fs::write(path, if number == 1 { "bad".into() } else { format!("1 {number}") }).unwrap();
    }
    let dir = world.path("sled");
    let store = SledStore::create_or_open(&dir, &common::contract()).unwrap();
    let options = || IndexOptions { exclude: vec![dir.clone()], ..world.options() };
    let report = world.run_with(&store, options(), &[""]).unwrap();
    assert_eq!((report.faces_added, report.failures()), (3, 1));
    assert!(
        world.notes()[0].ends_with("new\\nline\\u{1b}[31m.jpg: cannot decode: `bad` is no photo")
    );
    let report = world.run_with(&store, options(), &[""]).unwrap();
    assert_eq!((report.faces_added, report.outcomes.total(), world.finds()), (0, 4, 0));
}

#[test]
fn labels_follow_the_rule_of_the_last_run_without_embedding() {
    let world = World::new();
    world.write("obama/1.jpg", "2 x");
    world.write("stray.jpg", "1 y");
    let csv = world.path("who.csv");
    fs::write(&csv, "path,identity\nstray.jpg,Joe\n").unwrap();
    let store = store();
    world.run(&store);
    let with = |identity, roots: &[&str]| {
        let options = IndexOptions { identity, ..world.options() };
        world.run_with(&store, options, roots).unwrap();
        assert_eq!((world.finds(), world.embeds()), (0, 0));
        faces(&store, &world.dir)
    };
    let labels = |first: &str, last: &str| {
        vec![
            format!("0 obama/1.jpg {first}"),
            "1 obama/1.jpg -".into(),
            format!("2 stray.jpg {last}"),
        ]
    };
    assert_eq!(with(IdentityRule::Folder, &[""]), labels("obama", "-"));
    assert_eq!(with(IdentityRule::Stem, &[""]), labels("1", "stray"));
    assert_eq!(with(IdentityRule::Folder, &[""]), labels("obama", "-"));
    // A part of what was indexed does not lose its labels.
    assert_eq!(with(IdentityRule::Folder, &["obama"]), labels("obama", "-"));
    assert_eq!(with(IdentityRule::Folder, &["obama/1.jpg"]), labels("obama", "-"));
    let table = || IdentityRule::Table(IdentityTable::read(&csv).unwrap());
    assert_eq!(with(table(), &["stray.jpg"]), labels("obama", "Joe"));
    assert_eq!(with(table(), &[""]), labels("-", "Joe"));
    assert_eq!(with(IdentityRule::None, &[""]), labels("-", "-"));
}

#[test]
fn a_face_without_a_vector_is_left_out() {
    let world = World::new();
    world.write("a/1.jpg", "3 blank");
    world.write("a/2.jpg", "1 blank");
    let store = store();
    world.run(&store);
    assert_eq!(ledger(&store, &world.dir), ["a/1.jpg Faces(2)", "a/2.jpg NoFace"]);
    // The first face is the one the photo is about, so nobody has its label.
    assert_eq!(faces(&store, &world.dir), ["1 a/1.jpg -", "2 a/1.jpg -"]);
}

#[test]
fn a_model_that_breaks_ends_the_run_and_keeps_what_was_done() {
    let world = World::new();
    world.write("a/1.jpg", "1 x");
    world.write("a/2.jpg", "model");
    world.write("a/3.jpg", "1 y");
    let store = store();
    let options = IndexOptions { threads: 1, ..world.options() };
    let result = world.run_with(&store, options, &[""]);
    assert!(matches!(result, Err(IndexError::Vision(_))));
    assert!(ledger(&store, &world.dir).len() <= 1);
    world.write("a/2.jpg", "1 mended");
    assert_eq!(world.run(&store).failures(), 0);
    assert_eq!(faces(&store, &world.dir), ["0 a/1.jpg a", "1 a/2.jpg a", "2 a/3.jpg a"]);
}

#[test]
fn nothing_is_begun_where_a_root_is_missing_or_the_model_is_another() {
    let world = World::new();
    world.write("a/1.jpg", "1 x");
    let store = store();
    let missing = world.run_with(&store, world.options(), &["a", "none"]);
    assert!(matches!(missing, Err(IndexError::Root { path, .. }) if path == world.path("none")));
    assert!(matches!(
        world.run_with(&store, world.options(), &[]),
        Err(IndexError::NothingToIndex)
    ));
    let contract = facesearch_core::Contract { dimension: 7, ..common::contract() };
    let other = facesearch_store::MemoryStore::new(contract);
    let result = world.run_with(&other, world.options(), &["a"]);
    assert!(matches!(result, Err(IndexError::Dimension { expected: 7, got: 6 })));
    assert_eq!(store.commits().unwrap(), Some(0));
}

#[test]
fn roots_in_any_order_and_spelling_are_the_same_files() {
    let world = World::new();
    for name in ["a/1.jpg", "a/b/2.jpg", "c/3.jpg"] {
        world.write(name, &format!("1 {name}"));
    }
    let (one, other) = (store(), store());
    world.run(&one);
    let roots = ["c", "a/b", "a", "c/../a/./b/", "c/3.jpg"].map(|root| world.path(root));
    let roots: Vec<PathBuf> = roots.to_vec();
    let report = world.run_paths(&other, world.options(), &roots).unwrap();
    assert_eq!(report.outcomes.total(), 3);
    assert_eq!(ledger(&one, &world.dir), ledger(&other, &world.dir));
}

/// Nothing is closed to the superuser, so that this is done again by somebody else if need be.
#[test]
fn what_may_not_be_read_is_a_line_until_it_may() {
    let world = World::new();
    if fs::metadata(&world.dir).unwrap().uid() == 0 {
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_may_not_be_read_is_a_line_until_it_may", "--nocapture"])
            .uid(65534)
            .status();
        match again {
            Ok(status) => assert!(status.success()),
            Err(error) => println!("skipped: cannot run as somebody else: {error}"),
        }
        return;
    }
    world.write("a/1.jpg", "1 x");
    world.write("locked/2.jpg", "1 y");
    world.write("secret.jpg", "1 z");
    let allow = |name: &str, mode: u32| {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let close = || (allow("locked", 0), allow("secret.jpg", 0));
    let open = || (allow("locked", 0o755), allow("secret.jpg", 0o644));
    close();
    let store = store();
    let report = world.run(&store);
    assert_eq!((report.failures(), report.faces_added), (2, 1));
    assert_eq!(
        world.notes(),
        ["locked: cannot read: Permission denied", "secret.jpg: cannot read: Permission denied"]
    );
    open();
    let report = world.run(&store);
    assert_eq!((report.failures(), report.faces_added), (0, 2));
    let lines = ["a/1.jpg Faces(1)", "locked/2.jpg Faces(1)", "secret.jpg Faces(1)"];
    assert_eq!(ledger(&store, &world.dir), lines);
    // Closed again, nothing is taken for vanished.
    close();
    let prune = IndexOptions { prune: true, ..world.options() };
    let report = world.run_with(&store, prune, &[""]).unwrap();
    assert_eq!((report.failures(), report.faces_removed, report.vanished), (2, 0, 0));
    open();
    let report = world.run(&store);
    assert_eq!((report.failures(), report.embedded, report.dropped), (0, 0, 1));
    assert_eq!(ledger(&store, &world.dir), lines);
}

#[test]
fn faces_below_the_wanted_quality_are_counted_and_not_kept() {
    // The fake's faces are of quality 1, 1/2, 1/3.
    let world = World::new();
    world.write("anna/1.jpg", "3 x");
    world.write("anna/2.jpg", "1 y");
    let best = store();
    let report =
        world.run_with(&best, IndexOptions { min_quality: 0.4, ..world.options() }, &[""]).unwrap();
    assert_eq!((report.faces_added, report.below_quality), (3, 1));
    assert_eq!(
        faces(&best, &world.dir),
        ["0 anna/1.jpg anna", "1 anna/1.jpg -", "2 anna/2.jpg anna"]
    );
    let none = store();
    let report =
        world.run_with(&none, IndexOptions { min_quality: 1.1, ..world.options() }, &[""]).unwrap();
    assert_eq!((report.faces_added, report.below_quality), (0, 4));
    assert_eq!(report.outcomes.no_face, 2);
}

#[test]
fn whoever_stands_behind_a_person_of_too_low_quality_gets_no_name() {
    let world = World::new();
    world.write("anna/1.jpg", "3 worst first");
    let some = || IndexOptions { min_quality: 0.3, ..world.options() };
    let store = store();
    let report = world.run_with(&store, some(), &[""]).unwrap();
    assert_eq!((report.faces_added, report.below_quality), (2, 1));
    let nobody = ["1 anna/1.jpg -", "2 anna/1.jpg -"];
    assert_eq!(faces(&store, &world.dir), nobody);
    // The second run looks at the label again, and so does a copy that answers for the photo from
    // now on.
    world.run_with(&store, some(), &[""]).unwrap();
    assert_eq!(faces(&store, &world.dir), nobody);
    world.write("anna/0.jpg", "3 worst first");
    world.run_with(&store, some(), &[""]).unwrap();
    let moved = faces(&store, &world.dir);
    assert!(moved.iter().all(|face| face.ends_with(" -")) && moved.len() == 2, "{moved:?}");
    // With the photo its faces go, and nothing is counted that was not there.
    world.remove("anna/0.jpg");
    world.remove("anna/1.jpg");
    let prune = IndexOptions { prune: true, ..some() };
    let report = world.run_with(&store, prune, &[""]).unwrap();
    assert_eq!(report.faces_removed, 2);
    assert!(faces(&store, &world.dir).is_empty());
}
