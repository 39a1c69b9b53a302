//! Search speed at equal recall: builds and publishes synthetic galleries, then sweeps the effort.
//!
//! Run: `cargo bench -p facesearch-ann --bench ann -- --n 1000000 --dim 128 --dir DIR`. It leaves
//! the vectors, the probes and the true neighbours in `DIR`, where `benches/ann_peers.py` finds them to
//! run other libraries on the same task. Measured is `Gallery::candidates` with exact re-ranking and all
//! checks, one probe at a time; not the time to open a photo or to embed a face.
//!
//! The vectors follow real embeddings in what matters to a graph: unit vectors of people with one to
//! nine photos each; distances within a person 0.34 +- 0.07 and between people 1.13 +- 0.09; a
//! spectrum of which about 67 directions carry the spread. Two of three probes are new photos of people
//! who are there, one is of a stranger.

#![expect(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use facesearch_ann::{Snapshot, SnapshotPublisher};
use facesearch_core::*;
use rayon::prelude::*;

const K: usize = 10;

fn main() {
    let option = |name: &str| {
        let mut args = std::env::args().skip_while(|arg| arg != name);
        args.nth(1)
    };
    let number = |name, default| option(name).map_or(default, |n| n.parse().expect("a number"));
    let (n, dim, probes) = (number("--n", 100_000), number("--dim", 128), number("--probes", 1500));
    let dir = PathBuf::from(option("--dir").unwrap_or_else(|| "target/bench-ann".into()));
    fs::create_dir_all(&dir).expect("a directory to write to");
    let data = Data::make(n, dim, probes);
    data.save(&dir);
    let index = dir.join("index");
    let cpu = cpu_seconds();
    let start = Instant::now();
    let publisher = SnapshotPublisher::new(&index).with_single_structure();
    publisher.publish(&data, true).expect("published");
    println!(
        "build: {:.1} s wall, {:.1} s CPU, {n} x {dim}",
        start.elapsed().as_secs_f64(),
        cpu_seconds() - cpu
    );
    let start = Instant::now();
    let snapshot = Snapshot::open(&index).expect("opened");
    println!("open: {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    let first = embedding(&data.probes[..dim]);
    let start = Instant::now();
    snapshot.candidates(&first, K, Effort::Balanced).expect("found");
    println!("first query, page cache warm: {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("files: {} bytes; {:?}", snapshot.bytes_on_disk(), certificate(&snapshot));
    snapshot.verify().expect("undamaged");
    sweep(&snapshot, &data);
}

fn certificate(snapshot: &Snapshot) -> String {
    snapshot.certificates().map(|(n, c)| format!("{n} faces: {c:?}")).collect()
}

fn sweep(snapshot: &Snapshot, data: &Data) {
    let probes: Vec<Embedding> = data.probes.chunks_exact(data.dim).map(embedding).collect();
    let truth = truth(snapshot, &probes);
    fs::write(data.dir_of(snapshot).join("truth.u32"), bytemuck::cast_slice(&truth.concat()))
        .expect("written");
    let efforts = [16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512];
    let named = [("fast", Effort::Fast), ("balanced", Effort::Balanced), ("high", Effort::High)];
    let lists = efforts.map(|width| (format!("list {width}"), Effort::List(width)));
    let named = named.map(|(name, effort)| (name.to_owned(), effort));
    println!("effort | recall@1 | recall@10 | QPS, 1 thread, CPU time | examined");
    for (name, effort) in lists.into_iter().chain(named) {
        let mut best = f64::INFINITY;
        let (mut tens, mut ones, mut examined) = (0, 0, 0);
        for _ in 0..3 {
            let start = cpu_seconds();
            let found: Vec<Candidates> = probes
                .iter()
                .map(|probe| snapshot.candidates(probe, K, effort).expect("found"))
                .collect();
            best = best.min(cpu_seconds() - start);
            let hits = |found: &Candidates, truth: &Vec<u32>, k: usize| {
                let truth: BTreeSet<u32> = truth[..k].iter().copied().collect();
                found.rows[..k].iter().filter(|row| truth.contains(&row.0)).count()
            };
            tens = found.iter().zip(&truth).map(|(f, t)| hits(f, t, K)).sum();
            ones = found.iter().zip(&truth).map(|(f, t)| hits(f, t, 1)).sum();
            examined = found.iter().map(|f| f.examined).sum::<u64>();
        }
        let count = probes.len() as f64;
        println!(
            "{name:9} | {:.4} | {:.4} | {:.0} | {:.0}",
            ones as f64 / count,
            tens as f64 / count / K as f64,
            count / best,
            examined as f64 / count
        );
    }
    let start = Instant::now();
    let some = probes.len().min(50);
    for probe in &probes[..some] {
        snapshot.candidates(probe, K, Effort::Exact).expect("found");
    }
    println!("exact: {:.2} ms a probe", start.elapsed().as_secs_f64() * 1e3 / some as f64);
    let start = Instant::now();
    probes.par_iter().for_each(|probe| {
        snapshot.candidates(probe, K, Effort::Balanced).expect("found");
    });
    let qps = probes.len() as f64 / start.elapsed().as_secs_f64();
    println!("balanced, {} threads, wall: {qps:.0} QPS", rayon::current_num_threads());
}

/// The true neighbours, by the exact scan.
fn truth(snapshot: &Snapshot, probes: &[Embedding]) -> Vec<Vec<u32>> {
    let exact = |probe| snapshot.candidates(probe, K, Effort::Exact).expect("found").rows;
    probes.iter().map(|probe| exact(probe).into_iter().map(|row| row.0).collect()).collect()
}

fn embedding(vector: &[f32]) -> Embedding {
    Embedding::new(vector.to_vec(), Metric::NormalisedL2).expect("a vector of a benchmark")
}

/// CPU seconds of this process, both kinds, all threads.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own: f64 = stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_thread = |path: PathBuf| -> Option<f64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let all: f64 = threads.filter_map(|thread| of_thread(thread.path())).sum();
    all.max(own) / 1e9
}

/// Vectors in memory, and a store of them.
struct Data {
    dim: usize,
    base: Vec<f32>,
    probes: Vec<f32>,
    contract: Contract,
}

impl Data {
    fn make(n: usize, dim: usize, probes: usize) -> Self {
        let faces = Faces::new(dim);
        let mut people = Vec::with_capacity(n);
        let mut random = Random(1);
        while people.len() < n {
            let person = random.next();
            people.extend(std::iter::repeat_n(person, 1 + random.below(9)));
        }
        people.truncate(n);
        for i in (1..n).rev() {
            people.swap(i, random.below(i + 1));
        }
        let vectors = |people: &[u64], photo: u64| -> Vec<f32> {
            let mut all = vec![0.0; people.len() * dim];
            let rows = all.par_chunks_exact_mut(dim).zip(people).enumerate();
            rows.for_each(|(i, (row, person))| faces.write(*person, photo + i as u64, row));
            all
        };
        let asked: Vec<u64> = (0..probes)
            .map(|i| if i % 3 == 2 { random.next() } else { people[random.below(n)] })
            .collect();
        let contract = Contract {
            model: "synthetic".into(),
            weights: String::new(),
            dimension: dim as u32,
            metric: Metric::NormalisedL2,
            threshold: 0.55,
            detector: "none".into(),
            min_face: 0,
            preprocessing: "none".into(),
            precision: "f32".into(),
        };
        Self { dim, base: vectors(&people, 0), probes: vectors(&asked, n as u64), contract }
    }

    fn save(&self, dir: &Path) {
        let write = |name: &str, numbers: &[f32]| {
            let mut file = fs::File::create(dir.join(name)).expect("created");
            file.write_all(bytemuck::cast_slice(numbers)).expect("written");
        };
        write("base.f32", &self.base);
        write("probes.f32", &self.probes);
    }

    fn dir_of(&self, snapshot: &Snapshot) -> PathBuf {
        snapshot.index().parent().expect("the index is inside").to_owned()
    }
}

/// A population of faces: where each person is, and how far each photo strays.
struct Faces {
    dim: usize,
    /// Deviation of each direction of the spectrum.
    spread: Vec<f32>,
    signs: Vec<f32>,
}

/// Share of the squared length that all faces have in common, that people differ in, and photos.
const SHARES: [f32; 3] = [0.365, 0.575, 0.060];

impl Faces {
    fn new(dim: usize) -> Self {
        assert!(dim.is_power_of_two(), "directions are mixed by a Hadamard transform");
        let decay = 36.0 * dim.min(512) as f32 / 128.0;
        let variance: Vec<f32> = (0..dim).map(|j| (-(j as f32) / decay).exp()).collect();
        let sum: f32 = variance.iter().sum();
        let mut random = Random(2);
        let signs =
            (0..dim).map(|_| if random.next().is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
        Self { dim, spread: variance.iter().map(|v| (v / sum).sqrt()).collect(), signs }
    }

    fn write(&self, person: u64, photo: u64, row: &mut [f32]) {
        let mut random = Random(person);
        let [_, between, within] = SHARES.map(f32::sqrt);
        for (x, spread) in row.iter_mut().zip(&self.spread) {
            *x = between * spread * random.normal();
        }
        // Some photos are farther from their person than others.
        let mut random = Random(photo ^ 0x5EED_0000_0000_0000);
        let strays = within * (0.8 + 0.4 * random.unit());
        for (x, spread) in row.iter_mut().zip(&self.spread) {
            *x += strays * spread * random.normal();
        }
        row[self.dim - 1] += SHARES[0].sqrt();
        row.iter_mut().zip(&self.signs).for_each(|(x, sign)| *x *= sign);
        hadamard(row);
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
}

/// The Walsh-Hadamard transform: a rotation, up to scale, in `dim log dim` steps.
fn hadamard(row: &mut [f32]) {
    let mut half = 1;
    while half < row.len() {
        for block in row.chunks_exact_mut(2 * half) {
            let (a, b) = block.split_at_mut(half);
            for (x, y) in a.iter_mut().zip(b) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half *= 2;
    }
}

/// Repeatable numbers (Steele et al., SplitMix64, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Normal (Box and Muller 1958).
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }
}

impl FaceStore for Data {
    fn contract(&self) -> &Contract {
        &self.contract
    }
    fn file(&self, _: &Path) -> Result<Option<FileEntry>, StoreError> {
        Ok(None)
    }
    fn for_each_file(
        &self,
        _: &Path,
        _: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError> {
        let [content, path] = [*content, *content];
        let path = PathBuf::from(path.to_string());
        let outcome = Outcome::Faces(1);
        let faces = Vec::new();
        Ok(Some(PhotoRecord { content, path, width: 0, height: 0, outcome, faces }))
    }
    fn paths_of(&self, _: &ContentHash) -> Result<Vec<PathBuf>, StoreError> {
        Ok(Vec::new())
    }
    fn face(&self, _: FaceId) -> Result<Option<FaceRecord>, StoreError> {
        Ok(None)
    }
    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        let bbox = BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let landmarks = Landmarks([[0.0; 2]; 5]);
        let face = DetectedFace { bbox, score: 1.0, landmarks };
        for (i, vector) in (0..).zip(self.base.chunks_exact(self.dim)) {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(i / 4u64).to_le_bytes());
            let (id, photo) = (FaceId(i), ContentHash(hash));
            let record = FaceRecord { id, photo, face, quality: None, identity: None };
            visit(record, vector.to_vec()).map_err(|source| StoreError::Io {
                action: "visit",
                path: PathBuf::new(),
                source,
            })?;
        }
        Ok(())
    }
    fn next_face_id(&self) -> Result<FaceId, StoreError> {
        Ok(FaceId((self.base.len() / self.dim) as u64))
    }
    fn commit(&self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn face_count(&self) -> Result<u64, StoreError> {
        Ok((self.base.len() / self.dim) as u64)
    }
}
