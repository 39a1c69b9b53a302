//! Layers of dlib's files, taken in the order of execution and put one behind the other in a
//! network's description.

use facesearch_nn::dlib::{InputRecord, Record, Sliding};
use facesearch_nn::{
    Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, NetworkError, NodeId, Pool, Window,
};

/// Why the records of the file do not make the network.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the file has {found} where the network has {wanted}")]
    Order { wanted: &'static str, found: &'static str },
}

/// The records of the file, taken one by one as the network is described.
pub(super) struct DlibLayers {
    records: std::vec::IntoIter<Record>,
    pub(super) g: GraphBuilder,
}

impl DlibLayers {
    pub(super) fn new(records: Vec<Record>) -> Self {
        Self { records: records.into_iter(), g: GraphBuilder::new() }
    }

    /// Red, green and blue bytes, less the mean colour, divided by 256.
    pub(super) fn input(&mut self, input: &InputRecord) -> Result<NodeId, BuildError> {
        let x = self.g.input(3);
        let shift = input.mean.map(|mean| -mean / 256.0);
        Ok(self.g.affine(x, vec![1.0 / 256.0; 3], shift.to_vec())?)
    }

    pub(super) fn finish(self, output: NodeId) -> Result<Graph, BuildError> {
        Ok(self.g.finish(&[output])?)
    }

    /// The sum of the two, and a ReLU.
    pub(super) fn add(&mut self, y: NodeId, x: NodeId) -> Result<NodeId, BuildError> {
        match self.next("a sum")? {
            Record::AddPrevious => {
                let sum = self.g.add(y, x);
                self.relu(sum)
            }
            other => Err(order("a sum", &other)),
        }
    }

    /// The channels of the one, then those of the other.
    pub(super) fn concat(&mut self, x: NodeId, y: NodeId) -> Result<NodeId, BuildError> {
        match self.next("a concatenation")? {
            Record::Concat => Ok(self.g.concat(&[x, y])),
            other => Err(order("a concatenation", &other)),
        }
    }

    pub(super) fn relu(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        match self.next("a relu")? {
            Record::Relu => Ok(self.g.relu(x)),
            other => Err(order("a relu", &other)),
        }
    }

    pub(super) fn convolution(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
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
        Ok(self.g.conv(x, conv)?)
    }

    pub(super) fn affine(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
        match self.next("an affine layer")? {
            Record::Affine { scale, shift } => Ok(self.g.affine(x, scale, shift)?),
            other => Err(order("an affine layer", &other)),
        }
    }

    pub(super) fn pool(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
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

    pub(super) fn dense(&mut self, x: NodeId) -> Result<NodeId, BuildError> {
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
        Record::Concat => "a concatenation",
    };
    BuildError::Order { wanted, found }
}
