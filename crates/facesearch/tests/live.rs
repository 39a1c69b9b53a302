//! Faces that are added one at a time: found by the next query, exact, and there after a crash.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use facesearch::{Engine, Enrolment, Options, Reader, SearchOptions};
use facesearch_core::{Contract, Effort, Embedding, FaceId, Metric, distance};

const DIMENSION: usize = 128;

fn contract() -> Contract {
    Contract {
        model: "made-elsewhere".into(),
        weights: String::new(),
        dimension: DIMENSION as u32,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "none".into(),
        min_face: 0,
        preprocessing: "none".into(),
        precision: "f32".into(),
    }
}

/// Photos of `people` people, three each on average: 128 numbers near the person's own.
fn faces(count: usize, people: usize) -> Vec<Vec<f32>> {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let centres: Vec<Vec<f32>> =
        (0..people).map(|_| (0..DIMENSION).map(|_| 0.25 * random()).collect()).collect();
    let face = |i: usize| centres[i % people].iter().map(|x| x + 0.05 * random()).collect();
    (0..count).map(face).collect()
}

fn options() -> Options {
    // No model file is ever needed here.
    Options { models: Some(std::env::temp_dir()), offline: true, ..Options::default() }
}

fn nearest(reader: &Reader, probe: &[f32], effort: Effort) -> (String, f32) {
    let search = reader.search(SearchOptions { k: 1, effort, ..SearchOptions::default() }).unwrap();
    let probe = Embedding::new(probe.to_vec(), Metric::L2).unwrap();
    let answer = search.embeddings(vec![(PathBuf::from("probe"), probe)]).unwrap().remove(0);
    let candidate = answer.faces[0].candidates.first().expect("somebody is near");
    (candidate.identity.clone(), candidate.distance)
}

/// Adds `count` faces while another thread asks, and compares the answers with a plain list's.
fn each_is_found_by_the_query_after_it(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let vectors = faces(count, count / 3);
    let mut engine = Engine::create_for(dir.path().join("index"), &contract(), options()).unwrap();
    let (reader, done) = (engine.reader(), AtomicBool::new(false));
    let (asked, added) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // Whatever was added before this query began is found.
                let there = added.load(Ordering::SeqCst);
                if there == 0 {
                    std::thread::yield_now();
                    continue;
                }
                let i = asked.fetch_add(1, Ordering::SeqCst) * 7919 % there;
                assert_eq!(nearest(&reader, &vectors[i], Effort::Balanced).1, 0.0, "face {i}");
            }
        });
        for (i, vector) in vectors.iter().enumerate() {
            let name = format!("{i:06}.jpg");
            engine.add(Enrolment::embedding(&name, vector.clone())).unwrap();
            assert_eq!(nearest(&reader, vector, Effort::Balanced), (name, 0.0));
            added.store(i + 1, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(asked.into_inner() > 100, "the other thread asked");
    let probes = faces(40, 3);
    for probe in &probes {
        let measured = vectors.iter().enumerate().map(|(i, face)| (distance(probe, face), i));
        let (want, i) = measured.min().unwrap();
        let want = (format!("{i:06}.jpg"), want.get());
        assert_eq!(nearest(&reader, probe, Effort::Exact), want);
    }
    drop(engine);
    // Another process sees it all once the engine is gone.
    let other = Reader::open(dir.path().join("index"), options()).unwrap();
    assert_eq!(other.stats().unwrap().faces, count as u64);
    assert_eq!(nearest(&other, &vectors[count / 2], Effort::Balanced).1, 0.0);
}

#[test]
fn six_thousand_faces_are_each_found_by_the_query_after_it() {
    each_is_found_by_the_query_after_it(6_000);
}

#[test]
#[ignore = "slow: fifty thousand commits that each reach the disk"]
fn fifty_thousand_faces_are_each_found_by_the_query_after_it() {
    each_is_found_by_the_query_after_it(50_000);
}

#[test]
fn what_was_added_is_there_after_a_crash_and_what_was_removed_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index");
    let vectors = faces(300, 100);
    let mut engine = Engine::create_for(&index, &contract(), options()).unwrap();
    let name = |i: usize| format!("{i}.jpg");
    let all = vectors.iter().enumerate().map(|(i, v)| Enrolment::embedding(name(i), v.clone()));
    let added = engine.add_all(all).unwrap();
    let gone: Vec<FaceId> = added.iter().take(100).flat_map(|one| one.faces.clone()).collect();
    let removal = facesearch::Removal { faces: gone, ..facesearch::Removal::default() };
    assert_eq!(engine.remove(&removal).unwrap().faces, 100);
    assert_ne!(nearest(&engine.reader(), &vectors[0], Effort::Exact).0, name(0));
    engine.add(Enrolment::embedding("late.jpg", vectors[0].clone()).identity("Late")).unwrap();
    assert_eq!(nearest(&engine.reader(), &vectors[0], Effort::Exact), ("Late".into(), 0.0));
    // As after a crash: nothing of this process is dropped or published any more, and the lock
    // goes with the process. Here the files are copied away from under it.
    let copy = dir.path().join("copy");
    copy_tree(&index, &copy);
    let engine = {
        let mut engine = Engine::open(&copy, options()).unwrap();
        engine.publish().unwrap();
        engine
    };
    let reader = engine.reader();
    assert_eq!(reader.stats().unwrap().faces, 201);
    assert_eq!(nearest(&reader, &vectors[0], Effort::Exact), ("Late".into(), 0.0));
    assert_eq!(nearest(&reader, &vectors[200], Effort::Exact).1, 0.0);
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_same_face_again_changes_nothing_but_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let vector = faces(1, 1).remove(0);
    let mut engine = Engine::create_for(dir.path().join("index"), &contract(), options()).unwrap();
    let add = |engine: &mut Engine, name: Option<&str>| {
        let enrolment = Enrolment::embedding("a.jpg", vector.clone());
        let enrolment = name.map_or(enrolment.clone(), |name| enrolment.identity(name));
        engine.add(enrolment).unwrap().faces
    };
    let first = add(&mut engine, None);
    assert_eq!(first, add(&mut engine, None));
    assert_eq!(first, add(&mut engine, Some("Anna")));
    assert_eq!(nearest(&engine.reader(), &vector, Effort::Exact).0, "Anna");
    assert_eq!(first, add(&mut engine, Some("Bea")));
    assert_eq!(nearest(&engine.reader(), &vector, Effort::Exact).0, "Bea");
    engine.undo(None).unwrap();
    assert_eq!(nearest(&engine.reader(), &vector, Effort::Exact).0, "Anna");
}
