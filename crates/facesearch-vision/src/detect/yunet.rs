//! YuNet: one small network without anchors that sees faces at three strides.
//!
//! - **Paper:** Wu, Peng, Yu, *YuNet: A Tiny Millisecond-level Face Detector*, Machine Intelligence
//!   Research 2023, <https://doi.org/10.1007/s11633-023-1423-y>.
//! - **Input:** upright pixels, blue first, 0 to 255; filled up with black at the right and the
//!   bottom to a multiple of 32.
//! - **Output:** boxes, scores, five points (right eye, left eye, nose, right and left corner of
//!   the mouth, as seen by the person's opposite: the order of MTCNN).
//! - **Weights:** `yunet_n_320_320.onnx` of libfacedetection.train (Apache-2.0), 76,000 parameters.
//!   The size in its name is what the file was written for; the network takes any.
//! - **Decoding and parity:** OpenCV's `FaceDetectorYN`. At place `(column, row)` of stride `s` the
//!   box has its centre at `((column + dx) s, (row + dy) s)` and the sides `exp(w) s` and `exp(h)
//!   s`, point `i` is at `((column + x_i) s, (row + y_i) s)`, and the score is `sqrt(class ·
//!   objectness)`.
//! - **Trap:** it was trained on faces up to about 300 pixels, and does not see much larger ones: a
//!   photo is looked at in steps of 4, from the size at which the smallest face wanted is as small
//!   as the network can tell down to the size of its training.

use std::ops::Range;

use candle_core::{Device, Tensor};
use facesearch_core::{BoundingBox, DetectedFace, FaceDetector, Landmarks, Photo, VisionError};
use facesearch_nn::{
    Activation, Conv2d, Graph, GraphBuilder, Network, NetworkError, NodeId, Op, Window, import_onnx,
};

use super::area::{Region, Scaling, Size, resize_part};
use super::nms::{Candidate, Overlap, suppress};
use super::registry::DetectorModel;

const NAME: &str = "yunet";

/// The strides at which it answers, in the order of its outputs.
const STRIDES: [usize; 3] = [8, 16, 32];

/// Numbers at each place: class, objectness, four of the box, ten of the points.
const NUMBERS: usize = 16;

/// Faces that are smaller than the smallest wanted are shrunk with the photo to this side, below
/// which the network misses too many.
const SMALLEST: f64 = 16.0;

/// From each size of a photo to the next.
const STEP: f64 = 0.25;

/// A photo whose shorter side is at most this needs no smaller size: no face in it is larger than
/// those of the training.
const LARGEST: f64 = 320.0;

/// The longest side of what goes through the network at once, and how far neighbours overlap, so
/// that a face of [`LARGEST`] pixels is whole in one of them; multiples of the largest stride.
const TILE: usize = 1024;
const SHARED: usize = 320;

/// How YuNet looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct YuNetOptions {
    /// Faces whose longer side is below this many pixels are passed over; from 12. At 16 and below
    /// a photo is looked at in its own size, above it shrunk in proportion.
    pub min_face: u32,
    /// How sure it must be of a face, in `[0, 1]`.
    pub threshold: f32,
    /// Of two boxes that share more than this, of what either covers, the surer one stays.
    pub overlap: f32,
}

impl Default for YuNetOptions {
    /// Faces from 40 pixels, surer than 0.6, and OpenCV's overlap.
    fn default() -> Self {
        Self { min_face: 40, threshold: 0.6, overlap: 0.3 }
    }
}

/// The detector as the catalogue knows it.
pub(super) const MODEL: DetectorModel = DetectorModel {
    name: NAME,
    open: |source| {
        let [network] = source.bytes(NAME)?;
        let options = YuNetOptions { min_face: source.min_face, ..YuNetOptions::default() };
        Ok(Box::new(YuNet::from_bytes(&network, options, source.device)?))
    },
};

/// The face detector of Wu, Peng and Yu.
#[derive(Debug)]
pub struct YuNet {
    network: Network,
    options: YuNetOptions,
    device: Device,
}

