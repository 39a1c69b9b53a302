//! `facesearch batch`: the same answers as `query`, for many images.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{
    demo, ended_within, facesearch, json_lines, many_photos, photo, run_for, scratch, stderr,
    stdout, text,
};

#[test]
fn answers_are_those_of_query_in_the_order_asked() {
    let index = demo().join("index");
    let dir = scratch();
    let names = ["obama3.jpg", "biden2.jpg", "astronaut.png"].map(photo);
    let list = dir.path().join("list.txt");
    fs::write(&list, names.iter().map(|n| format!("{}\n", text(n))).collect::<String>()).unwrap();
    let batch = json_lines(&run_for(0, &["batch", text(&list), "--index", text(&index)]));
    let mut arguments = vec!["query", "--json", "--index", text(&index)];
    arguments.extend(names.iter().map(|n| text(n)));
    let query = json_lines(&run_for(0, &arguments));
    assert_eq!(batch, query);
}

/// The first image of a query is decoded ahead: wherever it stands, missing or twice, the answers
/// are the same.
#[test]
fn a_query_answers_the_first_image_as_any_other() {
    let index = demo().join("index");
    let dir = scratch();
    let (good, missing) = (photo("obama3.jpg"), dir.path().join("missing.jpg"));
    let ask = |images: [&Path; 3], threads: &str| {
        let mut arguments = vec!["query", "--json", "--threads", threads, "--index", text(&index)];
        arguments.extend(images.map(text));
        json_lines(&run_for(5, &arguments))
    };
    for threads in ["1", "2"] {
        let behind = ask([&missing, &good, &good], threads);
        let ahead = ask([&good, &good, &missing], threads);
        assert_eq!(behind[1], behind[2]);
        assert_eq!([&ahead[0], &ahead[1], &ahead[2]], [&behind[1], &behind[1], &behind[0]]);
    }
}

