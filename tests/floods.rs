//! Indexes as nobody would make them on purpose: thousands of copies of one face, one person in
//! half of all photos, one face, none, and numbers that are none.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Dice, demo, json_lines, photo, run, run_for, scratch, stderr, stdout, text};

/// A face to import: who, and where.
type Face = (String, Vec<f32>);

fn import(index: &Path, faces: &[Face]) {
    let dir = scratch();
    let (file, names) = (dir.path().join("faces.npy"), dir.path().join("names"));
    let rows: Vec<Vec<f32>> = faces.iter().map(|(_, vector)| vector.clone()).collect();
    crate::eval::write_npy(&file, &rows);
    fs::write(&names, faces.iter().map(|(who, _)| format!("{who}\n")).collect::<String>()).unwrap();
    let import = ["import", text(&file), "--identities", text(&names), "--metric", "l2"];
    run_for(0, &[&import[..], &["--index", text(index)]].concat());
}

/// The candidates of each probe: identity and distance.
fn ask(index: &Path, probes: &[Vec<f32>], more: &[&str]) -> Vec<Vec<(String, f32)>> {
    let dir = scratch();
    let file = dir.path().join("probes.npy");
    crate::eval::write_npy(&file, probes);
    let question = [
        "query",
        "--vector",
        text(&file),
        "--json",
        "--threshold",
        "100",
        "--decision",
        "distance",
    ];
    let output = run_for(0, &[&question[..], &["--index", text(index)], more].concat());
    let answers = json_lines(&output).into_iter().map(|answer| {
        let candidates = answer["faces"][0]["candidates"].as_array().unwrap().clone();
        let one = |c: Value| {
            let distance = c["distance"].as_f64().unwrap() as f32;
            (c["identity"].as_str().unwrap().to_owned(), distance)
        };
        candidates.into_iter().map(one).collect()
    });
    answers.collect()
}

/// The nearest identities by the definition; among equals, who came first.
fn nearest(faces: &[Face], probe: &[f32], k: usize) -> Vec<String> {
    let mut measured: Vec<(f64, &str)> = faces
        .iter()
        .map(|(who, vector)| {
            let pairs = vector.iter().zip(probe);
            let terms = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            (terms.sum(), &**who)
        })
        .collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut seen = std::collections::BTreeSet::new();
    let names = measured.into_iter().filter(|(_, who)| seen.insert(*who));
    names.take(k).map(|(_, who)| who.to_owned()).collect()
}

fn names(candidates: &[(String, f32)]) -> Vec<String> {
    candidates.iter().map(|(who, _)| who.clone()).collect()
}

#[test]
fn twenty_thousand_copies_of_a_face_hide_nobody() {
    let dir = scratch();
    let index = dir.path().join("index");
    let mut dice = Dice(21);
    let copied = dice.vector(12, 0.5);
    let mut faces: Vec<Face> =
        (0..1_000).map(|i| (format!("other {i:04}"), dice.vector(12, 0.5))).collect();
    faces.extend((0..20_000).map(|i| (format!("copy {i:05}"), copied.clone())));
    faces.extend((1_000..2_000).map(|i| (format!("other {i:04}"), dice.vector(12, 0.5))));
    import(&index, &faces);
    let stats = json_lines(&run_for(0, &["stats", "--json", "--index", text(&index)]));
    assert!(!stats[0]["segments"].as_array().unwrap().is_empty(), "{}", stats[0]);

    // Everybody else is found by their own face.
    let others: Vec<&Face> = faces.iter().filter(|(who, _)| who.starts_with("other")).collect();
    let probes: Vec<Vec<f32>> = others.iter().map(|(_, vector)| vector.clone()).collect();
    let answers = ask(&index, &probes, &["-k", "10"]);
    for ((who, _), answer) in others.iter().zip(&answers) {
        assert_eq!(answer[0], (who.clone(), 0.0));
    }
    // And so are the others near them, as a plain scan has them.
    let (mut right, mut all) = (0, 0);
    for i in (0..probes.len()).step_by(25) {
        let truth = nearest(&faces, &probes[i], 10);
        right += truth.iter().filter(|who| names(&answers[i]).contains(who)).count();
        all += truth.len();
    }
    assert!(right * 1000 >= all * 995, "{right} of {all}");

    // Of the copies, the exact search has those that came first.
    let near: Vec<f32> = copied.iter().map(|x| x + 0.001).collect();
    let exact = ask(&index, &[copied.clone(), near.clone()], &["--effort", "exact"]);
    for (answer, probe) in exact.iter().zip([&copied, &near]) {
        assert_eq!(names(answer), nearest(&faces, probe, 5));
    }
    let usual = ask(&index, &[copied, near], &[]);
    assert!(usual.iter().all(|answer| answer.len() == 5));
    for ((_, usual), (_, exact)) in usual.iter().flatten().zip(exact.iter().flatten()) {
        assert_eq!(usual, exact);
    }
}

