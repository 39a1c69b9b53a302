//! `--html`: pages that fetch nothing, with the faces in them.

use std::fs;
use std::path::Path;

use crate::browser;
use crate::support::{Dice, crowd, demo, index_of, json_lines, photo, run_for, scratch, text};

/// The page, once it is sure that it asks nobody for anything, and a browser has nothing to
/// complain of.
pub(crate) fn page(file: &Path) -> String {
    let page = fs::read_to_string(file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
    for outside in ["src=\"http", "href=\"http", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    // No number of a plot is none; the script may speak of such.
    assert!(!page.contains("NaN\"") && !page.contains("LNaN") && !page.contains("inf\""));
    if let Some(opened) = browser::open(file) {
        assert!(opened.console.is_empty(), "{:?}", opened.console);
        assert!(opened.asked.is_empty(), "{:?}", opened.asked);
        assert!(opened.document.contains("</main>") && opened.document.len() > page.len() / 2);
    }
    page
}

#[test]
fn answers_stand_beside_the_faces_they_are_from() {
    let (index, dir) = (demo().join("index"), scratch());
    let file = dir.path().join("query.html");
    let image = photo("obama3.jpg");
    let arguments = ["query", text(&image), "--index", text(&index), "--html", text(&file)];
    run_for(0, &arguments);
    let query = page(&file);
    assert!(query.contains("Barack Obama") && query.contains("class=\"scale\""));
    assert!(query.matches("data:image/jpeg;base64,").count() >= 3);
    let list = dir.path().join("list.txt");
    fs::write(&list, format!("{}\n/nowhere.jpg\n", text(&image))).unwrap();
    let arguments = ["batch", text(&list), "--index", text(&index), "--html", text(&file)];
    run_for(5, &arguments);
    let batch = page(&file);
    assert!(batch.contains("Barack Obama") && batch.contains("/nowhere.jpg"));
}

#[test]
fn vectors_get_a_page_too_with_pictures_where_there_are_any() {
    let dir = scratch();
    let (file, probe) = (dir.path().join("query.html"), dir.path().join("probe.npy"));
    let image = photo("obama3.jpg");
    run_for(0, &["represent", text(&image), "--npy", text(&probe)]);
    let ask = |index: &Path, code: i32| {
        let arguments = ["query", "--vector", text(&probe), "--html", text(&file), "--json"];
        let output = run_for(code, &[&arguments[..], &["--index", text(index)]].concat());
        (json_lines(&output).remove(0), page(&file))
    };
    // The photos of the index are there, that of the vector is not.
    let (answer, shown) = ask(&demo().join("index"), 0);
    let candidates = answer["faces"][0]["candidates"].as_array().unwrap();
    assert!(shown.contains("Barack Obama") && shown.contains("a vector, no picture"));
    assert_eq!(shown.matches("data:image/jpeg;base64,").count(), candidates.len());
    assert_eq!(shown.matches("class=\"scale\"").count(), candidates.len());

    // Imported vectors have no place in a photo, even where a file happens to have their name.
    let (index, faces) = (dir.path().join("index"), dir.path().join("faces.csv"));
    let numbers: String = (0..128).map(|i| format!(",{}", (i * 37 % 11) as f32 / 11.0)).collect();
    let columns: String = (0..128).map(|i| format!(",{i}")).collect();
    let rows = format!("{}{numbers}\n/gone/<b>.jpg{numbers}\n", text(&image));
    fs::write(&faces, format!("photo{columns}\n{rows}")).unwrap();
    run_for(
        0,
        &["import", text(&faces), "--metric", "l2", "--threshold", "0.55", "--index", text(&index)],
    );
    let (_, shown) = ask(&index, 1);
    assert!(shown.contains("unknown") && shown.contains("/gone/&lt;b&gt;.jpg"));
    assert_eq!(shown.matches("no place in a photo is known").count(), 2);
    assert!(!shown.contains("data:image/"));
}

#[test]
fn curves_are_drawn_for_figures_and_calibrations() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), dir.path().join("page.html"));
    let faces = crowd(60, 3, &mut Dice(8));
    index_of(&index, &faces);
    run_for(0, &["calibrate", "--index", text(&index), "--html", text(&file)]);
    let calibration = page(&file);
    assert!(calibration.contains("Reliability") && calibration.contains("class=\"plot\""));

    let pairs = dir.path().join("pairs.csv");
    let row = |i: u32| format!("{},{}\n", f64::from(i * 7 % 41) / 40.0, u32::from(i % 41 < 20));
    fs::write(&pairs, format!("distance,same\n{}", (0..80).map(row).collect::<String>())).unwrap();
    run_for(0, &["eval", "pairs", text(&pairs), "--html", text(&file)]);
    assert_eq!(page(&file).matches("class=\"plot\"").count(), 2);

    let (npy, names) = (dir.path().join("faces.npy"), dir.path().join("names.txt"));
    let rows: Vec<Vec<f32>> = faces.iter().map(|face| face.vector.clone()).collect();
    crate::eval::write_npy(&npy, &rows);
    fs::write(&names, faces.iter().map(|f| format!("{}\n", f.photo)).collect::<String>()).unwrap();
    let source = ["--embeddings", text(&npy), "--names", text(&names), "--html", text(&file)];
    run_for(0, &[&["eval", "identify", "--resamples", "10"][..], &source].concat());
    assert!(page(&file).contains("Calibrated thresholds"));

    run_for(0, &["cluster", "--threshold", "0.85", "--index", text(&index), "--html", text(&file)]);
    assert!(page(&file).contains("person 0001"));
}

