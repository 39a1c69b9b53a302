//! The scan against the definition: measure everything in `f64`, sort, cut.

use facesearch_core::{Effort, Embedding, Gallery, Metric, Publisher, SearchRequest};
use proptest::{collection::vec, prelude::*};

use crate::testing::{FakeStore, Random, oracle, search};
use crate::{Snapshot, SnapshotPublisher};

fn snapshot(dim: usize, vectors: &[Vec<f32>]) -> (tempfile::TempDir, Snapshot) {
    let dir = tempfile::tempdir().unwrap();
    SnapshotPublisher::new(dir.path()).publish(&FakeStore::with(dim, vectors), true).unwrap();
    let snapshot = Snapshot::open(dir.path()).unwrap();
    (dir, snapshot)
}

/// A number off a coarse grid, so that equal distances are common.
fn coarse() -> impl Strategy<Value = f32> {
    (-2i8..=2).prop_map(|n| f32::from(n) / 4.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_definition_ties_included(
        vectors in vec(vec(coarse(), 3), 0..40),
        probe in vec(coarse(), 3),
        k in 0usize..50,
    ) {
        let (_dir, snapshot) = snapshot(3, &vectors);
        prop_assert_eq!(search(&snapshot, &probe, k, Effort::Exact), oracle(&vectors, &probe, k));
        each_is_asked(&snapshot, &vectors, &vectors, k);
    }

    #[test]
    fn equals_the_definition_for_numbers_of_any_size(
        vectors in vec(
            vec(any::<f32>().prop_filter("a norm that is allowed", |v| v.abs() < 8e17), 2),
            1..30,
        ),
        k in 1usize..8,
    ) {
        let (_dir, snapshot) = snapshot(2, &vectors);
        let probe = &vectors[0];
        prop_assert_eq!(search(&snapshot, probe, k, Effort::Exact), oracle(&vectors, probe, k));
        each_is_asked(&snapshot, &vectors, &vectors, k);
    }
}

/// All probes at once find what the definition says.
fn each_is_asked(snapshot: &Snapshot, vectors: &[Vec<f32>], probes: &[Vec<f32>], k: usize) {
    let embeddings: Vec<Embedding> =
        probes.iter().map(|v| Embedding::new(v.clone(), Metric::L2).unwrap()).collect();
    let request = SearchRequest::new(&embeddings, k).effort(Effort::Exact);
    let found = snapshot.search(&request).unwrap();
    assert_eq!(found.len(), probes.len());
    for (found, probe) in found.iter().zip(probes) {
        let rows: Vec<u32> = found.rows.iter().map(|row| row.0).collect();
        assert_eq!(rows, oracle(vectors, probe, k));
    }
}

#[test]
fn what_f32_cannot_tell_apart_is_told_apart() {
    // Far from the origin, distances that differ in the seventh digit: f32 sums get them wrong.
    let mut random = Random(5);
    let vectors: Vec<Vec<f32>> =
        (0..500).map(|_| (0..64).map(|_| 1.0 + 1e-3 * random.unit()).collect()).collect();
    let (_dir, snapshot) = snapshot(64, &vectors);
    let probe = vec![-30.0; 64];
    assert_eq!(search(&snapshot, &probe, 50, Effort::Exact), oracle(&vectors, &probe, 50));
    each_is_asked(&snapshot, &vectors, &[vec![-30.0; 64], vectors[3].clone()], 50);
}

#[test]
fn many_threads_find_what_one_finds() {
    let mut random = Random(6);
    let n = 3 * super::PART as usize + 17;
    let vectors: Vec<Vec<f32>> =
        (0..n).map(|_| vec![random.below(50) as f32, random.below(50) as f32]).collect();
    let (_dir, snapshot) = snapshot(2, &vectors);
    let probe = [25.0, 25.0];
    assert_eq!(search(&snapshot, &probe, 100, Effort::Exact), oracle(&vectors, &probe, 100));
    each_is_asked(&snapshot, &vectors, &vectors[..40], 100);
}

#[test]
fn a_thousand_copies_of_one_face_come_in_order_of_row() {
    let vectors = vec![vec![0.1, 0.2, 0.3]; 1000];
    let (_dir, snapshot) = snapshot(3, &vectors);
    let found = search(&snapshot, &[0.1, 0.2, 0.3], 10, Effort::Exact);
    assert_eq!(found, (0..10).collect::<Vec<_>>());
}
