//! The size of every value of a network, for an input of a given height and width.

use super::NetworkError;
use super::graph::{Graph, Node, Op, Pool, Window};

/// The size of one value for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels. The length of a vector.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A map of `channels x height x width`.
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a vector: a single pixel.
    pub(crate) fn is_vector(&self) -> bool {
        self.height == 1 && self.width == 1
    }
}

/// How many places a window has along one axis; `None` where it does not fit even once.
fn places(len: usize, axis: usize, window: &Window, ceil: bool) -> Option<usize> {
    let (before, after) = (window.padding[axis], window.padding[axis + 2]);
    let extent = (window.size[axis].checked_sub(1)?) * window.dilation[axis] + 1;
    let stride = window.stride[axis];
    let room = (len + before + after).checked_sub(extent)?;
    let mut count = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
    if ceil && (count - 1) * stride >= len + before {
        count -= 1; // The last window would lie wholly in the padding.
    }
    (count > 0).then_some(count)
}

/// Rows and columns of the output of a sliding window on a `height x width` map.
pub(crate) fn slide(
    height: usize,
    width: usize,
    window: &Window,
    ceil: bool,
) -> Option<(usize, usize)> {
    Some((places(height, 0, window, ceil)?, places(width, 1, window, ceil)?))
}

impl Graph {
    /// The size of every layer's value for an input of `height x width`, in the order of
    /// [`Graph::nodes`].
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`], naming the first layer that such an input does not fit.
    pub fn shapes(&self, height: usize, width: usize) -> Result<Vec<Shape>, NetworkError> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        for (layer, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<Shape> = node.inputs.iter().map(|id| shapes[id.0]).collect();
            let shape = node_shape(node, &inputs, (height, width))
                .map_err(|what| NetworkError::Shape { layer, kind: node.op.kind(), what })?;
            shapes.push(shape);
        }
        Ok(shapes)
    }
}

fn node_shape(node: &Node, inputs: &[Shape], size: (usize, usize)) -> Result<Shape, String> {
    let x = inputs.first().copied().unwrap_or(Shape::new(0, size.0, size.1));
    let slide_over = |window: &Window, ceil: bool| {
        slide(x.height, x.width, window, ceil).ok_or_else(|| {
            let [h, w] = window.size;
            format!("a window of {h}x{w} on a map of {}x{}", x.height, x.width)
        })
    };
    let vector = |n: usize| Shape::new(n, 1, 1);
    match &node.op {
        Op::Input { channels } if x.height == 0 || x.width == 0 => {
            Err(format!("an empty picture of {channels} channels"))
        }
        Op::Input { channels } => Ok(Shape { channels: *channels, ..x }),
        Op::Conv2d(conv) => {
            let (h, w) = slide_over(&conv.window, false)?;
            Ok(Shape::new(conv.out_channels, h, w))
        }
        Op::LocallyConnected(lc) => {
            let (h, w) = slide_over(&lc.window, false)?;
            if [h, w] != lc.out_size {
                return Err(format!("weights for {:?} places, but there are {h}x{w}", lc.out_size));
            }
            Ok(Shape::new(lc.out_channels, h, w))
        }
        Op::Pool(Pool { window, ceil, .. }) => {
            let (h, w) = slide_over(window, *ceil)?;
            Ok(Shape::new(x.channels, h, w))
        }
        Op::Affine { .. } | Op::Activation(_) | Op::Softmax | Op::Power(_) => Ok(x),
        Op::GlobalAverage => Ok(vector(x.channels)),
        Op::Flatten(_) => Ok(vector(x.len())),
        Op::Dense(dense) if x != vector(dense.in_features) => {
            Err(format!("a vector of {} numbers is wanted, not {x:?}", dense.in_features))
        }
        Op::Dense(dense) => Ok(vector(dense.out_features)),
        Op::Add => Ok(Shape::new(
            x.channels.max(inputs[1].channels),
            x.height.max(inputs[1].height),
            x.width.max(inputs[1].width),
        )),
        Op::Multiply => match (x, inputs[1]) {
            (a, b) if a == b || (b.is_vector() && a.channels == b.channels) => Ok(a),
            (a, b) if a.is_vector() && a.channels == b.channels => Ok(b),
            (a, b) => Err(format!("{a:?} times {b:?}")),
        },
        Op::Concat => {
            if inputs.iter().any(|i| (i.height, i.width) != (x.height, x.width)) {
                return Err(format!("maps of different sizes: {inputs:?}"));
            }
            Ok(Shape { channels: inputs.iter().map(|i| i.channels).sum(), ..x })
        }
        Op::Slice { len, .. } => Ok(Shape { channels: *len, ..x }),
        Op::Reshape(shape) if shape.len() != x.len() => {
            Err(format!("{} numbers as a map of {shape:?}", x.len()))
        }
        Op::Reshape(shape) => Ok(*shape),
        Op::Permute { order, channels } => {
            let sizes = [x.channels, x.height, x.width];
            let [c, h, w] = order.map(|axis| sizes[axis]);
            let shape = Shape::new(c, h, w);
            (c == *channels).then_some(shape).ok_or(format!("{shape:?}, not {channels} channels"))
        }
        Op::Upsample { factor } => Ok(Shape::new(x.channels, x.height * factor, x.width * factor)),
    }
}
