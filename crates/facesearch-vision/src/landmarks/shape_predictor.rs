//! dlib's five-point shape predictor: an ensemble of regression trees.
//!
//! - **Paper:** Kazemi and Sullivan, *One Millisecond Face Alignment with an Ensemble of Regression
//!   Trees*, CVPR 2014.
//! - **Input:** a photo and a rectangle around the face, as dlib's detectors draw it.
//! - **Output:** five points in whole pixels: the outer and inner corner of the eye on the right of
//!   the picture, the outer and inner corner of the eye on its left, the base of the nose.
//! - **Weights:** `shape_predictor_5_face_landmarks.dat`, 9,150,489 bytes, public domain: 15
//!   cascades of 500 trees with 15 splits each.
//! - **Trap:** these are not the five points of MTCNN or ArcFace (eye centres, nose, mouth
//!   corners); only [`dlib_chip`](crate::dlib_chip) understands them. The order of additions and
//!   the places where numbers are `f32` are dlib's, or points differ by a pixel.

use std::path::Path;

use facesearch_core::{BoundingBox, Photo, VisionError};
use facesearch_nn::dlib::{DlibError, Reader};
use facesearch_nn::{map_file, unpack};

use crate::align::Similarity;

const NAME: &str = "dlib-5-point";
const POINTS: usize = 5;

/// A rectangle in dlib's sense: the right column and the bottom row belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DlibRect {
    /// First column.
    pub left: i32,
    /// First row.
    pub top: i32,
    /// Last column.
    pub right: i32,
    /// Last row.
    pub bottom: i32,
}

impl From<&BoundingBox> for DlibRect {
    /// The pixels that the box covers, its edges rounded to whole ones.
    fn from(b: &BoundingBox) -> Self {
        let round = |v: f32| (v + 0.5).floor() as i32;
        Self {
            left: round(b.x),
            top: round(b.y),
            right: round(b.x + b.width).saturating_sub(1),
            bottom: round(b.y + b.height).saturating_sub(1),
        }
    }
}

/// One comparison of two pixels.
#[derive(Debug, Clone, Copy)]
struct Split {
    first: u16,
    second: u16,
    threshold: f32,
}

/// A stage: where it looks, and its trees.
#[derive(Debug)]
struct Cascade {
    /// For each pixel looked at: the point it moves with, and how far it is from it in the mean
    /// shape.
    probes: Vec<(usize, [f32; 2])>,
    trees: Vec<Tree>,
}

/// Where a tree's splits and leaves are in those of all. Splits are in the order of a heap: the
/// children of `i` are `2i + 1` and `2i + 2`; beyond the last split come the leaves.
#[derive(Debug, Clone, Copy)]
struct Tree {
    splits: usize,
    count: usize,
    leaves: usize,
}

/// The splits and leaves of all trees, each in one piece: they are half a million numbers, and are
/// read whenever the program starts.
#[derive(Debug, Default)]
struct Forest {
    splits: Vec<Split>,
    leaves: Vec<[f32; 2 * POINTS]>,
}

/// dlib's five-point shape predictor.
#[derive(Debug)]
pub struct ShapePredictor5 {
    mean: [f32; 2 * POINTS],
    cascades: Vec<Cascade>,
    forest: Forest,
}

impl ShapePredictor5 {
    /// The predictor in a file.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the file cannot be read or is not such a predictor's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VisionError> {
        Self::from_bytes(&map_file(path.as_ref()).map_err(broken)?)
    }

    /// The predictor from the bytes of `shape_predictor_5_face_landmarks.dat`, or of the same
    /// compressed by bzip2.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not such a predictor's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VisionError> {
        let bytes = unpack(bytes).map_err(broken)?;
        read(&mut Reader::new(&bytes)).map_err(broken)
    }

    /// The five points of the face in `rect`, `[x, y]` in whole pixels; they may lie outside the
    /// photo. About 0.1 ms.
    pub fn predict(&self, photo: &Photo, rect: DlibRect) -> [[i32; 2]; POINTS] {
        let mut shape = self.mean;
        let mut pixels = Vec::new();
        for cascade in &self.cascades {
            self.look(photo, rect, &shape, cascade, &mut pixels);
            for tree in &cascade.trees {
                for (value, delta) in shape.iter_mut().zip(self.forest.leaf(*tree, &pixels)) {
                    *value += delta;
                }
            }
        }
        std::array::from_fn(|i| to_pixel(rect, [shape[2 * i], shape[2 * i + 1]]))
    }

    /// The brightness of each pixel that the cascade compares, 0 outside the photo.
    fn look(
        &self,
        photo: &Photo,
        rect: DlibRect,
        shape: &[f32; 2 * POINTS],
        cascade: &Cascade,
        pixels: &mut Vec<f32>,
    ) {
        let turn = Similarity::between(&points(&self.mean), &points(shape));
        let [a, b] = [turn.a as f32, turn.b as f32];
        pixels.clear();
        pixels.extend(cascade.probes.iter().map(|&(anchor, [dx, dy])| {
            let x = a * dx - b * dy + shape[2 * anchor];
            let y = b * dx + a * dy + shape[2 * anchor + 1];
            brightness(photo, to_pixel(rect, [x, y]))
        }));
    }
}

