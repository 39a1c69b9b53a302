//! Layers of Keras files, taken by name and put one behind the other in a network's description.

use facesearch_nn::{Conv2d, Dense, FlattenOrder, Graph, GraphBuilder, NodeId, Weights, Window};

use super::network_embedder::BuildError;

/// A network under construction and the arrays it is made of, named as
/// [`read_keras`](facesearch_nn::read_keras) names them.
pub(super) struct KerasLayers {
    pub(super) g: GraphBuilder,
    pub(super) weights: Weights,
}

/// What a batch normalisation's file holds beside its statistics and the summand.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    /// Added to the variance.
    pub(super) epsilon: f32,
    /// Whether it has a factor (Keras: `scale=True`).
    pub(super) has_scale: bool,
}

impl KerasLayers {
    pub(super) fn new(weights: Weights) -> Self {
        Self { g: GraphBuilder::new(), weights }
    }

    /// A convolution of weights `[out, in, rows, columns]`, with a bias where the file has one.
    pub(super) fn convolution(
        &mut self,
        x: NodeId,
        name: &str,
        shape: [usize; 4],
        window: Window,
    ) -> Result<NodeId, BuildError> {
        let weight = self.weights.take(&format!("{name}.kernel"), &shape)?;
        let conv = Conv2d::new(shape, weight).window(window);
        let bias = format!("{name}.bias");
        let conv = match self.weights.has(&bias) {
            true => conv.bias(self.weights.take(&bias, &shape[..1])?),
            false => conv,
        };
        Ok(self.g.conv(x, conv)?)
    }

    /// A convolution of each of `channels` by itself, `size x size`.
    pub(super) fn depthwise(
        &mut self,
        x: NodeId,
        name: &str,
        channels: usize,
        window: Window,
    ) -> Result<NodeId, BuildError> {
        let shape = [channels, 1, window.size[0], window.size[1]];
        let weight = self.weights.take(&format!("{name}.depthwise_kernel"), &shape)?;
        Ok(self.g.conv(x, Conv2d::new(shape, weight).window(window).groups(channels))?)
    }

    /// A dense layer, with a bias where the file has one; of a map, read pixel by pixel.
    pub(super) fn dense(
        &mut self,
        x: NodeId,
        name: &str,
        [inputs, outputs]: [usize; 2],
    ) -> Result<NodeId, BuildError> {
        let x = self.g.flatten(x, FlattenOrder::RowsColumnsChannels);
        let weight = self.weights.take(&format!("{name}.kernel"), &[outputs, inputs])?;
        let dense = Dense::new(outputs, inputs, weight);
        let bias = format!("{name}.bias");
        let dense = match self.weights.has(&bias) {
            true => dense.bias(self.weights.take(&bias, &[outputs])?),
            false => dense,
        };
        Ok(self.g.dense(x, dense)?)
    }

    /// A batch normalisation.
    pub(super) fn norm(
        &mut self,
        x: NodeId,
        name: &str,
        channels: usize,
        Norm { epsilon, has_scale }: Norm,
    ) -> Result<NodeId, BuildError> {
        let mut part = |part: &str| self.weights.take(&format!("{name}.{part}"), &[channels]);
        let gamma = if has_scale { part("gamma")? } else { vec![1.0; channels].into() };
        let beta = part("beta")?;
        let (mean, variance) = (part("moving_mean")?, part("moving_variance")?);
        Ok(self.g.batch_norm(x, [&gamma, &beta, &mean, &variance], epsilon)?)
    }

    /// A ReLU with a slope for each channel below zero, the same all over the map.
    pub(super) fn prelu(
        &mut self,
        x: NodeId,
        name: &str,
        channels: usize,
    ) -> Result<NodeId, BuildError> {
        let slope = self.weights.take(&format!("{name}.alpha"), &[1, 1, channels])?;
        Ok(self.g.prelu(x, slope)?)
    }

    pub(super) fn finish(self, output: NodeId) -> Result<Graph, BuildError> {
        Ok(self.g.finish(&[output])?)
    }
}

/// Layers among these arrays that have one called `part`, in the order of the numbers at the end
/// of their names; none counts as 0. So Keras names the layers of a network that names none.
pub(super) fn in_order(arrays: &[String], part: &str) -> Vec<String> {
    let layers = arrays.iter().filter_map(|name| name.strip_suffix(part)?.strip_suffix('.'));
    let mut layers: Vec<String> = layers.map(str::to_owned).collect();
    layers.sort_by_key(|name| {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        name[name.len() - digits..].parse::<u64>().unwrap_or(0)
    });
    layers
}

/// A window with as much padding as Keras's `same` gives it on a map of `side x side`: where it
/// is odd, the one more is on the right and below.
pub(super) fn same(side: usize, size: usize, stride: usize) -> Window {
    let total = ((side.div_ceil(stride) - 1) * stride + size).saturating_sub(side);
    let (before, after) = (total / 2, total - total / 2);
    let padding = [before, before, after, after];
    Window { stride: [stride; 2], padding, ..Window::new(size, size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_stand_in_the_order_of_their_numbers() {
        let names = ["conv2d.bias", "conv2d.kernel", "conv2d_10.kernel", "conv2d_9.kernel"];
        let ordered = in_order(&names.map(str::to_owned), "kernel");
        assert_eq!(ordered, ["conv2d", "conv2d_9", "conv2d_10"]);
    }

    #[test]
    fn padding_that_keeps_a_map_is_uneven_where_keras_has_it_uneven() {
        assert_eq!(same(112, 3, 1).padding, [1, 1, 1, 1]);
        assert_eq!(same(112, 3, 2).padding, [0, 0, 1, 1]);
        assert_eq!(same(14, 5, 2).padding, [1, 1, 2, 2]);
        assert_eq!(same(7, 5, 2).padding, [2, 2, 2, 2]);
    }
}
