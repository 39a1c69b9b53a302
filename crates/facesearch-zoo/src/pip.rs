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

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::{Digest, Package};

/// The ways to call the client, in the order they are tried.
#[derive(Debug, Clone)]
pub(crate) struct Pip {
    commands: Vec<Vec<String>>,
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
        }
    }
}

impl Pip {
    /// A client called as `command`.
    #[cfg(test)]
    pub(crate) fn called(command: &[&str]) -> Self {
        Self { commands: vec![command.iter().map(|s| s.to_string()).collect()] }
    }

    /// Downloads the archive of `package` into a temporary folder.
    ///
    /// Blocks until the client is done, with its own short timeouts towards the registry.
    pub(crate) fn download(&self, package: &Package) -> Result<Download, PipError> {
        let io = |err: io::Error| PipError::Folder(err.to_string());
        let folder = tempfile::Builder::new().prefix("facesearch-").tempdir().map_err(io)?;
        let requirements = folder.path().join("requirements.txt");
        let Package { name, version, sha256, .. } = package;
        fs::write(&requirements, format!("{name}=={version} --hash=sha256:{sha256}\n"))
            .map_err(io)?;
        for command in &self.commands {
            let client = command.join(" ");
            let out = folder.path().join("out");
            fs::create_dir_all(&out).map_err(io)?;
            match run(command, package, &requirements, &out, folder.path()) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) => return Err(PipError::Refused { client, reason: err.to_string() }),
                Ok(output) if output.status.success() => {
                    return match find(&out, package) {
                        Some(archive) => Ok(Download { archive, _folder: folder }),
                        None => Err(PipError::WrongArchive { client, wanted: *sha256 }),
                    };
                }
                Ok(output) if is_missing(&output) => continue,
                Ok(output) => {
                    return Err(PipError::Refused { client, reason: complaint(&output) });
                }
            }
        }
        let looked: Vec<String> =
            self.commands.iter().map(|c| format!("`{}`", c.join(" "))).collect();
        Err(PipError::NotInstalled(looked.join(", ")))
    }
}

fn run(
    command: &[String],
    package: &Package,
    requirements: &Path,
    out: &Path,
    folder: &Path,
) -> io::Result<Output> {
    let (program, leading) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut call = Command::new(program);
    call.args(leading)
        .args(["download", "--no-deps", "--require-hashes", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar", "off"])
        .args(["--timeout", "10", "--retries", "2"]);
    if package.is_wheel() {
        call.arg("--only-binary=:all:");
    }
    call.arg("--dest").arg(out).arg("--requirement").arg(requirements);
    call.current_dir(folder).stdin(Stdio::null()).output()
}

/// A Python without the client, or a launcher of one that is not installed.
fn is_missing(output: &Output) -> bool {
    let err = String::from_utf8_lossy(&output.stderr);
    output.status.code() == Some(127)
        || output.status.code() == Some(9009)
        || err.contains("No module named pip")
}

/// The client's own words, shortened: its error lines, or else its last line.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
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

/// The archive among what was downloaded: known by its content, as clients differ in naming it.
fn find(out: &Path, package: &Package) -> Option<PathBuf> {
    fs::read_dir(out).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == package.size)
            && Digest::of_file(path).is_ok_and(|digest| digest == package.sha256)
    })
}

#[cfg(test)]
mod tests;