impl Forest {
    /// The leaf that `pixels` lead to.
    fn leaf(&self, tree: Tree, pixels: &[f32]) -> &[f32; 2 * POINTS] {
        let splits = &self.splits[tree.splits..][..tree.count];
        let mut i = 0;
        while let Some(split) = splits.get(i) {
            let difference = pixels[usize::from(split.first)] - pixels[usize::from(split.second)];
            i = if difference > split.threshold { 2 * i + 1 } else { 2 * i + 2 };
        }
        &self.leaves[tree.leaves + i - tree.count]
    }
}

fn points(shape: &[f32; 2 * POINTS]) -> [[f64; 2]; POINTS] {
    std::array::from_fn(|i| [f64::from(shape[2 * i]), f64::from(shape[2 * i + 1])])
}

/// From the rectangle's own units, in which it is the unit square, to whole pixels.
fn to_pixel(rect: DlibRect, [x, y]: [f32; 2]) -> [i32; 2] {
    let place = |from: i32, to: i32, v: f32| {
        let span = f64::from(to) - f64::from(from);
        (span * f64::from(v) + f64::from(from) + 0.5).floor() as i32
    };
    [place(rect.left, rect.right, x), place(rect.top, rect.bottom, y)]
}

fn brightness(photo: &Photo, [x, y]: [i32; 2]) -> f32 {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if x < photo.width() && y < photo.height() => {
            let at = (y as usize * photo.width() as usize + x as usize) * 3;
            let sum: u32 = photo.rgb()[at..at + 3].iter().map(|v| u32::from(*v)).sum();
            (sum / 3) as f32
        }
        _ => 0.0,
    }
}

fn broken(source: impl Into<facesearch_core::BoxError>) -> VisionError {
    VisionError::Model { model: NAME.into(), source: source.into() }
}

fn read(r: &mut Reader<'_>) -> Result<ShapePredictor5, DlibError> {
    r.one_of(&[1], "the version of a shape predictor")?;
    let mean = r.matrix_of(SHAPE)?;
    let mut forest = Forest::default();
    let forests = r.count(1)?;
    let mut trees = Vec::new();
    for _ in 0..forests {
        let count = r.count(8)?;
        trees.push((0..count).map(|_| tree(r, &mut forest)).collect::<Result<Vec<_>, _>>()?);
    }
    let anchors = lists(r, 2, |r| r.size(POINTS - 1, "the number of a point"))?;
    let deltas = lists(r, 8, |r| Ok([r.float()?, r.float()?]))?;
    r.end()?;
    let probes: Vec<Vec<_>> =
        anchors.into_iter().zip(deltas).map(|(a, d)| a.into_iter().zip(d).collect()).collect();
    if probes.len() != forests {
        return r.refuse(format!("{forests} cascades, but probes for {}", probes.len()));
    }
    let cascades: Vec<Cascade> =
        probes.into_iter().zip(trees).map(|(probes, trees)| Cascade { probes, trees }).collect();
    for Cascade { probes, trees } in &cascades {
        let splits = trees.iter().flat_map(|tree| &forest.splits[tree.splits..][..tree.count]);
        if splits.into_iter().any(|s| usize::from(s.first.max(s.second)) >= probes.len()) {
            return r.refuse("a tree that compares a pixel nobody looks at");
        }
    }
    Ok(ShapePredictor5 { mean, cascades, forest })
}

fn lists<T>(
    r: &mut Reader<'_>,
    bytes_each: usize,
    item: impl Fn(&mut Reader<'_>) -> Result<T, DlibError>,
) -> Result<Vec<Vec<T>>, DlibError> {
    let outer = r.count(1)?;
    let mut all = Vec::new();
    for _ in 0..outer {
        let inner = r.count(bytes_each)?;
        all.push((0..inner).map(|_| item(r)).collect::<Result<_, _>>()?);
    }
    Ok(all)
}

fn tree(r: &mut Reader<'_>, forest: &mut Forest) -> Result<Tree, DlibError> {
    let limit = usize::from(u16::MAX);
    let count = r.count(8)?;
    let tree = Tree { splits: forest.splits.len(), count, leaves: forest.leaves.len() };
    for _ in 0..count {
        forest.splits.push(Split {
            first: r.size(limit, "the number of a pixel")? as u16,
            second: r.size(limit, "the number of a pixel")? as u16,
            threshold: r.float()?,
        });
    }
    let leaves = r.count(44)?;
    if leaves != count + 1 || !leaves.is_power_of_two() {
        return r.refuse(format!("a tree of {count} splits and {leaves} leaves"));
    }
    for _ in 0..leaves {
        forest.leaves.push(r.matrix_of(SHAPE)?);
    }
    Ok(tree)
}

/// What errors call the numbers of a shape.
const SHAPE: &str = "a shape";
