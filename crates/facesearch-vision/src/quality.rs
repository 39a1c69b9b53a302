//! How usable a face is, in one number.
//!
//! Six parts, each brought to between 0.1 and 1 by a straight ramp, are multiplied, so that one
//! thing badly wrong is enough:
//!
//! | part | what is measured | worst at | best from |
//! |---|---|---|---|
//! | size | root of the box's area, pixels | 20 | 110 |
//! | sharpness | logarithm of the share of fine detail in the contrast | -6.0 | -3.65 |
//! | pose | how far the mouth's distance from the eyes, over that of the eyes, is from 1.05 (logarithm): turned or tilted heads shorten one or the other | 0.40 | 0.05 |
//! | inside | part of the box that is inside the photo | 0.5 | 1 |
//! | exposure | share of the face that is black or white | 0.25 | 0 |
//! | score | the detector's | 0.7 | 1 |
//!
//! The ends of the ramps are round numbers near quantiles of LFW View 1; they were chosen by how
//! much rejecting the worst faces lowers the errors there (`docs/benchmarks/accuracy.md`). Detail
//! is looked at in a grid of 64 cells a side over the face, whatever its size, so that sharpness is
//! not size.
//!
//! - **Trap:** it says how well a face can be recognised, not whether it is one; the detector says
//!   that. Roll does not count: it is undone by alignment. It is the same for every recogniser.

use facesearch_core::{DetectedFace, Photo, Quality};

/// Cells of the grid, across and down.
const SIDE: usize = 64;
/// In each cell at most so many pixels across and down are looked at.
const SAMPLES: usize = 4;
/// Luminances that count as black or white.
const BLACK: f32 = 8.0;
const WHITE: f32 = 247.0;
/// What the contrast of a face without any is taken to be, in squared steps of luminance.
const NOISE: f32 = 25.0;
/// Upright and straight ahead, the mouth is this many eye distances below the eyes (the median of
/// MTCNN's points on LFW View 1).
const FRONTAL: f32 = 1.05;

/// What [`quality`] multiplies, each from 0.1 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct QualityParts {
    /// Whether there are enough pixels.
    pub(crate) size: f32,
    /// Whether there is fine detail in them.
    pub(crate) sharpness: f32,
    /// Whether the face looks this way.
    pub(crate) pose: f32,
    /// Whether all of it is in the photo.
    pub(crate) inside: f32,
    /// Whether it is neither black nor white.
    pub(crate) exposure: f32,
    /// Whether the detector is sure.
    pub(crate) score: f32,
}

impl QualityParts {
    /// The parts of a detected face; a box that is nowhere in the photo has the worst of each.
    pub(crate) fn of(photo: &Photo, face: &DetectedFace) -> Self {
        let bbox = &face.bbox;
        let size = ramp(bbox.area().sqrt(), 20.0, 110.0);
        let pose = ramp(-foreshortening(face), -0.4, -0.05);
        let score = ramp(face.score, 0.7, 1.0);
        let clamp = |at: f32, side: u32| at.clamp(0.0, side as f32) as usize;
        let (left, top) = (clamp(bbox.x, photo.width()), clamp(bbox.y, photo.height()));
        let right = clamp(bbox.x + bbox.width, photo.width());
        let bottom = clamp(bbox.y + bbox.height, photo.height());
        if right <= left || bottom <= top {
            let (sharpness, inside, exposure) = (FLOOR, FLOOR, FLOOR);
            return Self { size, sharpness, pose, inside, exposure, score };
        }
        let seen = ((right - left) * (bottom - top)) as f32 / bbox.area().max(1.0);
        let (grid, clipped) = grid(photo, [left, right], [top, bottom]);
        let mean = grid.iter().sum::<f32>() / grid.len() as f32;
        let square = |value: &f32| (value - mean) * (value - mean);
        let contrast = grid.iter().map(square).sum::<f32>() / grid.len() as f32;
        let detail = (fine_detail(&grid) / (contrast + NOISE)).max(f32::MIN_POSITIVE).ln();
        Self {
            size,
            sharpness: ramp(detail, -6.0, -3.65),
            pose,
            inside: ramp(seen, 0.5, 1.0),
            exposure: ramp(-clipped, -0.25, 0.0),
            score,
        }
    }

    /// Their product.
    pub(crate) fn product(&self) -> f32 {
        self.size * self.sharpness * self.pose * self.inside * self.exposure * self.score
    }
}

/// How usable a detected face is for recognition: the product of [`QualityParts`], in `(0, 1]`.
pub(crate) fn quality(photo: &Photo, face: &DetectedFace) -> Quality {
    Quality(QualityParts::of(photo, face).product())
}

/// The worst a part can be: not 0, so that what is bad in two ways is worse than in one.
const FLOOR: f32 = 0.1;

