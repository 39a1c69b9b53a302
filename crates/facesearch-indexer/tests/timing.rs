//! What a run leaves behind does not depend on its threads, nor on when it was ended.

#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Mortal, World, dump, store};
use facesearch_core::FaceStore;
use facesearch_indexer::{IndexError, IndexOptions};
use facesearch_store::SledStore;

/// Files of every kind, many of them copies of each other.
fn fill(world: &World, files: usize) {
    for number in 0..files {
        let content = match number % 11 {
            3 => "0 nobody".to_owned(),
            5 => format!("bad {number}"),
            7 => format!("2 copied {}", number / 40),
            9 => "9 crowd ".to_owned() + &number.to_string(),
            kind => format!("{} {number}", kind % 3 + 1),
        };
        world.write(&format!("{}/{number:04}.jpg", ["b", "a", "c!", "c"][number % 4]), &content);
    }
}

#[test]
fn any_number_of_threads_makes_the_same_store() {
    let world = World::new();
    fill(&world, 220);
    world.delays.store(true, Ordering::SeqCst);
    let mut dumps = Vec::new();
    for threads in [1, 1, 2, 3, 8] {
        let store = store();
        let options = IndexOptions { threads, ..world.options() };
        world.run_with(&store, options, &[""]).unwrap();
        dumps.push(dump(&store, &world.dir));
        let batches = world.batches.lock().unwrap();
        assert!(batches.iter().all(|batch| (1..=4).contains(batch)));
        let full = batches.iter().filter(|batch| **batch == 4).count();
        assert!(threads > 1 || full * 10 >= batches.len() * 9, "{full} of {}", batches.len());
    }
    assert!(dumps.iter().all(|dump| *dump == dumps[0]));
}

#[test]
fn a_run_that_dies_at_any_commit_is_finished_by_the_next() {
    let world = World::new();
    fill(&world, 40);
    let whole = store();
    world.run(&whole);
    let change = |world: &World| {
        world.rename("a/0001.jpg", "t");
        world.rename("b/0000.jpg", "a/0001.jpg");
        world.rename("t", "b/0000.jpg");
        world.rename("c/0003.jpg", "a/moved.jpg");
        world.write("c!/0002.jpg", "4 new");
        world.write("a/0009.jpg", "broken");
        world.remove("b/0004.jpg");
    };
    let first = dump(&whole, &world.dir);

    // The first indexing, dying at each commit once.
    for commits in 0..45 {
        let store = store();
        let result = world.run_with(&Mortal::new(&store, commits), world.options(), &[""]);
        assert_eq!(result.is_err(), commits < 40, "after {commits} commits");
        world.run(&store);
        assert!(dump(&store, &world.dir) == first, "after {commits} commits");
    }
    // An update, dying again and again, each time after one commit more.
    let tired = store();
    world.run(&tired);
    change(&world);
    let prune = || IndexOptions { prune: true, ..world.options() };
    world.run_with(&whole, prune(), &[""]).unwrap();
    let mut embedded = 0;
    let mut commits = 0;
    while world.run_with(&Mortal::new(&tired, commits), prune(), &[""]).is_err() {
        commits += 1;
        assert!(commits < 60, "it never ends");
        embedded += world.embeds();
    }
    assert!(commits > 3 && embedded >= 4);
    assert_eq!(dump(&tired, &world.dir), dump(&whole, &world.dir));
}

#[test]
fn a_stopped_run_ends_in_order_and_is_published() {
    for (threads, stop_at) in [(1, 1), (1, 30), (3, 20), (8, 75)] {
        let world = World::new();
        fill(&world, 120);
        world.delays.store(true, Ordering::SeqCst);
        world.stop_at.store(stop_at, Ordering::SeqCst);
        let store = store();
        let options = || IndexOptions { threads, ..world.options() };
        let report = world.run_with(&store, options(), &[""]).unwrap();
        assert!(report.interrupted);
        let (done, total) = (report.outcomes.total(), 120);
        assert!(done + 1 >= stop_at.min(30) / 2 && done < total, "{done} with {threads}");
        assert_eq!(world.advanced.load(Ordering::SeqCst), done);
        let faces = store.face_count().unwrap();
        assert_eq!(world.publications.lock().unwrap().last(), Some(&(faces, false)));

        world.stop.store(false, Ordering::SeqCst);
        world.stop_at.store(u64::MAX, Ordering::SeqCst);
        let report = world.run_with(&store, options(), &[""]).unwrap();
        assert!(!report.interrupted && report.outcomes.total() == total);
        let whole = common::store();
        world.run(&whole);
        assert_eq!(dump(&store, &world.dir), dump(&whole, &world.dir));
    }
}

