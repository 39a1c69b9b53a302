//! `facesearch import`, `export`, `query --vector`, filters, `remove`, `purge` and `optimize`, over
//! files that NumPy, pandas and PyArrow wrote (`data/exchange/make.py`).
//!
//! - **Length:** one subject, whose tests share the gallery and the files made here.

use std::fs;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[cfg(unix)]
use crate::support::facesearch;
use crate::support::{
    Dice, demo, holding, json_lines, photo, run, run_for, scratch, stderr, stdout, text,
};

/// What `make.py` writes: 9 vectors of 5 numbers.
fn truth(i: usize) -> Vec<f32> {
    (0..5).map(|j| (((i * 5 + j) * 37 % 101) as f32 - 50.0) / 64.0).collect()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/exchange").join(name)
}

/// Imports a sample and gives back what the index holds: identity, photo and numbers of each face.
fn imported(name: &str, more: &[&str]) -> Vec<(String, String, Vec<f32>)> {
    let dir = scratch();
    let index = dir.path().join("index");
    let file = sample(name);
    let mut arguments = vec!["import", text(&file), "--index", text(&index), "--metric", "l2"];
    arguments.extend(more);
    run_for(0, &arguments);
    exported(&index, dir.path())
}

fn exported(index: &Path, dir: &Path) -> Vec<(String, String, Vec<f32>)> {
    let out = dir.join("out.csv");
    run_for(0, &["export", text(&out), "--index", text(index)]);
    let mut reader = csv::Reader::from_path(out).unwrap();
    let rows = reader.records().map(Result::unwrap);
    rows.map(|row| {
        let numbers = row.iter().skip(3).map(|cell| cell.parse().unwrap()).collect();
        (row[1].to_owned(), row[2].to_owned(), numbers)
    })
    .collect()
}

#[test]
fn what_other_programs_wrote_is_read_number_for_number() {
    let names = sample("names.npy");
    for (file, more, has_names, has_identities) in [
        ("f2.npy", &["--ids", text(&names)][..], true, false),
        ("f4.npy", &[], false, false),
        ("f8_big_endian.npy", &[], false, false),
        ("plain.npz", &[], true, true),
        ("packed.npz", &[], false, true),
        ("list.parquet", &[], true, true),
        ("wide.parquet", &[], false, true),
        ("frame.csv", &[], true, true),
        ("vectors.fvecs", &[], false, false),
        ("deepface.pkl", &[], true, true),
        ("deepface_old.pkl", &[], true, true),
    ] {
        let rows = imported(file, more);
        assert_eq!(rows.len(), 9, "{file}");
        for (i, (identity, name, vector)) in rows.into_iter().enumerate() {
            assert_eq!(vector, truth(i), "{file} {i}");
            if has_names {
                assert!(name.ends_with(&format!("photo {i}.jpg")), "{file}: {name}");
            }
            let who = if i % 2 == 1 { "Zoë" } else { "Bob" };
            assert_eq!(identity, if has_identities { who } else { "" }, "{file} {i}");
        }
    }
    let packed = imported("packed.npz", &[]);
    assert_eq!(packed[3].1, "103", "whole numbers are names too");
}

#[test]
fn every_form_goes_out_and_comes_back() {
    let dir = scratch();
    let first = dir.path().join("first");
    let source = sample("list.parquet");
    run_for(0, &["import", text(&source), "--metric", "l2", "--index", text(&first)]);
    let truth = exported(&first, dir.path());
    for form in ["npy", "npz", "parquet", "csv", "fvecs"] {
        let (file, again) = (dir.path().join(format!("out.{form}")), dir.path().join(form));
        run_for(0, &["export", text(&file), "--index", text(&first)]);
        run_for(0, &["import", text(&file), "--metric", "l2", "--index", text(&again)]);
        let back = exported(&again, dir.path());
        if matches!(form, "npy" | "fvecs") {
            let vectors = |rows: &[(String, String, Vec<f32>)]| {
                rows.iter().map(|row| row.2.clone()).collect::<Vec<Vec<f32>>>()
            };
            assert_eq!(vectors(&back), vectors(&truth), "{form}");
        } else {
            assert_eq!(back, truth, "{form}");
        }
    }
}

