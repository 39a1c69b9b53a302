//! A folder, a finder and an embedder that do what files tell them, and stores that stop.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests that each use a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use facesearch_core::{
    AlignedFace, BoundingBox, BoxError, Change, Chip, ContentHash, Contract, DetectedFace,
    Embedder, Embedding, FaceFinder, FaceId, FaceRecord, FaceStore, FileEntry, FoundFaces,
    Landmarks, Metric, Photo, PhotoRecord, Progress, Published, Publisher, Quality, StoreError,
    VisionError,
};
use facesearch_indexer::{IndexError, IndexOptions, Indexer, Report};
use facesearch_store::MemoryStore;

pub(crate) fn contract() -> Contract {
    Contract {
        model: "fake".into(),
        weights: String::new(),
        dimension: 6,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "fake".into(),
        min_face: 1,
        preprocessing: "none".into(),
        precision: "f32".into(),
    }
}

/// A folder of files, and what is counted while they are indexed.
pub(crate) struct World {
    _temp: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) finds: AtomicU64,
    pub(crate) embeds: AtomicU64,
    pub(crate) batches: Mutex<Vec<usize>>,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) advanced: AtomicU64,
    pub(crate) total: AtomicU64,
    pub(crate) publications: Mutex<Vec<(u64, bool)>>,
    /// Whether the publisher knows what it has published.
    pub(crate) counts_commits: AtomicBool,
    pub(crate) commits_published: AtomicU64,
    pub(crate) delays: AtomicBool,
    pub(crate) stop: AtomicBool,
    /// Raises `stop` at this many finds.
    pub(crate) stop_at: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(temp.path()).unwrap().join("photos");
        fs::create_dir(&dir).unwrap();
        Self {
            _temp: temp,
            dir,
            finds: AtomicU64::new(0),
            embeds: AtomicU64::new(0),
            batches: Mutex::default(),
            notes: Mutex::default(),
            advanced: AtomicU64::new(0),
            total: AtomicU64::new(0),
            publications: Mutex::default(),
            counts_commits: AtomicBool::new(false),
            commits_published: AtomicU64::new(u64::MAX),
            delays: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            stop_at: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn options(&self) -> IndexOptions<'_> {
        let mut options = IndexOptions::new(&self.stop);
        options.threads = 2;
        options
    }

    pub(crate) fn run(&self, store: &dyn FaceStore) -> Report {
        self.run_with(store, self.options(), &[""]).unwrap()
    }

    pub(crate) fn run_with(
        &self,
        store: &dyn FaceStore,
        options: IndexOptions<'_>,
        roots: &[&str],
    ) -> Result<Report, IndexError> {
        let roots: Vec<PathBuf> = roots.iter().map(|root| self.dir.join(root)).collect();
        self.run_paths(store, options, &roots)
    }

    pub(crate) fn run_paths(
        &self,
        store: &dyn FaceStore,
        options: IndexOptions<'_>,
        roots: &[PathBuf],
    ) -> Result<Report, IndexError> {
        for counter in [&self.finds, &self.embeds, &self.advanced, &self.total] {
            counter.store(0, Ordering::SeqCst);
        }
        self.notes.lock().unwrap().clear();
        self.batches.lock().unwrap().clear();
        let indexer = Indexer {
            finder: self,
            embedder: self,
            store,
            publisher: self,
            progress: self,
            options,
        };
        indexer.run(roots)
    }

    pub(crate) fn finds(&self) -> u64 {
        self.finds.load(Ordering::SeqCst)
    }

    pub(crate) fn embeds(&self) -> u64 {
        self.embeds.load(Ordering::SeqCst)
    }

    /// The notes of the last run, with paths relative to the folder, sorted.
    pub(crate) fn notes(&self) -> Vec<String> {
        let prefix = format!("{}/", self.dir.display());
        let notes = self.notes.lock().unwrap();
        let mut notes: Vec<_> = notes.iter().map(|note| note.replace(&prefix, "")).collect();
        notes.sort();
        notes
    }

    /// Sleeps a little, differently each time, where that is asked for.
    fn dawdle(&self, what: &[u8]) {
        if self.delays.load(Ordering::Relaxed) {
            let salt = self.finds() + self.embeds();
            let micros = (u64::from(blake3::hash(what).as_bytes()[0]) + salt * 37) % 6;
            std::thread::sleep(Duration::from_micros(micros * 300));
        }
    }
}

