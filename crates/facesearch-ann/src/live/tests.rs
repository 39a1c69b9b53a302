//! The live gallery against a plain list.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use facesearch_core::*;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::SnapshotPublisher;
use crate::manifest::{MANIFEST, Manifest, published};
use crate::testing::{FakeStore, Random, clustered, oracle, search};

const DIM: usize = 3;

/// So few faces are scanned that a few dozen need the graph.
const SCANNED: u32 = 12;

fn contract(dim: usize) -> Contract {
    FakeStore::new(dim).contract().clone()
}

fn embedding(vector: &[f32]) -> Embedding {
    Embedding::new(vector.to_vec(), Metric::L2).unwrap()
}

/// A face as the plain list has it.
#[derive(Debug, Clone, PartialEq)]
struct Listed {
    id: u64,
    label: Option<String>,
    vector: Vec<f32>,
    /// Whether the snapshot has it.
    published: bool,
}

impl Listed {
    fn record(&self) -> FaceRecord {
        let mut photo = [0; 32];
        photo[..8].copy_from_slice(&(self.id / 2).to_le_bytes());
        let bbox = BoundingBox { x: self.id as f32, y: 0.0, width: 9.0, height: 9.0 };
        FaceRecord {
            id: FaceId(self.id),
            photo: ContentHash(photo),
            face: DetectedFace { bbox, score: 0.5, landmarks: Landmarks([[1.0; 2]; 5]) },
            quality: None,
            identity: self.label.clone(),
        }
    }

    /// Two faces are in each photo.
    fn path(&self) -> PathBuf {
        format!("/photos/{}.jpg", self.id / 2).into()
    }
}

/// The plain list, and the live gallery that is to answer like it.
struct Both {
    dir: tempfile::TempDir,
    live: LiveGallery,
    /// In order of rows.
    list: Vec<Listed>,
    /// What was published last and is not searched yet.
    waiting: Option<Vec<Listed>>,
}

impl Both {
    fn new() -> Self {
        let live = LiveGallery::with_scanned(contract(DIM), None, SCANNED);
        Self { dir: tempfile::tempdir().unwrap(), live, list: Vec::new(), waiting: None }
    }

    fn add(&mut self, id: u64, label: Option<String>, vector: Vec<f32>) {
        let face = Listed { id, label, vector, published: false };
        self.live.add(&face.record(), &face.path(), &embedding(&face.vector)).unwrap();
        self.list.retain(|other| other.id != id);
        self.list.push(face);
    }

    fn remove(&mut self, id: u64) {
        let was_there = self.list.iter().any(|face| face.id == id);
        assert_eq!(self.live.remove(FaceId(id)).unwrap(), was_there);
        self.list.retain(|face| face.id != id);
    }

    fn relabel(&mut self, id: u64, label: Option<String>) {
        let at = self.list.iter().position(|face| face.id == id);
        assert_eq!(self.live.relabel(FaceId(id), label.as_deref()).unwrap(), at.is_some());
        if let Some(at) = at {
            let face = self.list.remove(at);
            self.list.push(Listed { label, published: false, ..face });
        }
    }

    /// Publishes what there is; the live gallery is told later.
    fn publish(&mut self) {
        let mut store = FakeStore::new(DIM);
        for face in &self.list {
            let (record, path) = (face.record(), face.path());
            let content = record.photo;
            let photo = PhotoRecord {
                content,
                path,
                width: 9,
                height: 9,
                outcome: Outcome::Faces(1),
                faces: Vec::new(),
            };
            store.photos.insert(content, photo);
            store.faces.insert(record.id, (record, face.vector.clone()));
        }
        SnapshotPublisher::new(self.dir.path()).publish(&store, true).unwrap();
        let mut published = self.list.clone();
        published.iter_mut().for_each(|face| face.published = true);
        published.sort_by_key(|face| face.id);
        self.waiting = Some(published);
    }

    fn replace(&mut self) {
        let Some(published) = self.waiting.take() else { return };
        let snapshot = Snapshot::open(self.dir.path()).unwrap();
        self.live.replaced(Arc::new(snapshot)).unwrap();
        let same = |a: &Listed, b: &Listed| a.id == b.id && a.label == b.label;
        let before = std::mem::take(&mut self.list);
        let stays = |face: &Listed| before.iter().any(|other| same(face, other));
        let has = |face: &&Listed| published.iter().any(|other| same(face, other));
        let newer = before.iter().filter(|face| !has(face)).cloned();
        self.list = published.iter().filter(|face| stays(face)).cloned().chain(newer).collect();
    }

