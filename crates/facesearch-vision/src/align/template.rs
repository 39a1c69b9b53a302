//! A face brought to where a recognition model wants its eyes, nose and mouth.
//!
//! - **Input:** the five points of a detector, `facesearch_core::Landmarks`.
//! - **Output:** a chip in which the points lie, as nearly as turning, scaling and shifting allow
//!   (`similarity.rs`), at the template's places. What lies outside the photo is black.
//! - **Sampling:** bilinear between the four nearest pixels, rounded, as OpenCV's `warpAffine` does
//!   and as the models were trained and measured. Nothing is smoothed before: a face much larger
//!   than the chip is sampled sparsely, there as here.
//! - **Trap:** a template belongs to a model. The 112x112 one of ArcFace and the 128x128 one of
//!   retail-0095 differ by more than their size, and a chip cut by the wrong one still looks right.

use facesearch_core::{Chip, DetectedFace, Photo};

use super::{Aligner, Similarity};

/// Where five points belong in a chip: left eye, right eye, nose, corners of the mouth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Template {
    name: &'static str,
    size: [u32; 2],
    places: [[f64; 2]; 5],
}

impl Template {
    /// 112x112, of insightface and of all models trained on its chips (ArcFace, MobileFaceNet,
    /// SFace, GhostFaceNet); J. Deng et al., *ArcFace*, CVPR 2019.
    pub const ARCFACE: Self = Self {
        name: "arcface-5-point-112",
        size: [112, 112],
        places: [
            [38.2946, 51.6963],
            [73.5318, 51.5014],
            [56.0252, 71.7366],
            [41.5493, 92.3655],
            [70.7299, 92.2041],
        ],
    };

    /// 96x112 (width, height), of W. Liu et al., *SphereFace*, CVPR 2017, and models trained on
    /// its chips.
    pub const SPHEREFACE: Self = Self {
        name: "sphereface-5-point-96x112",
        size: [96, 112],
        places: [
            [30.2946, 51.6963],
            [65.5318, 51.5014],
            [48.0252, 71.7366],
            [33.5493, 92.3655],
            [62.7299, 92.2041],
        ],
    };

    /// 128x128, of Intel's face-reidentification-retail-0095; its documentation gives the places
    /// as fractions.
    pub const RETAIL_0095: Self = Self {
        name: "retail-0095-5-point-128",
        size: [128, 128],
        places: [
            [128.0 * 0.315_568_75, 128.0 * 0.461_574_11],
            [128.0 * 0.682_622_92, 128.0 * 0.461_574_11],
            [128.0 * 0.500_262_50, 128.0 * 0.640_505_36],
            [128.0 * 0.349_471_88, 128.0 * 0.824_691_96],
            [128.0 * 0.653_436_45, 128.0 * 0.824_691_96],
        ],
    };

    /// The same for MTCNN's points: the median place of each in chips cut by the points of Intel's
    /// landmarks-regression-retail-0009, for which the model was trained, over 3,442 faces of
    /// LFW View 1 (`pairsDevTrain`). MTCNN sees noses and mouths a little lower, and eyes closer
    /// together. `docs/alignment.md` says what that gains.
    pub const RETAIL_0095_BY_MTCNN: Self = Self {
        name: "retail-0095-mtcnn-128",
        size: [128, 128],
        places: [[42.64, 59.73], [86.37, 59.40], [64.42, 85.06], [45.71, 107.32], [83.77, 107.09]],
    };

    /// Pixels across and down.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }
}

impl Aligner for Template {
    fn name(&self) -> &str {
        self.name
    }

    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
        let seen = face.landmarks.0.map(|p| p.map(f64::from));
        let to_photo = Similarity::between(&self.places, &seen);
        let [width, height] = self.size;
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for y in 0..height {
            for x in 0..width {
                rgb.extend(sample(photo, to_photo.apply([f64::from(x), f64::from(y)])));
            }
        }
        Chip::new(width, height, rgb)
    }
}

/// The colour between four pixels; a pixel outside the photo counts as black.
fn sample(photo: &Photo, [x, y]: [f64; 2]) -> [u8; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (right_part, bottom_part) = (x - left, y - top);
    let weights = [
        (0.0, 0.0, (1.0 - right_part) * (1.0 - bottom_part)),
        (1.0, 0.0, right_part * (1.0 - bottom_part)),
        (0.0, 1.0, (1.0 - right_part) * bottom_part),
        (1.0, 1.0, right_part * bottom_part),
    ];
    let (columns, rows) = (f64::from(photo.width()), f64::from(photo.height()));
    let mut colour = [0.0; 3];
    for (dx, dy, weight) in weights {
        let (x, y) = (left + dx, top + dy);
        if (0.0..columns).contains(&x) && (0.0..rows).contains(&y) {
            let at = (y as usize * photo.width() as usize + x as usize) * 3;
            (0..3).for_each(|c| colour[c] += weight * f64::from(photo.rgb()[at + c]));
        }
    }
    colour.map(|v| v.round() as u8)
}

#[cfg(test)]
mod tests {
    use facesearch_core::{BoundingBox, Landmarks};

    use super::*;

    fn face(points: [[f64; 2]; 5]) -> DetectedFace {
        let bbox = BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let landmarks = Landmarks(points.map(|p| p.map(|v| v as f32)));
        DetectedFace { bbox, score: 1.0, landmarks }
    }

    /// Red grows to the right, green downwards.
    fn ramp(width: u32, height: u32) -> Photo {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as u8, y as u8, 7]));
        Photo::new(width, height, pixels.flatten().collect())
    }

    #[test]
    fn a_face_already_in_place_is_the_photo_itself() {
        let template = Template::RETAIL_0095;
        let photo = ramp(128, 128);
        let chip = template.chip(&photo, &face(template.places));
        let off = chip.rgb().iter().zip(photo.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "{off:?}");
    }

    #[test]
    fn points_land_on_their_places_however_the_face_is_turned_and_scaled() {
        let turn = Similarity { a: 1.1, b: 0.6, shift: [70.0, 5.0] };
        for template in [Template::ARCFACE, Template::SPHEREFACE, Template::RETAIL_0095] {
            let points = template.places.map(|p| turn.apply(p));
            let chip = template.chip(&ramp(250, 250), &face(points));
            let [width, height] = template.size();
            assert_eq!([chip.width(), chip.height()], [width, height]);
            for ([x, y], place) in points.iter().zip(template.places) {
                let (u, v) = (place[0].round() as usize, place[1].round() as usize);
                let at = (v * width as usize + u) * 3;
                let [red, green] = [chip.rgb()[at], chip.rgb()[at + 1]].map(f64::from);
                assert!((red - x).abs() < 2.0 && (green - y).abs() < 2.0, "{place:?}");
            }
        }
    }

    #[test]
    fn outside_the_photo_it_is_black() {
        let shift = |p: [f64; 2]| [p[0] - 500.0, p[1]];
        let template = Template::ARCFACE;
        let chip = template.chip(&ramp(100, 100), &face(template.places.map(shift)));
        assert!(chip.rgb().iter().all(|v| *v == 0));
    }
}