#[test]
fn what_cannot_be_taken_is_refused_in_words_and_changes_nothing() {
    let dir = scratch();
    let index = dir.path().join("index");
    let good = sample("f4.npy");
    run_for(0, &["import", text(&good), "--index", text(&index)]);
    let write = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    for (file, code, word) in [
        (write("short.csv", b"1,2,3\n"), 4, "dimension `5`"),
        (write("uneven.csv", b"1,2,3,4,5\n1,2\n"), 3, "vector 1"),
        (write("nan.csv", b"1,2,3,4,5\n1,2,NaN,4,5\n"), 3, "not finite"),
        (write("zero.csv", b"0,0,0,0,0\n"), 3, "all zeros"),
        (write("wide.fvecs", &[0, 0, 32, 0]), 3, "2097152 numbers"),
        (write("words.csv", b"1,2,3,4,5\n1,2,x,4,5\n"), 3, "`x` is not a number"),
        (write("empty.csv", b""), 3, "no embeddings"),
        (write("liar.npy", b"no array"), 3, "liar.npy is not a NumPy array"),
        (write("cut.npy", &fs::read(&good).unwrap()[..180]), 3, "cut short"),
        (write("liar.parquet", b"no table"), 3, "liar.parquet is not a Parquet file"),
        (write("liar.npz", b"no archive"), 3, "liar.npz is not a NumPy archive"),
        (write("cut.fvecs", &[5, 0, 0, 0, 1]), 3, "cut short"),
        (write("what.bin", b""), 3, ".npy"),
        (sample("columns_first.npy"), 3, "ascontiguousarray"),
        (sample("evil.pkl"), 3, "nothing is run"),
    ] {
        let output = run_for(code, &["import", text(&file), "--index", text(&index)]);
        assert!(stderr(&output).contains(word), "{}: {}", file.display(), stderr(&output));
    }
    assert!(!Path::new("executed").exists());
    let other = ["import", text(&good), "--metric", "l2", "--index", text(&index)];
    assert!(stderr(&run_for(4, &other)).contains("normalised-l2"));
    assert_eq!(exported(&index, dir.path()).len(), 9);
    // Photos cannot be asked for here, nor put here.
    let photo = ["query", "a.jpg", "--index", text(&index)];
    assert!(stderr(&run_for(4, &photo)).contains("--vector"));
    #[cfg(unix)]
    assert_eq!(code_for_a_pipe(&index, dir.path()), Some(4));
    let probe = write("probe.csv", b"1,2\n");
    let output = run_for(
        3,
        &[
            "query",
            "--vector",
            text(&probe),
            "--threshold",
            "9",
            "--decision",
            "distance",
            "--index",
            text(&index),
        ],
    );
    assert!(stderr(&output).contains("has 2 numbers"), "{}", stderr(&output));
}

#[test]
fn vectors_whose_distances_overflow_are_refused_at_every_door() {
    let dir = scratch();
    let index = dir.path().join("index");
    let good = sample("f4.npy");
    run_for(0, &["import", text(&good), "--index", text(&index), "--metric", "l2"]);
    let mut rows = vec![vec![0.5f32; 5]; 9];
    rows[7][3] = -3e38;
    let npy = dir.path().join("large.npy");
    crate::eval::write_npy(&npy, &rows);
    let line = |row: &Vec<f32>| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    let csv = dir.path().join("large.csv");
    fs::write(&csv, rows.iter().map(line).collect::<String>()).unwrap();
    let fvecs = dir.path().join("large.fvecs");
    let vector = |row: &Vec<f32>| {
        let numbers = row.iter().flat_map(|x| x.to_le_bytes());
        5i32.to_le_bytes().into_iter().chain(numbers).collect::<Vec<u8>>()
    };
    fs::write(&fvecs, rows.iter().flat_map(vector).collect::<Vec<u8>>()).unwrap();
    for file in [npy, csv, fvecs] {
        for question in
            [&["import", text(&file)][..], &["query", "--threshold", "9", "--vector", text(&file)]]
        {
            let output = run_for(3, &[question, &["--index", text(&index)]].concat());
            let said = stderr(&output);
            assert!(said.contains("vector 7") && said.contains("number 3"), "{said}");
        }
        // Scaled, it is a direction as any other.
        let other = dir.path().join(file.extension().unwrap());
        run_for(0, &["import", text(&file), "--index", text(&other), "--metric", "cosine"]);
    }
    assert_eq!(exported(&index, dir.path()).len(), 9);
}

