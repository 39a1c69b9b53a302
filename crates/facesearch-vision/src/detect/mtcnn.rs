//! MTCNN: three small networks, each looking closer at what the one before took for a face.
//!
//! - **Paper:** Zhang, Zhang, Li, Qiao, *Joint Face Detection and Alignment Using Multitask
//!   Cascaded Convolutional Networks*, 2016, <https://arxiv.org/abs/1604.02878>.
//! - **Input:** upright RGB pixels of any size; `(v - 127.5) / 128`.
//! - **Output:** boxes, probabilities, five points. P-Net looks at every 12x12 square of a pyramid
//!   of shrunken photos, R-Net at what is left in 24x24, O-Net in 48x48.
//! - **Weights:** `pnet.pt`, `rnet.pt`, `onet.pt` of facenet-pytorch 2.6.0 (MIT), 500,000
//!   parameters together.
//! - **Trap:** boxes are only as good as the reference's habits, all kept here: area resizing that
//!   counts shared pixels twice, squares that start one pixel early, corrections that sometimes
//!   count the far edge (R-Net, O-Net) and sometimes do not (P-Net), and crops that are cut at the
//!   photo's edge instead of padded, so that a face there is seen squeezed.

mod nets;

use std::path::Path;

use candle_core::{Device, Tensor};
use facesearch_core::{BoundingBox, DetectedFace, FaceDetector, Landmarks, Photo, VisionError};
use facesearch_nn::{Network, NetworkError};
use rayon::prelude::*;

use super::area::{Region, Scaling, Size, resize_part};
use super::nms::{Candidate, Overlap, suppress};
use super::pyramid::{Level, STRIDE, WINDOW, bands, levels};
use super::registry::DetectorModel;

const NAME: &str = "mtcnn";

/// Crops that go through R-Net or O-Net at once.
const CROPS: usize = 128;

/// How MTCNN looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MtcnnOptions {
    /// Faces narrower than this many pixels are not looked for; at least 12, the side of P-Net's
    /// square. The work grows with the inverse square.
    pub min_face: u32,
    /// What P-Net, R-Net and O-Net must be sure of, in `[0, 1]`, to pass a face on.
    pub thresholds: [f32; 3],
    /// From each size of the pyramid to the next.
    pub factor: f64,
}

impl Default for MtcnnOptions {
    /// The authors' thresholds and factor, and faces from 40 pixels.
    fn default() -> Self {
        Self { min_face: 40, thresholds: [0.6, 0.7, 0.7], factor: 0.709 }
    }
}

/// The detector as the catalogue knows it.
pub(super) const MODEL: DetectorModel = DetectorModel {
    name: NAME,
    open: |source| {
        let [proposal, refinement, output] = source.bytes(NAME)?;
        let options = MtcnnOptions { min_face: source.min_face, ..MtcnnOptions::default() };
        let weights = [&proposal[..], &refinement, &output];
        Ok(Box::new(Mtcnn::from_bytes(weights, options, source.device)?))
    },
};

/// The face detector of Zhang et al.
#[derive(Debug)]
pub struct Mtcnn {
    proposal: Network,
    refinement: Network,
    output: Network,
    options: MtcnnOptions,
    device: Device,
}

/// A box with what its network says of it.
#[derive(Debug, Clone)]
struct Found {
    candidate: Candidate,
    /// Correction of left, top, right and bottom, in parts of the box.
    shift: [f32; 4],
    /// O-Net's five points, in parts of the box; empty before.
    points: Vec<f32>,
}

impl Mtcnn {
    /// The detector with the weights in the files `pnet.pt`, `rnet.pt` and `onet.pt` of a folder.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where a file cannot be read or is not what its name says.
    pub fn open(
        folder: impl AsRef<Path>,
        options: MtcnnOptions,
        device: &Device,
    ) -> Result<Self, VisionError> {
        let read = |name| std::fs::read(folder.as_ref().join(name)).map_err(broken);
        Self::from_bytes([&read("pnet.pt")?, &read("rnet.pt")?, &read("onet.pt")?], options, device)
    }

    /// The detector with the weights of P-Net, R-Net and O-Net. Panics if the options make no
    /// sense: that is a bug in the caller.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not those weights, or the device refuses them.
    pub fn from_bytes(
        [proposal, refinement, output]: [&[u8]; 3],
        options: MtcnnOptions,
        device: &Device,
    ) -> Result<Self, VisionError> {
        assert!(options.min_face as usize >= WINDOW, "P-Net sees no faces below 12 pixels");
        assert!((0.1..0.99).contains(&options.factor), "each level must be smaller than the last");
        Ok(Self {
            proposal: nets::proposal(proposal, device).map_err(broken)?,
            refinement: nets::refinement(refinement, device).map_err(broken)?,
            output: nets::output(output, device).map_err(broken)?,
            options,
            device: device.clone(),
        })
    }