impl YuNet {
    /// The detector from the bytes of its ONNX file. Panics if the options make no sense: that is a
    /// bug in the caller.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not that network, or the device refuses it.
    pub fn from_bytes(
        onnx: &[u8],
        options: YuNetOptions,
        device: &Device,
    ) -> Result<Self, VisionError> {
        assert!(options.min_face >= 12, "no face is found in so few pixels");
        let imported = import_onnx(onnx, Some([32 * 3, 32 * 4])).map_err(broken)?;
        let place = |name: String| imported.outputs.iter().position(|output| output.name == name);
        let mut heads = Vec::new();
        for stride in STRIDES {
            for kind in ["cls", "obj", "bbox", "kps"] {
                let found = place(format!("{kind}_{stride}"));
                heads.push(found.ok_or_else(|| broken(NotYuNet("its outputs have other names")))?);
            }
        }
        let heads: Vec<NodeId> = heads.iter().map(|i| imported.graph.outputs()[*i]).collect();
        let graph = joined(&imported.graph, &heads).map_err(broken)?;
        let network = Network::new(graph, device).map_err(broken)?;
        Ok(Self { network, options, device: device.clone() })
    }

    /// How it looks.
    pub fn options(&self) -> &YuNetOptions {
        &self.options
    }

    /// What it sees in one tile of the photo at one size, in pixels of the photo.
    fn look(
        &self,
        photo: &Photo,
        (size, scale): (Size, [f32; 2]),
        (across, down): (&Tile, &Tile),
        found: &mut Vec<(Candidate, Landmarks)>,
    ) -> Result<(), NetworkError> {
        let (width, height) = (across.pixels.len(), down.pixels.len());
        let mut pixels = vec![0.0; width * height * 3];
        let part = Region { x: across.pixels.clone(), y: down.pixels.clone() };
        resize_part(photo, &Region::all(photo), size, &part, Scaling::NONE, &mut pixels);
        let (wide, high) = (width.next_multiple_of(32), height.next_multiple_of(32));
        let mut padded = vec![0.0; wide * high * 3];
        for (row, padded) in pixels.chunks_exact(width * 3).zip(padded.chunks_exact_mut(wide * 3)) {
            for (pixel, to) in row.chunks_exact(3).zip(padded.chunks_exact_mut(3)) {
                (to[0], to[1], to[2]) = (pixel[2], pixel[1], pixel[0]);
            }
        }
        let input = Tensor::from_vec(padded, (1, high, wide, 3), &self.device)?;
        let outputs = self.network.forward(&input.permute((0, 3, 1, 2))?)?;
        for (output, stride) in outputs.iter().zip(STRIDES) {
            let (_, _, rows, columns) = output.dims4()?;
            let numbers: Vec<f32> = output.flatten_all()?.to_vec1()?;
            let plane = rows * columns;
            let at = |place: usize, i: usize| numbers[i * plane + place];
            for place in 0..plane {
                let score = (sigmoid(at(place, 0)) * sigmoid(at(place, 1))).sqrt();
                if score < self.options.threshold {
                    continue;
                }
                let (column, row) = ((place % columns) as f32, (place / columns) as f32);
                let stride = stride as f32;
                let x = (column + at(place, 2)) * stride + across.pixels.start as f32;
                let y = (row + at(place, 3)) * stride + down.pixels.start as f32;
                if !(across.owns(x) && down.owns(y)) {
                    continue;
                }
                let (w, h) = (at(place, 4).exp() * stride, at(place, 5).exp() * stride);
                let (x1, y1) = ((x - w / 2.0) / scale[0], (y - h / 2.0) / scale[1]);
                let (x2, y2) = (x1 + w / scale[0], y1 + h / scale[1]);
                let points = std::array::from_fn(|i| {
                    let x = (column + at(place, 6 + 2 * i)) * stride + across.pixels.start as f32;
                    let y = (row + at(place, 7 + 2 * i)) * stride + down.pixels.start as f32;
                    [x / scale[0], y / scale[1]]
                });
                let is_box = [x1, y1, x2, y2].iter().all(|v| v.is_finite());
                if is_box && (x2 - x1).max(y2 - y1) >= self.options.min_face as f32 {
                    found.push((Candidate { x1, y1, x2, y2, score }, Landmarks(points)));
                }
            }
        }
        Ok(())
    }
}

impl FaceDetector for YuNet {
    fn name(&self) -> &str {
        NAME
    }

