//! What a kernel does with sums before it stores them: bias, residual, activation.

use crate::kernels::Simd;
use crate::layers::Map;

/// Slices with a number for each channel have this many zeros after the last channel, because the
/// vectors of a panel may reach that far.
pub(crate) const SLACK: usize = 64;

/// An activation that a kernel applies to its sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FusedActivation<'a> {
    None,
    Relu,
    /// `max(x, 0) + slope * min(x, 0)`, with a slope for each output channel and [`SLACK`] zeros.
    Slope(&'a [f32]),
    /// `min(max(x, low), high)`.
    Clip(f32, f32),
}

/// A value that is added to the sums. It has the height and width of the output, and may have fewer
/// channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residual<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) map: Map,
}

impl<'a> Residual<'a> {
    /// The parts above and below row `y` of one image.
    pub(crate) fn cut(&self, y: usize) -> (Self, Self) {
        let (at, upper, lower) = self.map.cut(y);
        let (above, below): (&'a [f32], &'a [f32]) = self.data.split_at(at);
        (Self { data: above, map: upper }, Self { data: below, map: lower })
    }
}

/// Everything that follows the multiplications.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// A number for each output channel, then [`SLACK`] zeros.
    pub(crate) bias: &'a [f32],
    pub(crate) residual: Option<Residual<'a>>,
    pub(crate) activation: FusedActivation<'a>,
}

impl Epilogue<'_> {
    /// The epilogue of the output channels from `channel` on. The residual is left out.
    pub(crate) fn from(&self, channel: usize) -> Self {
        let activation = match self.activation {
            FusedActivation::Slope(slope) => FusedActivation::Slope(&slope[channel..]),
            other => other,
        };
        Self { bias: &self.bias[channel..], residual: None, activation }
    }

    /// Panics unless the slices reach as far as the vectors of `channels` channels do.
    pub(in crate::kernels) fn check(&self, channels: usize) {
        let padded = channels + SLACK;
        assert!(self.bias.len() >= padded, "a bias for every lane");
        if let FusedActivation::Slope(slope) = self.activation {
            assert!(slope.len() >= padded, "a slope for every lane");
        }
        if let Some(residual) = &self.residual {
            assert!(residual.map.channels <= channels, "no more channels than the output");
        }
    }

    /// Activates the sums of rows of `NR` vectors, the first of which begins at `channel`.
    ///
    /// # Safety
    ///
    /// As for [`activate`](Self::activate), for each of the vectors.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]
    pub(in crate::kernels) unsafe fn activate_all<S: Simd, const MR: usize, const NR: usize>(
        &self,
        sums: &mut [[S::V; NR]; MR],
        channel: usize,
    ) {
        // SAFETY: the caller promises the instructions, and that the vectors from `channel` lie in
        // the slope, which `check` found long enough.
        unsafe {
            let zero = S::splat(0.0);
            match self.activation {
                FusedActivation::None => {}
                FusedActivation::Relu => {
                    for v in sums.as_flattened_mut() {
                        *v = S::max(*v, zero);
                    }
                }
                FusedActivation::Slope(slope) => {
                    for n in 0..NR {
                        let slope = S::load(slope.as_ptr().add(channel + n * S::LANES));
                        for m in 0..MR {
                            let v = sums[m][n];
                            sums[m][n] = S::fma(slope, S::min(v, zero), S::max(v, zero));
                        }
                    }
                }
                FusedActivation::Clip(low, high) => {
                    let (low, high) = (S::splat(low), S::splat(high));
                    for v in sums.as_flattened_mut() {
                        *v = S::min(S::max(*v, low), high);
                    }
                }
            }
        }
    }

    /// Activates the sums of the vector that begins at `channel`.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, and `channel + LANES` must be at most the padded
    /// number of channels that [`check`](Self::check) was given.
    #[inline(always)]
    pub(in crate::kernels) unsafe fn activate<S: Simd>(&self, v: S::V, channel: usize) -> S::V {
        // SAFETY: the caller promises the instructions, and that a vector from `channel` lies in
        // the slope, which `check` found long enough.
        unsafe {
            match self.activation {
                FusedActivation::None => v,
                FusedActivation::Relu => S::max(v, S::splat(0.0)),
                FusedActivation::Slope(slope) => {
                    let zero = S::splat(0.0);
                    let slope = S::load(slope.as_ptr().add(channel));
                    S::fma(slope, S::min(v, zero), S::max(v, zero))
                }
                FusedActivation::Clip(low, high) => {
                    S::min(S::max(v, S::splat(low)), S::splat(high))
                }
            }
        }
    }
}
