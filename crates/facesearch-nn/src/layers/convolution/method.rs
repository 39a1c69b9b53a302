//! Chooses how a convolution is run.

use crate::kernels::{Form, MAX_INT16_ROW, MAX_WINOGRAD_CHANNELS};
use crate::network::{Conv2d, Precision, Window};

/// With fewer channels than this, in or out, the transforms of Winograd do not pay.
const MIN_WINOGRAD_CHANNELS: usize = 16;

/// For windows larger than 3x3: with fewer numbers of the input for each output than this, the
/// transforms of Winograd do not pay.
const MIN_WINOGRAD_ROW: usize = 12;

/// Up to this many rows and columns of output, the smaller form of Winograd is used.
const SMALL: usize = 4;

/// How a convolution is run on an input of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Method {
    /// By the definition, with the rows and columns of the window in these ranges. The others would
    /// see nothing but padding.
    Direct {
        rows: [usize; 2],
        columns: [usize; 2],
    },
    Winograd(Form),
    Depthwise,
    /// A dense layer. Its window is the whole map, which has this size.
    Dense {
        height: usize,
        width: usize,
    },
}

/// The fastest method for `conv`.
pub(super) fn choose(
    conv: &Conv2d,
    precision: Precision,
    [channels, height, width]: [usize; 3],
    output: [usize; 2],
) -> Method {
    if conv.groups > 1 && conv.groups == channels && conv.out_channels == channels {
        return Method::Depthwise;
    }
    if let Some(form) = winograd_form(conv, channels, output) {
        // For so few channels, integers by the definition are as fast as the transforms, and exact.
        let row_len = conv.window.size[0] * conv.window.size[1] * channels;
        let int16 = precision == Precision::Int16 && row_len <= MAX_INT16_ROW;
        if form != Form::SpaceToDepth || !int16 {
            return Method::Winograd(form);
        }
    }
    let window = &conv.window;
    Method::Direct {
        rows: useful_taps(window, 0, height, output[0]),
        columns: useful_taps(window, 1, width, output[1]),
    }
}

/// The form of Winograd that pays for this convolution, if one does.
fn winograd_form(conv: &Conv2d, channels: usize, output: [usize; 2]) -> Option<Form> {
    let Window { size: [height, width], stride, dilation, .. } = conv.window;
    let outputs = conv.out_channels;
    let fits = channels.max(outputs) <= MAX_WINOGRAD_CHANNELS && outputs >= MIN_WINOGRAD_CHANNELS;
    if height != width || dilation != [1, 1] || conv.groups > 1 || !fits {
        return None;
    }
    // On a map that is hardly larger than a tile, most of each tile would be unused.
    let has_at_least = |len: usize| output.iter().all(|places| *places >= len);
    let is_small = output.iter().all(|places| *places <= SMALL);
    let form = match (height, stride) {
        (3, [1, 1]) if channels < MIN_WINOGRAD_CHANNELS || !has_at_least(3) => return None,
        (3, [1, 1]) => {
            if is_small {
                Form::F2x2
            } else {
                Form::F4x4
            }
        }
        // The parts have several times as many weights as the window. That does not pay for a few
        // tiles.
        (5..=12, [1, 1]) if has_at_least(12) => Form::Parts(height.div_ceil(3)),
        (7 | 8, [2, 2]) if has_at_least(6) && 4 * channels <= MAX_WINOGRAD_CHANNELS => {
            Form::SpaceToDepth
        }
        _ => return None,
    };
    (form.row_len(channels) >= MIN_WINOGRAD_ROW).then_some(form)
}

/// The range of rows (axis 0) or columns (axis 1) of a window that see more than padding.
fn useful_taps(window: &Window, axis: usize, len: usize, places: usize) -> [usize; 2] {
    let sees_map = |tap: usize| {
        (0..places).any(|place| {
            let at = place * window.stride[axis] + tap * window.dilation[axis];
            at >= window.padding[axis] && at - window.padding[axis] < len
        })
    };
    let first = (0..window.size[axis]).find(|tap| sees_map(*tap)).unwrap_or(0);
    let last = (0..window.size[axis]).rev().find(|tap| sees_map(*tap)).unwrap_or(0);
    [first, last + 1]
}

/// How far the window reaches beyond the map, above, left, below and right, if only the taps in
/// these ranges of rows and columns are used.
pub(super) fn border(
    window: &Window,
    rows: [usize; 2],
    columns: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
) -> [usize; 4] {
    let before = |axis: usize, taps: [usize; 2]| {
        window.padding[axis].saturating_sub(taps[0] * window.dilation[axis])
    };
    let after = |axis: usize, taps: [usize; 2]| {
        let last = (output[axis] - 1) * window.stride[axis] + (taps[1] - 1) * window.dilation[axis];
        (last + 1).saturating_sub(window.padding[axis] + input[axis])
    };
    [before(0, rows), before(1, columns), after(0, rows), after(1, columns)]
}
