//! Models that the user brought: files taken into the cache under a name, with what they were.
//!
//! Each is a folder `imported/NAME` in the cache: its files, and `model.toml` that says whose
//! network they are, what the original was called and hashed to, and, for a network that the
//! catalogue does not know, how it is fed and compared. The folder appears complete, by a rename.

use std::fs;
use std::path::{Path, PathBuf};

use facesearch_core::Metric;
use serde::{Deserialize, Serialize};

use crate::{Cache, Digest, ZooError};

/// A model that was taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// What the file was called.
    pub original: String,
    /// Its format, in words.
    pub format: String,
    /// SHA-256 of the original, or of the SHA-256s of several one after the other.
    pub sha256: Digest,
    /// The files kept, by their names in the model's folder.
    pub files: Vec<String>,
    /// SHA-256 of each of them. Earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Digest>,
    /// The catalogue's model whose weights these are; `None` for a network of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// How a network of its own is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUse>,
}

/// What the file of a network does not say of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkUse {
    /// Width and height of its chips.
    pub size: [u32; 2],
    /// `rgb` or `bgr`.
    pub colours: String,
    /// How bytes become its numbers, by deepface's names.
    pub normalise: String,
    /// How its chips are cut.
    pub align: String,
    /// How its embeddings are compared.
    pub metric: Metric,
    /// Largest L2 distance that counts as the same person, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
}

const RECORD: &str = "model.toml";

