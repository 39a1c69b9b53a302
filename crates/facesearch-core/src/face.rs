//! A face in a photo: where it is, and what is cut out for the model.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a face in an index; given once, in order, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaceId(pub u64);

impl fmt::Display for FaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rectangle in pixels of the upright photo; it may reach beyond the photo's edge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Pixels across.
    pub width: f32,
    /// Pixels down.
    pub height: f32,
}

impl BoundingBox {
    /// Square pixels.
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// Intersection over union, in `[0, 1]`; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let h = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let both = w.max(0.0) * h.max(0.0);
        let union = self.area() + other.area() - both;
        if union > 0.0 { both / union } else { 0.0 }
    }
}

/// Five points `[x, y]` in pixels of the upright photo: the eye on the left of the picture, the eye
/// on its right, the tip of the nose, the left and the right corner of the mouth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Landmarks(pub [[f32; 2]; 5]);

/// What a detector says of one face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectedFace {
    /// Where it is.
    pub bbox: BoundingBox,
    /// How sure the detector is, in `[0, 1]`.
    pub score: f32,
    /// Its five points.
    pub landmarks: Landmarks,
}

impl DetectedFace {
    /// The place of a face of which no photo is known: nowhere.
    pub const NOWHERE: Self = Self {
        bbox: BoundingBox { x: 0.0, y: 0.0, width: 0.0, height: 0.0 },
        score: 0.0,
        landmarks: Landmarks([[0.0; 2]; 5]),
    };
}

/// How usable a face is, in `[0, 1]`; 1 is best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality(pub f32);

/// The aligned square or rectangle a recognition model is fed: RGB, 8 bits, rows from the top.
#[derive(Clone, PartialEq, Eq)]
pub struct Chip {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Chip {
    /// Wraps `width * height * 3` bytes. Panics if there are more or fewer: that is a bug.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "pixels do not fit the size");
        Self { width, height, rgb }
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: `r g b` for each pixel, rows from the top.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl fmt::Debug for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chip({}x{})", self.width, self.height)
    }
}

/// A detected face with the chip cut out for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedFace {
    /// Where it was found.
    pub face: DetectedFace,
    /// How usable it is, where that was measured.
    pub quality: Option<Quality>,
    /// What the model is fed.
    pub chip: Chip,
}
