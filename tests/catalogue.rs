//! A catalogue of the user's own: a recogniser that is one entry, and entries that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::models::Models;
use crate::support::{demo, json_lines, photo, scratch, stderr, stdout, text};

/// A network of three channels, 12 by 12, to eight numbers, and its SHA-256.
const SMALL_NETWORK: &str = "crates/facesearch-nn/tests/formats/onnx.onnx";
const SMALL_SHA256: &str = "489d3c3d724426eb37df80910851bb2c4ed46f9c2ec82710e93ee8dee0af1326";

/// A catalogue with one recogniser, `small`, whose file is on this machine. `more` are further
/// lines of how its network is used.
fn catalogue_of_small(dir: &Path, more: &str) -> PathBuf {
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(SMALL_NETWORK);
    let network = network.canonicalize().unwrap();
    let size = fs::metadata(&network).unwrap().len();
    let file = dir.join("catalogue.toml");
    let text = format!(
        "[[artifact]]
file = 'small.onnx'
sha256 = '{SMALL_SHA256}'
size = {size}
sources = [{{ path = '{}' }}]

[[model]]
name = 'small'
kind = 'recogniser'
title = 'A network of a few layers'
paper = 'none'
code_licence = 'MIT'
weights_licence = 'MIT'
commercial = 'yes'
artifacts = ['small.onnx']

[model.network]
size = [12, 12]
colours = 'rgb'
normalise = 'raw'
align = 'box'
metric = 'cosine'
{more}
",
        text(&network)
    );
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_recogniser_that_is_a_network_file_needs_one_entry_of_a_catalogue() {
    let (models, dir) = (Models::new(), scratch());
    let catalogue = catalogue_of_small(dir.path(), "");
    let with = |code, what: &[&str]| {
        models.run_for(code, &[what, &["--catalogue", text(&catalogue)]].concat())
    };
    let list = stdout(&with(0, &["models", "list"]));
    let row = |list: &str| {
        let mut lines = list.lines();
        lines.find(|line| line.trim_start().starts_with("small ")).unwrap().to_owned()
    };
    assert!(row(&list).trim_end().ends_with("no"), "{list}");
    assert!(list.contains("dlib*"), "the built-in models are there, too: {list}");

    // It is fetched, opened and found by its name, with no other change.
    let (a, b) = (photo("obama.jpg"), photo("obama3.jpg"));
    let represented = with(0, &["represent", text(&a), "--model", "small", "--json"]);
    let represented = &json_lines(&represented)[0];
    assert_eq!(represented["model"], "small");
    assert_eq!(represented["faces"][0]["embedding"].as_array().unwrap().len(), 8);
    assert!(row(&stdout(&with(0, &["models", "list"]))).trim_end().ends_with("yes"));
    let (index, people) = (dir.path().join("index"), demo().join("people"));
    with(0, &["index", text(&people), "--index", text(&index), "-q", "--model", "small"]);
    let stats = with(0, &["stats", "--index", text(&index), "--json"]);
    let contract = &json_lines(&stats)[0]["contract"];
    assert_eq!((&contract["model"], &contract["weights"]), (&"small".into(), &SMALL_SHA256.into()));
    assert_eq!(contract["preprocessing"], "box-padded-12x12, 12x12-rgb-raw");

    // Without a threshold nothing is decided, and it is said what to give.
    let query = ["query", text(&b), "--index", text(&index), "--json"];
    let verify = ["verify", text(&a), text(&b), "--model", "small", "--json"];
    for undecided in [&query[..], &verify] {
        let refused = with(2, undecided);
        let said = stderr(&refused);
        assert!(said.contains("no threshold is known for the model `small`"), "{said}");
        assert!(said.contains("`--threshold L2`") && said.contains("calibrate"), "{said}");
        assert!(stdout(&refused).is_empty());
    }
    // Vectors of unit length are at most 2 apart, and those of two photos not at 0.
    let answer = |code, what: &[&str], threshold| {
        json_lines(&with(code, &[what, &["--threshold", threshold]].concat())).remove(0)
    };
    let found = answer(0, &query, "2");
    assert_eq!(found["model"], "small");
    assert_eq!(found["faces"][0]["decision"], "match");
    assert_eq!(answer(1, &query, "0")["faces"][0]["decision"], "unknown");
    assert_eq!(answer(0, &verify, "2")["verified"], true);
    assert_eq!(answer(1, &verify, "0")["verified"], false);

    // A threshold of the entry decides; an index keeps that of its making.
    catalogue_of_small(dir.path(), "threshold = 2.0");
    let verified = &json_lines(&with(0, &verify))[0];
    assert_eq!(verified["threshold"].as_f64(), Some(2.0));
    with(2, &query);
    // Without the catalogue nobody knows the model, and the message says where it may be.
    let said = stderr(&models.run_for(6, &[&query[..], &["--threshold", "2"]].concat()));
    assert!(said.contains("`small`") && said.contains("--catalogue FILE"), "{said}");
}

#[test]
fn a_catalogue_that_cannot_be_used_says_why() {
    let (models, dir) = (Models::new(), scratch());
    let catalogue = catalogue_of_small(dir.path(), "");
    let list = ["models", "list", "--catalogue", text(&catalogue)];
    models.run_for(0, &list);
    let whole = fs::read_to_string(&catalogue).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        fs::write(&catalogue, whole.replace(from, to)).unwrap();
        let said = stderr(&models.run_for(3, &list));
        assert!(said.contains("catalogue.toml"), "{said}");
        said
    };
    assert!(refused("name = 'small'", "name = 'dlib'").contains("`dlib` stands there twice"));
    assert!(refused("'raw'", "'rwa'").contains("normalise `rwa`"));
    assert!(refused("'box'", "'arcface'").contains("align `arcface` for chips of 12x12"));
    assert!(refused("'rgb'", "'grey'").contains("colours `grey`"));
    assert!(refused("paper = 'none'", "").contains("paper"));
    let (detector, _) = whole.split_once("[model.network]").unwrap();
    let detector = detector.replace("'recogniser'", "'detector'")
        + "input = { colour = 'rgb', scaling = 'none' }";
    assert!(refused(&whole, &detector).contains("no other model can be added"));
    fs::remove_file(&catalogue).unwrap();
    let said = stderr(&models.run_for(3, &list));
    assert!(said.contains("cannot read") && said.contains("catalogue.toml"), "{said}");
}
