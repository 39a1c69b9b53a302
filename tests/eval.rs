//! `facesearch eval`: the figures of scikit-learn, and those of a count by hand.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{json_lines, run_for, scratch, shared, stderr, stdout, text};

/// What scikit-learn said of made-up distances (`models/reference/sklearn_reference.py`).
fn golden() -> Vec<Value> {
    let text = include_str!("../crates/facesearch-people/tests/golden/pairs.json");
    serde_json::from_str(text).unwrap()
}

fn near(got: &Value, want: &Value) {
    let (got, want) = (got.as_f64().unwrap(), want.as_f64().unwrap());
    assert!((got - want).abs() < 1e-9, "{got} is not {want}");
}

#[test]
fn the_figures_of_pairs_are_scikit_learns() {
    let dir = scratch();
    for case in golden() {
        let mut csv = String::from("distance,same,fold\n");
        let rows =
            case["distance"].as_array().unwrap().iter().zip(case["same"].as_array().unwrap());
        for ((distance, same), fold) in rows.zip(case["fold"].as_array().unwrap()) {
            let distance = distance.as_f64().map(|d| d.to_string()).unwrap_or_default();
            writeln!(csv, "{distance},{same},{fold}").unwrap();
        }
        let file = dir.path().join("pairs.csv");
        fs::write(&file, csv).unwrap();
        let at = case["at"].to_string();
        let arguments = ["eval", "pairs", text(&file), "--threshold", &at, "--resamples", "20"];
        let got = json_lines(&run_for(0, &[&arguments[..], &["--json", "--points"]].concat()));
        let got = &got[0];
        for figure in ["auc", "eer"] {
            near(&got[figure], &case[figure]);
        }
        for (i, tar) in case["tar"].as_array().unwrap().iter().enumerate() {
            near(&got["tar"][i]["tar"], tar);
        }
        near(&got["folds"]["mean"], &case["fold_mean"]);
        near(&got["folds"]["standard_error"], &case["fold_error"]);
        assert_eq!(got["folds_of_the_list"], true);
        let roc = case["roc"].as_array().unwrap();
        assert_eq!(got["roc"].as_array().unwrap().len(), roc.len());
        for (got, want) in got["roc"].as_array().unwrap().iter().zip(roc) {
            near(&got["false_accept_rate"], &want[0]);
            near(&got["true_accept_rate"], &want[1]);
        }
        for figure in ["accuracy", "precision", "recall", "f1"] {
            near(&got[figure], &case[figure]);
        }
    }
}

#[test]
fn pairs_without_folds_get_some_and_that_is_said() {
    let dir = scratch();
    let file = dir.path().join("pairs.csv");
    let row = |i: u32| format!("{},{}\n", f64::from(i) / 40.0, if i < 20 { "yes" } else { "no" });
    fs::write(&file, format!("gap,truth\n{}", (0..40).map(row).collect::<String>())).unwrap();
    let columns = ["--distance-column", "gap", "--same-column", "truth"];
    let said = run_for(0, &[&["eval", "pairs", text(&file)][..], &columns].concat());
    let said = stdout(&said);
    assert!(said.contains("40 pairs: 20 of one person, 20 of two people"), "{said}");
    assert!(said.contains("folds made here"), "{said}");
    assert!(said.contains("area under ROC      1.0000"), "{said}");
}

#[test]
fn a_list_that_is_none_says_where() {
    let dir = scratch();
    let file = dir.path().join("pairs.csv");
    for (list, why) in [
        ("distance,same\n-0.5,1\n", "line 2"),
        ("distance,same\n0.5,perhaps\n", "neither yes nor no"),
        ("distance,same\n0.5,1\n", "pairs of two people"),
        ("3\nonly one line\n", "line 2"),
        ("", "empty"),
    ] {
        fs::write(&file, list).unwrap();
        let said = stderr(&run_for(3, &["eval", "pairs", text(&file)]));
        assert!(said.contains(why), "{list:?}: {said}");
    }
}

/// A file in numpy's format, written from its description.
pub(crate) fn write_npy(file: &Path, rows: &[Vec<f32>]) {
    let shape = format!("({}, {})", rows.len(), rows[0].len());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|v| v.to_le_bytes()));
    fs::write(file, bytes).unwrap();
}

/// People on a line: person `i` at `i`, photo `j` of them `0.01 j` further; the odd ones have two.
fn people_on_a_line(dir: &Path, people: usize) -> [String; 4] {
    let (mut rows, mut names) = (Vec::new(), String::new());
    for i in 0..people {
        for j in 0..=i % 2 {
            rows.push(vec![i as f32 + 0.01 * j as f32, 0.0]);
            writeln!(names, "p{i}/{j}.jpg").unwrap();
        }
    }
    let (npy, list) = (dir.join("faces.npy"), dir.join("names.txt"));
    write_npy(&npy, &rows);
    fs::write(&list, names).unwrap();
    ["--embeddings", text(&npy), "--names", text(&list)].map(String::from)
}

#[test]
fn stored_embeddings_are_searched_as_a_count_by_hand_says() {
    let dir = scratch();
    let source = people_on_a_line(dir.path(), 80);
    let source = source.each_ref().map(|s| &**s);
    let arguments = ["eval", "identify", "--json", "--resamples", "20", "--sizes", "10,40"];
    let got =
        json_lines(&run_for(0, &[&arguments[..], &source, &["--threshold", "0.55"]].concat()));
    let got = &got[0];
    assert_eq!((&got["people"], &got["faces"]), (&80.into(), &120.into()));
    let sizes = got["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 2);
    for size in sizes {
        // Everybody is nearest to himself, and outsiders are at least one step away.
        assert_eq!(size["ranks"][0][1], 1.0);
        assert_eq!((&size["fixed"]["fpir"], &size["fixed"]["fnir"]), (&0.0.into(), &0.0.into()));
        assert_eq!(size["fnir"][0]["point"]["fnir"], 0.0);
    }
    assert_eq!(sizes[1]["people"], 40);
    // The same, with a threshold that takes in the next person on the line.
    let wide = [&arguments[..], &source, &["--threshold", "1.5"]].concat();
    let wide = json_lines(&run_for(0, &wide));
    assert!(wide[0]["sizes"][1]["fixed"]["fpir"].as_f64().unwrap() > 0.4, "{wide:?}");
}

#[test]
fn names_and_rows_must_fit() {
    let dir = scratch();
    let [_, npy, _, list] = people_on_a_line(dir.path(), 10);
    fs::write(&list, "a/1\n").unwrap();
    let arguments = ["eval", "identify", "--embeddings", &npy, "--names", &list];
    assert!(stderr(&run_for(3, &arguments)).contains("15 rows, but there are 1 names"));
    fs::write(&npy, "no table").unwrap();
    assert!(stderr(&run_for(3, &arguments)).contains("NumPy"));
    run_for(2, &["eval", "identify"]);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn the_published_distances_of_deepface_are_judged() {
    let pairs = shared("data/deepface-pairs/face-recognition-pivot.csv");
    let columns = ["--distance-column", "Facenet_cosine", "--same-column", "decision"];
    let arguments = [&["eval", "pairs", text(&pairs), "--json"][..], &columns].concat();
    let got = json_lines(&run_for(0, &arguments));
    // Facenet parts these pairs without an error, as their publisher says.
    assert_eq!(got[0]["auc"], 1.0);
    assert_eq!(got[0]["best"]["accuracy"], 1.0);
}
