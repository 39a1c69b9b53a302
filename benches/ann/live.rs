//! Faces are added one at a time, with a search after each, beside hnswlib on the same vectors.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use facesearch_ann::{LiveCounts, LiveGallery};
use facesearch_core::*;

use crate::faces::Faces;
use crate::sweep::K;

/// Adds all of `faces` to a live gallery, first with a thread that maintains it and then without,
/// and prints how fast that was and the searches between; then the same of hnswlib, by `python`.
pub(crate) fn live(faces: &Faces, probes: &[Embedding], dir: &Path, python: Option<&str>) {
    let embed = |i| Embedding::new(faces.photo(i), Metric::NormalisedL2).expect("an embedding");
    let vectors: Vec<Embedding> = (0..faces.people.len()).map(embed).collect();
    let truth = one_by_one("facesearch, a thread maintains", &vectors, probes, true);
    one_by_one("facesearch, one thread", &vectors, probes, false);
    let Some(python) = python else {
        println!("hnswlib is left out; --python PYTHON runs it where its package is installed");
        return;
    };
    let flat = |vectors: &[Embedding]| -> Vec<f32> {
        vectors.iter().flat_map(|vector| vector.as_slice()).copied().collect()
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).expect("written");
    write("live.f32", bytemuck::cast_slice(&flat(&vectors)));
    write("live-probes.f32", bytemuck::cast_slice(&flat(probes)));
    write("live-truth.u32", bytemuck::cast_slice(&truth));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/ann/peers.py");
    let dim = faces.dim.to_string();
    let run = Command::new(python).arg(script).args(["live", "hnswlib"]).arg(dir).arg(dim).status();
    assert!(run.expect("python runs").success(), "hnswlib was not measured");
}

/// Adds the vectors, each followed by a search for the next probe, and prints the times and the
/// recall at the end. Returns the true neighbours of the probes.
fn one_by_one(
    what: &str,
    vectors: &[Embedding],
    probes: &[Embedding],
    maintained: bool,
) -> Vec<u32> {
    let contract = Contract {
        model: "made up".into(),
        weights: String::new(),
        dimension: vectors[0].dim() as u32,
        metric: Metric::NormalisedL2,
        threshold: None,
        detector: "none".into(),
        min_face: 0,
        preprocessing: "none".into(),
        precision: "f32".into(),
    };
    let live = LiveGallery::new(contract, None);
    let (mut adds, mut searches) = (Vec::new(), Vec::new());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if maintained {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if !live.maintain() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        for (i, vector) in vectors.iter().enumerate() {
            let start = Instant::now();
            live.add(&record(i as u64), Path::new("a.jpg"), vector).expect("added");
            adds.push(start.elapsed().as_secs_f64());
            let probe = &probes[i % probes.len()..][..1];
            let start = Instant::now();
            live.view().search(&SearchRequest::new(probe, K)).expect("found");
            searches.push(start.elapsed().as_secs_f64());
        }
        done.store(true, Ordering::Relaxed);
    });
    let counts = live.counts();
    let view = live.view();
    let ask = |effort| view.search(&SearchRequest::new(probes, K).effort(effort)).expect("found");
    let (truth, found) = (ask(Effort::Exact), ask(Effort::Balanced));
    let pairs = truth.iter().zip(&found);
    let hits = pairs.map(|(a, b)| a.rows.iter().filter(|row| b.rows.contains(row)).count());
    let recall = hits.sum::<usize>() as f64 / (probes.len() * K.min(vectors.len())) as f64;
    print(what, adds, searches, recall);
    let LiveCounts { scanned, in_graph, .. } = counts;
    println!("    {scanned} faces scanned, {in_graph} in the graph");
    truth.iter().flat_map(|found| found.rows.iter().map(|row| row.0)).collect()
}

/// One line of figures, as peers.py prints its own.
fn print(what: &str, mut adds: Vec<f64>, mut searches: Vec<f64>, recall: f64) {
    let rate = adds.len() as f64 / adds.iter().sum::<f64>();
    adds.sort_by(f64::total_cmp);
    searches.sort_by(f64::total_cmp);
    let at = |times: &[f64], share: f64| 1e3 * times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: {rate:.0} inserts a second, median {:.3} ms, p99 {:.3} ms, longest {:.1} ms; \
         searches between, median {:.3} ms, p99 {:.3} ms; recall@10 at the end {recall:.4}",
        at(&adds, 0.5),
        at(&adds, 0.99),
        at(&adds, 1.0),
        at(&searches, 0.5),
        at(&searches, 0.99)
    );
}

fn record(id: u64) -> FaceRecord {
    let bbox = BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
    let face = DetectedFace { bbox, score: 1.0, landmarks: Landmarks([[0.0; 2]; 5]) };
    let photo = ContentHash([0; 32]);
    FaceRecord { id: FaceId(id), photo, face, quality: None, identity: None }
}
