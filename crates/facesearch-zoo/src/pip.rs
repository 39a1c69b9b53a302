//! Packages of the Python registry, fetched by its own client.
//!
//! `pip` knows what we do not want to know: which registry or mirror this machine uses, through
//! which proxy, with which credentials. It gets one requirement with its hash and must refuse
//! everything else (`--require-hashes`).
//!
//! - **Trap:** for a source archive, pip runs the package's own code to learn its metadata. It
//!   does so only after the hash has been checked, so what runs is what we have pinned; the
//!   build tool it uses for that comes from the registry as for every source package. A wheel
//!   runs nothing, and `--only-binary` makes sure that it stays a wheel.
//! - **Trap:** `python -m pip` puts the working directory first on Python's path, so a `pip.py`
//!   among somebody's photos would run. The client is started in an empty folder of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use facesearch_core::Progress;
use tempfile::TempDir;

use crate::{Digest, Package};

/// How often the client's progress is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// How long the client may run without a byte of the archive arriving. It waits for its registry
/// much shorter than that; what takes long is to build what a source archive is built with.
const PATIENCE: Duration = Duration::from_secs(600);

/// The ways to call the client, in the order they are tried.
#[derive(Debug, Clone)]
pub(crate) struct Pip {
    commands: Vec<Vec<String>>,
    patience: Duration,
}

/// A downloaded archive, kept as long as this value.
#[derive(Debug)]
pub(crate) struct Download {
    /// The archive; its hash has been checked.
    pub(crate) archive: PathBuf,
    _folder: TempDir,
}

/// Why the client gave no archive.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PipError {
    #[error("no Python package client is installed (looked for {0})")]
    NotInstalled(String),
    #[error("{client} could not fetch it ({reason})")]
    Refused { client: String, reason: String },
    #[error("{client} fetched no archive with the SHA-256 {wanted}")]
    WrongArchive { client: String, wanted: Digest },
    #[error("its temporary folder cannot be used ({0})")]
    Folder(String),
}

impl Default for Pip {
    fn default() -> Self {
        let commands: [&[&str]; 4] =
            [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
        Self {
            commands: commands.iter().map(|c| c.iter().map(|s| s.to_string()).collect()).collect(),
            patience: PATIENCE,
        }
    }
}

impl Pip {
    /// A client called as `command`.
    #[cfg(test)]
    pub(crate) fn called(command: &[&str]) -> Self {
        let commands = vec![command.iter().map(|s| s.to_string()).collect()];
        Self { commands, patience: PATIENCE }
    }

    /// The same with another patience.
    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Downloads the archive of `package` into a temporary folder.
    ///
    /// Blocks until the client is done, with its own short timeouts towards the registry, or until
    /// nothing has arrived for ten minutes: then the client is killed. The
    /// client's temporary files lie in the same folder, so that nothing stays behind and
    /// `progress` can be told how far it is.
    pub(crate) fn download(
        &self,
        package: &Package,
        progress: &dyn Progress,
    ) -> Result<Download, PipError> {
        let io = |err: io::Error| PipError::Folder(err.to_string());
        let call = Call::prepare(package).map_err(io)?;
        for command in &self.commands {
            let client = command.join(" ");
            match call.run(command, self.patience, progress) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) => return Err(PipError::Refused { client, reason: err.to_string() }),
                Ok(end) if end.status.success() => {
                    return match find(&call.out, package) {
                        Some(archive) => Ok(Download { archive, _folder: call.folder }),
                        None => Err(PipError::WrongArchive { client, wanted: package.sha256 }),
                    };
                }
                Ok(end) if end.is_missing() => continue,
                Ok(end) => return Err(PipError::Refused { client, reason: end.complaint() }),
            }
        }
        let looked: Vec<String> =
            self.commands.iter().map(|c| format!("`{}`", c.join(" "))).collect();
        Err(PipError::NotInstalled(looked.join(", ")))
    }
}

/// What one call of the client needs.
struct Call<'a> {
    package: &'a Package,
    folder: TempDir,
    requirements: PathBuf,
    out: PathBuf,
    temporary: PathBuf,
    /// Where the client is started: empty, see the trap above.
    empty: PathBuf,
    log: PathBuf,
}

