//! Pooling: the maximum or the mean under a sliding window.

use super::{Kernel, Simd};
use crate::layers::Map;
use crate::network::{Pool, PoolKind};

/// A pool. It does not read the border: what is outside the map is left out.
pub(crate) struct PoolMap<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) input_map: Map,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_map: Map,
    pub(crate) images: usize,
    pub(crate) pool: Pool,
}

/// The window of output `at` along one axis: its first place in the map and one past its last, and
/// how many places it would have if the padding were part of the map.
#[inline(always)]
fn span(at: usize, axis: usize, len: usize, pool: &Pool) -> (usize, usize, usize) {
    let window = &pool.window;
    let (before, after) = (window.padding[axis], window.padding[axis + 2]);
    let start = at * window.stride[axis];
    let end = start + window.size[axis];
    let padded = end.min(len + before + after) - start;
    (start.saturating_sub(before).min(len), end.saturating_sub(before).min(len), padded)
}

impl PoolMap<'_> {
    /// One vector of channels of one output pixel.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions. The rows, columns and channel must exist in the input,
    /// `image` must be below `images`, and the input must have been checked to be whole.
    #[inline(always)]
    unsafe fn pixel<S: Simd>(
        &self,
        image: usize,
        rows: (usize, usize),
        columns: (usize, usize),
        channel: usize,
        divisor: f32,
    ) -> S::V {
        let i = &self.input_map;
        let lanes = i.channels - channel;
        let is_max = self.pool.kind == PoolKind::Max;
        // SAFETY: the caller promises the instructions and places inside the map. Of a pixel only
        // its channels are read.
        unsafe {
            let mut v = S::splat(if is_max { f32::NEG_INFINITY } else { 0.0 });
            for y in rows.0..rows.1 {
                let row = image * i.image_stride() + i.offset(y, 0) + channel;
                for x in columns.0..columns.1 {
                    let from = self.input.as_ptr().add(row + x * i.channels);
                    let x = S::load_up_to(from, lanes);
                    v = if is_max { S::max(v, x) } else { S::add(v, x) };
                }
            }
            if is_max { v } else { S::mul(v, S::splat(1.0 / divisor)) }
        }
    }
}

impl Kernel for PoolMap<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (i, o) = (self.input_map, self.output_map);
        assert_eq!(i.channels, o.channels, "as many channels out as in");
        assert!(self.images * i.image_stride() <= self.input.len(), "a whole input");
        assert!(self.images * o.image_stride() <= self.output.len(), "room for the output");
        assert_eq!(self.pool.window.dilation, [1, 1], "a window without dilation");
        for image in 0..self.images {
            for y in 0..o.height {
                let (top, bottom, padded_rows) = span(y, 0, i.height, &self.pool);
                for x in 0..o.width {
                    let (left, right, padded_columns) = span(x, 1, i.width, &self.pool);
                    let count = match self.pool.kind {
                        PoolKind::AverageWithPadding => padded_rows * padded_columns,
                        _ => (bottom - top) * (right - left),
                    };
                    let to = image * o.image_stride() + o.offset(y, x);
                    for channel in (0..o.channels).step_by(S::LANES) {
                        // SAFETY: `run` is called below `launch` only. `span` gives places inside
                        // the map, the assertions found both buffers whole, and only the channels
                        // that a pixel has are written.
                        unsafe {
                            let v = self.pixel::<S>(
                                image,
                                (top, bottom),
                                (left, right),
                                channel,
                                count as f32,
                            );
                            let to = self.output.as_mut_ptr().add(to + channel);
                            S::store_up_to(to, v, o.channels - channel);
                        }
                    }
                }
            }
        }
    }
}
