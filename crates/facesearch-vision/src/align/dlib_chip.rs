//! The upright square that dlib's recognition network was trained on.
//!
//! - **Source:** dlib's `get_face_chip_details` and `extract_image_chip`.
//! - **Input:** the five points of [`ShapePredictor5`](crate::ShapePredictor5).
//! - **Output:** a square chip, byte for byte dlib's.
//! - **Trap:** much of this looks arbitrary (a kernel's border of 1.25 across and 0.75 down, bytes
//!   cut off instead of rounded, an inverse computed as it is): the network has learnt it all, and
//!   a chip that is only similar moves the embedding.

use std::borrow::Cow;

use facesearch_core::{Chip, Photo};
use facesearch_nn::{Level, Loops, vectorise};

use super::Similarity;

/// Where the five points lie in the mean face, which fills the unit square.
const MEAN_FACE: [[f64; 2]; 5] = [
    [0.859_567_459_599_2, 0.213_498_153_801_4],
    [0.646_060_476_410_4, 0.228_967_438_767_7],
    [0.120_575_062_078_9, 0.213_727_452_684_8],
    [0.334_085_061_371_2, 0.229_064_240_324_2],
    [0.490_112_313_567_9, 0.627_797_531_647_5],
];

/// Cuts the face with these five points out of `photo`, upright, `size` pixels wide and high, with
/// `padding` times the face's width left free on each side (the recognition network wants 150 and
/// 0.25). What lies outside the photo is black.
pub fn dlib_chip(photo: &Photo, points: &[[i32; 2]; 5], size: u32, padding: f64) -> Chip {
    let side = f64::from(size);
    let model = MEAN_FACE.map(|p| p.map(|v| (padding + v) / (2.0 * padding + 1.0) * side));
    chip_from(photo, &model, &points.map(|p| p.map(f64::from)), size)
}

/// Cuts a chip of `size` pixels wide and high so that the points `seen` in the photo come to lie as
/// near as a rotation and a scale can bring them to the places `model` in the chip.
pub(crate) fn chip_from(
    photo: &Photo,
    model: &[[f64; 2]; 5],
    seen: &[[f64; 2]; 5],
    size: u32,
) -> Chip {
    let side = f64::from(size);
    let turn = Similarity::between(model, seen);
    let (angle, scale) = (turn.b.atan2(turn.a), turn.a.hypot(turn.b));
    let rect = Rect::centred(turn.apply([side / 2.0; 2]), side * scale);

    // A chip much smaller than what it shows is taken from a level of a pyramid of halved photos;
    // only the part of the photo that the chip can touch is halved.
    let (levels, grow) = depth(rect, side);
    let Some(crop) = rect.rotated_bounds(angle, grow).within(photo) else {
        return Chip::new(size, size, vec![0; size as usize * size as usize * 3]);
    };
    let mut picture = crop.of(photo);
    let mut rect = rect.shifted(-f64::from(crop.left), -f64::from(crop.top));
    for _ in 0..levels {
        picture = picture.halved(Level::best());
        rect = rect.down();
    }
    let [top_left, top_right, bottom_left, _] = rect.rotated_corners(angle);
    picture.warp(size, [top_left, top_right, bottom_left])
}

/// How many halvings, and how far around the chip pixels are needed for them.
fn depth(rect: Rect, side: f64) -> (usize, f64) {
    let (mut levels, mut grow) = (0, 2.0);
    let mut rect = rect.down();
    while rect.area() > side * side {
        rect = rect.down();
        levels += 1;
        grow = grow * 2.0 + 2.0;
    }
    (levels, grow)
}

/// A rectangle whose right and bottom edges belong to it.
#[derive(Debug, Clone, Copy)]
struct Rect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Rect {
    fn centred([x, y]: [f64; 2], side: f64) -> Self {
        let half = (side - 1.0) / 2.0;
        Self { left: x - half, top: y - half, right: x + half, bottom: y + half }
    }

    fn area(&self) -> f64 {
        let (w, h) = (self.right - self.left + 1.0, self.bottom - self.top + 1.0);
        if w > 0.0 && h > 0.0 { w * h } else { 0.0 }
    }

    fn shifted(self, x: f64, y: f64) -> Self {
        Self {
            left: self.left + x,
            top: self.top + y,
            right: self.right + x,
            bottom: self.bottom + y,
        }
    }

