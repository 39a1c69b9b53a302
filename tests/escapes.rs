//! Names that would steer a terminal, forge a line or be a formula: whatever file has them,
//! wherever they are said.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use facesearch_core::is_disruptive;

use crate::models::Models;
use crate::support::{
    Made, demo, facesearch, index_of, json_lines, photo, run, run_for, scratch, stderr, stdout,
    text,
};

/// A title for the terminal, colours of both kinds, a reversed rest, a joined and a separated line,
/// and a line that would look like ours.
const EVIL: &str = "x\u{1b}]0;PWN\u{7}\u{1b}[31m\u{9b}32m\u{7f}\u{202e}\u{2066}\u{61c}\u{200b}\
                    \u{2028}\r\nerror: forged";

/// Insists that nothing of an output disturbs a terminal or forges a line, and that it was said.
fn is_safe(what: &str, output: &Output) {
    for said in [stdout(output), stderr(output)] {
        let bad = said.chars().find(|c| is_disruptive(*c) && *c != '\n');
        assert_eq!(bad, None, "{what}: {said:?}");
        assert!(!said.lines().any(|line| line.trim_start().starts_with("error: forged")), "{said}");
    }
}

/// Runs a command that has to say the name, and insists on its exit code.
fn says(code: i32, what: &[&str]) -> Output {
    let output = run_for(code, what);
    is_safe(&what.join(" "), &output);
    let said = stdout(&output) + &stderr(&output);
    assert!(said.contains("PWN"), "{what:?} does not say the name: {said}");
    output
}

/// An index of two people with evil names in photos of evil names.
fn evil_index(dir: &Path) -> PathBuf {
    let index = dir.join("index");
    let made = |i: usize| Made {
        photo: format!("/photos/{i}{EVIL}/{i}{EVIL}.jpg"),
        identity: Some(format!("{}{EVIL}", i / 4)),
        vector: (0..4).map(|j| (i / 4) as f32 + 0.01 * (i * j) as f32).collect(),
    };
    index_of(&index, &(0..8).map(made).collect::<Vec<_>>());
    index
}

#[test]
fn labels_and_photos_of_an_index_are_shown_and_not_obeyed() {
    let dir = scratch();
    let index = evil_index(dir.path());
    let (zero, one) = (format!("0{EVIL}"), format!("1{EVIL}"));
    let at = |what: &[&'static str]| [what, &["--index", text(&index)]].concat();
    let probe = dir.path().join("probe.csv");
    fs::write(&probe, "0,0,0,0\n").unwrap();
    for json in [&[][..], &["--json"]] {
        let at = |what: &[&str]| says(0, &[what, json, &["--index", text(&index)]].concat());
        at(&["identity", "list"]);
        at(&["identity", "show", &zero]);
        at(&["stats", "--files"]);
        at(&["cluster", "--threshold", "9"]);
        at(&["query", "--threshold", "9", "--vector", text(&probe)]);
    }
    says(0, &at(&["audit"]));
    says(3, &[&at(&["identity", "show"])[..], &[&format!("nobody{EVIL}")]].concat());
    says(3, &[&at(&["identity", "rename"])[..], &[&zero, &one]].concat());
    says(
        3,
        &[&at(&["query", "--threshold", "9"])[..], &["--vector", text(&probe), "--in", EVIL]]
            .concat(),
    );
    says(1, &[&at(&["remove"])[..], &["--identity", EVIL]].concat());
    says(0, &[&at(&["identity", "merge"])[..], &[&zero, &one]].concat());
    says(0, &at(&["identity", "log"]));
    says(0, &at(&["identity", "log", "--json"]));
    says(0, &[&at(&["identity", "rename"])[..], &[&zero, &format!("new{EVIL}")]].concat());
}

#[test]
fn json_reads_back_as_the_name_is() {
    let dir = scratch();
    let index = evil_index(dir.path());
    let listed = says(0, &["identity", "list", "--json", "--index", text(&index)]);
    let names: Vec<_> =
        json_lines(&listed).into_iter().map(|one| one["identity"].clone()).collect();
    assert_eq!(names, [format!("0{EVIL}"), format!("1{EVIL}")]);
}

#[test]
fn pages_show_names_as_text() {
    let dir = scratch();
    let index = evil_index(dir.path());
    let page = dir.path().join("page.html");
    for command in ["audit", "cluster"] {
        run_for(0, &[command, "--html", text(&page), "--index", text(&index)]);
        let page = fs::read_to_string(&page).unwrap();
        assert!(!page.contains(|c| is_disruptive(c) && c != '\n'), "{command}");
    }
}

#[test]
fn names_inside_of_files_are_quoted_safely_in_errors() {
    let dir = scratch();
    let index = dir.path().join("index");
    let refuses = |name: &str, content: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        says(3, &["import", text(&file), "--index", text(&index)]);
    };
    let quoted = format!("\"{EVIL}\"");
    refuses("cell.csv", format!("1,2\n3,{quoted}\n").as_bytes());
    refuses("member.npz", &zip_of([&format!("a{EVIL}.npy"), "b.npy"]));
    let head = dir.path().join("head.csv");
    fs::write(&head, format!("{quoted},b\n1,2\n")).unwrap();
    says(3, &["import", text(&head), "--column", "c", "--index", text(&index)]);
    let missing = format!("no{EVIL}");
    says(3, &["import", text(&head), "--ids", &missing, "--index", text(&index)]);
    // A name of a file, in errors of the system and of the program.
    let file = dir.path().join(format!("{}.npy", EVIL.replace('/', "")));
    says(3, &["import", text(&file), "--index", text(&index)]);
    fs::write(&file, b"no array").unwrap();
    says(3, &["import", text(&file), "--index", text(&index)]);
    says(4, &["stats", "--index", text(&file)]);
    says(4, &["export", "x.csv", "--index", text(&dir.path().join(EVIL))]);
    // What clap quotes: a shell puts names of files there.
    says(2, &["stats", &format!("--{EVIL}")]);
}