pub(crate) fn store() -> MemoryStore {
    MemoryStore::new(contract())
}

fn detected(index: usize) -> DetectedFace {
    DetectedFace {
        bbox: BoundingBox { x: index as f32, y: 0.0, width: 9.0, height: 9.0 },
        score: 0.9,
        landmarks: Landmarks([[1.0; 2]; 5]),
    }
}

/// Files begin with what is in them: a digit of faces, or a word for what goes wrong.
impl FaceFinder for World {
    fn find(&self, bytes: &[u8]) -> Result<FoundFaces, VisionError> {
        if self.finds.fetch_add(1, Ordering::SeqCst) + 1 == self.stop_at.load(Ordering::SeqCst) {
            self.stop.store(true, Ordering::SeqCst);
        }
        self.dawdle(bytes);
        let text = String::from_utf8_lossy(bytes);
        match text.split_whitespace().next().unwrap_or("empty") {
            "reject" => Err(VisionError::Rejected { reason: "too\nlarge".into() }),
            "panic" => panic!("the decoder was told to"),
            "model" => Err(VisionError::Model { model: "fake".into(), source: "it broke".into() }),
            word => match word.parse::<usize>() {
                Ok(count) => {
                    let faces = (0..count).map(|index| {
                        let hash = blake3::hash(&[bytes, &[index as u8]].concat());
                        let mut rgb = hash.as_bytes()[..6].to_vec();
                        // A face that the embedder will have no vector for.
                        if text.contains("blank") && index == 0 {
                            rgb = vec![0; 6];
                        }
                        // The faces of a photo are of quality 1, 1/2, 1/3, ..., or the first the
                        // worst.
                        let worst = text.contains("worst first") && index == 0;
                        let quality = if worst { 0.1 } else { 1.0 / (index + 1) as f32 };
                        let quality = Some(Quality(quality));
                        AlignedFace { face: detected(index), quality, chip: Chip::new(2, 1, rgb) }
                    });
                    Ok(FoundFaces { width: 20, height: 10, faces: faces.collect() })
                }
                Err(_) => Err(VisionError::Decode { reason: format!("`{word}` is no photo") }),
            },
        }
    }

    fn find_in(&self, photo: &Photo) -> Result<FoundFaces, VisionError> {
        self.find(photo.rgb())
    }
}

impl Embedder for World {
    fn name(&self) -> &str {
        "fake"
    }

    fn dim(&self) -> usize {
        6
    }

    fn metric(&self) -> Metric {
        Metric::L2
    }

    fn batch_size(&self) -> usize {
        4
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        self.embeds.fetch_add(chips.len() as u64, Ordering::SeqCst);
        self.batches.lock().unwrap().push(chips.len());
        self.dawdle(chips[0].rgb());
        let embedding = |chip: &Chip| {
            let values: Vec<f32> = chip.rgb().iter().map(|byte| f32::from(*byte)).collect();
            let usable = values.iter().any(|value| *value > 0.0);
            usable.then(|| Embedding::new(values, Metric::L2).unwrap())
        };
        Ok(chips.iter().map(embedding).collect())
    }
}

impl Publisher for World {
    fn publish(&self, store: &dyn FaceStore, last: bool) -> Result<Published, StoreError> {
        let mut faces = 0;
        store.for_each_face(&mut |_, _| {
            faces += 1;
            Ok(())
        })?;
        let commits = store.commits()?.unwrap_or(u64::MAX);
        self.commits_published.store(commits, Ordering::SeqCst);
        let mut publications = self.publications.lock().unwrap();
        publications.push((faces, last));
        Ok(Published { generation: publications.len() as u64, faces })
    }

    fn is_current(&self, store: &dyn FaceStore) -> Result<bool, StoreError> {
        let published = Some(self.commits_published.load(Ordering::SeqCst));
        Ok(self.counts_commits.load(Ordering::SeqCst) && store.commits()? == published)
    }
}

