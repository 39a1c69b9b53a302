//! Packs the weights of a convolution for its kernel.

use std::borrow::Cow;

use super::method::Method;
use super::{Convolution, Weights};
use crate::kernels::{
    Form, Panel, SLACK, Source, TransformWeights, fill_panels, launch, split_panels,
};
use crate::layers::Aligned;
use crate::network::{Conv2d, Dense, FlattenOrder};

/// Weights in the order of a kernel.
#[derive(Debug)]
pub(super) struct Packed {
    /// The panels, each with the offset of its group's channels in a pixel.
    pub(super) panels: Vec<(usize, Panel)>,
    /// The same panels for Winograd, which has no groups.
    pub(super) ungrouped: Vec<Panel>,
    /// Floats, or pairs of integers in their place.
    pub(super) weights: Aligned,
    /// With integers: the scale of each lane of the panels, plane by plane.
    pub(super) scales: Vec<f32>,
}

impl Packed {
    pub(super) fn new(panels: Vec<(usize, Panel)>, weights: Aligned) -> Self {
        let ungrouped = panels.iter().map(|(_, panel)| *panel).collect();
        Self { panels, ungrouped, weights, scales: Vec::new() }
    }
}

impl Convolution {
    /// Packs the weights as floats, for inputs of `channels` channels.
    pub(super) fn pack(&self, method: Method, channels: usize) -> Packed {
        match (&self.weights, method) {
            (Weights::Dense(dense, order), Method::Dense { height, width }) => {
                self.pack_dense(dense, *order, [channels, height, width])
            }
            (Weights::Conv(conv), Method::Direct { rows, columns }) => {
                self.pack_direct(conv, rows, columns)
            }
            (Weights::Conv(conv), Method::Winograd(form)) => self.pack_winograd(conv, form),
            (Weights::Conv(conv), _) => self.pack_depthwise(conv),
            (Weights::Dense(..), _) => unreachable!("a dense layer has one method only"),
        }
    }

    fn pack_dense(
        &self,
        dense: &Dense,
        order: FlattenOrder,
        [channels, height, width]: [usize; 3],
    ) -> Packed {
        // Number `k` of the map in the order of the flattened vector.
        let offset = |k: usize| {
            let (c, x, y) = (k % channels, k / channels % width, k / channels / width);
            match order {
                FlattenOrder::ChannelsRowsColumns => (c * height + y) * width + x,
                FlattenOrder::RowsColumnsChannels => k,
                FlattenOrder::ColumnsRowsChannels => (x * height + y) * channels + c,
            }
        };
        let output_stride = dense.in_features;
        let offsets: Vec<usize> = (0..output_stride).map(offset).collect();
        self.pack_groups(&dense.weight, output_stride, &offsets, 1, 0)
    }

    fn pack_direct(&self, conv: &Conv2d, rows: [usize; 2], columns: [usize; 2]) -> Packed {
        let [height, width] = conv.window.size;
        let (inputs, taps) = (conv.group_channels, columns[1] - columns[0]);
        let offset = |k: usize| {
            let (c, x, y) = (k % inputs, k / inputs % taps, k / inputs / taps);
            (c * height + y + rows[0]) * width + x + columns[0]
        };
        let row_len = (rows[1] - rows[0]) * taps * inputs;
        let offsets: Vec<usize> = (0..row_len).map(offset).collect();
        self.pack_groups(&conv.weight, inputs * height * width, &offsets, conv.groups, inputs)
    }

    fn pack_winograd(&self, conv: &Conv2d, form: Form) -> Packed {
        let (inputs, kernels) = (form.row_len(conv.group_channels), &*form_kernels(conv, form));
        let (panels, end) = split_panels(self.level, 0, conv.out_channels, inputs, 0);
        let mut weights = Aligned::zeros(form.planes() * end);
        let (scale, to) = (self.scale.as_deref(), &mut weights);
        launch(self.level, TransformWeights { form, kernels, scale, inputs, panels: &panels, to });
        let panels = panels.into_iter().map(|panel| (0, panel)).collect();
        Packed::new(panels, weights)
    }

    fn pack_depthwise(&self, conv: &Conv2d) -> Packed {
        let taps = conv.window.size[0] * conv.window.size[1];
        let mut weights = Aligned::zeros(taps * conv.out_channels + SLACK);
        for (tap, to) in weights.chunks_exact_mut(conv.out_channels).take(taps).enumerate() {
            for (o, to) in to.iter_mut().enumerate() {
                let scale = self.scale.as_ref().map_or(1.0, |scale| scale[o]);
                *to = conv.weight[o * taps + tap] * scale;
            }
        }
        Packed::new(Vec::new(), weights)
    }

    /// Packs the panels of each of `groups` groups of output channels. A group reads `inputs`
    /// channels. The weight of an output channel for number `k` of a row is at `offsets[k]` of its
    /// `output_stride` weights.
    fn pack_groups(
        &self,
        weights: &[f32],
        output_stride: usize,
        offsets: &[usize],
        groups: usize,
        inputs: usize,
    ) -> Packed {
        let outputs = self.out_channels() / groups;
        let (mut panels, mut end) = (Vec::new(), 0);
        for group in 0..groups {
            let first = group * outputs;
            let (of_group, e) = split_panels(self.level, first, outputs, offsets.len(), end);
            panels.extend(of_group.into_iter().map(|panel| (group * inputs, panel)));
            end = e;
        }
        let mut packed = Packed::new(panels, Aligned::zeros(end));
        let source = Source { weights, output_stride, offsets, scale: self.scale.as_deref() };
        fill_panels(self.level, &packed.ungrouped, &source, &mut packed.weights);
        packed
    }
}

/// The kernels of a convolution for a form: `(out, form.row_len(in), taps, taps)`.
///
/// For [`Form::Parts`] a kernel is a part of the window, for [`Form::SpaceToDepth`] what the window
/// sees of one of the four pixels that became channels. Taps outside the window are zeros.
fn form_kernels(conv: &Conv2d, form: Form) -> Cow<'_, [f32]> {
    let ([height, width], inputs, taps) = (conv.window.size, conv.group_channels, form.taps());
    // Along one axis: the tap of the window that is tap `tap` of kernel number `kernel`.
    let (kernels, window_tap): (usize, fn(usize, usize) -> usize) = match form {
        Form::F2x2 | Form::F4x4 => return Cow::Borrowed(&conv.weight),
        Form::Parts(parts) => (parts, |kernel, tap| kernel * 3 + tap),
        Form::SpaceToDepth => (2, |kernel, tap| 2 * tap + kernel),
    };
    let mut weights = vec![0.0; conv.out_channels * form.row_len(inputs) * taps * taps];
    for (i, to) in weights.chunks_exact_mut(taps * taps).enumerate() {
        let (c, i) = (i % inputs, i / inputs);
        let (across, i) = (i % kernels, i / kernels);
        let (down, o) = (i % kernels, i / kernels);
        for (tap, to) in to.iter_mut().enumerate() {
            let (y, x) = (window_tap(down, tap / taps), window_tap(across, tap % taps));
            if y < height && x < width {
                *to = conv.weight[((o * inputs + c) * height + y) * width + x];
            }
        }
    }
    Cow::Owned(weights)
}
