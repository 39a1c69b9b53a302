//! Downloads over the web, continued where an earlier one broke off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use facesearch_core::Progress;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::ZooError;

/// Short, so that a machine without a way to the address soon turns to the next source.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a download that breaks off half-way is taken up again at once.
const CONTINUATIONS: u32 = 3;

/// A client; keeps connections for the next file of the same host.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
}

/// What lies in the part file after a download.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// All of it is of this download.
    Fresh,
    /// It begins with bytes of an earlier download, which may have been of another file.
    Continued,
}

/// Why an address gave no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// No connection: the next file of this host will not come either.
    #[error("no connection ({0})")]
    Unreachable(ureq::Error),
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("what is there is larger than the {0} bytes it can be")]
    TooLong(u64),
    #[error("the connection broke off ({0})")]
    Interrupted(io::Error),
    /// The disk, not the web.
    #[error(transparent)]
    Local(ZooError),
}

impl Http {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .http_status_as_error(false)
            .user_agent(concat!("facesearch/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into() }
    }

    /// Downloads `url` into `part`, whose present content is taken for the file's beginning.
    ///
    /// A server that knows ranges sends only the rest. Nothing here tells whether the beginning
    /// was right: the caller compares the hash, and where that fails after
    /// [`Arrived::Continued`], deletes `part` and asks again.
    ///
    /// # Errors
    ///
    /// What arrived before an interruption stays in `part`. More than `limit` bytes are refused.
    pub(crate) fn download(
        &self,
        url: &str,
        part: &Path,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Arrived, HttpError> {
        let mut continuations = CONTINUATIONS;
        loop {
            let before = length(part);
            let outcome = self.attempt(url, part, limit, progress);
            match outcome {
                Err(HttpError::Interrupted(err)) if continuations > 0 && length(part) > before => {
                    continuations -= 1;
                    tracing::debug!(url, %err, "continuing a broken download");
                }
                other => return other,
            }
        }
    }

    fn attempt(
        &self,
        url: &str,
        part: &Path,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Arrived, HttpError> {
        let have = length(part);
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(HttpError::Unreachable)?;
        match response.status() {
            StatusCode::OK => {
                let file = File::create(part).map_err(local(part))?;
                receive(response, file, part, (0, limit), progress)?;
                Ok(Arrived::Fresh)
            }
            StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => {
                let file = OpenOptions::new().append(true).open(part).map_err(local(part))?;
                receive(response, file, part, (have, limit), progress)?;
                Ok(Arrived::Continued)
            }
            // Nothing follows what is there: the hash will tell whether that is the whole file.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Ok(Arrived::Continued),
            status => Err(HttpError::Status(status)),
        }
    }
}

/// Copies a body behind the `have` bytes of `file` and tells `progress`.
fn receive(
    response: Response<Body>,
    file: File,
    part: &Path,
    (have, limit): (u64, u64),
    progress: &dyn Progress,
) -> Result<(), HttpError> {
    let announced = response.body().content_length();
    let total = announced.map(|rest| have.saturating_add(rest));
    if total.is_some_and(|total| total > limit) {
        return Err(HttpError::TooLong(limit));
    }
    progress.start(total, "bytes");
    progress.advance(have);
    let outcome = copy(response, file, part, (have, limit), progress);
    progress.finish();
    let length = outcome?;
    if total.is_some_and(|total| total != length) {
        let err = io::Error::new(io::ErrorKind::UnexpectedEof, "it ended early");
        return Err(HttpError::Interrupted(err));
    }
    Ok(())
}

fn copy(
    response: Response<Body>,
    mut file: File,
    part: &Path,
    (have, limit): (u64, u64),
    progress: &dyn Progress,
) -> Result<u64, HttpError> {
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 64 << 10];
    let mut length = have;
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(n) => n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(HttpError::Interrupted(err)),
        };
        length += n as u64;
        if length > limit {
            return Err(HttpError::TooLong(limit));
        }
        file.write_all(&buffer[..n]).map_err(local(part))?;
        progress.advance(n as u64);
    }
}

/// Whether a partial answer begins where we stopped.
fn starts_at(response: &Response<Body>, have: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE);
    range.and_then(|range| range.to_str().ok()).is_some_and(|range| {
        range.trim().strip_prefix("bytes ").and_then(|range| range.split_once('-')).map(|r| r.0)
            == Some(have.to_string().as_str())
    })
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

fn local(path: &Path) -> impl FnOnce(io::Error) -> HttpError {
    move |err| HttpError::Local(ZooError::write("write", path)(err))
}

/// The host of an address, with its port; what one unreachable address tells of others.
pub(crate) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}