impl Progress for World {
    fn start(&self, total: Option<u64>, _unit: &'static str) {
        self.total.store(total.unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn advance(&self, steps: u64) {
        self.advanced.fetch_add(steps, Ordering::SeqCst);
    }

    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }

    fn finish(&self) {}
}

/// All that a store says, without what depends on when and where it was said.
pub(crate) fn dump(store: &dyn FaceStore, dir: &Path) -> String {
    let mut said = format!("next {}\n", store.next_face_id().unwrap());
    let mut contents = std::collections::BTreeSet::new();
    store
        .for_each_file(Path::new(""), &mut |path, entry| {
            let FileEntry { content, outcome, keeps, .. } = entry;
            said += &format!("{path:?} {content:?} {outcome:?} {keeps:?}\n");
            contents.extend(content.into_iter().chain(keeps));
            Ok(())
        })
        .unwrap();
    for content in contents {
        said += &format!("{:?}\n", store.photo(&content).unwrap());
    }
    store
        .for_each_face(&mut |record, vector| {
            said += &format!("{record:?} {vector:?}\n");
            Ok(())
        })
        .unwrap();
    said.replace(dir.to_str().unwrap(), "")
}

/// What the ledger says, one short line a path.
pub(crate) fn ledger(store: &dyn FaceStore, dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    store
        .for_each_file(Path::new(""), &mut |path, entry| {
            let kept = if entry.keeps.is_some() { " keeps" } else { "" };
            lines.push(format!("{} {:?}{kept}", path.display(), entry.outcome));
            Ok(())
        })
        .unwrap();
    let prefix = format!("{}/", dir.display());
    lines.iter().map(|line| line.replace(&prefix, "")).collect()
}

/// The faces: their photo's path and their label.
pub(crate) fn faces(store: &dyn FaceStore, dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    store
        .for_each_face(&mut |record, _| {
            let photo = store.photo(&record.photo)?.ok_or("a face has no photo")?;
            let path = photo.path.strip_prefix(dir)?.display().to_string();
            lines.push(format!("{} {path} {}", record.id, record.identity.unwrap_or("-".into())));
            Ok(())
        })
        .unwrap();
    lines
}

/// A store that dies at a commit: that one and all that follow fail.
pub(crate) struct Mortal<'a> {
    pub(crate) inner: &'a dyn FaceStore,
    pub(crate) left: AtomicU64,
}

impl<'a> Mortal<'a> {
    pub(crate) fn new(inner: &'a dyn FaceStore, commits: u64) -> Self {
        Self { inner, left: AtomicU64::new(commits) }
    }
}

impl FaceStore for Mortal<'_> {
    fn contract(&self) -> &Contract {
        self.inner.contract()
    }

    fn file(&self, path: &Path) -> Result<Option<FileEntry>, StoreError> {
        self.inner.file(path)
    }

    fn for_each_file(
        &self,
        prefix: &Path,
        visit: &mut dyn FnMut(PathBuf, FileEntry) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        self.inner.for_each_file(prefix, visit)
    }

    fn photo(&self, content: &ContentHash) -> Result<Option<PhotoRecord>, StoreError> {
        self.inner.photo(content)
    }

    fn is_forgotten(&self, content: &ContentHash) -> Result<bool, StoreError> {
        self.inner.is_forgotten(content)
    }

    fn paths_of(&self, content: &ContentHash) -> Result<Vec<PathBuf>, StoreError> {
        self.inner.paths_of(content)
    }

    fn face(&self, id: FaceId) -> Result<Option<FaceRecord>, StoreError> {
        self.inner.face(id)
    }

    fn for_each_face(
        &self,
        visit: &mut dyn FnMut(FaceRecord, Vec<f32>) -> Result<(), BoxError>,
    ) -> Result<(), StoreError> {
        self.inner.for_each_face(visit)
    }

    fn next_face_id(&self) -> Result<FaceId, StoreError> {
        self.inner.next_face_id()
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let spend = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err() {
            let source = "the store has died".into();
            return Err(StoreError::Io { action: "write to", path: "mortal".into(), source });
        }
        self.inner.commit(changes)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn face_count(&self) -> Result<u64, StoreError> {
        self.inner.face_count()
    }
}
