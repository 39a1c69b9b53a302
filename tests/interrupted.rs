//! Killed at any moment, run again: the index is that of an undisturbed run.

use std::time::Duration;

use crate::support::{facesearch, many_photos, published, run_for, scratch, text};

#[test]
fn twenty_kills_later_the_index_is_that_of_an_undisturbed_run() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    many_photos(&photos, 60);
    let (calm, rough) = (dir.path().join("calm"), dir.path().join("rough"));
    run_for(0, &["index", text(&photos), "--index", text(&calm), "--threads", "2"]);

    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..20 {
        let mut child = facesearch()
            .args(["index", text(&photos), "--quiet", "--index", text(&rough)])
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % 700));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run_for(0, &["index", text(&photos), "--index", text(&rough), "--threads", "1"]);
    let (calm, rough) = (published(&calm), published(&rough));
    assert_eq!(calm.keys().collect::<Vec<_>>(), rough.keys().collect::<Vec<_>>());
    for (name, bytes) in calm {
        assert!(rough[&name] == bytes, "{name} differs");
    }
}