    /// Everything that the gallery says is what the list says.
    fn agree(&self) {
        let view = self.live.view();
        assert_eq!(view.len(), self.list.len());
        for (row, face) in (0..).map(Row).zip(&self.list) {
            let got = view.face(row);
            assert_eq!((got.id.0, got.face.bbox), (face.id, face.record().face.bbox));
            assert_eq!(got.identity.map(|index| view.identity(index)), face.label.as_deref());
            assert_eq!(view.photo_path(got.photo), face.path());
            assert_eq!(view.vector(row), face.vector);
            assert!(view.added(got.id).is_some());
        }
        let labels: BTreeSet<&String> = self.list.iter().flat_map(|face| &face.label).collect();
        assert_eq!(view.identity_count(), labels.len());
        for label in (0..6).map(label_of) {
            let rows = (0..).map(Row).zip(&self.list);
            let rows = rows.filter(|(_, face)| face.label.as_ref() == Some(&label));
            let want: Vec<Row> = rows.map(|(row, _)| row).collect();
            let found = view.find_identity(&label).map(|index| view.rows_of(index));
            assert_eq!(found, (!want.is_empty()).then_some(want), "{label}");
        }
        let counts = self.live.counts();
        let published = self.list.iter().filter(|face| face.published).count();
        assert_eq!(counts.snapshot, published);
        assert_eq!(counts.scanned + counts.in_graph, self.list.len() - published);
    }