impl<'a> Call<'a> {
    fn prepare(package: &'a Package) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("facesearch-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let (requirements, log) = (at("requirements.txt"), at("log"));
        let (out, temporary, empty) = (at("out"), at("temporary"), at("empty"));
        for dir in [&out, &temporary, &empty] {
            fs::create_dir(dir)?;
        }
        let Package { name, version, sha256, .. } = package;
        fs::write(&requirements, format!("{name}=={version} --hash=sha256:{sha256}\n"))?;
        Ok(Self { package, folder, requirements, out, temporary, empty, log })
    }

    /// Starts `command` and waits for its end.
    fn run(
        &self,
        command: &[String],
        patience: Duration,
        progress: &dyn Progress,
    ) -> io::Result<End> {
        let (program, leading) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut call = Command::new(program);
        call.args(leading)
            .args(["download", "--no-deps", "--require-hashes", "--no-input"])
            .args(["--disable-pip-version-check", "--progress-bar", "off"])
            .args(["--timeout", "10", "--retries", "2"]);
        if self.package.is_wheel() {
            call.arg("--only-binary=:all:");
        }
        call.arg("--dest").arg(&self.out).arg("--requirement").arg(&self.requirements);
        for name in ["TMPDIR", "TEMP", "TMP"] {
            call.env(name, &self.temporary);
        }
        call.current_dir(&self.empty).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = Client(call.stderr(File::create(&self.log)?).spawn()?);
        progress.start(Some(self.package.size), "bytes");
        let status = self.wait(&mut child.0, patience, progress);
        drop(child);
        progress.finish();
        let log = fs::read(&self.log).unwrap_or_default();
        Ok(End { status: status?, said: String::from_utf8_lossy(&log).into_owned() })
    }

    fn wait(
        &self,
        child: &mut Child,
        patience: Duration,
        progress: &dyn Progress,
    ) -> io::Result<ExitStatus> {
        let (mut told, mut since) = (0, Instant::now());
        loop {
            let end = child.try_wait()?;
            let done = end.is_some_and(|status| status.success());
            let arrived = if done { self.package.size } else { self.arrived() };
            progress.advance(arrived.saturating_sub(told));
            if arrived > told {
                (told, since) = (arrived, Instant::now());
            }
            match end {
                Some(status) => return Ok(status),
                None if since.elapsed() > patience => {
                    let silent = format!("nothing arrived for {} seconds", patience.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, silent));
                }
                None => std::thread::sleep(GLANCE),
            }
        }
    }

    /// How much of the archive there is: the client first writes it into a temporary folder.
    fn arrived(&self) -> u64 {
        let Ok(folders) = fs::read_dir(&self.temporary) else { return 0 };
        let archives = folders.flatten().map(|folder| folder.path().join(&self.package.file));
        archives
            .filter_map(|path| fs::metadata(path).ok())
            .map(|meta| meta.len())
            .max()
            .unwrap_or(0)
    }
}

/// The client's process, which does not outlive this value.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        // Errors tell that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a call ended, and what it said.
struct End {
    status: ExitStatus,
    said: String,
}

impl End {
    /// A Python without the client, or a launcher of one that is not installed.
    fn is_missing(&self) -> bool {
        matches!(self.status.code(), Some(127 | 9009)) || self.said.contains("No module named pip")
    }

    /// The client's own words, shortened: its error lines, or else its last line.
    fn complaint(&self) -> String {
        let lines = || self.said.lines().map(str::trim).filter(|line| !line.is_empty());
        let errors: Vec<&str> = lines().filter_map(|line| line.strip_prefix("ERROR: ")).collect();
        let said = if errors.is_empty() {
            lines().next_back().unwrap_or("it said nothing").to_owned()
        } else {
            errors.join(" ")
        };
        if said.chars().count() <= 300 {
            return said;
        }
        said.chars().take(300).chain(['…']).collect()
    }
}

/// The archive among what was downloaded: known by its content, as clients differ in naming it.
fn find(out: &Path, package: &Package) -> Option<PathBuf> {
    fs::read_dir(out).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == package.size)
            && Digest::of_file(path).is_ok_and(|digest| digest == package.sha256)
    })
}

#[cfg(test)]
mod tests;
