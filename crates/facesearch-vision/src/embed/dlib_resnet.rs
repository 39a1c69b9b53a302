//! dlib's face recognition network: a residual network of 29 convolutions.
//!
//! - **Source:** Davis King, *High Quality Face Recognition with Deep Metric Learning*, 2017,
//!   <http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html>; a smaller version
//!   of ResNet-34 (He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016,
//!   <https://arxiv.org/abs/1512.03385>). 99.38 % on LFW; public domain.
//! - **Input:** RGB chips of 150x150, cut by [`dlib_chip`](crate::dlib_chip) with a padding of
//!   0.25; the network subtracts the mean colour and divides by 256 itself.
//! - **Output:** 128 numbers compared by plain L2, norm about 1.4. The author's own radius for
//!   "the same person" is 0.6.
//! - **Weights:** `dlib_face_recognition_resnet_model_v1.dat`, 22,466,066 bytes, 5.6 million
//!   parameters.
//! - **Trap:** a convolution of stride 2 has no padding, and a sum of values of different sizes
//!   keeps the larger of each dimension: the shortcut has half the channels of the block it is
//!   added to, and at the two last halvings a larger map.

use candle_core::{Device, Tensor};
use facesearch_core::{Chip, Embedder, Embedding, Metric, VisionError};

use crate::network::{Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, Network, NodeId, Pool};
use crate::network::{NetworkError, Window};
use crate::weights::dlib::{InputRecord, Record, Sliding, Step, read_metric_network};

const NAME: &str = "dlib";
const SIDE: u32 = 150;
const DIM: usize = 128;

/// dlib's face recognition network.
#[derive(Debug)]
pub struct DlibResNet {
    network: Network,
}

impl DlibResNet {
    /// The network from the bytes of `dlib_face_recognition_resnet_model_v1.dat`.
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not that file's, or the device refuses them.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self, VisionError> {
        let graph = Self::graph(bytes)?;
        Ok(Self { network: Network::new(graph, device).map_err(broken)? })
    }

    /// The description of the network, for other executors than [`Embedder::embed`].
    ///
    /// # Errors
    ///
    /// [`VisionError::Model`] where the bytes are not those of the weights.
    pub fn graph(bytes: &[u8]) -> Result<Graph, VisionError> {
        let (input, records) = read_metric_network(bytes, &steps()).map_err(broken)?;
        Layers::new(records).network(&input).map_err(broken)
    }
}

impl Embedder for DlibResNet {
    fn name(&self) -> &str {
        NAME
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn metric(&self) -> Metric {
        Metric::L2
    }

    fn batch_size(&self) -> usize {
        32
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        if chips.is_empty() {
            return Ok(Vec::new());
        }
        let pixels = chips_tensor(chips, self.network.device()).map_err(broken)?;
        let outputs = self.network.forward(&pixels).map_err(broken)?;
        let vectors = outputs[0].flatten_from(1).and_then(|x| x.to_vec2()).map_err(broken)?;
        Ok(vectors.into_iter().map(|v| Embedding::new(v, Metric::L2).ok()).collect())
    }
}

/// `(chips, 3, 150, 150)` bytes, a view of rows of `r g b`.
fn chips_tensor(chips: &[Chip], device: &Device) -> candle_core::Result<Tensor> {
    let side = SIDE as usize;
    let mut bytes = Vec::with_capacity(chips.len() * side * side * 3);
    for chip in chips {
        if (chip.width(), chip.height()) != (SIDE, SIDE) {
            candle_core::bail!("a chip must be {SIDE}x{SIDE}, not {chip:?}")
        }
        bytes.extend_from_slice(chip.rgb());
    }
    Tensor::from_vec(bytes, (chips.len(), side, side, 3), device)?.permute((0, 3, 1, 2))
}

fn broken(source: impl Into<facesearch_core::BoxError>) -> VisionError {
    VisionError::Model { model: NAME.into(), source: source.into() }
}

/// How many residual units each stage has after the halving that begins it; the first, which has
/// 32 channels, begins without one.
const STAGES: [usize; 5] = [3, 3, 2, 2, 0];

/// The nesting of dlib's type, from the output inwards.
fn steps() -> Vec<Step> {
    use Step::{Layer as L, Mark as M};
    let residual = [L, L, L, L, L, L, L, M];
    let halving = [L, L, L, M, M, L, L, L, L, L, M];
    let mut steps = vec![L, L];
    for (stage, units) in STAGES.iter().enumerate().rev() {
        (0..*units).for_each(|_| steps.extend(residual));
        if stage > 0 {
            steps.extend(halving);
        }
    }
    steps.extend([L, L, L, L]);
    steps
}

/// Why the records of the file do not make the network.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the file has {found} where the network has {wanted}")]
    Order { wanted: &'static str, found: &'static str },
}