    fn search(&self, probe: &[f32], k: usize, among: &[bool]) {
        let view = self.live.view();
        let vectors: Vec<Vec<f32>> = self.list.iter().map(|face| face.vector.clone()).collect();
        assert_eq!(search(&view, probe, k, Effort::Exact), oracle(&vectors, probe, k));
        let some = search(&view, probe, k, Effort::Balanced);
        assert_eq!(some.len(), k.min(vectors.len()), "what was removed hides nothing");
        let mut rows = RowSet::none(view.len());
        for row in 0..view.len() as u32 {
            if among[row as usize % among.len()] {
                rows.insert(Row(row));
            }
        }
        let allowed: Vec<Row> = rows.iter().collect();
        let left: Vec<Vec<f32>> =
            allowed.iter().map(|row| vectors[row.0 as usize].clone()).collect();
        let want: Vec<Row> =
            oracle(&left, probe, k).into_iter().map(|i| allowed[i as usize]).collect();
        let probe = [embedding(probe)];
        let request = SearchRequest::new(&probe, k).among(&rows);
        let exact = view.search(&request.effort(Effort::Exact)).unwrap().remove(0);
        assert_eq!((exact.rows, exact.exact), (want, true));
        let some = view.search(&request).unwrap().remove(0).rows;
        assert_eq!(some.len(), k.min(allowed.len()));
        assert!(some.iter().all(|row| rows.contains(*row)));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(u64, Option<u32>, Vec<f32>),
    Remove(u64),
    Relabel(u64, Option<u32>),
    Maintain,
    Publish,
    Replace,
    Search(Vec<f32>, usize, Vec<bool>),
}

fn label_of(number: u32) -> String {
    format!("person {number}")
}

/// A number off a coarse grid, so that equal vectors, zeros and equal distances are common.
fn coarse() -> impl Strategy<Value = f32> {
    (-1i8..=1).prop_map(f32::from)
}

fn step() -> impl Strategy<Value = Step> {
    let label = || proptest::option::of(0u32..6);
    prop_oneof![
        14 => (0u64..90, label(), vec(coarse(), DIM)).prop_map(|(i, l, v)| Step::Add(i, l, v)),
        4 => (0u64..90).prop_map(Step::Remove),
        3 => (0u64..90, label()).prop_map(|(id, label)| Step::Relabel(id, label)),
        2 => Just(Step::Maintain),
        1 => Just(Step::Publish),
        1 => Just(Step::Replace),
        3 => (vec(coarse(), DIM), 0usize..12, vec(any::<bool>(), 1..9))
            .prop_map(|(probe, k, among)| Step::Search(probe, k, among)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_of_changes_answers_as_a_plain_list(steps in vec(step(), 1..120)) {
        let mut both = Both::new();
        for step in steps {
            match step {
                Step::Add(id, label, vector) => {
                    // A number is never given again to another face.
                    let mut known = both.list.iter().chain(both.waiting.iter().flatten());
                    let known = known.find(|face| face.id == id).map(|face| face.vector.clone());
                    let vector = known.unwrap_or(vector);
                    both.add(id, label.map(label_of), vector);
                }
                Step::Remove(id) => both.remove(id),
                Step::Relabel(id, label) => both.relabel(id, label.map(label_of)),
                Step::Maintain => while both.live.maintain() {},
                Step::Publish => both.publish(),
                Step::Replace => both.replace(),
                Step::Search(probe, k, among) => both.search(&probe, k, &among),
            }
            both.agree();
        }
        both.publish();
        both.replace();
        both.agree();
        both.search(&[0.0; DIM], 99, &[true, false]);
        prop_assert_eq!(both.live.counts().removed, 0, "the snapshot has everything");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let live = LiveGallery::new(contract(DIM), None);
    let face = Listed { id: 1, label: None, vector: vec![1.0], published: false };
    let refused = live.add(&face.record(), &face.path(), &embedding(&face.vector));
    assert!(matches!(refused, Err(GalleryError::Dimension { expected: DIM, got: 1 })));
    let probe = [embedding(&[1.0])];
    assert!(live.view().search(&SearchRequest::new(&probe, 1)).is_err());
    assert!(live.view().is_empty() && !live.remove(FaceId(1)).unwrap());
}

/// A gallery of `vectors` that nobody published, face `i` the `i`th.
fn fresh(vectors: &[Vec<f32>], scanned: u32) -> LiveGallery {
    let live = LiveGallery::with_scanned(contract(vectors[0].len()), None, scanned);
    for (id, vector) in (0..).zip(vectors) {
        let face = Listed { id, label: None, vector: vector.clone(), published: false };
        live.add(&face.record(), &face.path(), &embedding(vector)).unwrap();
    }
    live
}

/// The share of the true ten nearest that the default effort finds.
fn recall(view: &LiveView, probes: &[Vec<f32>]) -> f64 {
    let hits = probes.iter().map(|probe| {
        let (exact, found) =
            (search(view, probe, 10, Effort::Exact), search(view, probe, 10, Effort::Balanced));
        exact.iter().filter(|row| found.contains(row)).count()
    });
    hits.sum::<usize>() as f64 / (10 * probes.len()) as f64
}

#[test]
fn hnsw_rs_holds_what_is_beyond_the_scan() {
    let vectors = clustered(6_000, 24, 21);
    let live = fresh(&vectors, 500);
    while live.maintain() {}
    assert_eq!(
        live.counts(),
        LiveCounts { snapshot: 0, scanned: 500, in_graph: 5_500, removed: 0 }
    );
    let probes = clustered(50, 24, 22);
    let answers = live.view().search(&SearchRequest::new(&[embedding(&probes[0])], 10)).unwrap();
    assert!(!answers[0].exact && answers[0].examined < 2_000, "{answers:?}");
    assert!(recall(&live.view(), &probes) > 0.98);
    // A neighbourhood that was removed does not hide what is behind it.
    for id in 0..5_400 {
        assert!(live.remove(FaceId(id)).unwrap());
    }
    assert_eq!(live.counts().in_graph, 100);
    assert!(recall(&live.view(), &probes) > 0.98);
}

#[test]
fn where_nobody_maintains_each_addition_builds_a_little() {
    let live = fresh(&clustered(2_000, 8, 27), 50);
    let LiveCounts { scanned, in_graph, .. } = live.counts();
    assert!(scanned <= 2 * 50 + 1 && in_graph == 2_000 - scanned, "{scanned} and {in_graph}");
}

#[test]
fn rows_of_a_large_snapshot_are_removed_one_by_one_and_by_the_thousand() {
    let vectors = clustered(12_000, 16, 28);
    let dir = tempfile::tempdir().unwrap();
    SnapshotPublisher::new(dir.path()).publish(&FakeStore::with(16, &vectors), true).unwrap();
    let snapshot = Arc::new(Snapshot::open(dir.path()).unwrap());
    assert!(snapshot.certificates().count() > 0);
    let live = LiveGallery::new(contract(16), Some(snapshot));
    let probes = clustered(30, 16, 29);
    for removed in [0..20, 20..4_000] {
        removed.for_each(|id| assert!(live.remove(FaceId(id)).unwrap()));
        let view = live.view();
        let gone = 12_000 - view.len();
        let left = &vectors[gone..];
        for probe in &probes {
            assert_eq!(search(&view, probe, 10, Effort::Exact), oracle(left, probe, 10));
        }
        assert!(recall(&view, &probes) > 0.98, "{}", recall(&view, &probes));
        // The probes together are answered as each alone.
        let all: Vec<Embedding> = probes.iter().map(|probe| embedding(probe)).collect();
        let together = view.search(&SearchRequest::new(&all, 10)).unwrap();
        for (probe, together) in all.chunks(1).zip(together) {
            assert_eq!(vec![together], view.search(&SearchRequest::new(probe, 10)).unwrap());
        }
    }
}

#[test]
fn a_face_is_found_by_the_next_search_while_all_else_goes_on() {
    let vectors = clustered(3_000, 16, 23);
    let live = LiveGallery::with_scanned(contract(16), None, 100);
    let done = AtomicBool::new(false);
    let probes = clustered(20, 16, 25);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if !live.maintain() {
                    std::thread::yield_now();
                }
            }
        });
        for start in 0..2 {
            let (live, done, probes) = (&live, &done, &probes);
            scope.spawn(move || {
                for probe in probes.iter().cycle().skip(start) {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    // A view answers alike however much is changed meanwhile.
                    let view = live.view();
                    let (len, first) = (view.len(), search(&view, probe, 5, Effort::Exact));
                    assert!(first.iter().all(|row| (*row as usize) < len));
                    assert_eq!(search(&view, probe, 5, Effort::Exact), first);
                    assert_eq!(view.len(), len);
                }
            });
        }
        let mut random = Random(24);
        for (id, vector) in (0..).zip(&vectors) {
            let face = Listed { id, label: None, vector: vector.clone(), published: false };
            live.add(&face.record(), &face.path(), &embedding(vector)).unwrap();
            assert!(ids(&live.view(), vector).contains(&id), "face {id}");
            if id % 3 == 2 {
                let gone = random.below(id as usize) as u64;
                live.remove(FaceId(gone)).unwrap();
                assert!(!ids(&live.view(), &vectors[gone as usize]).contains(&gone), "{gone}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(live.counts().in_graph > 0);
}

/// The three faces nearest to a probe.
fn ids(view: &LiveView, probe: &[f32]) -> Vec<u64> {
    let rows = search(view, probe, 3, Effort::Exact);
    rows.into_iter().map(|row| view.face(Row(row)).id.0).collect()
}

#[test]
fn every_change_changes_the_fingerprint() {
    let live = fresh(&clustered(5, DIM, 30), SCANNED);
    let face = |label: &str| Listed {
        id: 9,
        label: Some(label.into()),
        vector: vec![0.5; DIM],
        published: false,
    };
    let mut seen = BTreeSet::from([live.view().fingerprint()]);
    let mut is_new = |live: &LiveGallery| assert!(seen.insert(live.view().fingerprint()));
    let anna = face("Anna");
    live.add(&anna.record(), &anna.path(), &embedding(&anna.vector)).unwrap();
    is_new(&live);
    live.relabel(FaceId(9), Some("Berta")).unwrap();
    is_new(&live);
    live.remove(FaceId(2)).unwrap();
    is_new(&live);
    // Another label gets the same number, and is told apart all the same.
    let other = fresh(&clustered(5, DIM, 30), SCANNED);
    let clara = face("Clara");
    other.add(&clara.record(), &clara.path(), &embedding(&clara.vector)).unwrap();
    is_new(&other);
}

#[test]
fn a_new_label_or_record_does_not_make_a_face_younger() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(4, DIM, 31);
    SnapshotPublisher::new(dir.path()).publish(&FakeStore::with(DIM, &vectors), true).unwrap();
    let mut manifest = Manifest::read(dir.path()).unwrap();
    manifest.added = vec![(0, 7)];
    std::fs::write(published(dir.path()).join(MANIFEST), manifest.to_bytes()).unwrap();
    let snapshot = Arc::new(Snapshot::open(dir.path()).unwrap());
    let live = LiveGallery::new(contract(DIM), Some(snapshot));
    assert!(live.relabel(FaceId(1), Some("Anna")).unwrap());
    let face = |id| Listed { id, label: None, vector: vec![0.5; DIM], published: false };
    for face in [face(2), face(4)] {
        live.add(&face.record(), &face.path(), &embedding(&face.vector)).unwrap();
    }
    let added = (0..5).map(|id| live.view().added(FaceId(id)).unwrap());
    let added: Vec<bool> = added.map(|at| at == 7).collect();
    assert_eq!(added, [true, true, true, true, false], "face 4 alone came later");
}
