//! A disk that is full or takes nothing: the exit code says so, the message names the file, readers
//! see what they saw, and the same command completes what it had begun.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{
    Dice, crowd, demo, facesearch, files_below, index_of, json_lines, photo, published, run_for,
    scratch, stderr, stdout, text,
};

const FULL: i32 = 7;

/// Runs the binary where no file may grow, as on a full disk.
fn on_a_full_disk(what: &[&str]) -> Output {
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_facesearch")])
        .args(what)
        .env_remove("FACESEARCH_INDEX")
        .output()
        .unwrap()
}

/// Insists that a command ended because `file` could not be written, and said so in one line.
fn is_told(what: &[&str], output: &Output, file: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(FULL), "{what:?}: {said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(file), "{what:?}: {said}");
}

/// Two photos of each of many people, and some faces that nobody named.
fn people(index: &Path) {
    let mut faces = crowd(60, 3, &mut Dice(12));
    faces[30..60].iter_mut().for_each(|face| face.identity = None);
    index_of(index, &faces);
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files_below(from) {
        let there = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::copy(&file, &there).unwrap();
    }
}

/// A file of vectors to import.
fn vectors(dir: &Path) -> PathBuf {
    let file = dir.join("vectors.npy");
    let mut dice = Dice(5);
    crate::eval::write_npy(&file, &(0..50).map(|_| dice.vector(8, 1.0)).collect::<Vec<_>>());
    file
}

#[test]
fn files_that_cannot_be_written_are_named_under_a_code_of_their_own() {
    let dir = scratch();
    let index = dir.path().join("index");
    people(&index);
    for name in ["out.csv", "out.npy", "out.npz", "out.parquet", "out.fvecs"] {
        let file = dir.path().join(name);
        let export = ["export", text(&file), "--index", text(&index)];
        is_told(&export, &on_a_full_disk(&export), name);
        assert!(!file.exists(), "{name}");
    }
    let page = dir.path().join("page.html");
    for command in ["audit", "cluster"] {
        let html = [command, "--html", text(&page), "--index", text(&index)];
        is_told(&html, &on_a_full_disk(&html), "page.html");
    }
    let calibrate = ["calibrate", "--index", text(&index)];
    is_told(&calibrate, &on_a_full_disk(&calibrate), "calibration");
    let nowhere = dir.path().join("no-such-folder/out.csv");
    let export = ["export", text(&nowhere), "--index", text(&index)];
    is_told(&export, &run_for(FULL, &export), "no-such-folder");
    run_for(3, &["export", text(&dir.path().join("out.pkl")), "--index", text(&index)]);

    let (file, new) = (vectors(dir.path()), dir.path().join("new"));
    let import = ["import", text(&file), "--index", text(&new)];
    is_told(&import, &on_a_full_disk(&import), "new/published");
    run_for(0, &import);
}

#[test]
fn files_of_photos_and_models_that_cannot_be_written_are_named_too() {
    let dir = scratch();
    let index = demo().join("index");
    let image = photo("obama3.jpg");
    let list = dir.path().join("list");
    fs::write(&list, format!("{}\n", text(&image))).unwrap();
    for format in ["jsonl", "csv", "parquet"] {
        let file = dir.path().join(format);
        let batch = ["batch", text(&list), "--format", format, "-o", text(&file)];
        let batch = [&batch[..], &["--index", text(&index)]].concat();
        is_told(&batch, &on_a_full_disk(&batch), &format!("{format}.partial"));
    }
    let npy = dir.path().join("out.npy");
    let represent = ["represent", text(&image), "--npy", text(&npy)];
    is_told(&represent, &on_a_full_disk(&represent), "out.npy");
    let new = dir.path().join("new");
    let index = ["index", text(&image), "--index", text(&new)];
    is_told(&index, &on_a_full_disk(&index), "new/store");

    let pulled = stdout(&run_for(0, &["models", "pull", "mtcnn", "--quiet"]));
    let model = pulled.lines().next().unwrap();
    let new = dir.path().join("models");
    let import = ["models", "import", model, "--models", text(&new)];
    is_told(&import, &on_a_full_disk(&import), "models");
    run_for(0, &import);
}

