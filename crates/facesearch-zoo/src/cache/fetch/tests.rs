//! Fetching from a web server that misbehaves as scripted, and from local files.

use std::time::{Duration, Instant};

use facesearch_core::NoProgress;

use super::*;
use crate::testing::*;

const CONTENT: usize = 300_000;

fn setup() -> (tempfile::TempDir, Cache, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("models"));
    (folder, cache, bytes(7, CONTENT))
}

fn fetch(cache: &Cache, file: &Artifact) -> Result<PathBuf, ZooError> {
    cache.fetch(file, FetchOptions::default(), &NoProgress)
}

fn attempts(err: ZooError) -> Vec<Attempt> {
    match err {
        ZooError::Unavailable { attempts, .. } => attempts,
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_is_fetched_once_and_lies_there_alone() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |_, _| Reply::whole(&body));
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    for _ in 0..2 {
        assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(names(cache.dir()), ["a.dat"]);
}

#[test]
fn a_bzip2_download_is_unpacked_and_known_by_what_is_inside() {
    let (_folder, cache, content) = setup();
    let body = bz2(&content);
    let server = Server::start(move |_, _| Reply::whole(&body));
    let source = Source::Url { url: server.url("a.bz2"), packed: Packed::Bz2 };
    let file = artifact("a.dat", &content, vec![source]);
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
    assert_eq!(names(cache.dir()), ["a.dat"]);
}

#[test]
fn a_broken_download_is_continued_at_once() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server =
        Server::start(move |request, _| Reply::ranged(&body, request).cut_after(CONTENT / 3));
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
    let froms: Vec<_> = server.requests().into_iter().map(|request| request.from).collect();
    assert_eq!(froms, [None, Some(CONTENT / 3), Some(CONTENT / 3 * 2)]);
}

#[test]
fn a_broken_download_is_continued_by_the_next_call() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |request, number| match number {
        0 => Reply::ranged(&body, request).cut_after(1000),
        1 => Reply::status(503),
        _ => Reply::ranged(&body, request),
    });
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    fetch(&cache, &file).unwrap_err();
    assert!(visible(cache.dir()).is_empty());
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
    assert_eq!(server.requests()[2].from, Some(1000));
    assert_eq!(names(cache.dir()), ["a.dat"]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |_, number| {
        Reply::whole(&body).cut_after(if number == 0 { 1000 } else { usize::MAX })
    });
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
}

#[test]
fn a_beginning_of_another_file_is_thrown_away() {
    let (_folder, cache, content) = setup();
    let (body, old) = (content.clone(), bytes(8, CONTENT));
    let server = Server::start(move |request, number| match number {
        0 => Reply::ranged(&old, request).cut_after(1000),
        _ => Reply::ranged(&body, request),
    });
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
    let froms: Vec<_> = server.requests().into_iter().map(|request| request.from).collect();
    assert_eq!(froms, [None, Some(1000), None]);
}

#[test]
fn a_range_that_begins_elsewhere_is_not_appended() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |request, number| {
        let shifted = Request { from: request.from.map(|from| from + 1), ..request.clone() };
        Reply::ranged(&body, &shifted).cut_after(if number == 0 { 1000 } else { usize::MAX })
    });
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    let reasons = attempts(fetch(&cache, &file).unwrap_err());
    assert!(reasons[0].reason.contains("206"), "{reasons:?}");
    assert!(visible(cache.dir()).is_empty());
}

#[test]
fn wrong_bytes_never_get_the_name() {
    let (_folder, cache, content) = setup();
    let mut body = content.clone();
    body[CONTENT / 2] ^= 1;
    let found = Digest::of(&body).to_string();
    let server = Server::start(move |_, _| Reply::whole(&body));
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    let reasons = attempts(fetch(&cache, &file).unwrap_err());
    assert!(reasons[0].reason.contains(&found), "{reasons:?}");
    assert_eq!(names(cache.dir()), [""; 0]);
}

