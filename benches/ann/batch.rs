//! Many probes at once: the exact scan by blocked products beside one probe at a time, and the
//! graph.

use std::time::Instant;

use facesearch_ann::Snapshot;
use facesearch_core::{Effort, Embedding, Gallery, SearchRequest};

use crate::clock::cpu_seconds;
use crate::sweep::K;

/// Of the probes so many are also asked one at a time, exactly.
const SINGLE: usize = 50;

/// Prints what each way takes for a probe.
pub(crate) fn batch(snapshot: &Snapshot, probes: &[Embedding]) {
    let (n, count) = (snapshot.len(), probes.len());
    println!("{n} faces, {count} probes, {} threads", rayon::current_num_threads());
    let each =
        |effort| snapshot.search(&SearchRequest::new(probes, K).effort(effort)).expect("found");
    let (exact, exact_cpu) = timed("exact, all at once", count, || each(Effort::Exact));
    let some = &probes[..count.min(SINGLE)];
    let (single, cpu) = timed("exact, one at a time", some.len(), || {
        let exact = |probe| SearchRequest::new(probe, K).effort(Effort::Exact);
        let alone = |probe| snapshot.search(&exact(probe)).expect("found").remove(0);
        some.chunks(1).map(alone).collect::<Vec<_>>()
    });
    assert_eq!(single[..], exact[..some.len()], "both are the definition's answer");
    println!("all at once is {:.1} times as fast, by CPU time", cpu / exact_cpu);
    let (found, _) = timed("balanced, all at once", count, || each(Effort::Balanced));
    let pairs = exact.iter().zip(&found);
    let hits = pairs.map(|(a, b)| a.rows.iter().filter(|row| b.rows.contains(row)).count());
    println!("recall@10 {:.5}", hits.sum::<usize>() as f64 / (count * K.min(n)) as f64);
}

/// What `run` gives, and its CPU seconds a probe.
fn timed<T>(what: &str, probes: usize, run: impl FnOnce() -> T) -> (T, f64) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let result = run();
    let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu_seconds() - cpu) / probes as f64);
    println!(
        "{what}: {wall:.2} s, {:.0} probes a second, {:.3} ms CPU each",
        probes as f64 / wall,
        cpu * 1e3
    );
    (result, cpu)
}
