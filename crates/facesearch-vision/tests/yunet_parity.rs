//! Checks YuNet against OpenCV's `FaceDetectorYN` on real photos.
//!
//! The golden file is the output of `models/reference/yunet_reference.py` on the pixels that
//! `examples/decode_photos.rs` writes. All photos are small enough to be looked at in one size,
//! their own, as OpenCV does. Photos and weights are found under `FACESEARCH_SHARED`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]

mod faces;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use facesearch_core::FaceDetector;
use facesearch_vision::{Mtcnn, MtcnnOptions, YuNet, YuNetOptions};

use faces::{bbox, difference, photo, shared};

fn detector(root: &Path, min_face: u32) -> YuNet {
    let bytes = std::fs::read(root.join("models/yunet/yunet_n_320_320.onnx")).unwrap();
    let options = YuNetOptions { min_face, ..YuNetOptions::default() };
    YuNet::from_bytes(&bytes, options, &Device::Cpu).unwrap()
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn faces_equal_opencvs() {
    let root = shared("models/yunet/yunet_n_320_320.onnx");
    let golden: BTreeMap<String, Vec<Vec<f32>>> =
        serde_json::from_str(include_str!("golden/yunet.json")).unwrap();
    let detector = detector(&root, 12);
    let (mut same, mut all) = (0, 0);
    for (file, want) in golden {
        let got = detector.detect(&photo(root.join("data").join(&file))).unwrap();
        // Smaller ones are asked for by nobody.
        let want: Vec<_> =
            want.into_iter().filter(|row| bbox(row).width.max(bbox(row).height) >= 12.0).collect();
        all += want.len().max(got.len());
        for row in &want {
            let near =
                got.iter().max_by(|a, b| a.bbox.iou(&bbox(row)).total_cmp(&b.bbox.iou(&bbox(row))));
            let far = near.map(|near| difference(near, row));
            match far {
                Some((corner, point, score)) if corner < 0.1 && point < 0.1 && score < 1e-3 => {
                    same += 1
                }
                _ => println!("{file}: {far:?} of {row:?}"),
            }
        }
        if got.len() != want.len() {
            println!("{file}: {} faces, OpenCV has {}", got.len(), want.len());
        }
    }
    println!("{same} of {all} faces are OpenCV's");
    assert!(all > 50 && same == all);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn large_photos_show_the_faces_that_mtcnn_is_sure_of() {
    let root = shared("models/yunet/yunet_n_320_320.onnx");
    let yunet = detector(&root, 40);
    let mtcnn =
        Mtcnn::open(root.join("models/mtcnn"), MtcnnOptions::default(), &Device::Cpu).unwrap();
    let golden: BTreeMap<String, Vec<Vec<f32>>> =
        serde_json::from_str(include_str!("golden/mtcnn.json")).unwrap();
    let (mut found, mut sure) = (0, 0);
    for file in golden.keys() {
        let photo = photo(root.join("data/photos").join(file));
        let faces = yunet.detect(&photo).unwrap();
        for face in mtcnn.detect(&photo).unwrap() {
            // Nearer to the smallest size the two disagree on what that is.
            if face.score < 0.99 || face.bbox.width < 50.0 {
                continue;
            }
            sure += 1;
            let best = faces.iter().map(|f| f.bbox.iou(&face.bbox)).fold(0.0, f32::max);
            found += usize::from(best > 0.4);
            if best <= 0.4 {
                println!("{file}: {:?} {} not seen", face.bbox, face.score);
            }
        }
    }
    println!("{found} of {sure} faces that MTCNN is sure of");
    assert!(sure > 20 && found * 20 >= sure * 19);
}