#[test]
fn names_in_models_are_quoted_safely() {
    let (dir, models) = (scratch(), Models::new());
    let name = EVIL.replace("\r\nerror: forged", "");
    let network = dir.path().join("net.onnx");
    fs::write(&network, onnx_with(&name)).unwrap();
    let output = models.run(&["models", "import", text(&network), "--as", "mine"]);
    is_safe("models import", &output);
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("PWN"), "{said}");
    // A record of the cache that somebody wrote.
    let folder = models.home().join("imported/mine");
    fs::create_dir_all(&folder).unwrap();
    let evil = format!("{:?}", EVIL).replace("\\u{", "\\U{");
    let evil = unicode_for_toml(&evil);
    let record = format!(
        "original = {evil}\nformat = {evil}\nsha256 = \"{}\"\nfiles = []\narchitecture = {evil}\n",
        "0".repeat(64)
    );
    fs::write(folder.join("model.toml"), record).unwrap();
    for what in [&["models", "list"][..], &["models", "show", "mine"]] {
        for json in [&[][..], &["--json"]] {
            let output = models.run_for(0, &[what, json].concat());
            is_safe(&what.join(" "), &output);
            assert!(stdout(&output).contains("PWN"), "{what:?}: {}", stdout(&output));
        }
    }
}

#[test]
fn names_of_photos_are_shown_safely_by_whoever_meets_them() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    let folder = photos.join(EVIL);
    fs::create_dir_all(&folder).unwrap();
    let good = folder.join(format!("good{EVIL}.jpg"));
    fs::copy(photo("obama.jpg"), &good).unwrap();
    let bad = folder.join(format!("bad{EVIL}.jpg"));
    // Enough of a JPEG for a codec to refuse it, which is an event.
    fs::write(&bad, b"\xff\xd8\xff\xe0 no picture").unwrap();
    let odd = folder.join(OsStr::from_bytes(b"\xff\x1b[31mPWN.jpg"));
    fs::write(&odd, b"no picture").unwrap();
    let output = facesearch()
        .args(["index", text(&photos), "--index", text(&index)])
        .env("FACESEARCH_LOG", "debug")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    is_safe("index", &output);
    assert!(stderr(&output).contains("PWN") && stderr(&output).contains("DEBUG"));
    says(5, &["query", text(&good), text(&bad), "--index", text(&index)]);
    says(5, &["query", text(&good), text(&bad), "--json", "--index", text(&index)]);
    says(5, &["represent", text(&good), text(&bad)]);
    says(5, &["represent", text(&good), text(&bad), "--json"]);
    says(3, &["verify", text(&good), text(&bad)]);
    says(5, &["batch", text(&photos), "--index", text(&index)]);
    says(0, &["stats", "--files", "--index", text(&index)]);
    let page = dir.path().join("page.html");
    run_for(0, &["query", text(&good), "--html", text(&page), "--index", text(&index)]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("PWN") && !page.contains(|c| is_disruptive(c) && c != '\n'));
}