#[test]
fn a_long_run_publishes_meanwhile_and_only_complete_states() {
    let world = World::new();
    fill(&world, 200);
    world.delays.store(true, Ordering::SeqCst);
    let store = store();
    let first_publication = Duration::from_millis(5);
    let options = IndexOptions { first_publication, ..world.options() };
    let report = world.run_with(&store, options, &[""]).unwrap();
    let publications = world.publications.lock().unwrap();
    assert!(publications.len() >= 3, "{publications:?}");
    assert!(publications.is_sorted());
    let faces = store.face_count().unwrap();
    assert_eq!(publications.last(), Some(&(faces, true)));
    assert_eq!(report.published.unwrap().generation, publications.len() as u64);
}

#[test]
fn what_readers_see_already_is_not_published_again() {
    let world = World::new();
    fill(&world, 30);
    let store = store();
    let published = || world.publications.lock().unwrap().len();
    world.run(&store);
    assert_eq!(published(), 1);
    // A publisher that cannot tell is asked again; one that can is not.
    world.run(&store);
    assert_eq!(published(), 2);
    world.counts_commits.store(true, Ordering::SeqCst);
    // The racy second: every file is read again, and its line is written again.
    std::thread::sleep(Duration::from_millis(2100));
    world.run(&store);
    let so_far = published();
    world.run(&store);
    assert_eq!(published(), so_far);
    world.write("a/new.jpg", "1 new");
    world.run(&store);
    assert_eq!(published(), so_far + 1);
}

#[test]
fn a_store_that_fails_is_an_error_and_nothing_hangs() {
    let world = World::new();
    fill(&world, 60);
    for commits in [0, 1, 20] {
        let store = store();
        let mortal = Mortal::new(&store, commits);
        let options = IndexOptions { threads: 4, ..world.options() };
        let result = world.run_with(&mortal, options, &[""]);
        assert!(matches!(result, Err(IndexError::Store(_))));
        // What was not committed was not reported either.
        assert!(world.advanced.load(Ordering::SeqCst) <= commits);
    }
}

const CHILD: &str = "FACESEARCH_INDEXER_TEST_CHILD";

/// Not a test of its own: the process that the next one kills.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut world = World::new();
    world.dir = dir.join("photos");
    world.delays.store(true, Ordering::SeqCst);
    let store = SledStore::create_or_open(&dir.join("store"), &common::contract()).unwrap();
    world.run(&store);
}

#[test]
fn a_killed_run_is_finished_by_the_next_and_loses_nothing_it_reported() {
    let top = tempfile::tempdir().unwrap();
    let top = std::fs::canonicalize(top.path()).unwrap();
    let mut world = World::new();
    world.dir = top.join("photos");
    fill(&world, 900);
    let whole = store();
    world.run(&whole);
    let whole = dump(&whole, &world.dir);

    let open = || SledStore::create_or_open(&top.join("store"), &common::contract()).unwrap();
    let count = |store: &dyn FaceStore| {
        let mut files = 0;
        store
            .for_each_file(Path::new(""), &mut |_, _| {
                files += 1;
                Ok(())
            })
            .unwrap();
        files
    };
    let (mut kills, mut files, mut seed) = (0, 0, 1_u64);
    while kills < 20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &top)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(20 + (seed >> 33) % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let now = count(&open());
        assert!(now >= files, "{files} files were on disk, {now} came back");
        files = now;
    }
    let store = open();
    assert!(files > 0, "every run was killed before its first commit was on disk");
    world.run(&store);
    assert!(dump(&store, &world.dir) == whole);
}