    /// How it looks.
    pub fn options(&self) -> &MtcnnOptions {
        &self.options
    }

    /// First stage: P-Net over the whole pyramid.
    fn propose(&self, photo: &Photo) -> Result<Vec<Candidate>, NetworkError> {
        let (height, width) = (photo.height() as usize, photo.width() as usize);
        let mut all = Vec::new();
        for level in levels(height, width, self.options.min_face, self.options.factor) {
            let found = self.propose_at(photo, level)?;
            let kept = suppress(&found, |f| &f.candidate, 0.5, Overlap::Union);
            all.extend(kept.into_iter().map(|place| found[place].clone()));
        }
        let kept = suppress(&all, |f| &f.candidate, 0.7, Overlap::Union);
        let corrected = |place| squared(corrected(&all[place], 0.0));
        Ok(kept.into_iter().map(corrected).collect())
    }

    fn propose_at(&self, photo: &Photo, level: Level) -> Result<Vec<Found>, NetworkError> {
        let mut found = Vec::new();
        let mut pixels = Vec::new();
        for (first_row, rows) in bands(level.size) {
            pixels.resize(rows.len() * level.size.width * 3, 0.0);
            let (all, band) =
                (Region::all(photo), Region { x: 0..level.size.width, y: rows.clone() });
            resize_part(photo, &all, level.size, &band, Scaling::SIGNED, &mut pixels);
            let size = Size { height: rows.len(), width: level.size.width };
            let outputs = self.run(&self.proposal, &pixels, 1, size)?;
            let [face, shift] = &outputs[..] else { unreachable!("P-Net has two outputs") };
            let (_, _, high, wide) = face.dims4()?;
            let (face, shift) = (numbers(face)?, numbers(shift)?);
            let plane = high * wide;
            for (place, score) in face[plane..].iter().enumerate() {
                if *score >= self.options.thresholds[0] {
                    let (x, y) = (place % wide, place / wide + first_row);
                    found.push(Found {
                        candidate: square_at(x, y, *score, level.scale),
                        shift: [0, 1, 2, 3].map(|side| shift[side * plane + place]),
                        points: Vec::new(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// Second stage: R-Net on each proposal.
    fn refine(&self, photo: &Photo, boxes: &[Candidate]) -> Result<Vec<Candidate>, NetworkError> {
        let found = self.look_closer(photo, boxes, &self.refinement, 24, 1)?;
        let kept = suppress(&found, |f| &f.candidate, 0.7, Overlap::Union);
        Ok(kept.into_iter().map(|place| squared(corrected(&found[place], 1.0))).collect())
    }

    /// Third stage: O-Net on what R-Net left.
    fn finish(
        &self,
        photo: &Photo,
        boxes: &[Candidate],
    ) -> Result<Vec<DetectedFace>, NetworkError> {
        let mut found = self.look_closer(photo, boxes, &self.output, 48, 2)?;
        let mut faces = Vec::new();
        for face in &mut found {
            let points = placed(&face.points, &face.candidate);
            face.candidate = corrected(face, 1.0);
            faces.push((face.candidate, points));
        }
        let kept = suppress(&faces, |f| &f.0, 0.7, Overlap::Smaller);
        Ok(kept.into_iter().map(|place| detected(faces[place])).collect())
    }

    /// Cuts the boxes out, `side` pixels wide and high, and keeps those that `network` is sure of.
    fn look_closer(
        &self,
        photo: &Photo,
        boxes: &[Candidate],
        network: &Network,
        side: usize,
        stage: usize,
    ) -> Result<Vec<Found>, NetworkError> {
        let inside = |candidate: &Candidate| Some((*candidate, region(candidate, photo)?));
        let crops: Vec<(Candidate, Region)> = boxes.iter().filter_map(inside).collect();
        let (size, whole) = (Size { height: side, width: side }, Region { x: 0..side, y: 0..side });
        let mut found = Vec::new();
        let mut pixels = Vec::new();
        for crops in crops.chunks(CROPS) {
            pixels.resize(crops.len() * side * side * 3, 0.0);
            crops.par_iter().zip(pixels.par_chunks_mut(side * side * 3)).for_each(
                |((_, region), pixels)| {
                    resize_part(photo, region, size, &whole, Scaling::SIGNED, pixels);
                },
            );
            let outputs = self.run(network, &pixels, crops.len(), size)?;
            let outputs: Vec<Vec<f32>> = outputs.iter().map(numbers).collect::<Result<_, _>>()?;
            let [face, shift, points @ ..] = &outputs[..] else {
                unreachable!("R-Net and O-Net have two outputs at least")
            };
            for (place, (candidate, _)) in crops.iter().enumerate() {
                let score = face[place * 2 + 1];
                if score > self.options.thresholds[stage] {
                    found.push(Found {
                        candidate: Candidate { score, ..*candidate },
                        shift: [0, 1, 2, 3].map(|side| shift[place * 4 + side]),
                        points: points
                            .iter()
                            .flat_map(|p| &p[place * 10..][..10])
                            .copied()
                            .collect(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// Runs a network on `count` pictures of `size`, rows of `r g b`.
    fn run(
        &self,
        network: &Network,
        pixels: &[f32],
        count: usize,
        size: Size,
    ) -> Result<Vec<Tensor>, NetworkError> {
        let shape = (count, size.height, size.width, 3);
        let input = Tensor::from_slice(pixels, shape, &self.device)?.permute((0, 3, 1, 2))?;
        network.forward(&input)
    }
}

impl FaceDetector for Mtcnn {
    fn name(&self) -> &str {
        NAME
    }

    fn detect(&self, photo: &Photo) -> Result<Vec<DetectedFace>, VisionError> {
        let boxes = self.propose(photo).map_err(broken)?;
        let boxes = self.refine(photo, &boxes).map_err(broken)?;
        let mut faces = self.finish(photo, &boxes).map_err(broken)?;
        let place = |face: &DetectedFace| (face.bbox.y, face.bbox.x);
        faces.sort_by(|a, b| {
            let ((ay, ax), (by, bx)) = (place(a), place(b));
            b.score.total_cmp(&a.score).then(ay.total_cmp(&by)).then(ax.total_cmp(&bx))
        });
        Ok(faces)
    }
}

/// The square of the photo that place `x`, `y` of P-Net's answer speaks of.
fn square_at(x: usize, y: usize, score: f32, scale: f64) -> Candidate {
    let scale = scale as f32;
    let near = |place: usize| ((STRIDE * place + 1) as f32 / scale).floor();
    let far = |place: usize| ((STRIDE * place + WINDOW) as f32 / scale).floor();
    Candidate { x1: near(x), y1: near(y), x2: far(x), y2: far(y), score }
}

/// A box moved as its network says. `edge` is 1 where the far edge counts as part of the box.
fn corrected(found: &Found, edge: f32) -> Candidate {
    let Candidate { x1, y1, x2, y2, score } = found.candidate;
    let (width, height) = (x2 - x1 + edge, y2 - y1 + edge);
    let [left, top, right, bottom] = found.shift;
    Candidate {
        x1: x1 + left * width,
        y1: y1 + top * height,
        x2: x2 + right * width,
        y2: y2 + bottom * height,
        score,
    }
}

/// The square with the box's centre and its longer side.
fn squared(found: Candidate) -> Candidate {
    let Candidate { x1, y1, x2, y2, score } = found;
    let (width, height) = (x2 - x1, y2 - y1);
    let side = width.max(height);
    let (x1, y1) = (x1 + width * 0.5 - side * 0.5, y1 + height * 0.5 - side * 0.5);
    Candidate { x1, y1, x2: x1 + side, y2: y1 + side, score }
}

/// The part of the photo that a box covers; `None` where it lies outside.
///
/// The box's first pixel is taken to be number 1 of the photo.
fn region(found: &Candidate, photo: &Photo) -> Option<Region> {
    let span = |near: f32, far: f32, len: u32| {
        let start = (near as i64).max(1) - 1;
        let end = (far as i64).min(i64::from(len));
        (end > start).then_some(start as usize..end as usize)
    };
    Some(Region {
        x: span(found.x1, found.x2, photo.width())?,
        y: span(found.y1, found.y2, photo.height())?,
    })
}

/// O-Net's points, five x and five y in parts of the box, in pixels of the photo.
fn placed(points: &[f32], found: &Candidate) -> Landmarks {
    let (width, height) = (found.x2 - found.x1 + 1.0, found.y2 - found.y1 + 1.0);
    Landmarks(std::array::from_fn(|i| {
        [points[i] * width + found.x1 - 1.0, points[i + 5] * height + found.y1 - 1.0]
    }))
}

fn detected((found, landmarks): (Candidate, Landmarks)) -> DetectedFace {
    let Candidate { x1, y1, x2, y2, score } = found;
    let bbox = BoundingBox { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    DetectedFace { bbox, score, landmarks }
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>, NetworkError> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

fn broken(source: impl std::error::Error + Send + Sync + 'static) -> VisionError {
    VisionError::Model { model: NAME.to_owned(), source: Box::new(source) }
}
