//! Queries while an indexing run goes on: each sees one complete published state.

use crate::support::{facesearch, json_lines, many_photos, photo, run, run_for, scratch, text};

#[test]
fn readers_see_a_complete_state_at_every_moment_of_a_run() {
    let dir = scratch();
    let (first, photos) = (dir.path().join("first"), dir.path().join("photos"));
    let index = dir.path().join("index");
    many_photos(&first, 3);
    many_photos(&photos, 60);
    run_for(0, &["index", text(&first), "--index", text(&index)]);

    let mut writer = facesearch()
        .args(["index", text(&photos), "--quiet", "--index", text(&index)])
        .spawn()
        .unwrap();
    let image = photo("obama3.jpg");
    let mut seen = 0;
    while writer.try_wait().unwrap().is_none() {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let image = image.clone();
                let index = index.clone();
                std::thread::spawn(move || {
                    run(&["query", "--json", "-k", "1", text(&image), "--index", text(&index)])
                })
            })
            .collect();
        for reader in readers {
            let output = reader.join().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", crate::support::stderr(&output));
            let answer = &json_lines(&output)[0];
            assert_eq!(answer["faces"][0]["identity"], "obama");
            seen += 1;
        }
    }
    assert!(writer.wait().unwrap().success());
    assert!(seen >= 3, "the run was over before anybody looked");
    let stats = &json_lines(&run_for(0, &["stats", "--json", "--index", text(&index)]))[0];
    assert_eq!(stats["faces"], 60, "three of the photos were there before");
}

#[test]
fn a_second_writer_is_refused_while_the_first_works() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    many_photos(&photos, 60);
    let mut writer = facesearch()
        .args(["index", text(&photos), "--quiet", "--index", text(&index)])
        .spawn()
        .unwrap();
    while !index.join("store").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    let output = run(&["index", text(&photos), "--index", text(&index)]);
    if writer.try_wait().unwrap().is_none() {
        assert_eq!(output.status.code(), Some(4), "{}", crate::support::stderr(&output));
    }
    assert!(writer.wait().unwrap().success());
}