    /// The same place in the halved photo.
    fn down(self) -> Self {
        Self {
            left: self.left / 2.0 - 1.25,
            top: self.top / 2.0 - 0.75,
            right: self.right / 2.0 - 1.25,
            bottom: self.bottom / 2.0 - 0.75,
        }
    }

    /// Top left, top right, bottom left, bottom right, turned around the centre.
    fn rotated_corners(&self, angle: f64) -> [[f64; 2]; 4] {
        let (sin, cos) = angle.sin_cos();
        let (cx, cy) = ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0);
        [
            [self.left, self.top],
            [self.right, self.top],
            [self.left, self.bottom],
            [self.right, self.bottom],
        ]
        .map(|[x, y]| {
            let (x, y) = (x - cx, y - cy);
            [cos * x - sin * y + cx, sin * x + cos * y + cy]
        })
    }

    fn rotated_bounds(&self, angle: f64, grow: f64) -> Self {
        let corners = self.rotated_corners(angle);
        let low = |axis: usize| corners.iter().map(|c| c[axis]).fold(f64::INFINITY, f64::min);
        let high = |axis: usize| corners.iter().map(|c| c[axis]).fold(f64::NEG_INFINITY, f64::max);
        Self {
            left: low(0) - grow,
            top: low(1) - grow,
            right: high(0) + grow,
            bottom: high(1) + grow,
        }
    }

    /// The whole pixels of the photo inside; `None` where there are none.
    fn within(&self, photo: &Photo) -> Option<Crop> {
        let (w, h) = (f64::from(photo.width()) - 1.0, f64::from(photo.height()) - 1.0);
        let (left, top) = (self.left.max(0.0), self.top.max(0.0));
        let (right, bottom) = (self.right.min(w), self.bottom.min(h));
        let inside = left <= right && top <= bottom;
        let round = |v: f64| (v + 0.5).floor() as u32;
        inside.then(|| Crop {
            left: round(left),
            top: round(top),
            right: round(right),
            bottom: round(bottom),
        })
    }
}

/// Whole pixels of a photo, the last column and row included.
#[derive(Debug, Clone, Copy)]
struct Crop {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl Crop {
    fn of<'a>(&self, photo: &'a Photo) -> Picture<'a> {
        let stride = photo.width() as usize * 3;
        Picture {
            width: (self.right - self.left + 1) as usize,
            height: (self.bottom - self.top + 1) as usize,
            stride,
            rgb: Cow::Borrowed(&photo.rgb()[self.top as usize * stride + self.left as usize * 3..]),
        }
    }
}

/// A part of a photo, or that part halved.
#[derive(Debug)]
struct Picture<'a> {
    width: usize,
    height: usize,
    /// Bytes from a row to the next.
    stride: usize,
    /// From the first pixel to the last, and maybe some of other parts.
    rgb: Cow<'a, [u8]>,
}

impl Picture<'_> {
    /// Smoothed with `[1 4 6 4 1] / 16` down and across, every second pixel kept; two pixels are
    /// lost at each edge. A picture below nine pixels has nothing left.
    fn halved(&self, level: Level) -> Picture<'static> {
        let (width, height) = if self.width <= 8 || self.height <= 8 {
            (0, 0)
        } else {
            ((self.width - 3) / 2, (self.height - 3) / 2)
        };
        let mut rgb = vec![0; width * height * 3];
        if !rgb.is_empty() {
            vectorise(level, Halve { from: self, width, out: &mut rgb });
        }
        Picture { width, height, stride: width * 3, rgb: rgb.into() }
    }

    /// The square of `size` pixels whose corners lie at the three points given, by bilinear
    /// interpolation.
    fn warp(&self, size: u32, [p, q, r]: [[f64; 2]; 3]) -> Chip {
        // The affine map as dlib solves it: the inverse of the matrix of the chip's corners is its
        // adjugate times the reciprocal of its determinant, which is not quite a division.
        let far = f64::from(size) - 1.0;
        let reciprocal = 1.0 / (far * far);
        let (step, one) = (far * reciprocal, far * far * reciprocal);
        let axis = |i: usize| (p[i] * -step + q[i] * step, p[i] * -step + r[i] * step, p[i] * one);
        let ((xx, xy, x0), (yx, yy, y0)) = (axis(0), axis(1));
        let mut rgb = Vec::with_capacity(size as usize * size as usize * 3);
        for v in 0..size {
            for u in 0..size {
                let (u, v) = (f64::from(u), f64::from(v));
                rgb.extend(self.sample(xx * u + xy * v + x0, yx * u + yy * v + y0));
            }
        }
        Chip::new(size, size, rgb)
    }

    fn sample(&self, x: f64, y: f64) -> [u8; 3] {
        let (left, top) = (x.floor(), y.floor());
        let inside = left >= 0.0
            && top >= 0.0
            && left + 1.0 < self.width as f64
            && top + 1.0 < self.height as f64;
        if !inside {
            return [0; 3];
        }
        let (right_part, bottom_part) = (x - left, y - top);
        let at = top as usize * self.stride + left as usize * 3;
        let below = at + self.stride;
        std::array::from_fn(|c| {
            let pixel = |i: usize| f64::from(self.rgb[i + c]);
            let mix = |i: usize| (1.0 - right_part) * pixel(i) + right_part * pixel(i + 3);
            ((1.0 - bottom_part) * mix(at) + bottom_part * mix(below)) as u8
        })
    }
}

