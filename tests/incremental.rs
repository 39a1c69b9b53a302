//! Indexing again: what has not changed costs nothing, what has is followed.

use std::fs;
use std::path::Path;

use crate::support::{json_lines, many_photos, photo, run_for, scratch, text};

/// Indexes `photos` and gives the summary.
fn index(code: i32, photos: &Path, index: &Path, more: &[&str]) -> serde_json::Value {
    let mut arguments = vec!["index", text(photos), "--index", text(index), "--json"];
    arguments.extend(more);
    json_lines(&run_for(code, &arguments)).remove(0)
}

#[test]
fn untouched_touched_renamed_and_copied_files_cost_no_embedding() {
    let dir = scratch();
    let (photos, place) = (dir.path().join("photos"), dir.path().join("index"));
    many_photos(&photos, 6);
    let first = index(0, &photos, &place, &[]);
    assert_eq!(first["embedded"], first["faces"]);
    assert!(first["faces"].as_u64().unwrap() >= 6);

    let again = index(0, &photos, &place, &[]);
    assert_eq!((&again["embedded"], &again["faces"]), (&0.into(), &first["faces"]));

    let file = photos.join("obama/0000.jpg");
    fs::File::options()
        .append(true)
        .open(&file)
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    assert_eq!(index(0, &photos, &place, &[])["embedded"], 0);

    fs::rename(&file, photos.join("obama/été 写真 😀.jpg")).unwrap();
    fs::copy(photos.join("obama/0001.jpg"), photos.join("obama/copy.jpg")).unwrap();
    let moved = index(0, &photos, &place, &[]);
    assert_eq!((&moved["embedded"], &moved["faces"]), (&0.into(), &first["faces"]));
    let stats = json_lines(&run_for(0, &["stats", "--json", "--index", text(&place)]));
    assert_eq!(stats[0]["outcomes"]["duplicates"], 1, "the renamed file is none");
}

#[test]
fn a_changed_file_is_replaced_and_a_vanished_one_goes_only_when_pruned() {
    let dir = scratch();
    let (photos, place) = (dir.path().join("photos"), dir.path().join("index"));
    many_photos(&photos, 4);
    let first = index(0, &photos, &place, &[])["faces"].as_u64().unwrap();

    fs::copy(photo("biden.jpg"), photos.join("obama/0000.jpg")).unwrap();
    let changed = index(0, &photos, &place, &[]);
    assert!(changed["embedded"].as_u64().unwrap() >= 1);

    fs::remove_file(photos.join("obama/0001.jpg")).unwrap();
    let kept = index(0, &photos, &place, &[])["faces"].as_u64().unwrap();
    assert_eq!(Some(kept), changed["faces"].as_u64());
    let pruned = index(0, &photos, &place, &["--prune"])["faces"].as_u64().unwrap();
    assert!(pruned < kept && pruned < first + 1, "{pruned} of {kept}");
}

#[test]
fn another_model_or_face_size_is_refused_with_4() {
    let dir = scratch();
    let (photos, place) = (dir.path().join("photos"), dir.path().join("index"));
    many_photos(&photos, 1);
    index(0, &photos, &place, &["--min-face", "50"]);
    index(0, &photos, &place, &[]);
    let arguments = ["index", text(&photos), "--index", text(&place), "--min-face", "60"];
    let output = run_for(4, &arguments);
    let said = crate::support::stderr(&output);
    assert!(said.contains("50") && said.contains("60"), "{said}");
}

#[test]
fn faces_below_the_wanted_quality_are_counted_and_not_kept() {
    let dir = scratch();
    let (photos, all, some) = ("photos", "all", "some");
    let [photos, all, some] = [photos, all, some].map(|name| dir.path().join(name));
    many_photos(&photos, 3);
    let first = index(0, &photos, &all, &[]);
    assert_eq!(first["below_quality"], 0);
    let stats = |index: &Path| {
        json_lines(&run_for(0, &["stats", "--json", "--index", text(index)])).remove(0)
    };
    let quality = &stats(&all)["quality"];
    assert_eq!(quality["measured"], first["faces"]);
    let (low, high) = (&quality["lowest_tenth"], &quality["highest_tenth"]);
    let (low, high) = (low.as_f64().unwrap(), high.as_f64().unwrap());
    assert!(0.0 < low && low < high && high <= 1.0, "{quality}");

    // Between the two there is a quality that some reach and some do not.
    let middle = ((low + high) / 2.0).to_string();
    let fewer = index(0, &photos, &some, &["--min-quality", &middle]);
    let (kept, below) = (&fewer["faces"], &fewer["below_quality"]);
    let (kept, below) = (kept.as_u64().unwrap(), below.as_u64().unwrap());
    assert!(kept > 0 && below > 0, "{fewer}");
    assert_eq!(kept + below, first["faces"]);
    assert!(stats(&some)["quality"]["lowest_tenth"].as_f64().unwrap() >= low);

    let asked = run_for(0, &["query", text(&photo("obama.jpg")), "--json", "--index", text(&all)]);
    let answer = json_lines(&asked).remove(0);
    let of = answer["faces"][0]["quality"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&of), "{answer}");
    run_for(2, &["index", text(&photos), "--index", text(&all), "--min-quality", "7"]);
}