    fn detect(&self, photo: &Photo) -> Result<Vec<DetectedFace>, VisionError> {
        let (width, height) = (photo.width() as usize, photo.height() as usize);
        let mut found = Vec::new();
        for scale in scales(width.min(height), self.options.min_face) {
            let scaled = |side: usize| ((side as f64 * scale).round() as usize).max(1);
            let size = Size { height: scaled(height), width: scaled(width) };
            let exact = [size.width as f32 / width as f32, size.height as f32 / height as f32];
            for down in tiles(size.height) {
                for across in tiles(size.width) {
                    self.look(photo, (size, exact), (&across, &down), &mut found)
                        .map_err(broken)?;
                }
            }
        }
        let kept = suppress(&found, |f| &f.0, self.options.overlap, Overlap::Union);
        let mut faces: Vec<_> = kept.into_iter().map(|place| detected(found[place])).collect();
        let place = |face: &DetectedFace| (face.bbox.y, face.bbox.x);
        faces.sort_by(|a, b| {
            let ((ay, ax), (by, bx)) = (place(a), place(b));
            b.score.total_cmp(&a.score).then(ay.total_cmp(&by)).then(ax.total_cmp(&bx))
        });
        Ok(faces)
    }
}

/// The sizes at which a photo of this shorter side is looked at, in its own.
fn scales(shorter: usize, min_face: u32) -> Vec<f64> {
    let mut scale = (SMALLEST / f64::from(min_face)).min(1.0);
    let mut scales = vec![scale];
    while shorter as f64 * scale > LARGEST {
        scale *= STEP;
        scales.push(scale);
    }
    scales
}

/// A stretch of pixels that the network sees at once, and of which it answers for a part.
#[derive(Debug, Clone, PartialEq)]
struct Tile {
    pixels: Range<usize>,
    /// Faces with their centre here are its own; what lies nearer to an edge is whole in a
    /// neighbour.
    own: Range<f32>,
}

impl Tile {
    fn owns(&self, centre: f32) -> bool {
        self.own.contains(&centre)
    }
}

/// A side in tiles of at most [`TILE`] pixels that share [`SHARED`] or a little more.
fn tiles(side: usize) -> Vec<Tile> {
    let count = side.saturating_sub(SHARED).div_ceil(TILE - SHARED).max(1);
    // The grid of the coarsest answers is the same in all tiles.
    let step = match count {
        1 => 0,
        _ => (side - TILE).div_ceil(count - 1).next_multiple_of(32).min(TILE - SHARED),
    };
    let start = |i: usize| i * step;
    let end = |i: usize| if i + 1 == count { side } else { start(i) + TILE };
    let middle = |i: usize| (start(i + 1) + end(i)) as f32 / 2.0;
    let tile = |i: usize| Tile {
        pixels: start(i)..end(i),
        own: if i == 0 { f32::NEG_INFINITY } else { middle(i - 1) }..if i + 1 == count {
            f32::INFINITY
        } else {
            middle(i)
        },
    };
    (0..count).map(tile).collect()
}

