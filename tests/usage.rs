//! Options, messages and exit codes.

use crate::support::{facesearch, run, run_for, scratch, stderr, text};

#[test]
fn wrong_usage_exits_with_2() {
    for wrong in [
        &["index"][..],
        &["query"],
        &["query", "a.jpg", "--threshold", "-1"],
        &["query", "a.jpg", "--effort", "much"],
        &["verify", "only-one.jpg"],
        &["index", "x", "--identity", "shoe-size"],
        &["nonsense"],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", stderr(&output));
    }
}

#[test]
fn a_missing_index_exits_with_4_and_says_how_to_make_one() {
    let dir = scratch();
    let missing = dir.path().join("none");
    for command in ["query", "batch"] {
        let output = run_for(4, &[command, "a.jpg", "--index", text(&missing)]);
        assert!(stderr(&output).contains("facesearch index"), "{}", stderr(&output));
    }
    run_for(4, &["stats", "--index", text(&missing)]);
}

#[test]
fn a_missing_input_exits_with_3_and_names_it() {
    let dir = scratch();
    let index = dir.path().join("index");
    let output = run_for(3, &["index", "no-such-folder", "--index", text(&index)]);
    assert!(stderr(&output).contains("no-such-folder"));
    assert!(!index.exists(), "nothing is made for nothing");
}

#[test]
fn without_network_and_models_it_says_what_to_do_and_exits_with_6() {
    let dir = scratch();
    let output = facesearch()
        .args(["index", ".", "--offline", "--index"])
        .arg(dir.path().join("index"))
        .current_dir(dir.path())
        .env("FACESEARCH_MODELS", dir.path().join("models"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("facesearch models import"), "{}", stderr(&output));
}
