//! Fetching: each source in turn, until one gives the right bytes.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use bzip2::read::MultiBzDecoder;
use facesearch_core::Progress;

use super::staging::{self, Refusal, Staging};
use super::{Cache, Check, FetchOptions, lock};
use crate::archive::extract;
use crate::error::Attempt;
use crate::http::{self, Arrived, Http, HttpError};
use crate::pip::{Download, PipError};
use crate::{Artifact, Digest, Package, Packed, Source, ZooError, home};

impl Cache {
    /// Makes sure that `artifact` is here, and says where.
    ///
    /// As [`Cache::fetch_all`] for one.
    ///
    /// # Errors
    ///
    /// As [`Cache::fetch_all`].
    pub fn fetch(
        &self,
        artifact: &Artifact,
        options: FetchOptions,
        progress: &dyn Progress,
    ) -> Result<PathBuf, ZooError> {
        self.fetch_all([artifact], options, progress)?;
        Ok(self.path_of(artifact))
    }

    /// Makes sure that all `artifacts` are here; fetches what is missing.
    ///
    /// Each artifact's sources are tried in order. A download that breaks off is continued, now or
    /// the next time; a package archive that holds several of the files is fetched once. Only
    /// bytes with the right SHA-256 get the artifact's name.
    ///
    /// What is here and damaged is fetched again.
    ///
    /// - **Output:** their paths, in the order given.
    /// - **Cost:** a few system calls per artifact when everything is here and was hashed since it
    ///   was last written to; else its hash, about 15 ms for 22 MB.
    ///
    /// # Errors
    ///
    /// [`ZooError::Offline`] where something is missing, and [`ZooError::Damaged`] where it is
    /// damaged, and nothing may be fetched; [`ZooError::Unavailable`] with the reason of every
    /// source where none gave the file; [`ZooError::Busy`] where another process fetches and does
    /// not end; and [`ZooError::Write`] where the cache itself cannot be written. What was fetched
    /// before stays.
    pub fn fetch_all<'a>(
        &self,
        artifacts: impl IntoIterator<Item = &'a Artifact>,
        options: FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>, ZooError> {
        let artifacts: Vec<&Artifact> = artifacts.into_iter().collect();
        let mut missing = Vec::new();
        for artifact in &artifacts {
            if !self.is_fit(artifact, options)? {
                missing.push(*artifact);
            }
        }
        if options.offline && !missing.is_empty() {
            if let Some(damaged) = missing.iter().find(|artifact| self.present(artifact)) {
                return Err(self.damaged(damaged));
            }
            let names: Vec<&str> = missing.iter().map(|artifact| artifact.file.as_str()).collect();
            return Err(ZooError::Offline { file: names.join(", "), dir: self.dir.clone() });
        }
        if !missing.is_empty() {
            fs::create_dir_all(&self.dir).map_err(ZooError::write("create", &self.dir))?;
            let _lock = lock::lock(&self.dir, lock::PATIENCE, progress)?;
            staging::sweep(&self.dir);
            let mut pull = Pull::new(self, progress);
            for artifact in missing {
                // Another process may have brought it while we waited for the lock.
                if !self.is_fit(artifact, options)? {
                    if self.present(artifact) {
                        progress.note(&format!("{}: damaged", artifact.file));
                    }
                    pull.get(artifact)?;
                }
            }
        }
        Ok(artifacts.iter().map(|artifact| self.path_of(artifact)).collect())
    }

    fn is_fit(&self, artifact: &Artifact, options: FetchOptions) -> Result<bool, ZooError> {
        if options.recheck {
            return Ok(self.check(artifact)? == Check::Good);
        }
        Ok(self.present(artifact) && self.holds(&self.path_of(artifact), artifact.sha256)?)
    }

    fn damaged(&self, artifact: &Artifact) -> ZooError {
        ZooError::Damaged {
            path: self.path_of(artifact),
            wanted: artifact.sha256,
            advice: "being offline, nothing is fetched in its place; run `facesearch models import \
                     FILE` with a copy that is whole",
        }
    }
}

/// One run through some sources; remembers what it learnt of them.
struct Pull<'a> {
    cache: &'a Cache,
    progress: &'a dyn Progress,
    http: Http,
    /// Hosts that could not be reached: not tried again for the next file.
    unreachable: HashSet<String>,
    /// Package archives by their digest, deleted with this value.
    packages: HashMap<Digest, Result<Download, PipError>>,
}

impl<'a> Pull<'a> {
    fn new(cache: &'a Cache, progress: &'a dyn Progress) -> Self {
        let (http, unreachable, packages) = (Http::new(), HashSet::new(), HashMap::new());
        Self { cache, progress, http, unreachable, packages }
    }