#[test]
fn no_image_and_no_list_is_waited_for_or_read_without_end() {
    let index = demo().join("index");
    let dir = scratch();
    let pipe = dir.path().join("pipe.jpg");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let list = dir.path().join("list.txt");
    let good = photo("obama3.jpg");
    fs::write(&list, format!("{}\n/dev/zero\n{}\n", text(&pipe), text(&good))).unwrap();
    let start = |what: &[&str]| {
        let mut command = facesearch();
        command.args(what).args(["--index", text(&index)]).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        ended_within(Duration::from_secs(120), child)
    };
    let output = start(&["batch", text(&list)]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let answers = json_lines(&output);
    for answer in &answers[..2] {
        assert_eq!(answer["error"], "cannot read: it is neither a file nor a folder");
    }
    assert_eq!(answers[2]["faces"][0]["identity"], "Barack Obama");

    let output = start(&["batch", "/dev/zero"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("longer than any path"), "{}", stderr(&output));
    let output = start(&["query", "/dev/zero"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("larger than 256 MiB"), "{}", stdout(&output));
}

#[test]
fn csv_has_one_row_per_face_and_one_for_an_image_without() {
    let index = demo().join("index");
    let dir = scratch();
    fs::copy(photo("obama3.jpg"), dir.path().join("a, \"b\".jpg")).unwrap();
    image::RgbImage::new(300, 200).save(dir.path().join("blank.png")).unwrap();
    fs::write(dir.path().join("broken.jpg"), b"no picture").unwrap();
    let arguments = ["batch", text(dir.path()), "--format", "csv", "--index", text(&index)];
    let output = run_for(5, &arguments);
    let text = stdout(&output);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows[0][0].ends_with("a, \"b\".jpg"));
    assert_eq!((&rows[0][7], &rows[0][8]), ("match", "Barack Obama"));
    assert_eq!(&rows[1][7], "no_face");
    assert_eq!(&rows[2][7], "error");
    assert!(!rows[2][12].is_empty());
}

#[test]
fn parquet_has_the_columns_of_csv_with_their_types() {
    use parquet::basic::Type;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let index = demo().join("index");
    let dir = scratch();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::copy(photo("obama3.jpg"), photos.join("a, \"b\"\n.jpg")).unwrap();
    image::RgbImage::new(300, 200).save(photos.join("blank.png")).unwrap();
    fs::write(photos.join("broken.jpg"), b"no picture").unwrap();
    let file = dir.path().join("who.parquet");
    let ask = ["batch", text(&photos), "--index", text(&index), "--format"];
    let csv = stdout(&run_for(5, &[&ask[..], &["csv"]].concat()));
    assert!(stderr(&run_for(2, &[&ask[..], &["parquet"]].concat())).contains("-o FILE"));
    run_for(5, &[&ask[..], &["parquet", "-o", text(&file)]].concat());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing but the photos and the table is left: {left:?}");

    let table = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    let schema = table.metadata().file_metadata().schema_descr();
    let types: Vec<_> = schema.columns().iter().map(|c| (c.name(), c.physical_type())).collect();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().clone();
    assert!(names.iter().eq(types.iter().map(|(name, _)| *name)));
    for (name, kind) in types {
        let wanted = match name {
            "face" | "support" => Type::INT64,
            "x" | "y" | "width" | "height" | "score" | "distance" => Type::FLOAT,
            "crowd_score" | "stranger_chance" => Type::DOUBLE,
            _ => Type::BYTE_ARRAY,
        };
        assert_eq!(kind, wanted, "{name}");
    }
    let mut rows = table.get_row_iter(None).unwrap();
    let mut decisions = Vec::new();
    for line in reader.records().map(Result::unwrap) {
        let row = rows.next().expect("a row for each line").unwrap();
        for ((name, field), text) in row.get_column_iter().zip(&line) {
            let shown = match field {
                Field::Null => String::new(),
                Field::Str(text) => text.clone(),
                Field::Long(number) => number.to_string(),
                Field::Float(number) => number.to_string(),
                Field::Double(number) => number.to_string(),
                other => panic!("{name} is {other:?}"),
            };
            assert_eq!(shown, text, "{name}");
        }
        decisions.push(line[7].to_owned());
    }
    assert!(rows.next().is_none());
    assert_eq!(decisions, ["match", "no_face", "error"]);
}

#[test]
fn names_come_from_stdin_also_with_nul_between_them() {
    let index = demo().join("index");
    let mut child = facesearch()
        .args(["batch", "-", "-0", "--index", text(&index)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let image = photo("obama3.jpg");
    write!(child.stdin.take().unwrap(), "{}\0", text(&image)).unwrap();
    let lines = json_lines(&child.wait_with_output().unwrap());
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["faces"][0]["identity"], "Barack Obama");
}

#[test]
fn an_interrupted_output_file_is_gone_on_with() {
    let index = demo().join("index");
    let dir = scratch();
    let photos = dir.path().join("photos");
    many_photos(&photos, 50);
    for format in ["jsonl", "csv", "parquet"] {
        let (whole, resumed) = (dir.path().join("whole"), dir.path().join("resumed"));
        let arguments = |file| {
            ["batch", text(&photos), "--format", format, "-o", file, "--index", text(&index)]
                .map(String::from)
        };
        run_for(0, &arguments(text(&whole)).each_ref().map(|s| &**s));
        let partial = dir.path().join("resumed.partial.state");
        let (mut kills, mut killed) = (0, false);
        while !resumed.exists() {
            killed = false;
            let mut child = facesearch().args(arguments(text(&resumed))).spawn().unwrap();
            let before = fs::read(&partial).unwrap_or_default();
            // Kill it as soon as it has got any further.
            while child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(2));
                if kills < 3 && fs::read(&partial).unwrap_or_default() != before {
                    child.kill().unwrap();
                    (kills, killed) = (kills + 1, true);
                    child.wait().unwrap();
                    break;
                }
            }
        }
        assert!(kills > 0, "nothing was interrupted");
        assert_eq!(fs::read(&whole).unwrap(), fs::read(&resumed).unwrap(), "{format}");
        // A run killed just after it gave the file its name had no time to clear away the rest.
        assert!(killed || !partial.exists());
        let _ = fs::remove_file(&partial);
        fs::remove_file(&whole).unwrap();
        fs::remove_file(&resumed).unwrap();
    }
}

#[test]
fn nothing_is_taken_up_of_another_index_or_of_other_images() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    many_photos(&photos, 40);
    let mut names: Vec<_> = crate::support::files_below(&photos);
    names.sort();
    let list = dir.path().join("list.txt");
    let write = |names: &[std::path::PathBuf]| {
        let lines: String = names.iter().map(|name| format!("{}\n", text(name))).collect();
        fs::write(&list, lines).unwrap();
    };
    let (index, other) = (demo().join("index"), dir.path().join("other"));
    let people = demo().join("people");
    run_for(0, &["index", text(&people.join("Joe Biden")), "--index", text(&other), "-q"]);
    let (out, state) = (dir.path().join("out"), dir.path().join("out.partial.state"));
    let arguments = |index: &Path, file: &Path| {
        ["batch", text(&list), "--threads", "1", "--index", text(index), "-o", text(file)]
            .map(String::from)
    };
    for (index_then, reversed) in [(&other, false), (&index, true)] {
        write(&names);
        let mut child = facesearch().args(arguments(&index, &out)).spawn().unwrap();
        while !state.exists() {
            std::thread::sleep(Duration::from_millis(2));
            assert!(child.try_wait().unwrap().is_none(), "it was over before it could be killed");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if reversed {
            names.reverse();
            write(&names);
        }
        let fresh = dir.path().join("fresh");
        run_for(0, &arguments(index_then, &out).each_ref().map(|s| &**s));
        run_for(0, &arguments(index_then, &fresh).each_ref().map(|s| &**s));
        assert_eq!(fs::read(&out).unwrap(), fs::read(&fresh).unwrap());
        fs::remove_file(&out).unwrap();
    }
}
