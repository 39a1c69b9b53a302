//! The live index against a plain list.

use std::collections::BTreeMap;
use std::path::Path;

use facesearch_core::*;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::testing::{Random, clustered, oracle};

const DIM: usize = 3;

/// Small enough that a few dozen faces go through all that an index does.
const SMALL: LiveLimits = LiveLimits { scanned: 12, sealed: 30 };

fn embedding(vector: &[f32]) -> Embedding {
    Embedding::new(vector.to_vec(), Metric::L2).unwrap()
}

fn open(dir: &Path) -> LiveIndex {
    LiveIndex::open(dir, DIM, SMALL).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Add(u64, Vec<f32>),
    Remove(u64),
    Maintain,
    Seal,
    Merge,
    Optimize,
    Reopen,
    Search(Vec<f32>, usize),
}

/// A number off a coarse grid, so that equal vectors, zeros and equal distances are common.
fn coarse() -> impl Strategy<Value = f32> {
    (-1i8..=1).prop_map(f32::from)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u64..90, vec(coarse(), DIM)).prop_map(|(id, vector)| Step::Add(id, vector)),
        4 => (0u64..90).prop_map(Step::Remove),
        2 => Just(Step::Maintain),
        1 => Just(Step::Seal),
        1 => Just(Step::Merge),
        1 => Just(Step::Optimize),
        1 => Just(Step::Reopen),
        3 => (vec(coarse(), DIM), 0usize..12).prop_map(|(probe, k)| Step::Search(probe, k)),
    ]
}

/// What a plain list answers.
fn expected(list: &BTreeMap<u64, Vec<f32>>, probe: &[f32], k: usize) -> Vec<u64> {
    let (ids, vectors): (Vec<u64>, Vec<Vec<f32>>) =
        list.iter().map(|(id, vector)| (*id, vector.clone())).unzip();
    oracle(&vectors, probe, k).into_iter().map(|row| ids[row as usize]).collect()
}

fn found(index: &LiveIndex, probe: &[f32], k: usize, effort: Effort) -> Vec<u64> {
    let found = index.search(&embedding(probe), k, effort).unwrap();
    found.into_iter().map(|(id, _)| id.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sequence_of_changes_answers_as_a_plain_list(steps in vec(step(), 1..160)) {
        let dir = tempfile::tempdir().unwrap();
        let mut index = open(dir.path());
        let mut list = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add(id, vector) => {
                    let added = index.add(FaceId(id), &embedding(&vector));
                    prop_assert_eq!(added.is_ok(), !list.contains_key(&id));
                    list.entry(id).or_insert(vector);
                }
                Step::Remove(id) => {
                    prop_assert_eq!(index.remove(FaceId(id)), list.remove(&id).is_some());
                }
                Step::Maintain => while index.maintain().unwrap() {},
                Step::Seal => drop(index.seal().unwrap()),
                Step::Merge => drop(index.merge().unwrap()),
                Step::Optimize => {
                    index.optimize().unwrap();
                    prop_assert!(index.sizes().0.len() <= 1 && index.sizes().1 == 0);
                }
                Step::Reopen => {
                    index.save().unwrap();
                    index = open(dir.path());
                }
                Step::Search(probe, k) => {
                    let want = expected(&list, &probe, k);
                    prop_assert_eq!(found(&index, &probe, k, Effort::Exact), want);
                    let some = found(&index, &probe, k, Effort::Balanced);
                    prop_assert_eq!(some.len(), k.min(list.len()), "a graph hides what is gone");
                    prop_assert!(some.iter().all(|id| list.contains_key(id)));
                }
            }
            prop_assert_eq!(index.len(), list.len());
        }
        prop_assert_eq!(found(&index, &[0.0; DIM], 99, Effort::Exact), expected(&list, &[0.0; DIM], 99));
    }
}

#[test]
fn an_empty_index_and_one_of_a_single_face_answer() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    assert!(found(&index, &[0.0; DIM], 5, Effort::Balanced).is_empty() && index.is_empty());
    index.add(FaceId(7), &embedding(&[0.0; DIM])).unwrap();
    assert_eq!(found(&index, &[1.0; DIM], 5, Effort::Balanced), [7]);
    index.optimize().unwrap();
    assert_eq!(found(&index, &[1.0; DIM], 5, Effort::Balanced), [7]);
    assert!(index.remove(FaceId(7)));
    index.optimize().unwrap();
    assert_eq!(index.sizes(), (Vec::new(), 0));
}