    fn get(&mut self, artifact: &Artifact) -> Result<(), ZooError> {
        let mut attempts = Vec::new();
        for source in &artifact.sources {
            if self.is_known_unreachable(source) {
                let reason = "no connection to this host before".into();
                attempts.push(Attempt { source: source.to_string(), reason });
                continue;
            }
            self.progress.note(&format!("{}: fetching from {source}", artifact.file));
            let outcome = match source {
                Source::Url { url, packed } => self.try_url(artifact, url, *packed),
                Source::Package { package, member } => self.try_package(artifact, package, member),
                Source::Path { path } => self.try_path(artifact, path),
            };
            let reason = match outcome {
                Ok(()) => {
                    tracing::info!(file = artifact.file, %source, "fetched");
                    return Ok(());
                }
                Err(Refusal::Local(err)) => return Err(err),
                Err(refusal) => refusal.to_string(),
            };
            self.progress.note(&format!("{}: not from there: {reason}", artifact.file));
            attempts.push(Attempt { source: source.to_string(), reason });
        }
        Err(ZooError::Unavailable {
            file: artifact.file.clone(),
            sha256: artifact.sha256,
            attempts,
        })
    }

    fn is_known_unreachable(&self, source: &Source) -> bool {
        matches!(source, Source::Url { url, .. } if self.unreachable.contains(http::host(url)))
    }

    fn try_url(&mut self, artifact: &Artifact, url: &str, packed: Packed) -> Result<(), Refusal> {
        let part = self.part_path(artifact, url);
        // bzip2 makes nothing larger by more than a hundredth and 600 bytes.
        let limit = artifact.size + artifact.size / 100 + 600;
        match self.download(artifact, url, &part, (packed, limit))? {
            (Err(Refusal::Local(err)), _) => Err(Refusal::Local(err)),
            // The beginning may have been of another file: once more, from the start.
            (Err(_), Arrived::Continued) => self.download(artifact, url, &part, (packed, limit))?.0,
            (outcome, _) => outcome,
        }
    }

    /// One download, complete, and what the cache says of it; the part file is gone then.
    fn download(
        &mut self,
        artifact: &Artifact,
        url: &str,
        part: &Path,
        (packed, limit): (Packed, u64),
    ) -> Result<(Result<(), Refusal>, Arrived), Refusal> {
        let arrived = self.http.download(url, part, limit, self.progress);
        let arrived = arrived.map_err(|err| self.judge(err, url, part))?;
        let outcome = self.take_part(artifact, part, packed);
        remove(part);
        Ok((outcome, arrived))
    }

    /// Where a download lies until it is complete: named by its address too, as another source's
    /// beginning is no beginning of this one.
    fn part_path(&self, artifact: &Artifact, url: &str) -> PathBuf {
        let address = Digest::of(url.as_bytes()).to_string();
        self.cache.dir.join(format!(".{}.{}.part", artifact.file, &address[..8]))
    }

    fn judge(&mut self, err: HttpError, url: &str, part: &Path) -> Refusal {
        match err {
            HttpError::Local(err) => return Refusal::Local(err),
            HttpError::Unreachable(_) => {
                self.unreachable.insert(http::host(url).into());
            }
            HttpError::TooLong(_) => remove(part),
            HttpError::Status(_) | HttpError::Interrupted(_) => {}
        }
        Refusal::Unreadable(err.to_string())
    }

    fn take_part(&self, artifact: &Artifact, part: &Path, packed: Packed) -> Result<(), Refusal> {
        let open = |err| Refusal::Local(ZooError::io("read", part)(err));
        let file = BufReader::new(File::open(part).map_err(open)?);
        match packed {
            Packed::No => self.cache.take(artifact, copy_from(file)),
            Packed::Bz2 => self.cache.take(artifact, copy_from(MultiBzDecoder::new(file))),
        }
    }

    fn try_package(
        &mut self,
        artifact: &Artifact,
        package: &Package,
        member: &str,
    ) -> Result<(), Refusal> {
        let (pip, progress) = (&self.cache.pip, self.progress);
        let download = self
            .packages
            .entry(package.sha256)
            .or_insert_with(|| pip.download(package, progress))
            .as_ref();
        let download = download.map_err(|err| Refusal::Unreadable(err.to_string()))?;
        self.cache.take(artifact, |out| extract(&download.archive, package.is_wheel(), member, out))
    }

    fn try_path(&self, artifact: &Artifact, path: &Path) -> Result<(), Refusal> {
        let unreadable = |err: io::Error| Refusal::Unreadable(err.to_string());
        let file = File::open(home::expand(path)).map_err(unreadable)?;
        self.cache.take(artifact, copy_from(file))
    }
}

impl Cache {
    /// Lets in what `fill` writes, if it is the artifact.
    pub(super) fn take<E: std::fmt::Display>(
        &self,
        artifact: &Artifact,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), Refusal> {
        let staging = Staging::new(&self.dir, artifact.size).map_err(Refusal::Local)?;
        staging.fill(&self.dir, fill)?.persist(artifact, &self.path_of(artifact))
    }
}

/// Copies all of `reader`.
pub(super) fn copy_from(mut reader: impl Read) -> impl FnOnce(&mut dyn Write) -> io::Result<()> {
    move |out| io::copy(&mut reader, out).map(drop)
}

/// Deletes a file of ours that is of no use any more; that it is gone already is as good.
fn remove(path: &Path) {
    if let Err(err) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %err, "leaving a part file behind");
    }
}

#[cfg(test)]
mod tests;