#[test]
fn more_than_the_file_can_be_is_refused_announced_or_not() {
    for announced in [true, false] {
        let (_folder, cache, content) = setup();
        let body = bytes(7, CONTENT * 2);
        let server = Server::start(move |_, _| {
            let mut reply = Reply::whole(&body);
            if !announced {
                reply.headers.clear();
            }
            reply
        });
        let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
        let reasons = attempts(fetch(&cache, &file).unwrap_err());
        assert!(reasons[0].reason.contains("bytes it can be"), "{reasons:?}");
        assert_eq!(names(cache.dir()), [""; 0]);
    }
}

#[test]
fn a_body_that_ends_early_without_having_said_so_is_told_by_its_length() {
    let (_folder, cache, content) = setup();
    let body = content[..1000].to_vec();
    let server = Server::start(move |_, _| {
        let mut reply = Reply::whole(&body);
        reply.headers.clear();
        reply
    });
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    let reasons = attempts(fetch(&cache, &file).unwrap_err());
    assert_eq!(reasons[0].reason, format!("it has 1000 bytes instead of {CONTENT}"));
    assert_eq!(names(cache.dir()), [""; 0]);
}

#[test]
fn a_bzip2_that_swells_is_stopped_at_the_size_it_should_have() {
    let (_folder, cache, content) = setup();
    let bomb = bz2(&vec![0; 50 << 20]);
    assert!(bomb.len() < 10_000);
    let server = Server::start(move |_, _| Reply::whole(&bomb));
    let source = Source::Url { url: server.url("a.bz2"), packed: Packed::Bz2 };
    let reasons = attempts(fetch(&cache, &artifact("a.dat", &content, vec![source])).unwrap_err());
    assert!(reasons[0].reason.contains("larger than"), "{reasons:?}");
    assert_eq!(names(cache.dir()), [""; 0]);
}

#[test]
fn sources_are_tried_in_order_and_the_error_names_each_with_its_reason() {
    let (folder, cache, content) = setup();
    let (body, cut) = (content.clone(), bytes(9, CONTENT));
    let server = Server::start(move |request, _| match request.path.as_str() {
        "gone" => Reply::status(404),
        // Never a byte more than the first time, so that it is given up.
        "cut" if request.from.is_none() => Reply::whole(&cut).cut_after(10),
        "cut" => Reply::ranged(&cut, request).cut_after(0),
        _ => Reply::whole(&body),
    });
    let bad = vec![
        url(server.url("gone")),
        url(server.url("cut")),
        Source::Path { path: folder.path().join("nothing") },
    ];
    let file = artifact("a.dat", &content, bad.clone());
    let err = fetch(&cache, &file).unwrap_err();
    let message = err.to_string();
    assert!(message.contains("models import") && message.contains(&file.sha256.to_string()));
    let tried = attempts(err);
    let places: Vec<_> = tried.iter().map(|attempt| attempt.source.clone()).collect();
    assert_eq!(places, bad.iter().map(Source::to_string).collect::<Vec<_>>());
    assert!(tried[0].reason.contains("404") && tried[1].reason.contains("broke off"), "{tried:?}");
    assert!(tried.iter().all(|attempt| message.contains(&attempt.reason)), "{message}");

    let last = url(server.url("good"));
    let file = artifact("a.dat", &content, bad.into_iter().chain([last]).collect());
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
}

#[test]
fn a_host_that_cannot_be_reached_is_asked_once_in_a_pull() {
    let (_folder, cache, _) = setup();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let good = Server::start(move |request, _| {
        Reply::whole(&bytes(if request.path == "a" { 1 } else { 2 }, 100))
    });
    let sources = |name| vec![url(format!("{closed}/{name}")), url(good.url(name))];
    let a = artifact("a.dat", &bytes(1, 100), sources("a"));
    let b = artifact("b.dat", &bytes(2, 100), sources("b"));
    let notes = Notes::default();
    let started = Instant::now();
    cache.fetch_all([&a, &b], FetchOptions::default(), &notes).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    let notes = notes.all().join("\n");
    assert_eq!(notes.matches("no connection").count(), 1, "{notes}");
    assert_eq!(notes.matches(&format!("from {closed}")).count(), 1, "{notes}");
}