#[test]
fn one_person_in_five_thousand_photos_leaves_room_for_others() {
    let dir = scratch();
    let index = dir.path().join("index");
    let mut dice = Dice(22);
    let mut faces: Vec<Face> = Vec::new();
    for person in 0..1_500 {
        let centre = dice.vector(12, 0.5);
        let many = if person == 700 { 5_000 } else { 4 };
        for _ in 0..many {
            let near = dice.vector(12, 0.02);
            let vector = centre.iter().zip(near).map(|(a, b)| a + b).collect();
            faces.push((format!("person {person:04}"), vector));
        }
    }
    import(&index, &faces);
    let probes: Vec<Vec<f32>> = faces.iter().step_by(797).map(|(_, v)| v.clone()).collect();
    for effort in ["balanced", "exact"] {
        let answers = ask(&index, &probes, &["--effort", effort, "-k", "8"]);
        for (answer, probe) in answers.iter().zip(&probes) {
            assert_eq!(names(answer), nearest(&faces, probe, 8), "{effort}");
        }
    }
}

#[test]
fn more_candidates_than_there_are_is_everybody() {
    let dir = scratch();
    let mut dice = Dice(23);
    for people in [1, 40, 12_000] {
        let index = dir.path().join(people.to_string());
        let faces: Vec<Face> =
            (0..people).map(|i| (format!("person {i:05}"), dice.vector(6, 0.5))).collect();
        import(&index, &faces);
        let probes = [dice.vector(6, 0.5), faces[people / 2].1.clone()];
        for k in ["12001", "18446744073709551615"] {
            let answers = ask(&index, &probes, &["-k", k]);
            for (answer, probe) in answers.iter().zip(&probes) {
                let right = names(answer) == nearest(&faces, probe, people);
                assert!(right, "{k} of {people}: another order");
            }
        }
    }
}

#[test]
fn vectors_without_a_direction_are_taken_where_length_counts() {
    let dir = scratch();
    let index = dir.path().join("index");
    let mut dice = Dice(24);
    let mut faces: Vec<Face> =
        (0..11_000).map(|i| (format!("person {i:05}"), dice.vector(6, 0.5))).collect();
    for at in [0, 5_000, 10_999] {
        faces[at].1 = vec![0.0; 6];
    }
    // Nothing, and what differs from nothing only where it underflows.
    faces[7_000].1 = vec![f32::MIN_POSITIVE / 4.0; 6];
    import(&index, &faces);
    let zero = vec![0.0; 6];
    let answers = ask(&index, &[zero.clone(), vec![-0.0; 6]], &["--effort", "exact", "-k", "6"]);
    for answer in answers {
        assert_eq!(names(&answer), nearest(&faces, &zero, 6));
        assert!(answer[..4].iter().all(|(_, distance)| *distance < 1e-30), "{answer:?}");
    }
    let usual = ask(&index, &[zero], &["-k", "4"]);
    let mut found = names(&usual[0]);
    found.sort();
    assert_eq!(found, [0, 5_000, 7_000, 10_999].map(|i| format!("person {i:05}")));
}

#[test]
fn what_is_no_number_is_refused_by_the_name_of_its_row() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), dir.path().join("faces.npy"));
    let good: Vec<Vec<f32>> = (0..20).map(|i| vec![i as f32, 1.0, 2.0]).collect();
    crate::eval::write_npy(&file, &good);
    run_for(0, &["import", text(&file), "--index", text(&index)]);
    let before = fs::read(index.join("published/MANIFEST")).unwrap();
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rows = good.clone();
        rows[17][1] = wrong;
        crate::eval::write_npy(&file, &rows);
        for command in [&["import"][..], &["query", "--threshold", "9", "--vector"]] {
            let output = run_for(3, &[command, &[text(&file), "--index", text(&index)]].concat());
            let said = stderr(&output);
            let row = format!("vector 17 of {}", text(&file));
            assert!(said.contains(&row) && said.contains("number 1 "), "{said}");
        }
    }
    assert_eq!(fs::read(index.join("published/MANIFEST")).unwrap(), before, "nothing was taken");
}

