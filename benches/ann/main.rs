//! The search at scale. `benches/ann.sh` runs this and the same task in other libraries, and prints
//! the table; `docs/benchmarks/search.md` has the commands.
//!
//! `cargo bench -p facesearch-ann --bench ann -- COMMAND --n 1000000 --dim 128 --like dlib --dir
//! DIR`
//!
//! | command | what it does |
//! |---|---|
//! | `make` | makes the faces, publishes them to `DIR/index`, and leaves probes and true neighbours in `DIR` |
//! | `sweep` | opens that index and prints recall and queries a second of every effort, as lines of JSON |
//! | `batch` | asks `--probes` at once, exactly and by the graph |
//! | `live` | adds faces one at a time with a search after each, beside hnswlib (by `--python PYTHON`) |
//!
//! Measured is `Gallery::search` with exact re-ranking and all checks; not the time to open a photo
//! or to embed a face.

#![expect(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]

mod batch;
mod clock;
mod faces;
mod live;
mod store;
mod sweep;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use facesearch_ann::{Snapshot, SnapshotPublisher};
use facesearch_core::*;

use crate::clock::{cpu_seconds, resident_mb};
use crate::faces::{Faces, Profile};
use crate::store::MadeUp;
use crate::sweep::K;

/// The program's: it gives large tables large pages.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let task = Task::from_args();
    match std::env::args().nth(1).as_deref() {
        Some("make") => task.make(),
        Some("sweep") => task.sweep(),
        Some("batch") => task.batch(),
        Some("live") => task.live(),
        other => panic!("no command {other:?}; there are make, sweep, batch and live"),
    }
}

/// What the arguments say.
struct Task {
    n: usize,
    dim: usize,
    probes: usize,
    profile: Profile,
    dir: PathBuf,
}

impl Task {
    fn from_args() -> Self {
        let option = |name: &str| std::env::args().skip_while(|arg| arg != name).nth(1);
        let number = |name, default| option(name).map_or(default, |n| n.parse().expect("a number"));
        let profile = option("--like").unwrap_or_else(|| "dlib".into());
        let dir = PathBuf::from(option("--dir").unwrap_or_else(|| "target/bench-ann".into()));
        fs::create_dir_all(&dir).expect("a directory to write to");
        Self {
            n: number("--n", 100_000),
            dim: number("--dim", 128),
            probes: number("--probes", 3_000),
            profile: Profile::named(&profile).expect("dlib, arcface or deepface"),
            dir,
        }
    }

    fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    fn make(&self) {
        let faces = Faces::new(self.profile, self.n, self.dim, self.probes);
        let write = |name: &str, bytes: &[u8]| {
            fs::write(self.dir.join(name), bytes).expect("written");
        };
        write("people.u64", bytemuck::cast_slice(&faces.people));
        let probes = faces.probes();
        write("probes.f32", bytemuck::cast_slice(&probes));
        let _ = fs::remove_dir_all(self.index());
        let publisher = SnapshotPublisher::new(self.index()).with_single_structure();
        let store = MadeUp::new(faces);
        let publish = |last| {
            let (start, cpu) = (Instant::now(), cpu_seconds());
            publisher.publish(&store, last).expect("published");
            (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
        };
        // The first publication makes faces and writes tables, the second does that again and
        // builds. With `--once` there is no first, which spares the disk, and the time is that of
        // everything.
        let once = std::env::args().any(|arg| arg == "--once");
        let tables = if once { (0.0, 0.0) } else { publish(false) };
        let all = publish(true);
        let (wall, cpu) = (all.0 - tables.0, all.1 - tables.1);
        let snapshot = Snapshot::open(&self.index()).expect("opened");
        let probes: Vec<Embedding> = probes.chunks_exact(self.dim).map(embedding).collect();
        let request = SearchRequest::new(&probes, K).effort(Effort::Exact);
        let exact = snapshot.search(&request).expect("found");
        let truth: Vec<u32> =
            exact.into_iter().flat_map(|found| found.rows.into_iter().map(|row| row.0)).collect();
        write("truth.u32", bytemuck::cast_slice(&truth));
        for (faces, certificate) in snapshot.certificates() {
            println!("{faces} faces: {certificate:?}");
        }
        let line = format!(
            "{{\"name\": \"facesearch\", \"build_wall\": {wall:.1}, \"build_cpu\": {cpu:.1}}}"
        );
        write("build.json", line.as_bytes());
        println!("{line}");
    }

    fn sweep(&self) {
        println!(
            "{}",
            fs::read_to_string(self.dir.join("build.json")).expect("`make` came before")
        );
        let read = |name: &str| fs::read(self.dir.join(name)).expect("what `make` left");
        let probes = read("probes.f32");
        let probes: &[f32] = bytemuck::cast_slice(&probes);
        let probes: Vec<Embedding> = probes.chunks_exact(self.dim).map(embedding).collect();
        let truth = read("truth.u32");
        let (_, before) = resident_mb("/vectors");
        let start = Instant::now();
        let snapshot = Snapshot::open(&self.index()).expect("opened");
        let open = start.elapsed().as_secs_f64();
        let start = Instant::now();
        snapshot.search(&SearchRequest::new(&probes[..1], K)).expect("found");
        let first = start.elapsed().as_secs_f64();
        for probe in probes.chunks(1) {
            snapshot.search(&SearchRequest::new(probe, K)).expect("found");
        }
        let (vectors, after) = resident_mb("/vectors");
        // The records of faces are no part of the search: peers have none.
        let (records, _) = resident_mb("/faces");
        println!(
            "{{\"name\": \"facesearch\", \"open_ms\": {:.2}, \"first_query_ms\": {:.2}, \
             \"memory_mb\": {:.0}, \"memory_vectors_mb\": {vectors:.0}, \"file_mb\": {:.0}, \
             \"segments_mb\": {:.0}}}",
            open * 1e3,
            first * 1e3,
            after - before - vectors - records,
            snapshot.bytes_on_disk() as f64 / 1e6,
            self.segments_mb(&snapshot),
        );
        snapshot.verify().expect("undamaged");
        sweep::sweep(&snapshot, &probes, bytemuck::cast_slice(&truth));
    }

    fn batch(&self) {
        let faces = Faces::new(self.profile, self.n, self.dim, self.probes);
        let probes: Vec<Embedding> = faces.probes().chunks_exact(self.dim).map(embedding).collect();
        let snapshot = Snapshot::open(&self.index()).expect("`make` came before");
        snapshot.verify().expect("undamaged");
        batch::batch(&snapshot, &probes);
    }

    fn live(&self) {
        let faces = Faces::new(self.profile, self.n, self.dim, self.probes);
        let probes: Vec<Embedding> = faces.probes().chunks_exact(self.dim).map(embedding).collect();
        let python = std::env::args().skip_while(|arg| arg != "--python").nth(1);
        live::live(&faces, &probes, &self.dir, python.as_deref());
    }

    /// Megabytes of the search structures.
    fn segments_mb(&self, snapshot: &Snapshot) -> f64 {
        let dir = self.index().join("published").join(snapshot.generation().to_string());
        let files = fs::read_dir(dir).expect("listed").flatten();
        let segments =
            files.filter(|file| file.file_name().to_string_lossy().starts_with("segment"));
        segments.map(|file| file.metadata().expect("its size").len() as f64 / 1e6).sum()
    }
}

fn embedding(vector: &[f32]) -> Embedding {
    Embedding::new(vector.to_vec(), Metric::NormalisedL2).expect("a vector of a benchmark")
}