#[test]
fn an_audit_finds_what_was_put_wrong_and_nothing_else() {
    let dir = scratch();
    let (index, clean) = (dir.path().join("index"), dir.path().join("clean"));
    let at = ["--threshold", "0.85", "--json"];
    let audit = |index: &Path| {
        json_lines(&run_for(0, &[&["audit", "--index", text(index)][..], &at].concat()))
    };
    let mut faces = crowd(40, 6, &mut Dice(9));
    index_of(&clean, &faces);
    let found = audit(&clean);
    assert!(found.is_empty(), "{found:?}");

    // Face 0 is of person 0, and called person 1; person 2 goes by two names; the name of person 4
    // has person 5 in it too; and one picture of person 6 is there twice.
    faces[0].identity = Some("person 0001".into());
    for face in &mut faces[12..15] {
        face.identity = Some("an alias".into());
    }
    for face in &mut faces[30..36] {
        face.identity = Some("person 0004".into());
    }
    faces[37].vector = faces[36].vector.clone();
    index_of(&index, &faces);
    let found = audit(&index);
    let of = |kind: &str| -> Vec<&serde_json::Value> {
        found.iter().filter(|finding| finding["kind"] == kind).collect()
    };
    let [wrong] = of("mislabelled")[..] else { panic!("{found:?}") };
    assert_eq!((&wrong["faces"][0], &wrong["other"]), (&0.into(), &"person 0000".into()));
    let [two] = of("two_names")[..] else { panic!("{found:?}") };
    assert_eq!((&two["identity"], &two["other"]), (&"an alias".into(), &"person 0002".into()));
    let [fallen] = of("two_people")[..] else { panic!("{found:?}") };
    assert_eq!(fallen["identity"], "person 0004");
    let [copy] = of("copy")[..] else { panic!("{found:?}") };
    assert_eq!((&copy["faces"][0], &copy["evidence"][0]), (&36.into(), &37.into()));
    let file = dir.path().join("audit.html");
    run_for(0, &["audit", "--threshold", "0.85", "--index", text(&index), "--html", text(&file)]);
    assert!(page(&file).contains("looks like person 0000"));
}