#[test]
fn many_at_once_fetch_a_file_once() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |_, _| Reply::whole(&body));
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // A cache of its own each, as processes have.
            let cache = Cache::new(cache.dir());
            let (file, content) = (&file, &content);
            scope.spawn(move || {
                assert_eq!(fs::read(fetch(&cache, file).unwrap()).unwrap(), *content);
            });
        }
    });
    assert_eq!(server.requests().len(), 1);
    assert_eq!(names(cache.dir()), ["a.dat"]);
}

#[test]
fn offline_nothing_is_asked_and_the_error_says_what_to_put_where() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |_, _| Reply::whole(&body));
    let a = artifact("a.dat", &content, vec![url(server.url("a"))]);
    let b = artifact("b.dat", &content, vec![url(server.url("b"))]);
    let offline = FetchOptions { offline: true, ..FetchOptions::default() };
    let message = cache.fetch_all([&a, &b], offline, &NoProgress).unwrap_err().to_string();
    assert!(message.contains("a.dat, b.dat"), "{message}");
    assert!(message.contains(&cache.dir().display().to_string()), "{message}");
    assert!(server.requests().is_empty());
    assert!(!cache.dir().exists(), "nothing was written");

    fetch(&cache, &a).unwrap();
    assert_eq!(cache.fetch(&a, offline, &NoProgress).unwrap(), cache.path_of(&a));
}

#[test]
fn a_damaged_file_is_fetched_again_before_it_is_used() {
    let (_folder, cache, content) = setup();
    let body = content.clone();
    let server = Server::start(move |_, _| Reply::whole(&body));
    let file = artifact("a.dat", &content, vec![url(server.url("a"))]);
    fs::create_dir_all(cache.dir()).unwrap();
    let mut flipped = content.clone();
    flipped[CONTENT / 2] ^= 1;
    let damages = [&content[1..], &bytes(3, CONTENT), &flipped];
    for (before, damaged) in damages.into_iter().enumerate() {
        fs::write(cache.path_of(&file), damaged).unwrap();
        fetch(&cache, &file).unwrap();
        assert_eq!(cache.check(&file).unwrap(), Check::Good);
        assert_eq!(server.requests().len(), before + 1);
        fetch(&cache, &file).unwrap();
    }
    let recheck = FetchOptions { recheck: true, ..FetchOptions::default() };
    cache.fetch(&file, recheck, &NoProgress).unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_local_file_is_a_source() {
    let (folder, cache, content) = setup();
    let path = folder.path().join("elsewhere.bin");
    fs::write(&path, &content).unwrap();
    let file = artifact("a.dat", &content, vec![Source::Path { path: path.clone() }]);
    assert_eq!(fs::read(fetch(&cache, &file).unwrap()).unwrap(), content);
    assert!(path.exists(), "it is copied, not moved");
}

#[cfg(unix)]
#[test]
fn a_fetched_file_is_readable_as_any_new_file_is() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, cache, content) = setup();
    let path = folder.path().join("plain");
    fs::write(&path, &content).unwrap();
    let file = artifact("a.dat", &content, vec![Source::Path { path: path.clone() }]);
    let fetched = fetch(&cache, &file).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&fetched), mode(&path));
}

#[test]
fn what_a_killed_process_left_is_swept_away_once_it_is_old() {
    let (folder, cache, content) = setup();
    let path = folder.path().join("source");
    fs::write(&path, &content).unwrap();
    fs::create_dir_all(cache.dir()).unwrap();
    for (name, age) in [(".incoming-old", 7200), (".incoming-new", 60), ("mine.txt", 7200)] {
        let file = File::create(cache.dir().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    fetch(&cache, &artifact("a.dat", &content, vec![Source::Path { path }])).unwrap();
    assert_eq!(names(cache.dir()), [".incoming-new", "a.dat", "mine.txt"]);
}
