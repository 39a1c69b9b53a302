//! From a detected face to the chip of dlib's network, which was trained on dlib's own detector.
//!
//! That detector draws squares of its own kind, and the five-point predictor expects such a
//! square; another detector's box has to be brought to it. How was measured, and so was the way
//! that needs no predictor: `docs/alignment.md` has the table and the command.

use facesearch_core::{BoundingBox, Chip, DetectedFace, Photo};

use super::dlib_chip::{chip_from, dlib_chip};
use crate::landmarks::{DlibRect, ShapePredictor5};

/// Side of the chips, in pixels, and how much of the face's width is left free around it.
const SIDE: u32 = 150;
const PADDING: f64 = 0.25;

/// Cuts a detected face out of its photo for a recognition model.
pub trait Aligner: Send + Sync {
    /// A stable name, written into the index: chips of different names are not comparable.
    fn name(&self) -> &str;

    /// The chip of `face`. Always gives one, however little of the face is inside the photo.
    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip;
}

/// Where dlib's square lies in a detector's box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SquareInBox {
    /// Side of the square, in geometric means of the box's width and height.
    pub side: f32,
    /// From the box's centre to the square's, right and down, in the same unit.
    pub shift: [f32; 2],
}

impl SquareInBox {
    /// For MTCNN's boxes. The shift is the median over 3,365 faces of LFW View 1 (`pairsDevTrain`)
    /// in which both detectors found the same face; the side is a little larger than the median
    /// there, 0.973, because accuracy hardly depends on it and larger did not do worse
    /// (`docs/alignment.md`).
    pub const MTCNN: Self = Self { side: 1.05, shift: [0.029, 0.078] };

    /// dlib's square for a box.
    pub fn rect(&self, bbox: &BoundingBox) -> DlibRect {
        let unit = bbox.area().sqrt();
        let side = unit * self.side;
        let x = bbox.x + bbox.width / 2.0 + self.shift[0] * unit - side / 2.0;
        let y = bbox.y + bbox.height / 2.0 + self.shift[1] * unit - side / 2.0;
        DlibRect::from(&BoundingBox { x, y, width: side, height: side })
    }
}

/// dlib's own way: its predictor finds five points in a square, its chip is cut by them.
#[derive(Debug)]
pub struct DlibAligner {
    predictor: ShapePredictor5,
    square: SquareInBox,
}

impl DlibAligner {
    /// With dlib's predictor, for boxes in which its square lies at `square`.
    pub fn new(predictor: ShapePredictor5, square: SquareInBox) -> Self {
        Self { predictor, square }
    }
}

impl Aligner for DlibAligner {
    fn name(&self) -> &str {
        "dlib-5-point-150"
    }

    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
        let points = self.predictor.predict(photo, self.square.rect(&face.bbox));
        dlib_chip(photo, &points, SIDE, PADDING)
    }
}

/// The detector's own five points, brought to where they lie in dlib's chips.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointAligner {
    places: [[f64; 2]; 5],
}

impl PointAligner {
    /// For MTCNN's points: the median place of each in chips made by dlib, over the same faces
    /// as [`SquareInBox::MTCNN`].
    pub const MTCNN: Self = Self {
        places: [[48.54, 46.70], [102.43, 46.69], [75.21, 78.74], [51.78, 105.66], [98.84, 105.68]],
    };
}

impl Aligner for PointAligner {
    fn name(&self) -> &str {
        "mtcnn-5-point-150"
    }

    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
        chip_from(photo, &self.places, &face.landmarks.0.map(|p| p.map(f64::from)), SIDE)
    }
}

/// Several ways to align at once: their chips one above the other, for a model that takes the mean
/// over such views ([`Views`](crate::Views)).
pub struct Stacked {
    aligners: Vec<Box<dyn Aligner>>,
    name: String,
}

impl Stacked {
    /// The views that `aligners` cut, which must all be of one width.
    pub fn new(aligners: Vec<Box<dyn Aligner>>) -> Self {
        let names: Vec<_> = aligners.iter().map(|aligner| aligner.name()).collect();
        let name = names.join("+");
        Self { aligners, name }
    }
}

impl Aligner for Stacked {
    fn name(&self) -> &str {
        &self.name
    }

    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
        let views: Vec<_> = self.aligners.iter().map(|one| one.chip(photo, face)).collect();
        let width = views.first().map_or(0, Chip::width);
        let height = views.iter().map(Chip::height).sum();
        Chip::new(width, height, views.iter().flat_map(|view| view.rgb()).copied().collect())
    }
}
