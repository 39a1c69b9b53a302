//! What the tests share: the binary, its photos, its published state.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The binary under test, quiet about everything but results and errors.
pub(crate) fn facesearch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facesearch"));
    for name in ["FACESEARCH_INDEX", "FACESEARCH_LOG", "FACESEARCH_CATALOGUE"] {
        command.env_remove(name);
    }
    command
}

/// Runs the binary; `what` are its arguments.
pub(crate) fn run(what: &[&str]) -> Output {
    facesearch().args(what).output().expect("the binary starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the binary and insists on its exit code.
pub(crate) fn run_for(code: i32, what: &[&str]) -> Output {
    let output = run(what);
    assert_eq!(
        output.status.code(),
        Some(code),
        "`facesearch {}` said:\n{}{}",
        what.join(" "),
        stdout(&output),
        stderr(&output)
    );
    output
}

/// What a process said until its end, which must come in time. What it says must fit into a pipe.
pub(crate) fn ended_within(patience: Duration, mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > patience {
            child.kill().unwrap();
            let said = stderr(&child.wait_with_output().unwrap());
            panic!("it did not end within {patience:?}, and said:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// A JSON value per line of stdout.
pub(crate) fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A folder of its own for one test.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' own names are UTF-8")
}

/// The demo's folder, `people/NAME/*`, `new/*` and `index`, which no test changes. Tests run in
/// processes of their own, so the first to come makes it and the others wait for it; a rebuilt
/// binary makes it anew.
pub(crate) fn demo() -> &'static Path {
    static DEMO: OnceLock<PathBuf> = OnceLock::new();
    DEMO.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
        let lock = fs::File::create(dir.with_extension("lock")).expect("a lock file");
        lock.lock().expect("a lock");
        let built = fs::metadata(env!("CARGO_BIN_EXE_facesearch")).unwrap().modified().unwrap();
        let stamp = dir.join("made-by");
        if fs::read_to_string(&stamp).is_ok_and(|by| by == format!("{built:?}")) {
            return dir;
        }
        let _ = fs::remove_dir_all(&dir);
        run_for(0, &["demo", text(&dir), "--quiet"]);
        fs::write(&stamp, format!("{built:?}")).expect("a stamp");
        dir
    })
}

/// One of the demo's photos.
pub(crate) fn photo(name: &str) -> PathBuf {
    let photos = ["people", "new"].map(|folder| files_below(&demo().join(folder)));
    let found = photos.into_iter().flatten().find(|path| path.ends_with(name));
    found.unwrap_or_else(|| panic!("the demo has no photo {name}"))
}

/// Files of a folder that have these bytes, in content or name.
pub(crate) fn holding(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let has = |text: &[u8]| text.windows(bytes.len()).any(|window| window == bytes);
    let inside = |path: &Path| path.strip_prefix(dir).unwrap().as_os_str().to_owned();
    let files = files_below(dir).into_iter();
    files
        .filter(|path| has(&fs::read(path).unwrap()) || has(inside(path).as_encoded_bytes()))
        .collect()
}

/// All files below a folder, in order.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Fills `dir` with `n` photos that differ in content but show what the demo's show: bytes after
/// the end of a JPEG change nothing but its hash.
pub(crate) fn many_photos(dir: &Path, n: usize) {
    let sources = ["obama.jpg", "obama2.jpg", "biden2.jpg"].map(photo);
    for i in 0..n {
        let source = &sources[i % sources.len()];
        let person = if i % sources.len() == 2 { "biden" } else { "obama" };
        let folder = dir.join(person);
        fs::create_dir_all(&folder).unwrap();
        let mut bytes = fs::read(source).unwrap();
        bytes.extend_from_slice(format!("copy {i}").as_bytes());
        fs::write(folder.join(format!("{i:04}.jpg")), bytes).unwrap();
    }
}

/// The folder of what an index has published last.
pub(crate) fn newest(index: &Path) -> PathBuf {
    let folder = index.join("published");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("MANIFEST")).expect("a manifest")).unwrap();
    folder.join(manifest["generation"].as_u64().expect("a generation").to_string())
}

