//! What the tests share: a web server on the loopback whose misbehaviour is scripted, artifacts of
//! known bytes, and a listener to progress.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use facesearch_core::Progress;

use crate::{Artifact, Digest, Package, Packed, Source};

/// Bytes that look like nothing in particular, the same for a seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn bz2(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let level = bzip2::Compression::best();
    bzip2::read::BzEncoder::new(content, level).read_to_end(&mut out).unwrap();
    out
}

pub(crate) fn artifact(file: &str, content: &[u8], sources: Vec<Source>) -> Artifact {
    let (sha256, size) = (Digest::of(content), content.len() as u64);
    Artifact { file: file.into(), sha256, size, sources }
}

pub(crate) fn url(url: String) -> Source {
    Source::Url { url, packed: Packed::No }
}

pub(crate) fn package(file: &str, archive: &[u8]) -> Arc<Package> {
    let (sha256, size) = (Digest::of(archive), archive.len() as u64);
    let (name, version) = ("sample-package".into(), "1.0".into());
    Arc::new(Package { name, version, file: file.into(), sha256, size })
}

/// A tar.gz of regular files.
pub(crate) fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(gz_writer());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Not `set_path`, which refuses what a hostile archive would hold.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn gz_writer() -> flate2::write::GzEncoder<Vec<u8>> {
    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast())
}

/// A wheel, which is a zip.
pub(crate) fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (path, content) in files {
        zip.start_file(*path, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The names in a folder that a user would see.
pub(crate) fn visible(dir: &Path) -> Vec<String> {
    names(dir).into_iter().filter(|name| !name.starts_with('.')).collect()
}

/// All names in a folder but the lock's.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Vec<String>>);

impl Notes {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Notes {
    fn start(&self, _total: Option<u64>, _unit: &'static str) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.into());
    }
    fn finish(&self) {}
}

/// One request: its path, and where the asked range begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) from: Option<usize>,
}

/// What the server answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
    /// Closes the connection after so many bytes of the body, whatever was announced.
    pub(crate) cut: usize,
}

impl Reply {
    /// The whole, whatever part was asked for.
    pub(crate) fn whole(body: &[u8]) -> Self {
        let headers = vec![format!("Content-Length: {}", body.len())];
        Self { status: 200, headers, body: body.into(), cut: usize::MAX }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::whole(b"not what you want") }
    }

    /// What was asked for, as a server that knows ranges gives it.
    pub(crate) fn ranged(body: &[u8], request: &Request) -> Self {
        match request.from {
            None => Self::whole(body),
            Some(from) if from >= body.len() => Self::status(416),
            Some(from) => {
                let mut reply = Self::whole(&body[from..]);
                reply.status = 206;
                let last = body.len() - 1;
                reply.headers.push(format!("Content-Range: bytes {from}-{last}/{}", body.len()));
                reply
            }
        }
    }

    pub(crate) fn cut_after(mut self, length: usize) -> Self {
        self.cut = length;
        self
    }
}

/// A web server; gone with the test's process.
pub(crate) struct Server {
    address: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with what `handler` says to a request and its number, from 0.
    pub(crate) fn start(
        handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (handler, seen) = (Arc::new(handler), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &*handler, &seen));
            }
        });
        Self { address, log }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    handler: &dyn Fn(&Request, usize) -> Reply,
    log: &Mutex<Vec<Request>>,
) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let mut from = None;
    for line in lines.by_ref() {
        let line = line.ok()?.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    let request = Request { path, from };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let reply = handler(&request, number);
    let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", reply.status);
    reply.headers.iter().for_each(|line| head += &format!("{line}\r\n"));
    let mut stream = stream;
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    let cut = reply.cut.min(reply.body.len());
    stream.write_all(&reply.body[..cut]).ok()?;
    stream.flush().ok()
}