/// Every command on an index of no face, or of one.
fn everything_works(index: &Path, probe: &Path, faces: usize, dir: &Path) {
    let at = ["--index", text(index)];
    let found = if faces == 0 { 1 } else { 0 };
    for effort in ["balanced", "exact"] {
        let question = [
            "query",
            "--vector",
            text(probe),
            "--json",
            "--threshold",
            "9",
            "--decision",
            "distance",
        ];
        let output = run_for(found, &[&question[..], &["--effort", effort], &at].concat());
        let answer = &json_lines(&output)[0]["faces"][0];
        assert_eq!(answer["candidates"].as_array().unwrap().len(), faces);
        assert_eq!(answer["distance"].as_f64(), (faces == 1).then_some(0.0));
    }
    let none = [
        &["query", "--vector", text(probe), "--added-before", "2001-01-01", "--threshold", "9"][..],
        &at,
    ];
    run_for(1, &none.concat());
    let stats = json_lines(&run_for(0, &[&["stats", "--json"][..], &at].concat()));
    assert_eq!(stats[0]["faces"], faces);
    for name in ["out.csv", "out.npy", "out.npz", "out.parquet", "out.fvecs"] {
        let file = dir.join(name);
        run_for(0, &[&["export", text(&file)][..], &at].concat());
        assert!(file.exists(), "{name}");
    }
    let lines = fs::read_to_string(dir.join("out.csv")).unwrap().lines().count();
    assert_eq!(lines, 1 + faces);
    let judged = [&["audit", "--threshold", "9"][..], &["cluster", "--threshold", "9"]];
    for command in judged.into_iter().chain([&["optimize"][..], &["purge"], &["identity", "list"]])
    {
        run_for(0, &[command, &at].concat());
    }
    let calibrate = run_for(3, &[&["calibrate"][..], &at].concat());
    assert!(stderr(&calibrate).starts_with("error: "), "{}", stderr(&calibrate));
}

#[test]
fn one_face_and_none_are_indexes_too() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), dir.path().join("one.npy"));
    crate::eval::write_npy(&file, &[vec![0.25, -1.0, 3.0]]);
    let import = ["import", text(&file), "--metric", "l2", "--index", text(&index)];
    let import = [&import[..], &["--threshold", "0.55"]].concat();
    run_for(0, &import);
    everything_works(&index, &file, 1, dir.path());
    run_for(0, &["remove", &format!("{}#0", text(&file)), "--index", text(&index)]);
    everything_works(&index, &file, 0, dir.path());
    run_for(0, &import);
    everything_works(&index, &file, 1, dir.path());
}

#[test]
fn a_folder_without_faces_makes_an_index_of_none() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    fs::create_dir(&photos).unwrap();
    image::RgbImage::new(300, 200).save(photos.join("blank.png")).unwrap();
    run_for(0, &["index", text(&photos), "--index", text(&index)]);
    let image = photo("obama3.jpg");
    let answer =
        json_lines(&run_for(1, &["query", "--json", text(&image), "--index", text(&index)]));
    assert_eq!(answer[0]["faces"][0]["candidates"], serde_json::json!([]));
    let words = stdout(&run(&["query", text(&image), "--index", text(&index)]));
    assert!(words.contains("nobody to compare with"), "{words}");
    let npy = dir.path().join("face.npy");
    run_for(0, &["represent", text(&image), "--npy", text(&npy)]);
    everything_works(&index, &npy, 0, dir.path());
    let (list, table): (PathBuf, PathBuf) = (dir.path().join("list"), dir.path().join("t.parquet"));
    fs::write(&list, format!("{}\n", text(&image))).unwrap();
    let batch = ["batch", text(&list), "--format", "parquet", "-o", text(&table)];
    run_for(0, &[&batch[..], &["--index", text(&index)]].concat());
    assert!(table.exists() && demo().exists());
}
