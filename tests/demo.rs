//! The first thing a newcomer does.

use crate::support::{demo, json_lines, photo, run_for, scratch, stdout, text};

#[test]
fn names_whoever_is_indexed_and_nobody_else() {
    let dir = scratch();
    let said = stdout(&run_for(0, &["demo", text(dir.path())]));
    assert!(said.contains("right: ") && !said.contains("wrong: "), "{said}");
}

#[test]
fn an_answer_holds_everything_that_was_promised() {
    let index = demo().join("index");
    let output =
        run_for(0, &["query", "--json", text(&photo("obama3.jpg")), "--index", text(&index)]);
    let answer = &json_lines(&output)[0];
    assert_eq!(answer["model"], "dlib");
    assert_eq!(answer["threshold"], 0.55);
    let face = &answer["faces"][0];
    assert_eq!(face["decision"], "match");
    assert_eq!(face["identity"], "Barack Obama");
    assert_eq!(face["landmarks"].as_array().unwrap().len(), 5);
    for side in ["x", "y", "width", "height"] {
        assert!(face["box"][side].is_number());
    }
    let nearest = &face["candidates"][0];
    assert_eq!(nearest["identity"], "Barack Obama");
    assert_eq!(nearest["distance"], face["distance"]);
    assert!(nearest["photo"].as_str().unwrap().ends_with(".jpg"));
    assert!(nearest["support"].as_u64().unwrap() >= 1);
    assert!(face["candidates"][1]["distance"].as_f64() > nearest["distance"].as_f64());
}

#[test]
fn a_photo_against_itself_is_at_distance_zero_also_with_a_threshold_of_zero() {
    let index = demo().join("index");
    let image = photo("obama.jpg");
    let arguments = ["query", "--json", "--threshold", "0", text(&image), "--index", text(&index)];
    let answer = &json_lines(&run_for(0, &arguments))[0];
    assert_eq!(answer["faces"][0]["distance"], 0.0);
    assert_eq!(answer["faces"][0]["decision"], "match");

    let stranger = photo("obama3.jpg");
    let arguments =
        ["query", "--json", "--threshold", "0", text(&stranger), "--index", text(&index)];
    let answer = &json_lines(&run_for(1, &arguments))[0];
    assert_eq!(answer["faces"][0]["decision"], "unknown");
    assert!(answer["faces"][0]["identity"].is_null());
}
