//! Measures evaluation, calibration, evidence and clustering on stored embeddings.
//!
//! Run: `cargo run --release -p facesearch-eval --example lfw -- FOLDER NAME MODEL WHAT`, where
//! `FOLDER/NAME-names.txt` has a line `Person/photo.jpg` for each row of `FOLDER/NAME-MODEL.npy`
//! (two-dimensional little-endian `f32`), and WHAT is `identify`, `fpir`, `evidence`, `cluster`
//! `speed` or `speed-20000`. Embeddings are not in the repository.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and stops")]

use std::time::Instant;

use facesearch_core::Metric;
use facesearch_eval::evidence::{Fusion, Naming, assign_jointly};
use facesearch_eval::identify::{Protocol, Split, report, run, split};
use facesearch_eval::{Faces, pairs::Bootstrap};
use facesearch_people::calibrate::{Impostors, nearest_impostors};
use facesearch_people::cluster::{ClusterThreshold, Graph, cluster_vectors, score_clusters};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, model, what] = &args[..] else {
        println!("give FOLDER NAME MODEL WHAT");
        return;
    };
    let faces =
        load(&format!("{folder}/{name}-names.txt"), &format!("{folder}/{name}-{model}.npy"));
    let metric = if model == "dlib" { Metric::L2 } else { Metric::NormalisedL2 };
    println!("{model}: {} faces of {} people", faces.len(), faces.people());
    match what.as_str() {
        "identify" => identification(&faces, metric),
        "fpir" => false_alarms(&faces, metric),
        "evidence" => evidence(&faces, metric),
        "cluster" => clusters(&faces, metric),
        "speed" => speed(100_000),
        "speed-20000" => speed(20_000),
        other => println!("no such measurement: {other}"),
    }
}

/// Names and the rows of an npy file.
fn load(names: &str, npy: &str) -> Faces {
    let names = std::fs::read_to_string(names).unwrap();
    let names: Vec<&str> = names.lines().map(|line| line.split('/').next().unwrap()).collect();
    let bytes = std::fs::read(npy).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "not an npy file of version 1");
    let data = &bytes[10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))..];
    let values: Vec<f32> =
        data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let dim = values.len() / names.len();
    Faces::new(names.iter().copied().zip(values.chunks_exact(dim))).unwrap()
}

/// Misses at given false alarm rates, for growing galleries.
fn identification(faces: &Faces, metric: Metric) {
    let split = split(faces, &Protocol::default()).unwrap();
    let how = Bootstrap { resamples: 200, ..Bootstrap::default() };
    for set in run(faces, &split, &[100, 400, 1600], Fusion::Nearest, metric) {
        let made = report(&set, Some(0.55), &how);
        println!("N {} known {} unknown {}", made.people, made.known, made.unknown);
        for (k, share, around) in &made.ranks {
            println!("  rank {k} {share:.4} {around:?}");
        }
        for at in &made.fnir {
            println!(
                "  FNIR {:.4} {:?} at FPIR {} (threshold {:.3})",
                at.point.fnir, at.interval, at.wanted, at.point.threshold
            );
        }
        println!("  at 0.55: {:?}", made.counts);
    }
}

/// Learns the false alarm rates on the gallery alone.
fn learn(faces: &Faces, gallery: &[Vec<usize>]) -> Impostors {
    let distances = gallery.iter().enumerate().map(|(i, own)| {
        let others = gallery.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, rows)| faces.distance(own[0], rows[0])).collect()
    });
    nearest_impostors(distances).unwrap()
}

/// Wanted and observed false alarm rates on people who were held out.
fn false_alarms(faces: &Faces, metric: Metric) {
    let (mut within, mut all) = (0, 0);
    for seed in 1..=10 {
        let split = split(faces, &Protocol { seed, ..Protocol::default() }).unwrap();
        let impostors = learn(faces, &split.gallery);
        for set in run(faces, &split, &[100, 400, 1547], Fusion::Nearest, metric) {
            for wanted in [0.1, 0.01] {
                let threshold = impostors.threshold(wanted, set.people).unwrap();
                let got = set.fpir(threshold).unwrap();
                let fixed = set.fpir(0.55).unwrap();
                within += usize::from((0.5..=2.0).contains(&(got / wanted)));
                all += 1;
                println!(
                    "seed {seed} N {} wanted {wanted} observed {got:.4} threshold {threshold:.3} \
                     FNIR {:.4}; at 0.55: FPIR {fixed:.4} FNIR {:.4}",
                    set.people,
                    set.fnir(threshold).unwrap(),
                    set.fnir(0.55).unwrap()
                );
            }
        }
    }
    println!("within a factor of 2: {within} of {all}");
}

/// Ways of fusing several photos, and joint naming of made-up group photos.
fn evidence(faces: &Faces, metric: Metric) {
    let fusions = [Fusion::Nearest, Fusion::MeanOfBest(2), Fusion::MeanOfBest(3), Fusion::Template];
    for enrol in [2, 3, 5] {
        for fusion in fusions {
            let (mut sums, seeds) = ([0.0; 3], 5);
            for seed in 1..=seeds {
                let split = split(faces, &Protocol { enrol, seed, unknown: 0.5 }).unwrap();
                let set = run(faces, &split, &[usize::MAX], fusion, metric).remove(0);
                let at = |fpir| set.at_fpir(fpir).unwrap().fnir;
                let figures = [1.0 - set.rank(1).unwrap(), at(0.1), at(0.01)];
                sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
            }
            let [rank, tenth, hundredth] = sums.map(|sum| sum / f64::from(seeds as u32));
            println!(
                "enrol {enrol} {fusion:?}: rank-1 misses {rank:.4}, FNIR {tenth:.4} at FPIR 0.1, \
                 {hundredth:.4} at 0.01"
            );
        }
    }
    group_photos(faces);
}

