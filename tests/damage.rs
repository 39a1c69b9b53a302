//! A damaged index is an error with a number, never a panic and never a wrong answer.

use std::fs;
use std::path::Path;

use crate::support::{
    Dice, crowd, demo, files_below, index_of, json_lines, newest, photo, published, run, run_for,
    scratch, stderr, stdout, text,
};

#[test]
fn a_flipped_or_missing_byte_anywhere_is_found_or_harmless() {
    let dir = scratch();
    let index = dir.path().join("index");
    let image = photo("obama3.jpg");
    run_for(0, &["index", text(&demo().join("people")), "--index", text(&index)]);
    let ask = ["query", "--json", text(&image), "--index", text(&index)];
    let truth = json_lines(&run_for(0, &ask));
    let mut found = 0;
    damage(&index, 6, |what| {
        let output = run(&ask);
        match output.status.code() {
            Some(0) => assert_eq!(json_lines(&output), truth, "{what}"),
            _ => found += is_told(&output, what),
        }
    });
    assert!(found > 10, "only {found} damages were found");
}

/// Damages each file of what is published at places all over it, by a flipped bit and by an early
/// end in turn, and lets `look` look each time; then all is whole again.
fn damage(index: &Path, places: usize, mut look: impl FnMut(&str)) {
    let published = newest(index);
    let files = files_below(&published).into_iter();
    for file in files.chain([published.with_file_name("MANIFEST")]) {
        let whole = fs::read(&file).unwrap();
        if whole.is_empty() {
            continue;
        }
        for step in 0..places {
            let at = (whole.len() - 1) * step / (places - 1);
            let mut bytes = whole.clone();
            if step % 2 == 0 {
                bytes[at] ^= 0x10;
            } else {
                bytes.truncate(at);
            }
            // Files share their content with those of other generations, so not in place.
            fs::remove_file(&file).unwrap();
            fs::write(&file, &bytes).unwrap();
            look(&format!("{} at {at}", file.display()));
        }
        fs::write(&file, &whole).unwrap();
    }
}

/// One, once it is sure that the program ended as for a damaged index, and said so.
fn is_told(output: &std::process::Output, what: &str) -> usize {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(4), "{what}: {said}");
    assert!(said.starts_with("error: ") && said.contains("damaged"), "{what}: {said}");
    1
}

/// Asks a damaged index: what is said, and written into `file`, is the same or an error.
fn ask(index: &Path, question: &[&str], file: Option<&Path>) {
    let question = [question, &["--index", text(index), "--quiet"]].concat();
    let answer = || {
        if let Some(file) = file {
            let _ = fs::remove_file(file);
        }
        let output = run(&question);
        let written = file.map(|file| fs::read(file).ok());
        (output, written)
    };
    let (truth, written) = answer();
    assert!(matches!(truth.status.code(), Some(0 | 1)), "{question:?}: {}", stderr(&truth));
    let (mut found, mut all) = (0, 0);
    damage(index, 4, |what| {
        all += 1;
        let (output, now) = answer();
        let what = format!("{question:?}, {what}");
        if output.status.code() == truth.status.code() {
            assert_eq!(stdout(&output), stdout(&truth), "{what}");
            assert!(now == written, "{what}: the file is another one");
        } else {
            found += is_told(&output, &what);
            assert!(now.is_none_or(|file| file.is_none()), "{what}: a file was left");
        }
    });
    assert!(found * 3 > all, "{question:?}: only {found} of {all} damages were found");
}