impl Cache {
    /// The folder of an imported model.
    ///
    /// # Errors
    ///
    /// [`ZooError::BadName`] for a name that is no plain word.
    pub fn imported_dir(&self, name: &str) -> Result<PathBuf, ZooError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(ZooError::BadName { name: name.into() });
        }
        Ok(self.dir().join("imported").join(name))
    }

    /// The model imported under `name`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] or [`ZooError::Record`] where its record cannot be read.
    pub fn imported(&self, name: &str) -> Result<Option<Imported>, ZooError> {
        let Ok(dir) = self.imported_dir(name) else { return Ok(None) };
        let path = dir.join(RECORD);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map(Some).map_err(|error| {
                let reason = error.message().to_owned();
                ZooError::Record { path, reason }
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ZooError::io("read", path)(error)),
        }
    }

    /// The names of all imported models, in alphabetical order.
    pub fn imported_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir().join("imported")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// Takes a model in under `name`, in place of one that has the name already. `fill` puts the
    /// files into an empty folder and says what they are, but for their digests; where it fails
    /// nothing has changed.
    ///
    /// # Errors
    ///
    /// Those of `fill`, [`ZooError::BadName`], and [`ZooError::Write`] where the cache cannot be
    /// written.
    pub fn import_as<E: From<ZooError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<Imported, E>,
    ) -> Result<Imported, E> {
        let place = self.imported_dir(name)?;
        let parent = self.dir().join("imported");
        fs::create_dir_all(&parent).map_err(ZooError::write("create", &parent))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".incoming-");
        let staging =
            builder.tempdir_in(&parent).map_err(ZooError::write("write into", &parent))?;
        let mut imported = fill(staging.path())?;
        let digest = |file: &String| {
            let path = staging.path().join(file);
            Digest::of_file(&path).map_err(ZooError::io("read", path))
        };
        imported.digests = imported.files.iter().map(digest).collect::<Result<_, _>>()?;
        let record = toml::to_string(&imported).expect("names and numbers can be written as TOML");
        let path = staging.path().join(RECORD);
        fs::write(&path, record).map_err(ZooError::write("write", &path))?;
        #[cfg(unix)]
        {
            // As an ordinary new folder, so that a shared cache stays readable for others.
            use std::os::unix::fs::PermissionsExt;
            let shared = fs::Permissions::from_mode(0o755);
            fs::set_permissions(staging.path(), shared)
                .map_err(ZooError::write("write", &parent))?;
        }
        // A folder cannot be renamed onto a full one: the old one steps aside first.
        if place.exists() {
            let old =
                builder.tempdir_in(&parent).map_err(ZooError::write("write into", &parent))?;
            fs::rename(&place, old.path().join("old"))
                .map_err(ZooError::write("replace", &place))?;
        }
        fs::rename(staging.keep(), &place).map_err(ZooError::write("write", &place))?;
        Ok(imported)
    }

    /// The paths of an imported model's files, once it is certain that they are what was taken in.
    /// As for a fetched file, they are hashed where that was not done since they were written to.
    ///
    /// What an earlier version took in is compared with what it was when it was used first.
    ///
    /// # Errors
    ///
    /// [`ZooError::Record`] where its record names a file outside its folder, [`ZooError::Damaged`]
    /// where a file has changed, [`ZooError::Io`] where one cannot be read.
    pub fn imported_files(&self, name: &str, model: &Imported) -> Result<Vec<PathBuf>, ZooError> {
        let paths = self.imported_paths(name, model)?;
        for (i, path) in paths.iter().enumerate() {
            let Some(wanted) = model.digests.get(i).copied().or_else(|| self.noted(path)) else {
                self.note(path)?;
                continue;
            };
            if !self.holds(path, wanted)? {
                let advice = "import the model again with `facesearch models import`";
                return Err(ZooError::Damaged { path: path.clone(), wanted, advice });
            }
        }
        Ok(paths)
    }

    /// Whether an imported model's files are what was taken in. Hashes them, also where that was
    /// done before.
    ///
    /// # Errors
    ///
    /// [`ZooError::Record`] where its record names a file outside its folder, [`ZooError::Io`]
    /// where a file cannot be read.
    pub fn check_imported(&self, name: &str, model: &Imported) -> Result<bool, ZooError> {
        for (i, path) in self.imported_paths(name, model)?.iter().enumerate() {
            let found = Digest::of_file(path).map_err(ZooError::io("read", path))?;
            let wanted = model.digests.get(i).copied().or_else(|| self.noted(path));
            if wanted.is_some_and(|wanted| wanted != found) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn imported_paths(&self, name: &str, model: &Imported) -> Result<Vec<PathBuf>, ZooError> {
        let dir = self.imported_dir(name)?;
        let inside = |file: &String| {
            let plain = Path::new(file).file_name() == Some(file.as_ref());
            plain.then(|| dir.join(file)).ok_or_else(|| ZooError::Record {
                path: dir.join(RECORD),
                reason: format!("`{file}` is no plain file name"),
            })
        };
        model.files.iter().map(inside).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(original: &str) -> Imported {
        Imported {
            original: original.into(),
            format: "ONNX".into(),
            sha256: Digest::of(b"net"),
            files: vec!["net.onnx".into()],
            digests: vec![],
            architecture: None,
            network: Some(NetworkUse {
                size: [112, 112],
                colours: "rgb".into(),
                normalise: "arcface".into(),
                align: "arcface".into(),
                metric: Metric::Cosine,
                threshold: Some(0.55),
            }),
        }
    }

    fn fill(dir: &Path, content: &[u8], original: &str) -> Result<Imported, ZooError> {
        fs::write(dir.join("net.onnx"), content).unwrap();
        Ok(imported(original))
    }

    #[test]
    fn what_is_taken_in_comes_back_and_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        assert_eq!(cache.imported("mine").unwrap(), None);
        cache.import_as("mine", |dir| fill(dir, b"one", "a.onnx")).unwrap();
        cache.import_as("mine", |dir| fill(dir, b"two", "b.onnx")).unwrap();
        let found = cache.imported("mine").unwrap().unwrap();
        assert_eq!(found, Imported { digests: vec![Digest::of(b"two")], ..imported("b.onnx") });
        let files = cache.imported_files("mine", &found).unwrap();
        assert_eq!(fs::read(&files[0]).unwrap(), b"two");
        assert_eq!(cache.imported_names(), ["mine"]);
    }

    #[test]
    fn a_file_that_has_changed_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        for kept in [true, false] {
            let mut model = cache.import_as("mine", |dir| fill(dir, b"one", "a.onnx")).unwrap();
            if !kept {
                // As an earlier version has it.
                model.digests.clear();
            }
            let files = cache.imported_files("mine", &model).unwrap();
            assert_eq!(cache.imported_files("mine", &model).unwrap(), files);
            fs::write(&files[0], b"two").unwrap();
            assert!(!cache.check_imported("mine", &model).unwrap());
            let error = cache.imported_files("mine", &model).unwrap_err().to_string();
            assert!(error.contains("damaged") && error.contains("models import"), "{error}");
            fs::remove_file(&files[0]).unwrap();
            assert!(matches!(cache.imported_files("mine", &model), Err(ZooError::Io { .. })));
        }
    }

    #[test]
    fn a_failed_import_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        cache.import_as("mine", |dir| fill(dir, b"one", "a.onnx")).unwrap();
        let refuse = |dir: &Path| {
            fs::write(dir.join("net.onnx"), b"half").unwrap();
            Err(ZooError::BadName { name: "x".into() })
        };
        cache.import_as("mine", refuse).unwrap_err();
        assert_eq!(cache.imported("mine").unwrap().unwrap().original, "a.onnx");
        assert_eq!(cache.imported_names(), ["mine"]);
        assert_eq!(fs::read_dir(dir.path().join("imported")).unwrap().count(), 1);
    }

    #[test]
    fn names_and_records_cannot_lead_out_of_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        for name in ["", "..", "a/b", "/a", ".x", "a\\b", "a b"] {
            assert!(cache.imported_dir(name).is_err(), "{name}");
        }
        let mut model = imported("a.onnx");
        model.files = vec!["../secret".into()];
        assert!(cache.imported_files("mine", &model).is_err());
    }
}
