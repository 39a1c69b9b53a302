//! From `f32` to bytes: one step for all dimensions, one centre for each.
//!
//! With one step, the sum of squared differences of codes is the squared distance in units of the
//! step, so codes are compared with whole numbers alone. **Trap:** what lies far from the centre is
//! cut off at the ends of a byte; codes only propose, exact vectors decide.

use crate::kernels::LINE;

/// At most this many vectors are looked at to learn from.
const SAMPLE: usize = 1 << 15;

/// Of the sample's numbers, one in this many may be cut off.
const CUT_OFF: usize = 20_000;

/// A way to turn vectors into codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantiser {
    /// The middle of each dimension.
    pub(crate) centre: Vec<f32>,
    /// How far two neighbouring codes are apart.
    pub(crate) step: f32,
}

impl Quantiser {
    /// Learns from some of the `n` vectors that `vector` gives.
    pub(crate) fn learn<'a>(n: usize, dim: usize, vector: impl Fn(usize) -> &'a [f32]) -> Self {
        let sample = || (0..n).step_by(n.div_ceil(SAMPLE).max(1)).map(&vector);
        let mut sums = vec![0.0f64; dim];
        for v in sample() {
            sums.iter_mut().zip(v).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let count = sample().count().max(1) as f64;
        let centre: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
        let mut off: Vec<f32> =
            sample().flat_map(|v| v.iter().zip(&centre).map(|(x, c)| (x - c).abs())).collect();
        let reach = match off.len().checked_sub(1) {
            None => 0.0,
            Some(last) => {
                let at = last - off.len() / CUT_OFF;
                *off.select_nth_unstable_by(at, f32::total_cmp).1
            }
        };
        // Halves, because twice the reach may be more than f32 holds.
        let step = (reach / 127.5).clamp(f32::MIN_POSITIVE, f32::MAX);
        Self { centre, step }
    }

    pub(crate) fn dim(&self) -> usize {
        self.centre.len()
    }

    /// Bytes of a code, padding included.
    pub(crate) fn stride(&self) -> usize {
        self.dim().next_multiple_of(LINE)
    }

    /// Writes the code of `vector`; `code` is [`stride`](Self::stride) long.
    pub(crate) fn encode(&self, vector: &[f32], code: &mut [u8]) {
        code.fill(0);
        for ((byte, x), centre) in code.iter_mut().zip(vector).zip(&self.centre) {
            *byte = self.scale(*x, *centre).clamp(0.0, 255.0) as u8;
        }
    }

    /// Writes `vector` as a probe: like a code, but reaching half a range beyond a byte.
    pub(crate) fn probe(&self, vector: &[f32], probe: &mut Vec<i16>) {
        probe.clear();
        let numbers = vector.iter().zip(&self.centre);
        probe
            .extend(numbers.map(|(x, centre)| self.scale(*x, *centre).clamp(-128.0, 383.0) as i16));
        probe.resize(self.stride(), 0);
    }

    fn scale(&self, x: f32, centre: f32) -> f32 {
        ((x - centre) / self.step + 127.5).round()
    }
}
