//! `facesearch verify`, for two photos and for many pairs.

use std::fs;

use crate::support::{json_lines, photo, run_for, scratch, stderr, stdout, text};

#[test]
fn two_photos_of_one_person_are_verified_and_of_two_are_not() {
    let (a, b, c) = (photo("obama.jpg"), photo("obama2.jpg"), photo("biden.jpg"));
    let same = &json_lines(&run_for(0, &["verify", text(&a), text(&b), "--json"]))[0];
    assert_eq!(same["verified"], true);
    assert!(same["distance"].as_f64().unwrap() <= same["threshold"].as_f64().unwrap());
    let other = &json_lines(&run_for(1, &["verify", text(&a), text(&c), "--json"]))[0];
    assert_eq!(other["verified"], false);
    assert!(stdout(&run_for(0, &["verify", text(&a), text(&b)])).starts_with("the same person"));
}

#[test]
fn a_photo_without_a_face_is_an_error_that_names_it() {
    let dir = scratch();
    let blank = dir.path().join("blank.png");
    image::RgbImage::new(300, 200).save(&blank).unwrap();
    let output = run_for(3, &["verify", text(&photo("obama.jpg")), text(&blank)]);
    assert!(stderr(&output).contains("blank.png"), "{}", stderr(&output));
}

#[test]
fn pairs_are_judged_line_by_line_and_summed_up() {
    let dir = scratch();
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg", "biden2.jpg"] {
        fs::copy(photo(name), dir.path().join(name)).unwrap();
    }
    image::RgbImage::new(300, 200).save(dir.path().join("blank.png")).unwrap();
    let pairs = dir.path().join("pairs.csv");
    let rows = "a,b,same\nobama.jpg,obama2.jpg,1\nbiden.jpg,biden2.jpg,true\n\
                obama.jpg,biden.jpg,0\nobama.jpg,blank.png,0\n";
    fs::write(&pairs, rows).unwrap();
    let arguments = ["verify", "--pairs", text(&pairs), "--root", text(dir.path())];
    let lines = json_lines(&run_for(0, &arguments));
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["a"], "obama.jpg");
    assert_eq!(lines[0]["verified"], true);
    assert_eq!(lines[2]["verified"], false);
    assert!(lines[3]["failed"].as_str().unwrap().contains("blank.png"));
    assert!(lines[3]["distance"].is_null());
    let summary = &lines[4];
    assert_eq!((&summary["pairs"], &summary["failed"]), (&4.into(), &1.into()));
    assert_eq!(summary["accuracy"], 1.0);
    assert!(summary["best_threshold"].is_number());
}

#[test]
fn a_pairs_file_without_its_columns_is_refused() {
    let dir = scratch();
    let pairs = dir.path().join("pairs.csv");
    fs::write(&pairs, "left,right\nx,y\n").unwrap();
    let output = run_for(3, &["verify", "--pairs", text(&pairs)]);
    assert!(stderr(&output).contains("a,b"), "{}", stderr(&output));
}