/// What a command shows on a terminal, which is one of its own.
fn on_a_terminal(what: &[&str]) -> Option<String> {
    let quoted: Vec<String> =
        what.iter().map(|w| format!("'{}'", w.replace('\'', "'\\''"))).collect();
    let command = format!("{} {}", env!("CARGO_BIN_EXE_facesearch"), quoted.join(" "));
    let mut script = Command::new("script");
    script.args(["-q", "-c", &command, "/dev/null"]).env_remove("NO_COLOR");
    let output = script.output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            eprintln!("skipped: no `script`, which gives a terminal");
            None
        }
    }
}

#[test]
fn a_table_on_a_terminal_is_shown_and_in_a_pipe_is_as_it_is() {
    let dir = scratch();
    let name = EVIL.replace("\r\n", "");
    fs::copy(photo("obama3.jpg"), dir.path().join(format!("{name}.jpg"))).unwrap();
    let batch = ["batch", text(dir.path()), "--format", "csv", "--quiet", "--index"];
    let index = demo().join("index");
    let batch = [&batch[..], &[text(&index)]].concat();
    assert!(stdout(&run_for(0, &batch)).contains(&name));
    let Some(shown) = on_a_terminal(&batch) else { return };
    assert!(shown.contains("PWN"), "{shown:?}");
    // The terminal itself makes two characters of a line end.
    let bad = shown.replace("\r\n", "\n").chars().find(|c| is_disruptive(*c) && *c != '\n');
    assert_eq!(bad, None, "{shown:?}");
}

#[test]
fn cells_that_a_spreadsheet_would_compute_are_guarded_and_come_back() {
    let dir = scratch();
    let (index, again) = (dir.path().join("index"), dir.path().join("again"));
    let names = ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "'=1", "O'Hara", "'plain"];
    let made = |(i, name): (usize, &&str)| Made {
        photo: format!("{name}{i}.jpg"),
        identity: Some((*name).to_owned()),
        vector: vec![-1.5, i as f32],
    };
    index_of(&index, &names.iter().enumerate().map(made).collect::<Vec<_>>());
    let read = |index: &Path| {
        let file = dir.path().join("out.csv");
        run_for(0, &["export", text(&file), "--index", text(index)]);
        let mut reader = csv::Reader::from_path(&file).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        (file, rows)
    };
    let (file, rows) = read(&index);
    for (row, name) in rows.iter().zip(names) {
        let guarded = if name.starts_with('O') || name == "'plain" { "" } else { "'" };
        assert_eq!(&row[1], format!("{guarded}{name}"));
        assert!(row[2].starts_with(&format!("{guarded}{name}")));
        assert_eq!(&row[3], "-1.5", "numbers are numbers");
    }
    run_for(0, &["import", text(&file), "--metric", "l2", "--index", text(&again)]);
    let listed = |index: &Path| {
        let list = run_for(0, &["identity", "list", "--json", "--index", text(index)]);
        json_lines(&list).into_iter().map(|one| one["identity"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&again), listed(&index));
    let photos = |rows: &[csv::StringRecord]| -> Vec<String> {
        rows.iter().map(|row| row[2].to_owned()).collect()
    };
    assert_eq!(photos(&read(&again).1), photos(&rows));
}

#[test]
fn answers_in_csv_are_guarded_and_in_parquet_are_not() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::copy(photo("obama3.jpg"), photos.join("=1+1.jpg")).unwrap();
    let index = demo().join("index");
    let list = dir.path().join("list");
    fs::write(&list, "=1+1.jpg\n").unwrap();
    let batch = |more: &[&str]| {
        let arguments = ["batch", text(&list), "--index", text(&index)];
        let output = facesearch().args(arguments).args(more).current_dir(&photos).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let csv = batch(&["--format", "csv"]);
    assert!(csv.lines().nth(1).unwrap().starts_with("'=1+1.jpg,1,"), "{csv}");
    let table = dir.path().join("out.parquet");
    batch(&["--format", "parquet", "-o", text(&table)]);
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(fs::File::open(table).unwrap()).unwrap();
    let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let (_, image) = row.get_column_iter().next().unwrap();
    assert_eq!(*image, parquet::record::Field::Str("=1+1.jpg".into()));
}

