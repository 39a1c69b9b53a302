//! A damaged index is an error with a number, never a panic and never a wrong answer.

use std::fs;

use crate::support::{demo, files_below, json_lines, photo, run, run_for, scratch, stderr, text};

#[test]
fn a_flipped_or_missing_byte_anywhere_is_found_or_harmless() {
    let dir = scratch();
    let index = dir.path().join("index");
    let image = photo("obama3.jpg");
    run_for(0, &["index", text(&demo().join("people")), "--index", text(&index)]);
    let ask = ["query", "--json", text(&image), "--index", text(&index)];
    let truth = json_lines(&run_for(0, &ask));
    let mut found = 0;
    for file in files_below(&index.join("published")) {
        let whole = fs::read(&file).unwrap();
        if whole.is_empty() {
            continue;
        }
        for step in 0..6 {
            let mut bytes = whole.clone();
            let at = (whole.len() - 1) * step / 5;
            if step % 2 == 0 {
                bytes[at] ^= 0x10;
            } else {
                bytes.truncate(at);
            }
            fs::write(&file, &bytes).unwrap();
            let output = run(&ask);
            match output.status.code() {
                Some(0) => assert_eq!(json_lines(&output), truth, "{} at {at}", file.display()),
                Some(4) => found += 1,
                other => panic!("{} at {at}: {other:?} {}", file.display(), stderr(&output)),
            }
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(found > 10, "only {found} damages were found");
}