#[test]
fn a_full_stdout_is_told_and_a_full_stderr_does_no_harm() {
    let dir = scratch();
    let (index, probe) = (dir.path().join("index"), dir.path().join("probe.npy"));
    people(&index);
    crate::eval::write_npy(&probe, &[vec![0.0; 16]]);
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    for what in [
        &["stats"][..],
        &["stats", "--json"],
        &["identity", "list"],
        &["query", "--vector", text(&probe)],
        &["query", "--vector", text(&probe), "--json"],
        &["models", "list"],
    ] {
        let what = [what, &["--index", text(&index)]].concat();
        let output = facesearch().args(&what).stdout(full()).output().unwrap();
        is_told(&what, &output, "standard output");
    }
    let photos =
        ["batch", text(photo("obama3.jpg").parent().unwrap()), "--index"].map(String::from);
    let demo = demo().join("index");
    let output = facesearch().args(photos).arg(&demo).stdout(full()).output().unwrap();
    is_told(&["batch"], &output, "standard output");

    let missing = dir.path().join("missing");
    for (code, what, index) in [(0, "-vv", &index), (4, "-q", &missing)] {
        let mut command = facesearch();
        command.args(["stats", what, "--index", text(index)]).stderr(full());
        assert_eq!(command.output().unwrap().status.code(), Some(code));
    }
}

/// The verbs that change an index of photos.
const VERBS: [&[&str]; 11] = [
    &["identity", "rename", "person 0031", "Zoë"],
    &["identity", "merge", "person 0031", "person 0040", "person 0041"],
    &["identity", "split", "person 0031", "--faces", "94,95", "--into", "Zoë"],
    &["identity", "assign", "94,95", "--to", "Zoë"],
    &["identity", "remove", "person 0031"],
    &["identity", "undo"],
    &["identity", "undo", "1"],
    &["cluster", "--threshold", "0.85", "--write"],
    &["remove", "--identity", "person 0031"],
    &["remove", "/photos/person 0031"],
    &["optimize"],
];

/// The index that the verbs change: two things were said of it already.
fn template(index: &Path) {
    people(index);
    run_for(0, &["identity", "rename", "person 0050", "Anna", "--index", text(index)]);
    run_for(0, &["identity", "rename", "person 0051", "Berta", "--index", text(index)]);
}

fn entries(index: &Path) -> Vec<serde_json::Value> {
    json_lines(&run_for(0, &["identity", "log", "--json", "--index", text(index)]))
}

/// A folder where the next manifest is to be written: nothing can be published.
fn block(index: &Path) -> PathBuf {
    let place = index.join("published/MANIFEST.next");
    fs::create_dir(&place).unwrap();
    place
}

#[test]
fn what_was_committed_and_not_published_is_completed_by_the_same_command() {
    let dir = scratch();
    let [whole, calm, rough] = ["whole", "calm", "rough"].map(|name| dir.path().join(name));
    template(&whole);
    let before = published(&whole);
    for verb in VERBS {
        copy(&whole, &calm);
        copy(&whole, &rough);
        run_for(0, &[verb, &["--index", text(&calm)]].concat());
        let verb = [verb, &["--index", text(&rough)]].concat();
        let place = block(&rough);
        is_told(&verb, &run_for(FULL, &verb), "MANIFEST");
        assert!(published(&rough) == before, "{verb:?}: readers see what they saw");
        // Still no room.
        is_told(&verb, &run_for(FULL, &verb), "MANIFEST");
        fs::remove_dir(place).unwrap();
        run_for(0, &verb);
        assert!(published(&rough) == published(&calm), "{verb:?}: something else is published");
        assert_eq!(entries(&rough), entries(&calm), "{verb:?}");
    }
}

#[test]
fn what_was_committed_and_not_published_is_published_by_any_other_change() {
    let dir = scratch();
    let [whole, calm, rough] = ["whole", "calm", "rough"].map(|name| dir.path().join(name));
    template(&whole);
    for verb in VERBS {
        for other in [&["identity", "assign", "3", "--to", "Clara"][..], &["optimize"]] {
            copy(&whole, &calm);
            copy(&whole, &rough);
            run_for(0, &[verb, &["--index", text(&calm)]].concat());
            run_for(0, &[other, &["--index", text(&calm)]].concat());
            let place = block(&rough);
            run_for(FULL, &[verb, &["--index", text(&rough)]].concat());
            fs::remove_dir(place).unwrap();
            run_for(0, &[other, &["--index", text(&rough)]].concat());
            run_for(0, &["optimize", "--index", text(&calm)]);
            run_for(0, &["optimize", "--index", text(&rough)]);
            assert!(published(&rough) == published(&calm), "{verb:?}, {other:?}");
            assert_eq!(entries(&rough), entries(&calm), "{verb:?}, {other:?}");
        }
    }
}

