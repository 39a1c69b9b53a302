//! From `f32` to bytes: turned so that what differs most comes first, then one step for all.
//!
//! Long vectors are turned to the directions of their greatest spread (principal components), so that
//! the first bytes of two codes tell most of their distance and far ones are given up early, and so that
//! directions in which vectors hardly differ need no bytes. With one step, the sum of squared
//! differences of codes is the squared distance in units of the step, so codes are compared with
//! whole numbers alone. **Trap:** what lies far from the centre is cut off at the ends of a byte, and
//! the last directions may be missing; codes only propose, exact vectors decide.

use std::ops::RangeInclusive;

use super::eigen::{leading_directions, principal_directions};
use crate::kernels::{LINE, turn};

/// At most so many numbers are looked at to learn from.
const SAMPLE: usize = 1 << 22;

/// Of the sample's numbers, one in this many may be cut off.
const CUT_OFF: usize = 20_000;

/// Vectors of these lengths are turned to all their directions; shorter ones are compared whole anyway.
const TURNED: RangeInclusive<usize> = 129..=512;

/// Of longer ones so many leading directions are kept.
const LEADING: usize = 512;

/// Long vectors that the leading directions are learnt from.
const LEADING_SAMPLE: usize = 1 << 12;

/// The share of the spread that codes keep, where that spares a cache line.
const KEPT: f64 = 0.99;

/// A way to turn vectors into codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantiser {
    /// The middle of each dimension.
    pub(crate) centre: Vec<f32>,
    /// For each dimension what it adds to each number of a code; empty where those are the same.
    pub(crate) basis: Vec<f32>,
    /// How many numbers a code has.
    pub(crate) code_dim: usize,
    /// How far two neighbouring codes are apart.
    pub(crate) step: f32,
}

impl Quantiser {
    /// Learns from some of the `n` vectors that `vector` gives.
    pub(crate) fn learn<'a>(n: usize, dim: usize, vector: impl Fn(usize) -> &'a [f32]) -> Self {
        let is_long = dim > *TURNED.end();
        let sample = sample(n, if is_long { LEADING_SAMPLE } else { SAMPLE / dim }, vector);
        let centre = mean(&sample, dim);
        let directions = match () {
            () if is_long => leading_directions(&sample, &centre, LEADING),
            () if TURNED.contains(&dim) => principal_directions(&sample, &centre),
            () => None,
        };
        let mut this = Self::plain(centre);
        if let Some(directions) = directions {
            this.code_dim = directions.needed_for(KEPT).next_multiple_of(LINE).min(dim);
            this.basis = directions.transposed(this.code_dim);
        }
        this.step = this.step_for(&sample);
        this
    }

    /// The same with a byte for every dimension, whatever the directions.
    pub(crate) fn learn_whole<'a>(
        n: usize,
        dim: usize,
        vector: impl Fn(usize) -> &'a [f32],
    ) -> Self {
        let sample = sample(n, SAMPLE / dim, vector);
        let mut this = Self::plain(mean(&sample, dim));
        this.step = this.step_for(&sample);
        this
    }

    fn plain(centre: Vec<f32>) -> Self {
        Self { code_dim: centre.len(), centre, basis: Vec::new(), step: 1.0 }
    }

    /// Whether codes are of a few directions out of many.
    pub(crate) fn is_reduced(&self) -> bool {
        self.centre.len() > *TURNED.end() && !self.basis.is_empty()
    }

    /// The step with which hardly anything is cut off.
    fn step_for(&self, sample: &[&[f32]]) -> f32 {
        let mut turned = Vec::new();
        let mut off: Vec<f32> = Vec::with_capacity(sample.len() * self.code_dim);
        for vector in sample {
            self.turn(vector, &mut turned);
            off.extend(turned.iter().map(|x| x.abs()));
        }
        let reach = match off.len().checked_sub(1) {
            None => 0.0,
            Some(last) => {
                let at = last - off.len() / CUT_OFF;
                *off.select_nth_unstable_by(at, f32::total_cmp).1
            }
        };
        (reach / 127.5).clamp(f32::MIN_POSITIVE, f32::MAX)
    }

    /// Bytes of a code, padding included.
    pub(crate) fn stride(&self) -> usize {
        self.code_dim.next_multiple_of(LINE)
    }

    /// Writes the code of `vector`; `code` is [`stride`](Self::stride) long, `turned` is scratch.
    pub(crate) fn encode(&self, vector: &[f32], code: &mut [u8], turned: &mut Vec<f32>) {
        self.turn(vector, turned);
        code.fill(0);
        for (byte, x) in code.iter_mut().zip(turned) {
            *byte = self.scale(*x).clamp(0.0, 255.0) as u8;
        }
    }

    /// Writes `vector` as a probe: like a code, but reaching half a range beyond a byte.
    pub(crate) fn probe(&self, vector: &[f32], probe: &mut Vec<i16>, turned: &mut Vec<f32>) {
        self.turn(vector, turned);
        probe.clear();
        probe.extend(turned.iter().map(|x| self.scale(*x).clamp(-128.0, 383.0) as i16));
        probe.resize(self.stride(), 0);
    }

    fn scale(&self, x: f32) -> f32 {
        (x / self.step + 127.5).round()
    }

    fn turn(&self, vector: &[f32], turned: &mut Vec<f32>) {
        turned.clear();
        if self.basis.is_empty() {
            turned.extend(vector.iter().zip(&self.centre).map(|(x, centre)| x - centre));
        } else {
            turned.resize(self.code_dim, 0.0);
            turn(vector, &self.centre, &self.basis, turned);
        }
    }
}

/// Some of the `n` vectors that `vector` gives: about `size`, and not too few.
fn sample<'a>(n: usize, size: usize, vector: impl Fn(usize) -> &'a [f32]) -> Vec<&'a [f32]> {
    (0..n).step_by(n.div_ceil(size.max(256)).max(1)).map(vector).collect()
}

fn mean(sample: &[&[f32]], dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    for vector in sample {
        sums.iter_mut().zip(*vector).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sums.iter().map(|sum| (sum / sample.len().max(1) as f64) as f32).collect()
}
