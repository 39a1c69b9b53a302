//! Checks the order of the faces, with a detector that says what it is told to.

use facesearch_core::{Chip, DetectedFace, Landmarks};

use super::*;

struct Told(Vec<BoundingBox>);

impl FaceDetector for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn detect(&self, _: &Photo) -> Result<Vec<DetectedFace>, VisionError> {
        let face = |bbox: &BoundingBox| DetectedFace {
            bbox: *bbox,
            score: 1.0,
            landmarks: Landmarks([[0.0; 2]; 5]),
        };
        Ok(self.0.iter().map(face).collect())
    }
}

struct OnePixel;

impl Aligner for OnePixel {
    fn name(&self) -> &str {
        "one-pixel"
    }

    fn chip(&self, _: &Photo, face: &DetectedFace) -> Chip {
        Chip::new(1, 1, vec![face.bbox.x as u8; 3])
    }
}

fn order(boxes: &[[f32; 4]]) -> Vec<u8> {
    let boxes =
        boxes.iter().map(|[x, y, w, h]| BoundingBox { x: *x, y: *y, width: *w, height: *h });
    let finder = Finder::new(Box::new(Told(boxes.collect())), Box::new(OnePixel));
    let found = finder.find_in(&Photo::new(100, 100, vec![0; 30_000])).unwrap();
    assert_eq!((found.width, found.height), (100, 100));
    found.faces.iter().map(|face| face.chip.rgb()[0]).collect()
}

#[test]
fn the_largest_face_comes_first_and_ties_go_by_place() {
    assert_eq!(order(&[[1.0, 5.0, 9.0, 9.0], [2.0, 5.0, 20.0, 20.0]]), [2, 1]);
    assert_eq!(
        order(&[[80.0, 75.0, 9.0, 9.0], [11.0, 75.0, 9.0, 9.0], [80.0, 16.0, 9.0, 9.0]]),
        [80, 11, 80]
    );
    assert!(order(&[]).is_empty());
}

#[test]
fn a_face_in_the_corner_has_to_be_larger_than_one_in_the_middle() {
    assert_eq!(order(&[[1.0, 1.0, 24.0, 24.0], [40.0, 40.0, 20.0, 20.0]]), [40, 1]);
    assert_eq!(order(&[[40.0, 40.0, 20.0, 20.0], [1.0, 1.0, 40.0, 40.0]]), [1, 40]);
}

#[test]
fn a_face_cut_off_by_the_edge_counts_for_less() {
    // 60x60 of which half is inside, against 40x40 wholly inside.
    assert_eq!(order(&[[70.0, 0.0, 60.0, 60.0], [20.0, 20.0, 40.0, 40.0]]), [20, 70]);
    // A box wholly outside is the last.
    assert_eq!(order(&[[200.0, 0.0, 60.0, 60.0], [20.0, 20.0, 2.0, 2.0]]), [20, 200]);
}

#[test]
fn bytes_that_are_no_photo_are_the_photos_fault() {
    let finder = Finder::new(Box::new(Told(Vec::new())), Box::new(OnePixel));
    assert!(matches!(finder.find(b"no"), Err(VisionError::Decode { .. })));
}