/// Changes a damaged index: it is then what it would be otherwise, or nothing was changed.
fn change(index: &Path, what_to_do: &[&str], dir: &Path) {
    let (whole, changed) = (dir.join("whole"), dir.join("changed"));
    copy(index, &whole);
    let here = [what_to_do, &["--index", text(index), "--quiet"]].concat();
    run_for(0, &here);
    copy(index, &changed);
    let truth = published(&changed);
    let exported = |index: &Path| {
        let file = dir.join("exported.csv");
        run_for(0, &["export", text(&file), "--index", text(index), "--quiet"]);
        fs::read(&file).unwrap()
    };
    let faces = exported(&changed);
    copy(&whole, index);
    let mut done = 0;
    let mut told = 0;
    let damaged = dir.join("damaged");
    damage(index, 3, |what| {
        let what = format!("{what_to_do:?}, {what}");
        copy(index, &damaged);
        let there = [what_to_do, &["--index", text(&damaged), "--quiet"]].concat();
        let output = run(&there);
        if output.status.success() {
            done += 1;
            assert!(published(&damaged) == truth, "{what}: something else is published");
            assert!(exported(&damaged) == faces, "{what}: other faces are there");
        } else {
            told += is_told(&output, &what);
            let manifest = |index: &Path| fs::read(index.join("published/MANIFEST")).unwrap();
            assert!(manifest(&damaged) == manifest(index), "{what}: something was published");
        }
    });
    assert!(done + told >= 15, "{what_to_do:?}: {done} and {told}");
}

/// Makes `to` a copy of the folder `from`.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files_below(from) {
        let there = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::copy(&file, &there).unwrap();
    }
}

#[test]
fn questions_of_photos_are_answered_rightly_or_not_at_all() {
    let dir = scratch();
    let (index, list) = (dir.path().join("index"), dir.path().join("list"));
    copy(&demo().join("index"), &index);
    fs::write(&list, format!("{}\n", text(&photo("obama3.jpg")))).unwrap();
    ask(&index, &["batch", text(&list)], None);
}

#[test]
fn questions_of_everybody_are_answered_rightly_or_not_at_all() {
    let dir = scratch();
    let (index, out) = (dir.path().join("index"), dir.path().join("out.csv"));
    index_of(&index, &crowd(60, 3, &mut Dice(11)));
    ask(&index, &["stats", "--json"], None);
    ask(&index, &["export", text(&out)], Some(&out));
    ask(&index, &["audit", "--json", "--threshold", "0.85"], None);
    ask(&index, &["cluster", "--json", "--threshold", "0.85"], None);
    ask(&index, &["identity", "list"], None);
    ask(&index, &["identity", "show", "person 0031"], None);
}

#[test]
fn changes_of_a_damaged_index_mend_it_or_leave_it() {
    let dir = scratch();
    let index = dir.path().join("index");
    let mut faces = crowd(60, 3, &mut Dice(12));
    faces[30..60].iter_mut().for_each(|face| face.identity = None);
    index_of(&index, &faces);
    change(&index, &["optimize"], dir.path());
    change(&index, &["purge"], dir.path());
    change(&index, &["remove", "--identity", "person 0031"], dir.path());
    change(&index, &["identity", "rename", "person 0031", "Zoë"], dir.path());
    change(&index, &["identity", "merge", "person 0031", "person 0040"], dir.path());
    change(&index, &["cluster", "--threshold", "0.85", "--write"], dir.path());
}

/// With search structures, over vectors that came from a file.
#[test]
fn imported_vectors_are_found_rightly_or_not_at_all() {
    let dir = scratch();
    let (index, file) = (dir.path().join("index"), dir.path().join("faces.npy"));
    let mut dice = Dice(13);
    let rows: Vec<Vec<f32>> = (0..11_000).map(|_| dice.vector(8, 1.0)).collect();
    crate::eval::write_npy(&file, &rows);
    run_for(0, &["import", text(&file), "--threshold", "0.55", "--index", text(&index)]);
    let probe = dir.path().join("probe.npy");
    crate::eval::write_npy(&probe, &rows[500..540]);
    // A walk and a scan; the first looks at a part of the files only.
    let walk =
        ["query", "--vector", text(&probe), "--json", "--threshold", "0.55", "--effort", "16"];
    ask(&index, &walk, None);
    ask(&index, &["query", "--vector", text(&probe), "--json", "--effort", "exact"], None);
    ask(&index, &["stats", "--json"], None);
    // Where faces were removed, a table says which are left.
    run_for(0, &["remove", &format!("{}#503", text(&file)), "--index", text(&index)]);
    assert!(published(&index).keys().any(|name| name.starts_with("rows-")));
    ask(&index, &walk, None);
    change(&index, &["optimize"], dir.path());
    change(&index, &["purge"], dir.path());
    change(&index, &["remove", &format!("{}#507", text(&file))], dir.path());
}