/// Puts probes of different people together as if they were in one photo.
fn group_photos(faces: &Faces) {
    for wanted in [0.1, 0.01] {
        for size in [2, 5, 10] {
            let mut wrong = [0, 0];
            let mut all = 0;
            for seed in 1..=5 {
                let split = split(faces, &Protocol { seed, ..Protocol::default() }).unwrap();
                let threshold =
                    learn(faces, &split.gallery).threshold(wanted, split.gallery.len()).unwrap();
                for photo in photos(faces, &split, size) {
                    let candidates: Vec<Vec<Naming<u32>>> =
                        photo.iter().map(|(row, _)| near(faces, &split, *row, threshold)).collect();
                    let joint = assign_jointly(&candidates, threshold);
                    for ((own, joint), (_, truth)) in candidates.iter().zip(joint).zip(&photo) {
                        let alone = own.iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
                        wrong[0] += usize::from(alone.map(|n| n.identity) != *truth);
                        wrong[1] += usize::from(joint.map(|n| n.identity) != *truth);
                        all += 1;
                    }
                }
            }
            println!(
                "FPIR {wanted}, {size} faces a photo: {wrong:?} of {all} wrong, alone and joint"
            );
        }
    }
}

/// Photos of `size` faces, each of another person, with who is truly in them.
fn photos(faces: &Faces, split: &Split, size: usize) -> Vec<Vec<(usize, Option<u32>)>> {
    let known = split.known.iter().map(|(_, row)| (*row, Some(faces.person(*row))));
    let mut probes: Vec<_> = known.chain(split.unknown.iter().map(|row| (*row, None))).collect();
    // Rows are in order of names; a step that shares no factor with their number mixes them.
    let step = 2003;
    let n = probes.len();
    probes = (0..n).map(|i| probes[i * step % n]).collect();
    let mut photos: Vec<Vec<(usize, Option<u32>)>> = Vec::new();
    for probe in probes {
        let others = |photo: &Vec<(usize, Option<u32>)>| {
            photo.iter().all(|(row, _)| faces.person(*row) != faces.person(probe.0))
        };
        match photos.iter_mut().rev().take(50).find(|photo| photo.len() < size && others(photo)) {
            Some(photo) => photo.push(probe),
            None => photos.push(vec![probe]),
        }
    }
    photos.retain(|photo| photo.len() == size);
    photos
}

fn near(faces: &Faces, split: &Split, row: usize, threshold: f64) -> Vec<Naming<u32>> {
    let gallery = split.gallery.iter().map(|rows| rows[0]);
    gallery
        .map(|other| Naming {
            identity: faces.person(other),
            cost: f64::from(faces.distance(row, other)),
        })
        .filter(|naming| naming.cost <= threshold)
        .collect()
}

/// Pairwise and B-cubed figures at several thresholds.
fn clusters(faces: &Faces, metric: Metric) {
    let person: Vec<u32> = (0..faces.len()).map(|row| faces.person(row)).collect();
    let start = Instant::now();
    let graph = Graph::exact(faces, 24);
    println!("graph {:?}", start.elapsed());
    for step in 0..=36 {
        let threshold = if metric == Metric::L2 { 0.30 } else { 0.80 } + 0.02 * step as f32;
        let start = Instant::now();
        let found = cluster_vectors(faces, &graph, ClusterThreshold::Fixed(threshold)).unwrap();
        let score = score_clusters(&found.group, &person);
        if score.precision < 0.95 {
            break;
        }
        println!(
            "threshold {threshold:.2}: {} groups, precision {:.4} recall {:.4} B-cubed {:.4} {:?}",
            found.groups,
            score.precision,
            score.recall,
            score.bcubed_f1,
            start.elapsed()
        );
    }
}

/// So many made-up embeddings of 256 numbers.
fn speed(rows: usize) {
    let dim = 256;
    let mut state = 1u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut values: Vec<f32> = Vec::with_capacity(rows * dim);
    let mut names: Vec<String> = Vec::new();
    let mut centre: Vec<f32> = vec![0.0; dim];
    for row in 0..rows {
        if row % 10 == 0 {
            centre = (0..dim).map(|_| uniform()).collect();
        }
        let vector: Vec<f32> = centre.iter().map(|c| c + 0.6 * uniform()).collect();
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        values.extend(vector.iter().map(|v| v / length));
        names.push(format!("{:05}", row / 10));
    }
    let rows = names.iter().map(String::as_str).zip(values.chunks_exact(dim));
    let faces = Faces::new(rows).unwrap();
    drop(values);
    let start = Instant::now();
    let graph = Graph::exact(&faces, 16);
    println!("graph of {} rows {:?}", faces.len(), start.elapsed());
    let found = cluster_vectors(&faces, &graph, ClusterThreshold::Fixed(1.0)).unwrap();
    let person: Vec<u32> = (0..faces.len()).map(|row| faces.person(row)).collect();
    println!("{:?} {:?}", start.elapsed(), score_clusters(&found.group, &person));
}