/// The published state of an index: every file of it but for what counts publications.
pub(crate) fn published(index: &Path) -> BTreeMap<String, Vec<u8>> {
    files_below(&newest(index))
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

/// A file or folder of the test data outside this repository, which `FACESEARCH_SHARED` names.
/// Tests that need it are ignored unless they are asked for.
pub(crate) fn shared(what: &str) -> PathBuf {
    let root =
        std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED names the test data");
    let found = Path::new(&root).join(what);
    assert!(found.exists(), "FACESEARCH_SHARED names no folder with {what}");
    found
}

/// A face for an index that no photo was looked at for.
pub(crate) struct Made {
    pub(crate) photo: String,
    pub(crate) identity: Option<String>,
    pub(crate) vector: Vec<f32>,
}

/// An index of faces that are made up, or were embedded elsewhere: each in a photo of its own, or
/// in the same as the face before where their photos are.
pub(crate) fn index_of(index: &Path, faces: &[Made]) {
    use facesearch_core::{
        BoundingBox, Change, ContentHash, Contract, DetectedFace, Embedding, FaceId, FaceRecord,
        FaceStore, FileEntry, FileStat, Landmarks, Metric, Outcome, PhotoRecord, Publisher,
    };
    let contract = Contract {
        model: "made-up".into(),
        weights: String::new(),
        dimension: faces[0].vector.len() as u32,
        metric: Metric::L2,
        threshold: Some(0.55),
        detector: "none".into(),
        min_face: 1,
        preprocessing: "none".into(),
        precision: "f32".into(),
    };
    fs::create_dir_all(index).unwrap();
    let store =
        facesearch_store::SledStore::create_or_open(&index.join("store"), &contract).unwrap();
    let mut id = store.next_face_id().unwrap().0;
    for (number, group) in faces.chunk_by(|a, b| a.photo == b.photo).enumerate() {
        let content = format!("{} {id}", group[0].photo);
        let content = ContentHash(*blake3::hash(content.as_bytes()).as_bytes());
        let mut changes = Vec::new();
        let mut ids = Vec::new();
        for face in group {
            let at = DetectedFace {
                bbox: BoundingBox { x: 1.0, y: 2.0, width: 100.0, height: 100.0 },
                score: 0.9,
                landmarks: Landmarks([[0.0; 2]; 5]),
            };
            let record = FaceRecord {
                id: FaceId(id),
                photo: content,
                face: at,
                quality: None,
                identity: face.identity.clone(),
            };
            let embedding = Embedding::new(face.vector.clone(), Metric::L2).unwrap();
            changes.push(Change::AddFace(record, embedding));
            ids.push(FaceId(id));
            id += 1;
        }
        let path = PathBuf::from(&group[0].photo);
        let outcome = Outcome::Faces(ids.len() as u32);
        changes.push(Change::PutPhoto(PhotoRecord {
            content,
            path: path.clone(),
            width: 200,
            height: 200,
            outcome: outcome.clone(),
            faces: ids,
        }));
        let stat = FileStat { size: 1, modified_ns: 1, changed_ns: 1, inode: number as u64 };
        let entry = FileEntry { stat, read_ns: 2, content: Some(content), outcome, keeps: None };
        changes.push(Change::PutFile(path, entry));
        store.commit(&changes).unwrap();
    }
    facesearch_ann::SnapshotPublisher::new(index).publish(&store, true).unwrap();
}

/// Random numbers that are the same each time, about normal (a sum of uniform ones).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            sum += (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
        }
        sum
    }

    pub(crate) fn vector(&mut self, dim: usize, scale: f32) -> Vec<f32> {
        (0..dim).map(|_| scale * self.next()).collect()
    }
}

/// Made-up people: `photos` faces each, near their own centre.
pub(crate) fn crowd(people: usize, photos: usize, dice: &mut Dice) -> Vec<Made> {
    let mut faces = Vec::new();
    for person in 0..people {
        let centre = dice.vector(16, 0.5);
        for photo in 0..photos {
            let near = dice.vector(16, 0.12);
            let vector = centre.iter().zip(near).map(|(c, n)| c + n).collect();
            let name = format!("person {person:04}");
            let photo = format!("/photos/{name}/{photo}.jpg");
            faces.push(Made { photo, identity: Some(name), vector });
        }
    }
    faces
}
