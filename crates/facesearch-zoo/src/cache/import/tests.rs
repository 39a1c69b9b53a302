//! Importing what is known in disguise, and refusing all else.

use std::path::PathBuf;

use super::*;
use crate::Check;
use crate::testing::{bytes, bz2, tar_gz, visible};

/// A catalogue of two files, which one package holds.
struct Known {
    folder: tempfile::TempDir,
    zoo: Zoo,
    files: [Vec<u8>; 2],
    archive: Vec<u8>,
}

impl Known {
    fn new() -> Self {
        let files = [bytes(1, 40_000), bytes(2, 90_000)];
        let archive = tar_gz(&[("p-1/a", &files[0]), ("p-1/b", &files[1])]);
        let mut text = format!(
            "[[package]]\nname = 'p'\nversion = '1'\n\
             file = 'p-1.tar.gz'\nsha256 = '{}'\nsize = {}\n",
            Digest::of(&archive),
            archive.len()
        );
        for (name, content) in ["a", "b"].iter().zip(&files) {
            text += &format!(
                "[[artifact]]\nfile = '{name}.dat'\nsha256 = '{}'\nsize = {}\n\
                 sources = [{{ package = 'p', member = 'p-1/{name}' }}]\n",
                Digest::of(content),
                content.len()
            );
        }
        let zoo = Zoo::parse(&text).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), zoo, files, archive }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.folder.path().join("models"))
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The names of what `content` was recognised as, all of them good in the cache afterwards.
    fn import(&self, name: &str, content: &[u8]) -> Result<Vec<String>, ZooError> {
        let cache = self.cache();
        let taken = cache.import(&self.write(name, content), &self.zoo)?;
        assert!(taken.iter().all(|artifact| cache.check(artifact).unwrap() == Check::Good));
        let names: Vec<String> = taken.iter().map(|artifact| artifact.file.clone()).collect();
        assert_eq!(visible(cache.dir()), names);
        Ok(names)
    }
}

#[test]
fn a_file_is_recognised_whatever_it_is_called() {
    let known = Known::new();
    assert_eq!(known.import("download (3).bin", &known.files[1]).unwrap(), ["b.dat"]);
}

#[test]
fn a_bzip2_is_recognised_by_what_is_inside() {
    let known = Known::new();
    assert_eq!(known.import("x", &bz2(&known.files[0])).unwrap(), ["a.dat"]);
}

#[test]
fn a_package_archive_gives_all_that_it_holds() {
    let known = Known::new();
    assert_eq!(known.import("x", &known.archive).unwrap(), ["a.dat", "b.dat"]);
}

#[test]
fn anything_else_is_refused_and_leaves_nothing() {
    let known = Known::new();
    let mut cut = bz2(&known.files[0]);
    cut.truncate(1000);
    for content in [&b""[..], b"BZ", b"BZh", b"BZh9 and nonsense", &cut, &bz2(&[0; 1 << 20])] {
        let err = known.import("thing", content).unwrap_err();
        assert!(matches!(err, ZooError::Unrecognised { expected: None, .. }), "{err}");
        assert_eq!(visible(known.cache().dir()), [""; 0]);
    }
}

#[test]
fn a_damaged_file_of_a_known_name_is_called_damaged() {
    let known = Known::new();
    let mut content = known.files[0].clone();
    content[5] ^= 1;
    let message = known.import("a.dat", &content).unwrap_err().to_string();
    assert!(message.contains("damaged"), "{message}");
    assert!(message.contains(&Digest::of(&known.files[0]).to_string()), "{message}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    let known = Known::new();
    let err = known.cache().import(Path::new("/nowhere/x.dat"), &known.zoo).unwrap_err();
    assert_eq!(err.to_string(), "cannot read /nowhere/x.dat");
}