/// The records of the file, taken one by one as the network is described.
struct Layers {
    records: std::vec::IntoIter<Record>,
    g: GraphBuilder,
}

impl Layers {
    fn new(records: Vec<Record>) -> Self {
        Self { records: records.into_iter(), g: GraphBuilder::new() }
    }

    fn network(mut self, input: &InputRecord) -> Result<Graph, BuildError> {
        let x = self.g.input(3);
        let shift = input.mean.map(|mean| -mean / 256.0);
        let x = self.g.affine(x, vec![1.0 / 256.0; 3], shift.to_vec())?;
        let x = self.convolution(x)?;
        let x = self.relu(x)?;
        let mut x = self.pool(x)?;
        for (stage, units) in STAGES.iter().enumerate() {
            if stage > 0 {
                x = self.halving(x)?;
            }
            for _ in 0..*units {
                x = self.residual(x)?;
            }
        }
        let x = self.pool(x)?;
        let x = self.dense(x)?;
        Ok(self.g.finish(&[x])?)
    }

    /// `relu(block(x) + x)`, the size unchanged.
    fn residual(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let y = self.block(x)?;
        self.add(y, x)
    }

    /// `relu(block(x) + mean of 2x2(x))`: half the size, twice the channels.
    fn halving(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let y = self.block(x)?;
        let shortcut = self.pool(x)?;
        self.add(y, shortcut)
    }

    fn block(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let x = self.convolution(x)?;
        let x = self.relu(x)?;
        self.convolution(x)
    }

    fn add(&mut self, y: NodeId, x: NodeId) -> Result<NodeId, BuildError> {
        match self.next("a sum")? {
            Record::AddPrevious => {
                let sum = self.g.add(y, x);
                self.relu(sum)
            }
            other => Err(order("a sum", &other)),
        }
    }

    fn relu(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        match self.next("a relu")? {
            Record::Relu => Ok(self.g.relu(x)),
            other => Err(order("a relu", &other)),
        }
    }

    /// A convolution and the affine layer that always follows.
    fn convolution(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let conv = match self.next("a convolution")? {
            Record::Convolution { weight, bias, sliding } => {
                let conv = Conv2d::new(weight.shape, weight.data).window(window(&sliding));
                match bias {
                    Some(bias) => conv.bias(bias),
                    None => conv,
                }
            }
            other => return Err(order("a convolution", &other)),
        };
        let y = self.g.conv(x, conv)?;
        match self.next("an affine layer")? {
            Record::Affine { scale, shift } => Ok(self.g.affine(y, scale, shift)?),
            other => Err(order("an affine layer", &other)),
        }
    }

    fn pool(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        let whole = |s: &Sliding| s.size == [0, 0];
        match self.next("a pool")? {
            Record::AveragePool(s) if whole(&s) => Ok(self.g.global_average(x)),
            Record::AveragePool(s) => {
                let pool = Pool { window: window(&s), ..Pool::average(1, 1) };
                Ok(self.g.pool(x, pool))
            }
            Record::MaxPool(s) if !whole(&s) => {
                let pool = Pool { window: window(&s), ..Pool::max(1, 1) };
                Ok(self.g.pool(x, pool))
            }
            other => Err(order("a pool", &other)),
        }
    }

    fn dense(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        match self.next("a dense layer")? {
            Record::Dense { weight, bias } => {
                let [inputs, outputs, _, _] = weight.shape;
                let mut transposed = vec![0.0; inputs * outputs];
                for (i, row) in weight.data.chunks_exact(outputs).enumerate() {
                    row.iter().enumerate().for_each(|(o, w)| transposed[o * inputs + i] = *w);
                }
                let dense = Dense::new(outputs, inputs, transposed);
                let dense = match bias {
                    Some(bias) => dense.bias(bias),
                    None => dense,
                };
                let x = self.g.flatten(x, FlattenOrder::ChannelsRowsColumns);
                Ok(self.g.dense(x, dense)?)
            }
            other => Err(order("a dense layer", &other)),
        }
    }

    fn next(&mut self, wanted: &'static str) -> Result<Record, BuildError> {
        self.records.next().ok_or(BuildError::Order { wanted, found: "its end" })
    }
}

fn window(s: &Sliding) -> Window {
    let [y, x] = s.padding;
    Window { stride: s.stride, padding: [y, x, y, x], ..Window::new(s.size[0], s.size[1]) }
}

fn order(wanted: &'static str, found: &Record) -> BuildError {
    let found = match found {
        Record::Convolution { .. } => "a convolution",
        Record::Affine { .. } => "an affine layer",
        Record::Dense { .. } => "a dense layer",
        Record::Relu => "a relu",
        Record::MaxPool(_) | Record::AveragePool(_) => "a pool",
        Record::AddPrevious => "a sum",
    };
    BuildError::Order { wanted, found }
}
