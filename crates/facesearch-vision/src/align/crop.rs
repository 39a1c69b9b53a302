//! The detector's box as it is, brought to the size a network wants: no turning.
//!
//! DeepFace, VGG-Face and FaceNet were trained on boxes, not on aligned chips, and deepface's
//! thresholds were measured on boxes.
//!
//! - **Source:** deepface, `modules/preprocessing.py` (`resize_image`); OpenCV's bilinear resize,
//!   in which the centres of pixels correspond and nothing is smoothed before.
//! - **Output:** a chip; what lies outside the photo is not there: the box is cut to the photo
//!   first.
//! - **Trap:** deepface keeps the box's proportions and fills up with black; FaceNet's own code
//!   stretches the box.

use facesearch_core::{Chip, DetectedFace, Photo};

use super::Aligner;

/// Cuts out a face's box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxAligner {
    name: String,
    size: [u32; 2],
    padded: bool,
}

impl BoxAligner {
    /// Chips of `width x height` in which the box keeps its proportions, with black bars on two
    /// sides (deepface).
    pub fn padded(width: u32, height: u32) -> Self {
        Self { name: format!("box-padded-{width}x{height}"), size: [width, height], padded: true }
    }

    /// Chips of `width x height` to which the box is stretched (facenet-pytorch).
    pub fn stretched(width: u32, height: u32) -> Self {
        Self {
            name: format!("box-stretched-{width}x{height}"),
            size: [width, height],
            padded: false,
        }
    }
}

impl Aligner for BoxAligner {
    fn name(&self) -> &str {
        &self.name
    }

    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
        let [width, height] = self.size;
        let mut rgb = vec![0; width as usize * height as usize * 3];
        let Some(part) = Part::of(photo, face) else { return Chip::new(width, height, rgb) };
        let (inner, offset) = match self.padded {
            false => (self.size, [0, 0]),
            true => {
                let factor = (f64::from(height) / f64::from(part.size[1]))
                    .min(f64::from(width) / f64::from(part.size[0]));
                let scaled = part.size.map(|side| (f64::from(side) * factor) as u32);
                let inner = [scaled[0].clamp(1, width), scaled[1].clamp(1, height)];
                (inner, [(width - inner[0]) / 2, (height - inner[1]) / 2])
            }
        };
        for y in 0..inner[1] {
            for x in 0..inner[0] {
                let at = ((y + offset[1]) as usize * width as usize + (x + offset[0]) as usize) * 3;
                rgb[at..at + 3].copy_from_slice(&part.sample(photo, inner, [x, y]));
            }
        }
        Chip::new(width, height, rgb)
    }
}

/// Whole pixels of a photo, at least one.
struct Part {
    corner: [u32; 2],
    size: [u32; 2],
}

impl Part {
    fn of(photo: &Photo, face: &DetectedFace) -> Option<Self> {
        let within = |v: f32, side: u32| v.clamp(0.0, side as f32) as u32;
        let (b, w, h) = (&face.bbox, photo.width(), photo.height());
        let (left, top) = (within(b.x, w), within(b.y, h));
        let (right, bottom) = (within(b.x + b.width, w), within(b.y + b.height, h));
        (right > left && bottom > top)
            .then(|| Self { corner: [left, top], size: [right - left, bottom - top] })
    }

    /// The colour of pixel `place` when the part is brought to `size`.
    fn sample(&self, photo: &Photo, size: [u32; 2], place: [u32; 2]) -> [u8; 3] {
        let axis = |i: usize| {
            let scale = f64::from(self.size[i]) / f64::from(size[i]);
            let last = f64::from(self.size[i] - 1);
            let at = ((f64::from(place[i]) + 0.5) * scale - 0.5).clamp(0.0, last);
            let near = at.floor();
            let next = (near + 1.0).min(last);
            (self.corner[i] + near as u32, self.corner[i] + next as u32, at - near)
        };
        let (left, right, across) = axis(0);
        let (top, bottom, down) = axis(1);
        let pixel = |x: u32, y: u32, c: usize| {
            let at = (y as usize * photo.width() as usize + x as usize) * 3 + c;
            f64::from(photo.rgb()[at])
        };
        std::array::from_fn(|c| {
            let mix = |y| pixel(left, y, c) * (1.0 - across) + pixel(right, y, c) * across;
            (mix(top) * (1.0 - down) + mix(bottom) * down).round() as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use facesearch_core::{BoundingBox, Landmarks};

    use super::*;

    fn face(x: f32, y: f32, width: f32, height: f32) -> DetectedFace {
        let bbox = BoundingBox { x, y, width, height };
        DetectedFace { bbox, score: 1.0, landmarks: Landmarks([[0.0; 2]; 5]) }
    }

    /// Five pixels across, two down: red is 10 times the column, green 100 times the row.
    fn photo() -> Photo {
        let pixels = (0..2u8).flat_map(|y| (0..5u8).map(move |x| [10 * x, 100 * y, 9]));
        Photo::new(5, 2, pixels.flatten().collect())
    }

    fn reds(chip: &Chip) -> Vec<u8> {
        chip.rgb().iter().step_by(3).copied().collect()
    }

    #[test]
    fn a_resize_equals_opencvs() {
        // cv2.resize(row [10, 20, 30, 40], (6, 1)) and (3, 1), INTER_LINEAR
        let photo = photo();
        let wider = BoxAligner::stretched(6, 1).chip(&photo, &face(1.0, 0.0, 4.0, 1.0));
        assert_eq!(reds(&wider), OPENCV_SIX);
        let narrower = BoxAligner::stretched(3, 1).chip(&photo, &face(1.0, 0.0, 4.0, 1.0));
        assert_eq!(reds(&narrower), OPENCV_THREE);
    }

    const OPENCV_SIX: [u8; 6] = [10, 15, 22, 28, 35, 40];
    const OPENCV_THREE: [u8; 3] = [12, 25, 38];

    #[test]
    fn proportions_are_kept_between_black_bars() {
        let chip = BoxAligner::padded(4, 4).chip(&photo(), &face(0.0, 0.0, 4.0, 2.0));
        let blues: Vec<u8> = chip.rgb()[2..].iter().step_by(3).copied().collect();
        assert_eq!(blues, [0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0]);
        assert_eq!(reds(&chip)[4..8], [0, 10, 20, 30]);
    }

    #[test]
    fn a_box_is_cut_to_the_photo_and_one_outside_is_black() {
        let chip = BoxAligner::stretched(2, 1).chip(&photo(), &face(3.0, -4.0, 9.0, 5.0));
        assert_eq!(reds(&chip), [30, 40]);
        let outside = BoxAligner::padded(3, 3).chip(&photo(), &face(9.0, 9.0, 4.0, 4.0));
        assert!(outside.rgb().iter().all(|v| *v == 0));
    }
}
