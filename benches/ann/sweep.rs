//! Recall and queries a second of every width of the walk.
//!
//! Probes are asked in small groups, each several times, and the best time of each group counts: a
//! disturbance lasts longer than a group, so most groups are undisturbed at least once.

use std::collections::BTreeSet;
use std::time::Instant;

use facesearch_ann::Snapshot;
use facesearch_core::{Candidates, Effort, Embedding, Gallery, SearchRequest};

use crate::clock::thread_cpu_seconds;

/// Neighbours asked for.
pub(crate) const K: usize = 10;
/// Probes of a group.
const GROUP: usize = 125;
/// Probes that are timed; recall is that of all.
const TIMED: usize = 500;
/// How often each group is asked.
const PASSES: usize = 4;

/// Sweeps the efforts and prints a line of JSON for each.
pub(crate) fn sweep(snapshot: &Snapshot, probes: &[Embedding], truth: &[u32]) {
    let widths = [
        30, 40, 48, 64, 80, 96, 112, 128, 160, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072,
        4096,
    ];
    let named = [("fast", Effort::Fast), ("balanced", Effort::Balanced), ("high", Effort::High)];
    let named = named.map(|(name, effort)| (name.to_owned(), effort));
    let lists = widths.map(|width| (width.to_string(), Effort::List(width)));
    let mut enough = false;
    for (name, effort) in named.into_iter().chain(lists) {
        if enough {
            break;
        }
        let (ones, tens, examined) = recall(snapshot, probes, truth, effort);
        let timed = &probes[..probes.len().min(TIMED)];
        let (wall, cpu) = one_thread(snapshot, timed, effort);
        let two = two_threads(snapshot, timed, effort);
        let count = timed.len() as f64;
        println!(
            "{{\"name\": \"facesearch\", \"effort\": \"{name}\", \"recall1\": {ones:.5}, \
             \"recall10\": {tens:.5}, \"qps1\": {:.0}, \"qps1_cpu\": {:.0}, \"qps2\": {:.0}, \
             \"examined\": {examined:.0}}}",
            count / wall,
            count / cpu,
            count / two,
        );
        enough = name.parse::<usize>().is_ok() && tens >= 0.9993 && ones >= 0.9993;
    }
}

/// Asks as `batch` does, and as the peers are asked: for all of a group at once, on the threads of
/// the pool.
fn ask(snapshot: &Snapshot, probes: &[Embedding], effort: Effort) -> Vec<Candidates> {
    snapshot.search(&SearchRequest::new(probes, K).effort(effort)).expect("found")
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
}

/// Recall at 1 and at 10, and codes compared a probe.
fn recall(
    snapshot: &Snapshot,
    probes: &[Embedding],
    truth: &[u32],
    effort: Effort,
) -> (f64, f64, f64) {
    let (mut ones, mut tens, mut examined) = (0, 0, 0);
    for (found, truth) in ask(snapshot, probes, effort).iter().zip(truth.chunks_exact(K)) {
        let truths: BTreeSet<u32> = truth.iter().copied().collect();
        ones += usize::from(found.rows.first().is_some_and(|row| row.0 == truth[0]));
        tens += found.rows.iter().filter(|row| truths.contains(&row.0)).count();
        examined += found.examined;
    }
    let count = probes.len() as f64;
    (ones as f64 / count, tens as f64 / count / K as f64, examined as f64 / count)
}

/// Seconds for all probes, by the wall clock and by the CPU's.
fn one_thread(snapshot: &Snapshot, probes: &[Embedding], effort: Effort) -> (f64, f64) {
    let group = |group: &[Embedding]| {
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..PASSES {
            let (wall, cpu) = (Instant::now(), thread_cpu_seconds());
            std::hint::black_box(ask(snapshot, group, effort));
            best.0 = best.0.min(wall.elapsed().as_secs_f64());
            best.1 = best.1.min(thread_cpu_seconds() - cpu);
        }
        best
    };
    let all = pool(1).install(|| probes.chunks(GROUP).map(group).collect::<Vec<_>>());
    all.into_iter().fold((0.0, 0.0), |all, best| (all.0 + best.0, all.1 + best.1))
}

/// Seconds of wall time for all probes with two threads.
fn two_threads(snapshot: &Snapshot, probes: &[Embedding], effort: Effort) -> f64 {
    let group = |group: &[Embedding]| {
        let times = (0..PASSES).map(|_| {
            let start = Instant::now();
            std::hint::black_box(ask(snapshot, group, effort));
            start.elapsed().as_secs_f64()
        });
        times.fold(f64::INFINITY, f64::min)
    };
    pool(2).install(|| probes.chunks(2 * GROUP).map(group).sum())
}
