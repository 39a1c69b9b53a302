//! What a browser says of a page, where there is one.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use crate::support::{scratch, text};

/// What came of opening a page.
pub(crate) struct Opened {
    /// The page's lines on the console; none if it has nothing to complain of.
    pub(crate) console: Vec<String>,
    /// The document after its script has run.
    pub(crate) document: String,
    /// What it wanted of a network: the first line of each request.
    pub(crate) asked: Vec<String>,
}

/// The browser's name; `None` where there is none, which is said once.
fn browser() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let runs = |name: &&str| {
            Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
        };
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs);
        if found.is_none() {
            eprintln!("skipped: there is no Chromium to open pages with");
        }
        found
    })
}

/// Opens a file. Whatever the browser wants of a network goes to a listener here, as its proxy.
pub(crate) fn open(file: &Path) -> Option<Opened> {
    let browser = browser()?;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(stream).read_line(&mut line);
            kept.lock().unwrap().push(line.trim_end().to_owned());
        }
    });
    let profile = scratch();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--v=0", "--proxy-bypass-list=<-loopback>"])
        .arg(format!("--proxy-server=http://{proxy}"))
        .arg(format!("--user-data-dir={}", text(profile.path())))
        .args(["--dump-dom", &format!("file://{}", text(file))])
        .output()
        .unwrap();
    let console = String::from_utf8_lossy(&output.stderr);
    let console = console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
    // The browser's own errands are not the page's.
    let errand = |line: &str| ["google", "gvt1"].iter().any(|own| line.contains(own));
    let asked = asked.lock().unwrap().iter().filter(|line| !errand(line)).cloned().collect();
    Some(Opened {
        console: console.collect(),
        document: String::from_utf8_lossy(&output.stdout).into_owned(),
        asked,
    })
}

#[test]
fn a_page_that_asks_or_errs_is_caught() {
    let dir = scratch();
    let file = dir.path().join("page.html");
    let page =
        "<!DOCTYPE html><img src=\"http://pictures.example/1.png\"><script>missing()</script>";
    std::fs::write(&file, page).unwrap();
    let Some(opened) = open(&file) else { return };
    assert!(opened.asked.iter().any(|line| line.contains("pictures.example/1.png")));
    assert!(opened.console.iter().any(|line| line.contains("missing")), "{:?}", opened.console);
}
