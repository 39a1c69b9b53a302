//! Links out of the photos' folders are followed only where that is asked for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{json_lines, photo, run_for, scratch, stderr, stdout, text};

/// A folder of one photo, with links to its own and to the photos of another folder.
fn folders(dir: &Path) {
    for (name, to) in [("obama.jpg", "in/obama/1.jpg"), ("biden.jpg", "out/biden/2.jpg")] {
        let to = dir.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(photo(name), to).unwrap();
    }
    symlink("obama", dir.join("in/same-folder")).unwrap();
    symlink("1.jpg", dir.join("in/obama/same-photo.jpg")).unwrap();
    symlink("..", dir.join("in/obama/loop")).unwrap();
    symlink(dir.join("out/biden"), dir.join("in/biden")).unwrap();
    symlink(dir.join("out/biden/2.jpg"), dir.join("in/obama/not-obama.jpg")).unwrap();
    symlink(dir.join("in"), dir.join("in-by-link")).unwrap();
}

#[test]
fn index_follows_links_out_of_its_folders_only_where_asked() {
    let dir = scratch();
    folders(dir.path());
    let summary = |index: &str, root: &str, more: &[&str]| {
        let (index, root) = (dir.path().join(index), dir.path().join(root));
        let words = ["index", text(&root), "--json", "--index", text(&index)];
        json_lines(&run_for(0, &[&words, more].concat()))[0].clone()
    };
    for root in ["in", "in-by-link"] {
        let closed = summary(&format!("index of {root}"), root, &[]);
        let seen = [&closed["files"], &closed["with_faces"], &closed["duplicates"]];
        assert_eq!(seen, [2, 1, 1], "{closed}");
        assert_eq!(closed["links_not_followed"], 2);
        let open = summary(&format!("open index of {root}"), root, &["--follow-links"]);
        let seen = [&open["files"], &open["with_faces"], &open["duplicates"]];
        assert_eq!(seen, [4, 2, 2], "{open}");
        assert_eq!(open["links_not_followed"], 0);
    }
    // A person is told, too.
    let (root, index) = (dir.path().join("in"), dir.path().join("index of in"));
    let output = run_for(0, &["index", text(&root), "--index", text(&index)]);
    let said = stdout(&output);
    assert!(
        said.contains("2 links out of these paths were not followed; --follow-links"),
        "{said}"
    );
    // What was indexed through a link stays, as its photo is still there.
    let again = summary("open index of in", "in", &["--prune"]);
    assert_eq!((&again["faces"], &again["removed_faces"]), (&2.into(), &0.into()));
    // Where there are only links, that is what is said.
    fs::create_dir(dir.path().join("links")).unwrap();
    symlink(&root, dir.path().join("links/in")).unwrap();
    let (links, index) = (dir.path().join("links"), dir.path().join("no index"));
    let output = run_for(3, &["index", text(&links), "--index", text(&index)]);
    assert!(stderr(&output).contains("only links out of them"), "{}", stderr(&output));
}

#[test]
fn batch_follows_links_out_of_its_folder_only_where_asked() {
    let dir = scratch();
    folders(dir.path());
    let (root, index) = (dir.path().join("in"), dir.path().join("index"));
    run_for(0, &["index", text(&root), "--index", text(&index)]);
    let batch = ["batch", text(&root), "--index", text(&index)];
    let output = run_for(0, &batch);
    let images = |output| -> Vec<String> {
        let answers = json_lines(output);
        answers.iter().map(|line| line["image"].as_str().unwrap().to_owned()).collect()
    };
    let below = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| text(&root.join(name)).to_owned()).collect()
    };
    assert_eq!(images(&output), below(&["obama/1.jpg", "obama/same-photo.jpg"]));
    assert!(stderr(&output).contains("2 links out of "), "{}", stderr(&output));
    let output = run_for(0, &[&batch[..], &["--follow-links"]].concat());
    let all = ["biden/2.jpg", "obama/1.jpg", "obama/not-obama.jpg", "obama/same-photo.jpg"];
    assert_eq!(images(&output), below(&all));
    assert!(!stderr(&output).contains("links out of"));
}