/// The smoothing of [`Picture::halved`], row by row: plain Rust that the compiler makes vectors of.
/// Nothing is rounded before the end, so that down and across may come in either order.
struct Halve<'a> {
    from: &'a Picture<'a>,
    /// Pixels across of the result.
    width: usize,
    out: &'a mut [u8],
}

impl Loops for Halve<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { from, width, out } = self;
        let bytes = from.width * 3;
        let (mut down, mut both) = (vec![0u16; bytes], vec![0u8; bytes - 12]);
        for (y, out) in out.chunks_exact_mut(width * 3).enumerate() {
            let rows: [&[u8]; 5] =
                std::array::from_fn(|k| &from.rgb[(2 * y + k) * from.stride..][..bytes]);
            for (i, sum) in down.iter_mut().enumerate() {
                *sum = smooth(std::array::from_fn(|k| u16::from(rows[k][i])));
            }
            // Every pixel, though half of them would do: side by side they go eight times as fast.
            let shifted: [&[u16]; 5] = std::array::from_fn(|k| &down[3 * k..][..bytes - 12]);
            for (i, value) in both.iter_mut().enumerate() {
                // 255 * 16 * 16 = 65280 still fits.
                *value = (smooth(std::array::from_fn(|k| shifted[k][i])) >> 8) as u8;
            }
            for (out, pixels) in out.chunks_exact_mut(3).zip(both.chunks(6)) {
                out.copy_from_slice(&pixels[..3]);
            }
        }
    }
}

#[inline(always)]
fn smooth(v: [u16; 5]) -> u16 {
    v[0] + 4 * v[1] + 6 * v[2] + 4 * v[3] + v[4]
}

#[cfg(test)]
mod tests {
    use facesearch_cpu::KernelLevel;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::noise;

    proptest! {
        /// Against the definition, pixel by pixel, with every kind of vector.
        #[test]
        fn halving_is_smoothing_and_every_second_pixel(
            (width, height) in (1usize..70, 1usize..40),
            (left, top) in (0usize..5, 0usize..5),
            seed in any::<u32>(),
        ) {
            let stride = (width + left) * 3;
            let rgb = noise(stride * (height + top), seed);
            let inside = &rgb[top * stride + left * 3..];
            let picture = Picture { width, height, stride, rgb: inside.into() };
            let taps = [1u32, 4, 6, 4, 1];
            let pixel = |x: usize, y: usize, c: usize| {
                let each = (0..25).map(|k| {
                    let (down, across) = (k / 5, k % 5);
                    let at = (2 * y + down) * stride + (2 * x + across) * 3 + c;
                    taps[down] * taps[across] * u32::from(picture.rgb[at])
                });
                (each.sum::<u32>() / 256) as u8
            };
            let (wide, high) = match width.min(height) {
                0..=8 => (0, 0),
                _ => ((width - 3) / 2, (height - 3) / 2),
            };
            let want: Vec<u8> =
                (0..wide * high * 3).map(|i| pixel(i / 3 % wide, i / 3 / wide, i % 3)).collect();
            for level in [KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512] {
                let halved = picture.halved(Level::at_most(level));
                prop_assert_eq!((halved.width, halved.height), (wide, high));
                prop_assert_eq!(&halved.rgb[..], &want[..]);
            }
        }
    }
}