#[test]
fn what_is_no_vector_of_the_index_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    assert!(Embedding::new(vec![f32::NAN; DIM], Metric::L2).is_err(), "NaN never gets here");
    let short = embedding(&[1.0]);
    let refused = |error| matches!(error, LiveError::Dimension { expected: DIM, got: 1 });
    assert!(index.add(FaceId(1), &short).is_err_and(refused));
    assert!(index.search(&short, 1, Effort::Fast).is_err_and(refused));
    index.add(FaceId(1), &embedding(&[1.0; DIM])).unwrap();
    index.save().unwrap();
    assert!(LiveIndex::open(dir.path(), 4, SMALL).is_err());
}

#[test]
fn the_graphs_in_memory_and_on_disk_find_nearly_all() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(6_000, 24, 21);
    let limits = LiveLimits { scanned: 500, sealed: 4_000 };
    let index = LiveIndex::open(dir.path(), 24, limits).unwrap();
    let probes = clustered(50, 24, 22);
    let recall = || {
        let exact = probes.iter().map(|probe| found(&index, probe, 10, Effort::Exact));
        let some = probes.iter().map(|probe| found(&index, probe, 10, Effort::Balanced));
        let hits = exact.zip(some).map(|(a, b)| a.iter().filter(|id| b.contains(id)).count());
        hits.sum::<usize>() as f64 / 500.0
    };
    for (id, vector) in (0..).zip(&vectors) {
        index.add(FaceId(id), &embedding(vector)).unwrap();
        if id == 3_000 {
            while index.maintain().unwrap() {}
            assert_eq!(index.sizes(), (vec![], 3_001), "an hnsw_rs graph, nothing sealed yet");
            assert!(recall() > 0.98);
        }
    }
    while index.maintain().unwrap() {}
    assert_eq!(index.sizes(), (vec![6_000], 0));
    assert!(recall() > 0.98, "{}", recall());
    // A neighbourhood that was removed does not hide what is behind it.
    for id in 0..5_500 {
        assert!(index.remove(FaceId(id)));
    }
    assert!(recall() > 0.98);
}

#[test]
fn a_face_is_found_by_the_next_query_while_all_else_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(3_000, 16, 23);
    let limits = LiveLimits { scanned: 100, sealed: 700 };
    let index = LiveIndex::open(dir.path(), 16, limits).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let upkeep = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                index.maintain().unwrap();
            }
        });
        let mut random = Random(24);
        for (id, vector) in (0..).zip(&vectors) {
            index.add(FaceId(id), &embedding(vector)).unwrap();
            assert!(found(&index, vector, 3, Effort::Exact).contains(&id), "face {id}");
            if id % 3 == 2 {
                let gone = random.below(id as usize) as u64;
                let was_there = index.remove(FaceId(gone));
                let near = found(&index, &vectors[gone as usize], 3, Effort::Exact);
                assert!(!near.contains(&gone), "{gone}: {was_there}");
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        upkeep.join().unwrap();
    });
    let before = found(&index, &vectors[5], 50, Effort::Exact);
    index.save().unwrap();
    drop(index);
    let index = LiveIndex::open(dir.path(), 16, limits).unwrap();
    assert_eq!(found(&index, &vectors[5], 50, Effort::Exact), before);
}

#[test]
fn parts_stay_few() {
    let mut sizes: Vec<(usize, usize)> = Vec::new();
    let mut moved = 0;
    for _ in 0..1_000 {
        sizes.push((100, 0));
        while let Some(run) = due(&sizes) {
            let together: usize = sizes[run.clone()].iter().map(|(len, _)| len).sum();
            moved += together;
            sizes.splice(run, [(together, 0)]);
        }
        assert!(sizes.len() <= 10, "{sizes:?}");
    }
    assert!(moved < 100_000 * 12, "each face is moved a few times: {moved}");
    assert_eq!(due(&[(100, 0), (10, 11)]), Some(1..2));
    assert_eq!(due(&[(100, 100), (10, 0)]), None);
}

#[test]
fn every_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(60, DIM, 25);
    let index = open(dir.path());
    for (id, vector) in (0..).zip(&vectors) {
        index.add(FaceId(id), &embedding(vector)).unwrap();
    }
    index.seal().unwrap();
    assert!((0..20).all(|id| index.remove(FaceId(3 * id))));
    index.save().unwrap();
    let want = found(&index, &[0.5; DIM], 60, Effort::Exact);
    drop(index);
    let mut random = Random(26);
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        for round in 0..40 {
            let at = random.below(bytes.len());
            let mut damaged = bytes.clone();
            match round % 4 {
                0 => damaged.truncate(at),
                _ => damaged[at] ^= 1 << random.below(8),
            }
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, &damaged).unwrap();
            let used = LiveIndex::open(dir.path(), DIM, SMALL).and_then(|index| {
                index.verify()?;
                index.search(&embedding(&[0.5; DIM]), 60, Effort::Exact)
            });
            assert!(matches!(used, Err(LiveError::Read(_))), "{} at {at}", file.display());
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(found(&open(dir.path()), &[0.5; DIM], 60, Effort::Exact), want);
}