#[test]
fn an_undoing_that_was_not_published_is_not_done_twice() {
    let dir = scratch();
    let index = dir.path().join("index");
    template(&index);
    let undo = ["identity", "undo", "--index", text(&index)];
    let place = block(&index);
    let said = stderr(&run_for(FULL, &undo));
    assert!(said.contains("the change is made, as entry 3"), "{said}");
    fs::remove_dir(place).unwrap();
    assert_eq!(stdout(&run_for(0, &undo)), "took back entry 2\n");
    // Once that was told, the next undoing is another one.
    assert_eq!(stdout(&run_for(0, &undo)), "took back entry 1\n");
    assert_eq!(entries(&index).len(), 4);
}

#[test]
fn imported_indexes_change_wholly_or_not_at_all() {
    let dir = scratch();
    let file = vectors(dir.path());
    let [whole, calm, rough] = ["whole", "calm", "rough"].map(|name| dir.path().join(name));
    let more = dir.path().join("more.csv");
    fs::write(&more, "1,2,3,4,5,6,7,8\n").unwrap();
    run_for(0, &["import", text(&file), "--index", text(&whole)]);
    let first = format!("{}#0", text(&file));
    for verb in [&["import", text(&more)][..], &["remove", &first], &["optimize"], &["purge"]] {
        copy(&whole, &calm);
        copy(&whole, &rough);
        run_for(0, &[verb, &["--index", text(&calm)]].concat());
        let verb = [verb, &["--index", text(&rough)]].concat();
        let place = block(&rough);
        is_told(&verb, &run_for(FULL, &verb), "MANIFEST");
        assert!(published(&rough) == published(&whole), "{verb:?}");
        fs::remove_dir(place).unwrap();
        is_told(&verb, &on_a_full_disk(&verb), "published");
        assert!(published(&rough) == published(&whole), "{verb:?}");
        run_for(0, &verb);
        assert!(published(&rough) == published(&calm), "{verb:?}");
    }
}

#[test]
fn an_indexing_run_whose_end_is_not_published_is_completed_by_the_next() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    crate::support::many_photos(&photos, 3);
    let run = ["index", text(&photos), "--index", text(&index)];
    fs::create_dir_all(index.join("published")).unwrap();
    let place = block(&index);
    is_told(&run, &run_for(FULL, &run), "MANIFEST");
    fs::remove_dir(place).unwrap();
    run_for(0, &run);
    let stats = json_lines(&run_for(0, &["stats", "--json", "--index", text(&index)]));
    assert_eq!(stats[0]["faces"], 3);
}

/// A small file system of its own, gone with this value.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, with a word about it, where file systems must not be mounted.
    fn new(size: &str) -> Option<Self> {
        let dir = scratch();
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs", text(dir.path())])
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        eprintln!("skipped: only root mounts a disk that can be filled");
        None
    }

    /// Fills it but for so many bytes.
    fn fill(&self, free: usize) -> PathBuf {
        let filler = self.0.path().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(free as u64)).unwrap();
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_disk_without_room_every_change_is_made_or_told() {
    let Some(disk) = Disk::new("24m") else { return };
    let dir = scratch();
    let whole = dir.path().join("whole");
    template(&whole);
    let before = published(&whole);
    let index = disk.0.path().join("index");
    let mut told = 0;
    for verb in VERBS {
        let verb = [verb, &["--index", text(&index)]].concat();
        for free in [0, 20 << 10, 60 << 10, 200 << 10] {
            copy(&whole, &index);
            let filler = disk.fill(free);
            let output = facesearch().args(&verb).output().unwrap();
            if output.status.code() != Some(0) {
                is_told(&verb, &output, "index/");
                assert!(published(&index) == before, "{verb:?}: readers see what they saw");
                told += 1;
            }
            run_for(0, &["stats", "--index", text(&index)]);
            fs::remove_file(filler).unwrap();
        }
    }
    assert!(told > 10, "only {told} were told");
}

#[test]
fn a_face_without_room_is_not_said_to_be_unreadable() {
    let Some(disk) = Disk::new("24m") else { return };
    let filler = disk.fill(100 << 10);
    let index = disk.0.path().join("index");
    let image = photo("obama3.jpg");
    let run = ["index", text(&image), "--index", text(&index)];
    is_told(&run, &run_for(FULL, &run), "index/");
    fs::remove_file(filler).unwrap();
}