fn ramp(value: f32, worst: f32, best: f32) -> f32 {
    let part = ((value - worst) / (best - worst)).clamp(0.0, 1.0);
    // A point that is no number is no reason to trust the face.
    if part.is_nan() { FLOOR } else { FLOOR + (1.0 - FLOOR) * part }
}

/// How far the face is from looking this way: 0 is straight ahead.
fn foreshortening(face: &DetectedFace) -> f32 {
    let [left, right, _, mouth_left, mouth_right] = face.landmarks.0;
    let between = |a: [f32; 2], b: [f32; 2]| [b[0] - a[0], b[1] - a[1]];
    let eyes = between(left, right);
    let distance = eyes[0].hypot(eyes[1]);
    let twice = |a: [f32; 2], b: [f32; 2]| [a[0] + b[0], a[1] + b[1]];
    let down = between(twice(left, right), twice(mouth_left, mouth_right)).map(|v| v / 2.0);
    // Across the line of the eyes, so that turning the photo changes nothing.
    let across = (eyes[0] * down[1] - eyes[1] * down[0]) / distance;
    (across / distance / FRONTAL).max(0.05).ln().abs()
}

/// Mean luminance in each cell of a grid over a part of the photo, row by row, and the share of its
/// pixels that are black or white: of the pixels, since the mean of a cell at the edge of a burnt
/// patch is neither.
fn grid(photo: &Photo, across: [usize; 2], down: [usize; 2]) -> (Vec<f32>, f32) {
    let (columns, rows) = (cells(across), cells(down));
    let width = photo.width() as usize;
    let mut grid = Vec::with_capacity(SIDE * SIDE);
    let mut clipped = 0.0;
    for row in &rows {
        for column in &columns {
            let (mut sum, mut weight, mut lost) = (0.0, 0.0, 0.0);
            for (y, of_row) in row.iter() {
                for (x, of_column) in column.iter() {
                    let at = (y * width + x) * 3;
                    let pixel = &photo.rgb()[at..at + 3];
                    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
                    let part = of_row * of_column;
                    let luminance = 0.299 * red + 0.587 * green + 0.114 * blue;
                    sum += part * luminance;
                    weight += part;
                    if !(BLACK..=WHITE).contains(&luminance) {
                        lost += part;
                    }
                }
            }
            grid.push(sum / weight);
            clipped += lost / weight;
        }
    }
    let clipped = clipped / grid.len() as f32;
    (grid, clipped)
}

/// The pixels that make a cell along one side, with their weights.
#[derive(Clone, Copy)]
struct Cell {
    pixels: [(usize, f32); SAMPLES],
    count: usize,
}

impl Cell {
    fn iter(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.pixels[..self.count].iter().copied()
    }
}

/// The cells of `from..to`: means of what they cover where that is a pixel or more, else the two
/// nearest pixels by distance, so that few pixels do not make steps.
fn cells([from, to]: [usize; 2]) -> [Cell; SIDE] {
    let step = (to - from) as f32 / SIDE as f32;
    std::array::from_fn(|cell| {
        let start = cell as f32 * step;
        let mut pixels = [(from, 0.0); SAMPLES];
        let at = |offset: f32| from + (offset as usize).min(to - from - 1);
        if step >= 1.0 {
            let count = (step.ceil() as usize).min(SAMPLES);
            for (i, pixel) in pixels[..count].iter_mut().enumerate() {
                *pixel = (at(start + (i as f32 + 0.5) * step / count as f32), 1.0);
            }
            return Cell { pixels, count };
        }
        let middle = (start + step / 2.0 - 0.5).max(0.0);
        let part = middle.fract();
        (pixels[0], pixels[1]) = ((at(middle), 1.0 - part), (at(middle + 1.0), part));
        Cell { pixels, count: 2 }
    })
}

/// Mean square of what a binomial blur over five cells takes away.
fn fine_detail(grid: &[f32]) -> f32 {
    const KERNEL: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
    let near = |at: usize, k: usize| (at + k).saturating_sub(2).min(SIDE - 1);
    let mut across = vec![0.0; SIDE * SIDE];
    for (row, blurred) in grid.chunks_exact(SIDE).zip(across.chunks_exact_mut(SIDE)) {
        for (x, out) in blurred.iter_mut().enumerate() {
            *out = KERNEL.iter().enumerate().map(|(k, weight)| weight * row[near(x, k)]).sum();
        }
    }
    let mut sum = 0.0;
    for y in 0..SIDE {
        let rows: [&[f32]; 5] = std::array::from_fn(|k| &across[near(y, k) * SIDE..][..SIDE]);
        for x in 0..SIDE {
            let blurred: f32 = KERNEL.iter().zip(rows).map(|(weight, row)| weight * row[x]).sum();
            sum += (grid[y * SIDE + x] - blurred).powi(2);
        }
    }
    sum / (SIDE * SIDE) as f32
}

#[cfg(test)]
mod tests;
