//! Faces are added while one thread asks and one maintains.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use facesearch_ann::{LiveIndex, LiveLimits};
use facesearch_core::{Effort, Embedding, FaceId};

use crate::clock::cpu_seconds;
use crate::faces::Faces;
use crate::sweep::K;

/// Adds all of `faces` to a new index in `dir` and prints how fast that and the queries meanwhile were.
pub(crate) fn live(
    faces: &Faces,
    probes: &[Embedding],
    dir: &Path,
    embed: fn(&[f32]) -> Embedding,
) {
    let n = faces.people.len();
    let vectors: Vec<Embedding> = (0..n).map(|i| embed(&faces.photo(i))).collect();
    let index = LiveIndex::open(dir, faces.dim, LiveLimits::default()).expect("a directory");
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let is_done = || done.load(Ordering::Relaxed);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut longest = 0.0f64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done() {
                let probe = &probes[asked.fetch_add(1, Ordering::Relaxed) % probes.len()];
                index.search(probe, K, Effort::Balanced).expect("found");
            }
        });
        scope.spawn(|| {
            while !is_done() {
                if !index.maintain().expect("maintained") {
                    std::thread::yield_now();
                }
            }
        });
        for (i, vector) in vectors.iter().enumerate() {
            let added = Instant::now();
            index.add(FaceId(i as u64), vector).expect("added");
            longest = longest.max(added.elapsed().as_secs_f64());
            if i % 1000 == 999 {
                let found = index.search(vector, 1, Effort::Balanced).expect("found");
                assert_eq!(found[0].1.get(), 0.0, "the next query finds it");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let wall = start.elapsed().as_secs_f64();
    println!(
        "{n} faces added in {wall:.1} s: {:.0} a second, the longest took {:.1} ms; meanwhile {:.0} \
         queries a second; {:.1} CPU s in all; parts, and faces in memory: {:?}",
        n as f64 / wall,
        longest * 1e3,
        asked.load(Ordering::Relaxed) as f64 / wall,
        cpu_seconds() - cpu,
        index.sizes()
    );
    let start = Instant::now();
    while index.maintain().expect("maintained") {}
    println!(
        "what was left to do took {:.1} s: {:?}",
        start.elapsed().as_secs_f64(),
        index.sizes()
    );
}
