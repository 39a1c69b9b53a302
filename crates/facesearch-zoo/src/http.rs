//! Downloads over the web, continued where an earlier one broke off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use facesearch_core::Progress;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::ZooError;

/// Short, so that a machine without a way to the address soon turns to the next source.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent, and how long it may send less than [`LEAST`].
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes that arrive in each [`SILENCE`], or the connection is given up: a server that sends one
/// byte now and then is never silent, and never done.
const LEAST: u64 = 32 << 10;
/// How often a download that breaks off half-way is taken up again at once.
const CONTINUATIONS: u32 = 3;

/// A client; keeps connections for the next file of the same host.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    silence: Duration,
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
        Self::with_silence(SILENCE)
    }

    /// A client of another patience.
    pub(crate) fn with_silence(silence: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_send_request(Some(silence))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .http_status_as_error(false)
            .user_agent(concat!("facesearch/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), silence }
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
        let rest = Rest { have, limit, silence: self.silence };
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(HttpError::Unreachable)?;
        match response.status() {
            StatusCode::OK => {
                let file = File::create(part).map_err(local(part))?;
                receive(response, file, part, Rest { have: 0, ..rest }, progress)?;
                Ok(Arrived::Fresh)
            }
            StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => {
                let file = OpenOptions::new().append(true).open(part).map_err(local(part))?;
                receive(response, file, part, rest, progress)?;
                Ok(Arrived::Continued)
            }
            // Nothing follows what is there: the hash will tell whether that is the whole file.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Ok(Arrived::Continued),
            status => Err(HttpError::Status(status)),
        }
    }
}

/// What is to come of a download.
#[derive(Clone, Copy)]
struct Rest {
    /// Bytes that are there already.
    have: u64,
    /// The most there may be in the end.
    limit: u64,
    /// The time in which at least [`LEAST`] bytes arrive.
    silence: Duration,
}

/// Copies a body behind the bytes that `file` has and tells `progress`.
fn receive(
    response: Response<Body>,
    file: File,
    part: &Path,
    rest: Rest,
    progress: &dyn Progress,
) -> Result<(), HttpError> {
    let Rest { have, limit, .. } = rest;
    let announced = response.body().content_length();
    let total = announced.map(|rest| have.saturating_add(rest));
    if total.is_some_and(|total| total > limit) {
        return Err(HttpError::TooLong(limit));
    }
    progress.start(total, "bytes");
    progress.advance(have);
    let outcome = copy(response, file, part, rest, progress);
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
    rest: Rest,
    progress: &dyn Progress,
) -> Result<u64, HttpError> {
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 64 << 10];
    let mut length = rest.have;
    let (mut since, mut then) = (Instant::now(), length);
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(n) => n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(HttpError::Interrupted(err)),
        };
        length += n as u64;
        if length > rest.limit {
            return Err(HttpError::TooLong(rest.limit));
        }
        if since.elapsed() >= rest.silence {
            if length - then < LEAST {
                let err = io::Error::new(io::ErrorKind::TimedOut, "too slow to be of use");
                return Err(HttpError::Interrupted(err));
            }
            (since, then) = (Instant::now(), length);
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use facesearch_core::NoProgress;

    use super::*;

    /// The address of a server that sends a byte each 50 ms, for ever.
    fn trickle() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                    while sent.is_ok() {
                        thread::sleep(Duration::from_millis(50));
                        sent = stream.write_all(b"x");
                    }
                });
            }
        });
        address
    }

    #[test]
    fn a_server_that_sends_a_byte_now_and_then_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        let http = Http::with_silence(Duration::from_secs(2));
        let began = Instant::now();
        let err = http.download(&trickle(), &part, 1 << 30, &NoProgress).unwrap_err();
        assert!(err.to_string().contains("too slow"), "{err}");
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
