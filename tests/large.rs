//! Photos that are larger than all that may wait in memory at once.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use image::RgbImage;

use crate::support::{ended_within, facesearch, json_lines, photo, run_for, scratch, stderr, text};

/// How many bytes of photos may wait.
const WAITING: u64 = 32 << 20;

/// One of the demo's photos on a sheet so large that its file is larger than [`WAITING`].
fn large_photo(name: &str, to: &Path) {
    let face = image::open(photo(name)).unwrap().to_rgb8();
    let mut sheet = RgbImage::from_pixel(4000, 2900, image::Rgb([128; 3]));
    image::imageops::overlay(&mut sheet, &face, 1000, 700);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    sheet.save(to).unwrap();
    assert!(fs::metadata(to).unwrap().len() > WAITING);
}

#[test]
fn photos_of_more_than_32_mib_are_indexed_and_found() {
    let dir = scratch();
    let (photos, index) = (dir.path().join("photos"), dir.path().join("index"));
    large_photo("obama.jpg", &photos.join("obama/scan.bmp"));
    large_photo("biden.jpg", &photos.join("biden/scan.tiff"));
    for (name, length) in [("a.jpg", WAITING), ("b.jpg", WAITING + 1), ("c.tif", 5 * WAITING)] {
        File::create(photos.join(name)).unwrap().set_len(length).unwrap();
    }
    for threads in ["1", "2"] {
        let index = index.join(threads);
        let child = facesearch()
            .args(["index", text(&photos), "--index", text(&index), "--json"])
            .args(["--threads", threads])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let output = ended_within(Duration::from_secs(300), child.unwrap());
        assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
        let summary = &json_lines(&output)[0];
        assert_eq!((&summary["with_faces"], &summary["failed"]), (&2.into(), &3.into()));
        for (name, person) in [("obama2.jpg", "obama"), ("biden2.jpg", "biden")] {
            let image = photo(name);
            let answer = run_for(0, &["query", text(&image), "--json", "--index", text(&index)]);
            assert_eq!(json_lines(&answer)[0]["faces"][0]["identity"], person);
        }
    }
}