fn detected((found, landmarks): (Candidate, Landmarks)) -> DetectedFace {
    let Candidate { x1, y1, x2, y2, score } = found;
    let bbox = BoundingBox { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    DetectedFace { bbox, score, landmarks }
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

/// What a file is that is no YuNet.
#[derive(Debug, thiserror::Error)]
#[error("the file holds another network than YuNet: {0}")]
struct NotYuNet(&'static str);

/// Why the graph cannot be made.
#[derive(Debug, thiserror::Error)]
enum GraphError {
    #[error(transparent)]
    Other(#[from] NotYuNet),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// The network with one output of [`NUMBERS`] channels for each stride, which can be of any size.
///
/// The file has four outputs for each stride, each a pointwise and a depthwise convolution of the
/// same map, brought into rows for one size of photo. Their weights are put together, in the order
/// given, and what follows is left to the decoding.
fn joined(file: &Graph, heads: &[NodeId]) -> Result<Graph, GraphError> {
    let mut g = GraphBuilder::new();
    let mut made: Vec<Option<NodeId>> = vec![None; file.nodes().len()];
    let mut outputs = Vec::new();
    for heads in heads.chunks_exact(4) {
        let mut source = None;
        let (mut points, mut windows) = (Joined::new(1), Joined::new(9));
        for head in heads {
            let (x, depthwise) = convolution(file, map_behind(file, *head))?;
            let (x, point) = convolution(file, x)?;
            if *source.get_or_insert(x) != x {
                return Err(NotYuNet("its outputs are of different maps").into());
            }
            points.add(point);
            windows.add(depthwise);
        }
        let x = copied(file, source.expect("there are four"), &mut g, &mut made)?;
        let window = Window { padding: [1; 4], ..Window::new(3, 3) };
        let depthwise = windows.conv([NUMBERS, 1, 3, 3])?.window(window).groups(NUMBERS);
        let channels = points.weight.len() / NUMBERS;
        let y = g.conv(x, points.conv([NUMBERS, channels, 1, 1])?)?;
        outputs.push(g.conv(y, depthwise)?);
    }
    Ok(g.finish(&outputs)?)
}

/// The convolution whose map an output puts into rows.
fn map_behind(file: &Graph, output: NodeId) -> NodeId {
    let node = &file.nodes()[output.index()];
    match node.op {
        Op::Flatten(_)
        | Op::Reshape(_)
        | Op::Permute { .. }
        | Op::Activation(Activation::Sigmoid) => map_behind(file, node.inputs[0]),
        _ => output,
    }
}

fn convolution(file: &Graph, id: NodeId) -> Result<(NodeId, &Conv2d), NotYuNet> {
    let node = &file.nodes()[id.index()];
    match &node.op {
        Op::Conv2d(conv) => Ok((node.inputs[0], conv)),
        _ => Err(NotYuNet("its outputs do not end in convolutions")),
    }
}

/// Convolutions of the same kind, one after the other.
struct Joined {
    /// Numbers that a kernel has for each channel it reads.
    kernel: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    fits: bool,
}

impl Joined {
    fn new(kernel: usize) -> Self {
        Self { kernel, weight: Vec::new(), bias: Vec::new(), fits: true }
    }

    fn add(&mut self, conv: &Conv2d) {
        self.weight.extend_from_slice(&conv.weight);
        match &conv.bias {
            Some(bias) => self.bias.extend_from_slice(bias),
            None => self.bias.resize(self.bias.len() + conv.out_channels, 0.0),
        }
        let Window { size, stride, dilation, padding } = conv.window;
        let is_depthwise = conv.groups == conv.out_channels && conv.group_channels == 1;
        self.fits &= (stride, dilation) == ([1; 2], [1; 2])
            && match self.kernel {
                1 => size == [1; 2] && padding == [0; 4] && conv.groups == 1,
                _ => size == [3; 2] && padding == [1; 4] && is_depthwise,
            };
    }

    fn conv(self, shape: [usize; 4]) -> Result<Conv2d, NotYuNet> {
        let numbers: usize = shape.iter().product();
        if !self.fits || self.bias.len() != shape[0] || self.weight.len() != numbers {
            return Err(NotYuNet("its outputs are made in another way"));
        }
        Ok(Conv2d::new(shape, self.weight).bias(self.bias))
    }
}

/// A layer of the file and all that it reads, in `g`.
fn copied(
    file: &Graph,
    id: NodeId,
    g: &mut GraphBuilder,
    made: &mut [Option<NodeId>],
) -> Result<NodeId, GraphError> {
    if let Some(there) = made[id.index()] {
        return Ok(there);
    }
    let node = &file.nodes()[id.index()];
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        inputs.push(copied(file, *input, g, made)?);
    }
    let copy = match (&node.op, &inputs[..]) {
        (Op::Input { channels: 3 }, []) => g.input(3),
        (Op::Conv2d(conv), [x]) => g.conv(*x, conv.clone())?,
        (Op::Activation(activation), [x]) => g.activation(*x, activation.clone()),
        (Op::Pool(pool), [x]) => g.pool(*x, *pool),
        (Op::Upsample { factor }, [x]) => g.upsample(*x, *factor),
        (Op::Add, [a, b]) => g.add(*a, *b),
        _ => return Err(NotYuNet("it has layers that YuNet has not").into()),
    };
    made[id.index()] = Some(copy);
    Ok(copy)
}

fn broken(source: impl std::error::Error + Send + Sync + 'static) -> VisionError {
    VisionError::Model { model: NAME.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
