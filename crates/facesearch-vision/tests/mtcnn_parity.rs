//! Checks MTCNN against facenet-pytorch on real photos.
//!
//! The golden file is the output of `models/reference/mtcnn_reference.py` with a minimum face of 40
//! pixels, on the pixels that `examples/decode_photos.rs` writes: with another JPEG decoder's
//! pixels one box in five moves by more than 1.5 pixels. Photos and weights are found under
//! `FACESEARCH_SHARED`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]

mod faces;

use std::collections::BTreeMap;

use candle_core::Device;
use facesearch_core::FaceDetector;
use facesearch_vision::{DecodeLimits, Mtcnn, MtcnnOptions, decode};

use faces::{bbox, difference, photo, shared};

fn detector(root: &std::path::Path) -> Mtcnn {
    Mtcnn::open(root.join("models/mtcnn"), MtcnnOptions::default(), &Device::Cpu).unwrap()
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn faces_equal_facenet_pytorchs() {
    let root = shared("models/mtcnn/onet.pt");
    // Another golden file, of more photos, may be named to look at them too.
    let golden = std::env::var("FACESEARCH_MTCNN_GOLDEN").map_or_else(
        |_| include_str!("golden/mtcnn.json").to_owned(),
        |path| std::fs::read_to_string(path).unwrap(),
    );
    let golden: BTreeMap<String, Vec<Vec<f32>>> = serde_json::from_str(&golden).unwrap();
    let detector = detector(&root);
    let (mut same, mut all) = (0, 0);
    for (file, want) in golden {
        let got = detector.detect(&photo(root.join("data/photos").join(&file))).unwrap();
        all += want.len().max(got.len());
        for row in &want {
            let near =
                got.iter().max_by(|a, b| a.bbox.iou(&bbox(row)).total_cmp(&b.bbox.iou(&bbox(row))));
            let far = near.map(|near| difference(near, row));
            match far {
                Some((corner, point, score)) if corner < 0.1 && point < 0.1 && score < 1e-3 => {
                    same += 1
                }
                _ => println!("{file}: {:?} of {row:?}", far),
            }
        }
        if got.len() != want.len() {
            println!("{file}: {} faces, the reference has {}", got.len(), want.len());
        }
    }
    println!("{same} of {all} faces are the reference's");
    assert!(all > 20 && same == all);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn all_eight_orientations_show_the_same_face() {
    let root = shared("models/mtcnn/onet.pt");
    let detector = detector(&root);
    let mut first = None;
    for orientation in 1..=8 {
        let file = format!("data/hostile/exif_orientation_{orientation}.jpg");
        let faces = detector.detect(&photo(root.join(file))).unwrap();
        assert_eq!(faces.len(), 1, "orientation {orientation}");
        let first = first.get_or_insert(faces[0]);
        assert!(faces[0].bbox.iou(&first.bbox) > 0.95, "{:?} {:?}", faces[0], first);
    }
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn hostile_files_have_faces_or_none() {
    let root = shared("models/mtcnn/onet.pt");
    let detector = detector(&root);
    for entry in std::fs::read_dir(root.join("data/hostile")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let Ok(photo) = decode(&bytes, &DecodeLimits::default()) else { continue };
        let faces = detector.detect(&photo).unwrap();
        let thin = photo.width().min(photo.height()) < 3;
        assert!(!thin || faces.is_empty(), "{}: {faces:?}", path.display());
    }
}