/// What asking about a pipe into which nobody writes ends with; nothing if it is waited for.
#[cfg(unix)]
fn code_for_a_pipe(index: &Path, dir: &Path) -> Option<i32> {
    let pipe = dir.join("pipe.jpg");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut query = facesearch();
    query.args(["query", text(&pipe), "--index", text(index)]).stderr(Stdio::null());
    let (mut child, began) = (query.spawn().unwrap(), Instant::now());
    while began.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// 64 people with 20 vectors each, and a flood: one person with 3,000 nearly equal ones.
fn crowd(dir: &Path) -> (PathBuf, Vec<(String, String, Vec<f32>)>) {
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut rows = Vec::new();
    for person in 0..64 {
        let centre: Vec<f32> = (0..8).map(|_| random()).collect();
        for i in 0..20 {
            let vector: Vec<f32> = centre.iter().map(|x| x + 0.2 * random()).collect();
            rows.push((
                format!("p{person}"),
                format!("album/{}/{person}-{i}.jpg", person % 4),
                vector,
            ));
        }
    }
    let centre = rows[0].2.clone();
    for i in 0..3000 {
        let vector = centre.iter().map(|x: &f32| x + 0.001 * random()).collect();
        rows.push(("flood".into(), format!("flood/{i}.jpg"), vector));
    }
    let file = dir.join("crowd.csv");
    let mut writer = csv::Writer::from_path(&file).unwrap();
    let head = ["identity", "photo"].into_iter().map(String::from);
    writer.write_record(head.chain((0..8).map(|i| i.to_string()))).unwrap();
    for (identity, photo, vector) in &rows {
        let cells = vector.iter().map(f32::to_string);
        writer.write_record([identity.clone(), photo.clone()].into_iter().chain(cells)).unwrap();
    }
    writer.flush().unwrap();
    (file, rows)
}

/// The nearest identities of those rows that pass, by the definition.
fn nearest(
    rows: &[(String, String, Vec<f32>)],
    probe: &[f32],
    k: usize,
    passes: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let mut measured: Vec<_> = rows
        .iter()
        .filter(|(identity, photo, _)| passes(identity, photo))
        .map(|(identity, _, vector)| {
            let terms = vector.iter().zip(probe).map(|(a, b)| f64::from(a - b).powi(2));
            (terms.sum::<f64>(), identity.clone())
        })
        .collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut names: Vec<String> = Vec::new();
    for (_, name) in measured {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.truncate(k);
    names
}

#[test]
fn filters_and_floods_give_what_a_plain_filtered_scan_gives() {
    let dir = scratch();
    let index = dir.path().join("index");
    let (file, rows) = crowd(dir.path());
    run_for(0, &["import", text(&file), "--metric", "l2", "--index", text(&index)]);
    let probe = dir.path().join("probe.csv");
    for i in (0..rows.len()).step_by(97) {
        let vector = &rows[i].2;
        fs::write(&probe, vector.iter().map(f32::to_string).collect::<Vec<_>>().join(",")).unwrap();
        let ask = |more: &[&str]| -> Vec<String> {
            let mut arguments = vec![
                "query",
                "--vector",
                text(&probe),
                "--json",
                "--threshold",
                "9",
                "--decision",
                "distance",
            ];
            arguments.extend(["--index", text(&index)]);
            arguments.extend(more);
            let found = &json_lines(&run_for(0, &arguments))[0]["faces"][0]["candidates"];
            let names = found.as_array().unwrap().iter();
            names.map(|candidate| candidate["identity"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ask(&[]), nearest(&rows, vector, 5, |_, _| true), "{i}");
        let two = |who: &str, _: &str| matches!(who, "p3" | "p40");
        assert_eq!(ask(&["--in", "p3", "--in", "p40"]), nearest(&rows, vector, 5, two));
        let no_flood = |who: &str, _: &str| who != "flood";
        assert_eq!(ask(&["--not-in", "flood"]), nearest(&rows, vector, 5, no_flood));
        let album = |who: &str, path: &str| path.starts_with("album/2/") && who != "p2";
        assert_eq!(
            ask(&["--path-prefix", "album/2", "--not-in", "p2"]),
            nearest(&rows, vector, 5, album)
        );
        assert_eq!(ask(&["--added-after", "2001-01-01"]), nearest(&rows, vector, 5, |_, _| true));
    }
    let before = ["query", "--vector", text(&probe), "--added-before", "2001-01-01T00:00:00Z"];
    let at = ["--json", "--threshold", "9", "--decision", "distance", "--index", text(&index)];
    let output = run_for(1, &[&before[..], &at].concat());
    assert_eq!(json_lines(&output)[0]["faces"][0]["candidates"], serde_json::json!([]));
    let nobody = ["query", "--vector", text(&probe), "--in", "nobody"];
    assert!(stderr(&run_for(3, &[&nobody[..], &at].concat())).contains("`nobody`"));
    let explain = [
        "query",
        "--vector",
        text(&probe),
        "--explain",
        "--json",
        "--threshold",
        "9",
        "--decision",
        "distance",
    ];
    let output = run_for(0, &[&explain[..], &["--index", text(&index)]].concat());
    let explain = &json_lines(&output)[0]["faces"][0]["explain"];
    assert_eq!((&explain["exact"], &explain["allowed"]), (&true.into(), &rows.len().into()));
    assert!(explain["examined"].as_u64().unwrap() >= rows.len() as u64);
}

#[test]
fn many_vectors_together_are_answered_as_each_alone() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), dir.path().join("faces.npy"));
    let (many, one) = (dir.path().join("many.csv"), dir.path().join("one.csv"));
    let mut dice = Dice(31);
    // Enough for a search structure, with copies, and a few more than are searched for at once.
    let mut rows: Vec<Vec<f32>> = (0..11_000).map(|_| dice.vector(8, 0.5)).collect();
    for i in 0..2_000 {
        rows[5 * i + 1] = rows[5 * i].clone();
    }
    crate::eval::write_npy(&file, &rows);
    let names = dir.path().join("names");
    fs::write(&names, (0..11_000).map(|i| format!("p{}\n", i / 3)).collect::<String>()).unwrap();
    let import = ["import", text(&file), "--identities", text(&names), "--metric", "l2"];
    run_for(0, &[&import[..], &["--index", text(&index)]].concat());
    let line = |i: usize| {
        let cells = rows[7 * i].iter().map(|x| format!(",{}", x + 0.01));
        format!("probe {i}{}\n", cells.collect::<String>())
    };
    let head = format!("photo{}\n", (0..8).map(|i| format!(",{i}")).collect::<String>());
    fs::write(&many, head.clone() + &(0..1_100).map(line).collect::<String>()).unwrap();
    for more in [
        &[][..],
        &["--effort", "exact"],
        &["--effort", "40", "-k", "50"],
        &["--in", "p3", "--in", "p1999", "--in", "p3000"],
        &["--not-in", "p0", "-k", "1"],
    ] {
        let ask = |file: &Path| {
            let question = ["query", "--vector", text(file), "--json", "--index", text(&index)];
            stdout(&run_for(
                0,
                &[&question[..], &["--threshold", "9", "--decision", "distance"], more].concat(),
            ))
        };
        let together = ask(&many);
        let together: Vec<&str> = together.lines().collect();
        assert_eq!(together.len(), 1_100);
        for i in [0, 1, 500, 1_022, 1_023, 1_024, 1_025, 1_099] {
            fs::write(&one, head.clone() + &line(i)).unwrap();
            assert_eq!(ask(&one).trim_end(), together[i], "{more:?}, {i}");
        }
    }
}

/// The middle of a face's vector, as the files have it.
fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().take(16).flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn imported_faces_that_are_removed_are_not_found_and_purged_ones_are_nowhere() {
    let dir = scratch();
    let index = dir.path().join("index");
    let (file, rows) = crowd(dir.path());
    run_for(0, &["import", text(&file), "--metric", "l2", "--index", text(&index)]);
    let victim = bytes_of(&rows[65].2);
    assert!(!holding(&index, &victim).is_empty());
    run_for(0, &["remove", "--identity", "p3", "--index", text(&index)]);
    run_for(0, &["remove", "album/1", "--index", text(&index)]);
    run_for(1, &["remove", "album/1", "--index", text(&index)]);
    let left = exported(&index, dir.path());
    assert_eq!(left.len(), rows.len() - 20 - 16 * 20);
    assert!(left.iter().all(|(who, path, _)| who != "p3" && !path.starts_with("album/1/")));
    run_for(0, &["purge", "--index", text(&index)]);
    assert_eq!(holding(&index, &victim), Vec::<PathBuf>::new());
    assert_eq!(exported(&index, dir.path()), left);
    run_for(0, &["optimize", "--index", text(&index)]);
    assert_eq!(exported(&index, dir.path()), left);
    run_for(0, &["import", text(&file), "--index", text(&index)]);
    assert_eq!(exported(&index, dir.path()).len(), rows.len());
}

#[test]
fn photos_that_are_removed_are_not_found_and_purged_ones_are_nowhere() {
    let dir = scratch();
    let index = dir.path().join("index");
    let people = demo().join("people");
    run_for(0, &["index", text(&people), "--index", text(&index)]);
    let before = exported(&index, dir.path());
    let obama = "Barack Obama";
    let victim = before.iter().find(|(who, ..)| who == obama).expect("he is in the demo");
    let bytes = bytes_of(&victim.2);
    assert!(!holding(&index, &bytes).is_empty());
    let removed = run_for(0, &["remove", "--identity", obama, "--index", text(&index)]);
    assert!(!stderr(&removed).contains("stay"), "nobody else is in his photos: {removed:?}");
    let image = photo("obama3.jpg");
    let output = run(&["query", "--json", text(&image), "--index", text(&index)]);
    assert!(!stdout(&output).contains(obama), "{}", stdout(&output));
    run_for(0, &["purge", "--index", text(&index)]);
    let of_photo = blake3::hash(&fs::read(&victim.1).unwrap());
    for trace in [&bytes[..], obama.as_bytes(), of_photo.as_bytes()] {
        assert_eq!(holding(&index, trace), Vec::<PathBuf>::new());
    }
    // A later run does not bring the faces back, and publishes nothing where nothing changed.
    let again = ["index", text(&people), "--json", "--index", text(&index)];
    let mut run = json_lines(&run_for(0, &again)).remove(0);
    // Photos written a moment ago are read once more, in case they changed within their timestamp.
    for _ in 0..10 {
        if run["unchanged"] == run["files"] {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        run = json_lines(&run_for(0, &again)).remove(0);
    }
    assert_eq!(run["generation"], serde_json::Value::Null, "{run}");
    assert_eq!(run["left_out"], before.iter().filter(|(who, ..)| who == obama).count(), "{run}");
    assert_eq!(holding(&index, obama.as_bytes()), Vec::<PathBuf>::new());
    let left: Vec<_> = before.iter().filter(|(who, ..)| who != obama).cloned().collect();
    assert_eq!(exported(&index, dir.path()), left);
    let path = Path::new(&left[0].1).to_owned();
    run_for(0, &["remove", text(&path), "--index", text(&index)]);
    assert!(exported(&index, dir.path()).iter().all(|(_, photo, _)| Path::new(photo) != path));
    let file = sample("f4.npy");
    let import = ["import", text(&file), "--index", text(&index)];
    assert!(stderr(&run_for(4, &import)).contains("another `--index`"));
}

/// What is published, and by which publication.
fn state(index: &Path) -> (Vec<u8>, std::collections::BTreeMap<String, Vec<u8>>) {
    (fs::read(index.join("published/MANIFEST")).unwrap(), crate::support::published(index))
}

/// What an import says of itself: rows taken, rows that were there, faces now.
fn import_counts(what: &[&str], index: &Path) -> [u64; 3] {
    let import = [&["import", "--json", "--index", text(index)][..], what].concat();
    let summary = &json_lines(&run_for(0, &import))[0];
    ["imported", "present", "faces"].map(|key| summary[key].as_u64().unwrap())
}

#[test]
fn a_file_imported_again_changes_nothing_and_a_changed_one_adds_what_changed() {
    let dir = scratch();
    let index = dir.path().join("index");
    let write = |name: &str, rows: &[&str]| {
        let file = dir.path().join(name);
        let head = "identity,photo,0,1\n".to_owned();
        let rows = rows.iter().map(|row| format!("{row}\n"));
        fs::write(&file, head + &rows.collect::<String>()).unwrap();
        file
    };
    // Two rows are equal, and one has another's name.
    let rows = ["Anna,a,1,2", "Anna,a,1,2", "Anna,a,2,1", ",b,1,2", "Bob,c,-1,2"];
    let file = write("rows.csv", &rows);
    assert_eq!(import_counts(&[text(&file)], &index), [5, 0, 5]);
    let before = state(&index);
    assert_eq!(import_counts(&[text(&file)], &index), [0, 5, 5]);
    let said = stdout(&run_for(0, &["import", text(&file), "--index", text(&index)]));
    assert!(said.contains("has all 5 embeddings of") && said.contains("already"), "{said}");
    assert!(state(&index) == before, "nothing is published again");
    // Other numbers that are the same direction are the same embedding.
    let scaled = write("scaled.csv", &["Bob,c,-2,4"]);
    assert_eq!(import_counts(&[text(&scaled)], &index), [0, 1, 5]);
    // Who, what it is called, and the numbers make a row; a third equal one is one more.
    let changed =
        ["Anna,a,1,2", "Anna,a,1,2", "Anna,a,1,2", "Anna,a,2,1.5", "Eve,b,1,2", "Bob,d,-1,2"];
    let changed = write("rows.csv", &changed);
    assert_eq!(import_counts(&[text(&changed)], &index), [4, 2, 9]);
    assert_eq!(import_counts(&[text(&changed)], &index), [0, 6, 9]);
    // What was removed comes back.
    run_for(0, &["remove", "--identity", "Bob", "--index", text(&index)]);
    assert_eq!(import_counts(&[text(&changed)], &index), [1, 5, 8]);
    // A threshold is no row, and is taken all the same.
    assert_eq!(import_counts(&[text(&changed), "--threshold", "0.3"], &index), [0, 6, 8]);
    let stats = json_lines(&run_for(0, &["stats", "--json", "--index", text(&index)]));
    assert_eq!(stats[0]["contract"]["threshold"].as_f64().unwrap() as f32, 0.3);
}

#[test]
fn rows_without_names_go_by_their_file_wherever_it_is_named_from() {
    let dir = scratch();
    let (index, other) = (dir.path().join("index"), dir.path().join("other.npy"));
    fs::copy(sample("f4.npy"), dir.path().join("rows.npy")).unwrap();
    let file = dir.path().join("rows.npy");
    let import = |file: &str| {
        let mut import = facesearch();
        import.args(["import", "--json", file, "--index", text(&index)]).current_dir(dir.path());
        json_lines(&import.output().unwrap())[0]["imported"].as_u64().unwrap()
    };
    assert_eq!(import("rows.npy"), 9);
    assert_eq!([import("rows.npy"), import("./rows.npy"), import(text(&file))], [0, 0, 0]);
    // A second file with the same embeddings is another file.
    fs::copy(&file, other).unwrap();
    assert_eq!(import("other.npy"), 9);
    let remove = |what: &str| {
        let mut remove = facesearch();
        remove.args(["remove", what, "--index", text(&index)]).current_dir(dir.path());
        remove.output().unwrap().status.code()
    };
    assert_eq!(remove("other.npy#3"), Some(0));
    assert_eq!([import("rows.npy"), import("other.npy")], [0, 1]);
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_an_import_is_repeated_and_adds_each_row_once() {
    let dir = scratch();
    let [calm, rough, file] = ["calm", "rough", "rows.npy"].map(|name| dir.path().join(name));
    let mut dice = Dice(41);
    let rows: Vec<Vec<f32>> = (0..3_000).map(|_| dice.vector(16, 1.0)).collect();
    crate::eval::write_npy(&file, &rows);
    run_for(0, &["import", text(&file), "--index", text(&calm)]);
    let (mut seed, mut killed, mut after, mut limit) = (7u64, 0, 0, 60);
    for _ in 0..60 {
        let mut import = facesearch();
        import.args(["import", text(&file), "--index", text(&rough)]).stdout(Stdio::null());
        let mut child = import.spawn().unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % limit));
        child.kill().unwrap();
        let survived = child.wait().unwrap().success();
        killed += u32::from(!survived);
        let is_published = rough.join("published/MANIFEST").exists();
        after += u32::from(is_published);
        limit += if is_published { 0 } else { limit / 5 };
    }
    assert!(killed > 0 && after > 0, "{killed} killed, {after} once it was published");
    run_for(0, &["import", text(&file), "--index", text(&rough)]);
    assert!(crate::support::published(&rough) == crate::support::published(&calm));
}

#[test]
fn more_names_than_vectors_or_fewer_are_told_with_both_numbers() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), sample("f4.npy"));
    for names in [1, 8, 10, 4000] {
        let list = dir.path().join("names");
        fs::write(&list, (0..names).map(|i| format!("n{i}\n")).collect::<String>()).unwrap();
        for (option, what) in [("--ids", "names"), ("--identities", "identities")] {
            let import = ["import", text(&file), option, text(&list), "--index", text(&index)];
            let said = stderr(&run_for(3, &import));
            let counts = format!("it has {names} {what}, but there are 9 vectors");
            assert!(said.contains(&counts), "{said}");
            assert!(!index.join("published/MANIFEST").exists());
        }
    }
}

