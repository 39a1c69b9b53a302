//! One distance: whichever command shows it, two photos are as far apart to the last digit.

use std::fs;

use crate::support::{json_lines, photo, run_for, scratch, text};

#[test]
fn every_command_shows_the_same_distance_of_two_photos() {
    let pairs = [
        ["obama.jpg", "obama2.jpg"],
        ["obama.jpg", "obama3.jpg"],
        ["obama2.jpg", "obama3.jpg"],
        ["biden.jpg", "biden2.jpg"],
        ["obama.jpg", "biden.jpg"],
        ["obama2.jpg", "biden2.jpg"],
    ];
    for names in pairs {
        let dir = scratch();
        let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
        let folder = photos.join("Somebody");
        fs::create_dir_all(&folder).unwrap();
        let [a, b] = names.map(|name| {
            fs::copy(photo(name), folder.join(name)).unwrap();
            folder.join(name)
        });
        run_for(0, &["index", text(&photos), "--index", text(&index), "-q"]);

        let number = |value: &serde_json::Value| value.as_f64().expect("a distance");
        // So wide a threshold that any two faces are near, and copies of each other to `audit`.
        let wide = ["--json", "--threshold", "9"];
        let verify = run_for(0, &[&["verify", text(&a), text(&b)], &wide[..]].concat());
        let verified = number(&json_lines(&verify)[0]["distance"]);
        assert!(verified > 0.1, "{names:?} are two photos");

        let at = ["--index", text(&index)];
        let only_a = ["--path-prefix", text(&a)];
        let by_distance = ["--decision", "distance"];
        let query = [&["query", text(&b)], &at[..], &only_a, &wide, &by_distance].concat();
        let queried = number(&json_lines(&run_for(0, &query))[0]["faces"][0]["distance"]);

        let audit = json_lines(&run_for(0, &[&["audit"], &at[..], &wide].concat()));
        let copies = audit.iter().find(|finding| finding["kind"] == "copy");
        let audited = number(&copies.expect("two faces this near are copies")["distance"]);

        let show = [&["identity", "show", "Somebody", "--json"], &at[..]].concat();
        let shown: Vec<f64> = json_lines(&run_for(0, &show))
            .iter()
            .map(|face| number(&face["nearest_own"]))
            .collect();

        assert_eq!(queried, verified, "query, {names:?}");
        assert_eq!(audited, verified, "audit, {names:?}");
        assert_eq!(shown, [verified; 2], "identity show, {names:?}");
    }
}
