//! Files that the program makes itself, of what was fetched: known by what they were when made.

use std::fs;
use std::path::{Path, PathBuf};

use super::Cache;
use crate::ZooError;

impl Cache {
    /// Where the file `name` lies that the program makes of others, or is to be made; one that is
    /// not what it was when [`keep_made`](Self::keep_made) noted it is deleted, for it can be made
    /// again. `None` where that cannot be done: what is there must not be used.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] where it is there and cannot be read.
    pub fn made(&self, name: &str) -> Result<Option<PathBuf>, ZooError> {
        let path = self.dir().join(name);
        if !path.is_file() {
            return Ok(Some(path));
        }
        if let Some(sha256) = self.noted(&path)
            && self.holds(&path, sha256)?
        {
            return Ok(Some(path));
        }
        match fs::remove_file(&path) {
            Ok(()) => {
                self.forget(&path);
                Ok(Some(path))
            }
            Err(error) => {
                tracing::debug!(
                    path = %path.display(),
                    %error,
                    "it is of unknown origin, not used"
                );
                Ok(None)
            }
        }
    }

    /// Notes what the file is that was made at `path`, unless that was done before or there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] where it cannot be read.
    pub fn keep_made(&self, path: &Path) -> Result<(), ZooError> {
        if path.is_file() && self.noted(path).is_none() { self.note(path) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_used_while_it_is_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        let path = cache.made("a.safetensors").unwrap().unwrap();
        cache.keep_made(&path).unwrap();
        fs::write(&path, b"made").unwrap();
        cache.keep_made(&path).unwrap();
        for _ in 0..2 {
            assert_eq!(cache.made("a.safetensors").unwrap(), Some(path.clone()));
            assert_eq!(fs::read(&path).unwrap(), b"made");
        }
        // Changed, and then not of known origin.
        for content in [&b"mbde"[..], b"made"] {
            fs::write(&path, content).unwrap();
            if content == b"made" {
                fs::remove_file(dir.path().join(".verified")).unwrap();
            }
            assert_eq!(cache.made("a.safetensors").unwrap(), Some(path.clone()));
            assert!(!path.exists());
        }
    }
}