#[test]
fn a_column_of_lists_is_read_from_csv_and_a_column_is_refused_where_there_are_none() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), dir.path().join("lists.csv"));
    let lists = "photo,age,embedding,other\n\
                 a,30,\"[1.0, -2, 3e0]\",\"[9, 9, 9]\"\n\
                 b,31,[4 5  6],\"1,1,2\"\n";
    fs::write(&file, lists).unwrap();
    let import = |more: &[&str], name: &str| {
        let index = dir.path().join(name);
        let import = ["import", text(&file), "--metric", "l2", "--index", text(&index)];
        run_for(0, &[&import[..], more].concat());
        exported(&index, dir.path()).into_iter().map(|row| (row.1, row.2)).collect::<Vec<_>>()
    };
    let rows = |a: [f32; 3], b: [f32; 3]| vec![("a".into(), a.to_vec()), ("b".into(), b.to_vec())];
    assert_eq!(import(&[], "usual"), rows([1.0, -2.0, 3.0], [4.0, 5.0, 6.0]));
    assert_eq!(import(&["--column", "other"], "asked"), rows([9.0; 3], [1.0, 1.0, 2.0]));
    let missing = ["import", text(&file), "--column", "none", "--index", text(&index)];
    assert!(stderr(&run_for(3, &missing)).contains("it has no `none`, but `photo`, `age`"));
    let array = sample("f4.npy");
    let array = ["import", text(&array), "--column", "x", "--index", text(&index)];
    assert!(stderr(&run_for(2, &array)).contains("has no columns"));
}