#[test]
fn a_damaged_store_gives_one_line_and_none_of_its_database() {
    let dir = scratch();
    let index = dir.path().join("index");
    index_of(&index, &crate::support::crowd(40, 3, &mut crate::support::Dice(3)));
    let database = index.join("store/sled/db");
    let whole = fs::read(&database).unwrap();
    let mut told = 0;
    for step in 0..24 {
        let mut bytes = whole.clone();
        let at = whole.len().min(64 << 10) * step / 24;
        let end = (at + 1 + 200 * (step % 3)).min(bytes.len());
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(&database, &bytes).unwrap();
        let output = run(&["identity", "log", "--index", text(&index)]);
        let said = stderr(&output);
        told += usize::from(!output.status.success());
        assert!(!said.contains("sled::") && !said.contains("panicked"), "{at}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(errors == usize::from(!output.status.success()), "{at}: {said}");
    }
    assert!(told > 0, "no damage was found");
}

#[test]
fn colours_go_to_terminals_only_and_not_where_they_are_not_wanted() {
    let dir = scratch();
    let index = evil_index(dir.path());
    let export = ["-v", "identity", "merge", "--index", text(&index)];
    let names = [format!("0{EVIL}"), format!("1{EVIL}")];
    let plain = says(0, &[&export[..], &[&names[0], &names[1]]].concat());
    assert!(stderr(&plain).contains("INFO"), "{}", stderr(&plain));
    let shown = on_a_terminal(&["-v", "identity", "undo", "--index", text(&index)]);
    if let Some(shown) = shown {
        assert!(shown.contains("\u{1b}[32m INFO"), "{shown:?}");
    }
    let quiet = Command::new("script")
        .args(["-q", "-c"])
        .arg(format!(
            "{} -v identity undo 2 --index '{}'",
            env!("CARGO_BIN_EXE_facesearch"),
            text(&index)
        ))
        .arg("/dev/null")
        .env("NO_COLOR", "1")
        .output();
    if let Ok(quiet) = quiet {
        let shown = String::from_utf8_lossy(&quiet.stdout).into_owned();
        assert!(shown.contains("INFO") && !shown.contains('\u{1b}'), "{shown:?}");
    }
}

/// A zip file of empty members, stored.
fn zip_of(names: [&str; 2]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for name in names {
        let start = (bytes.len() as u32).to_le_bytes();
        // Version, flags (names are UTF-8), stored, no time, nothing in it.
        let common = [&[20, 0, 0, 8][..], &[0; 18]].concat();
        let length = [&(name.len() as u16).to_le_bytes()[..], &[0, 0]].concat();
        bytes.extend([b"PK\x03\x04", &common[..], &length, name.as_bytes()].concat());
        directory.extend([b"PK\x01\x02\x14\x00", &common[..], &length, &[0; 10], &start].concat());
        directory.extend(name.as_bytes());
    }
    let (at, size) = ((bytes.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06", &[0, 0, 0, 0, 2, 0, 2, 0][..], &size, &at, &[0, 0]].concat());
    bytes
}

/// An ONNX file of one node whose operator has this name.
fn onnx_with(operator: &str) -> Vec<u8> {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 1 << 14);
        let length = [(content.len() & 0x7f) as u8 | 0x80, (content.len() >> 7) as u8];
        [&[number << 3 | 2], &length[..], content].concat()
    }
    let node = [field(1, b"x"), field(2, b"y"), field(3, b"n"), field(4, operator.as_bytes())];
    let size = |n: u8| field(1, &[8, n]);
    let shape = field(2, &[size(1), size(3), size(112), size(112)].concat());
    let tensor = field(1, &[&[8, 1][..], &shape].concat());
    let value = |name: &[u8]| [field(1, name), field(2, &tensor)].concat();
    let graph = [
        field(1, &node.concat()),
        field(2, b"g"),
        field(11, &value(b"x")),
        field(12, &value(b"y")),
    ];
    let opset = field(8, &[&[0x0a, 0][..], &[0x10, 13]].concat());
    [&[8, 8][..], &field(7, &graph.concat()), &opset].concat()
}

/// A string of Rust as one of TOML: both have escapes for what cannot be shown.
fn unicode_for_toml(text: &str) -> String {
    let mut toml = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\U{") {
        let (digits, behind) = after.split_once('}').unwrap();
        toml.push_str(&format!("{before}\\U{:0>8}", digits));
        rest = behind;
    }
    toml + rest
}
