use facesearch_core::{BoundingBox, Landmarks};

use super::*;

/// A photo whose luminance at each pixel is `at(x, y)`.
fn photo(side: u32, at: impl Fn(u32, u32) -> f32) -> Photo {
    let pixels = (0..side * side).map(|i| at(i % side, i / side).clamp(0.0, 255.0) as u8);
    Photo::new(side, side, pixels.flat_map(|value| [value; 3]).collect())
}

/// Waves of `period` pixels across and down.
fn waves(side: u32, period: f32) -> Photo {
    let wave = |v: u32| (v as f32 * std::f32::consts::TAU / period).sin();
    photo(side, |x, y| 128.0 + 50.0 * wave(x) + 50.0 * wave(y))
}

fn face(left: f32, size: f32) -> DetectedFace {
    let at = |x: f32, y: f32| [left + x * size, 20.0 + y * size];
    let eyes = 0.4;
    let mouth = 0.35 + FRONTAL * eyes;
    let points = [at(0.3, 0.35), at(0.7, 0.35), at(0.5, 0.6), at(0.35, mouth), at(0.65, mouth)];
    let bbox = BoundingBox { x: left, y: 20.0, width: size, height: size };
    DetectedFace { bbox, score: 1.0, landmarks: Landmarks(points) }
}

#[test]
fn the_mean_of_a_cell_is_that_of_its_pixels() {
    // 128 pixels: each cell is two by two. The slow way looks at every pixel.
    let photo = photo(128, |x, y| ((x * 7 + y * 13) % 256) as f32);
    let (got, clipped) = grid(&photo, [0, 128], [0, 128]);
    for (cell, got) in got.iter().enumerate() {
        let (x, y) = (cell % SIDE * 2, cell / SIDE * 2);
        let pixel = |x: usize, y: usize| f32::from(photo.rgb()[(y * 128 + x) * 3]);
        let want = (pixel(x, y) + pixel(x + 1, y) + pixel(x, y + 1) + pixel(x + 1, y + 1)) / 4.0;
        assert!((got - want).abs() < 0.01, "{cell}: {got} {want}");
    }
    let lost = photo.rgb().iter().filter(|value| **value < 8 || **value > 247).count();
    assert!((clipped - lost as f32 / photo.rgb().len() as f32).abs() < 1e-5, "{clipped}");
    // A ramp that is stretched stays a ramp.
    let photo = photo_of_ramp();
    let (got, _) = grid(&photo, [0, 32], [0, 32]);
    for (x, got) in got.iter().enumerate().take(SIDE - 1).skip(1) {
        let want = 8.0 * ((x as f32 + 0.5) / 2.0 - 0.5);
        assert!((got - want).abs() < 0.01, "{x}: {got} {want}");
    }
}

fn photo_of_ramp() -> Photo {
    photo(32, |x, _| 8.0 * x as f32)
}

#[test]
fn each_part_falls_with_what_it_measures() {
    let sharp = waves(400, 12.0);
    let good = QualityParts::of(&sharp, &face(100.0, 200.0));
    assert_eq!((good.size, good.inside, good.exposure, good.score), (1.0, 1.0, 1.0, 1.0));
    assert!(good.pose > 0.999, "{good:?}");
    assert!(good.sharpness > 0.99, "{good:?}");
    let blurred = QualityParts::of(&waves(400, 120.0), &face(100.0, 200.0));
    assert!(blurred.sharpness < 0.3, "{blurred:?}");
    let small = QualityParts::of(&sharp, &face(100.0, 40.0));
    assert!(small.size < 0.4, "{small:?}");
    let outside = QualityParts::of(&sharp, &face(-60.0, 200.0));
    assert!(outside.inside < 0.6, "{outside:?}");
    let white = photo(400, |x, y| if (x / 7 + y / 7) % 2 == 0 { 255.0 } else { 120.0 });
    assert_eq!(QualityParts::of(&white, &face(100.0, 200.0)).exposure, FLOOR);
    let unsure = DetectedFace { score: 0.85, ..face(100.0, 200.0) };
    assert!((QualityParts::of(&sharp, &unsure).score - 0.55).abs() < 1e-5);
    // A head turned by 60 degrees brings the eyes together; one that looks down, eyes and mouth.
    let mut turned = face(100.0, 200.0);
    for i in [0, 1] {
        turned.landmarks.0[i][0] = 200.0 + (turned.landmarks.0[i][0] - 200.0) / 2.0;
    }
    assert!(QualityParts::of(&sharp, &turned).pose < 0.2);
    let mut down = face(100.0, 200.0);
    for i in [3, 4] {
        down.landmarks.0[i][1] -= 25.0;
    }
    assert!(QualityParts::of(&sharp, &down).pose < 0.6);
}

#[test]
fn turning_the_photo_changes_no_pose() {
    let upright = face(100.0, 200.0);
    for degrees in [10.0f32, 45.0, 90.0] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let turn = |[x, y]: [f32; 2]| [x * cos - y * sin, x * sin + y * cos];
        let landmarks = Landmarks(upright.landmarks.0.map(turn));
        let turned = DetectedFace { landmarks, ..upright };
        assert!((foreshortening(&turned) - foreshortening(&upright)).abs() < 1e-4);
    }
}

#[test]
fn what_is_nowhere_or_no_number_is_bad_and_no_panic() {
    let photo = photo(10, |_, _| 0.0);
    let nowhere = BoundingBox { x: 50.0, y: -80.0, width: 4.0, height: 4.0 };
    let nan = Landmarks([[f32::NAN; 2]; 5]);
    for bbox in [
        nowhere,
        BoundingBox { width: f32::NAN, ..nowhere },
        BoundingBox { x: 9.5, y: 9.5, ..nowhere },
    ] {
        let quality = quality(&photo, &DetectedFace { bbox, score: f32::NAN, landmarks: nan }).0;
        assert!(quality > 0.0 && quality < 0.01, "{quality}");
    }
    let one = Landmarks([[3.0; 2]; 5]);
    let bbox = BoundingBox { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
    assert!(quality(&photo, &DetectedFace { bbox, score: 1.0, landmarks: one }).0 < 0.01);
}
