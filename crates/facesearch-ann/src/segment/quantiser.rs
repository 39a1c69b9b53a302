//! Quantisation: vectors are projected onto their principal components and rounded to codes.
//!
//! The components come in order of falling variance. The first have a byte each. The next vary less
//! and have half a byte each, with four times the quantisation step. Components that hardly vary
//! are left out. A search spends its time waiting for codes, one cache line at a time, so the
//! shortest code is chosen whose error is small beside the variance. The squared differences of two
//! codes, those of half bytes in the smaller step, add up to the squared distance in units of the
//! squared step, so integers are enough to compare codes. **Trap:** numbers far from the mean are
//! clamped, and the last components may be missing. Codes only propose candidates; exact vectors
//! decide.

use std::ops::RangeInclusive;

use super::eigen::{leading_directions, principal_directions};
use crate::kernels::{GROUP, LINE, NARROW_SHIFT, Shape, turn};

/// At most so many numbers are looked at to learn from.
const SAMPLE: usize = 1 << 22;

/// Of the sample's numbers, one in this many may be cut off.
const CUT_OFF: usize = 20_000;

/// The same of narrow numbers, which reach less far.
const NARROW_CUT_OFF: usize = 1_000;

/// So many vectors are turned together where there are many.
pub(super) const TURNED_TOGETHER: usize = 16;

/// Vectors of these lengths are turned to all their directions; the codes of shorter ones are a
/// line anyway.
const TURNED: RangeInclusive<usize> = LINE + 1..=512;

/// Of longer ones so many leading directions are kept.
const LEADING: usize = 512;

/// Long vectors that the leading directions are learnt from.
const LEADING_SAMPLE: usize = 1 << 12;

/// The mean squared error of codes may be this share of the spread, where that spares a cache line.
const ERROR: f64 = 0.01;

/// In choosing a shape, numbers are expected to lie within so many deviations.
const REACH: f64 = 4.0;

/// The middle of a wide number, and of a narrow one in wide steps.
const WIDE_MIDDLE: f32 = 127.5;
const NARROW_MIDDLE: f32 = 30.0;

/// A way to turn vectors into codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantiser {
    /// The middle of each dimension.
    pub(crate) centre: Vec<f32>,
    /// For each dimension what it adds to each number of a code; empty where those are the same.
    pub(crate) basis: Vec<f32>,
    /// How many numbers a vector has once it is turned; the rest of a code is zero.
    pub(crate) code_dim: usize,
    pub(crate) shape: Shape,
    /// How far two neighbouring wide numbers are apart.
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
            this.shape = shape_for(directions.variances(), this.shape);
            this.code_dim = this.shape.numbers().min(directions.len());
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
        let stride = centre.len().next_multiple_of(LINE);
        let shape = Shape::new(stride, stride).expect("a dimension within bounds");
        Self { code_dim: centre.len(), centre, basis: Vec::new(), shape, step: 1.0 }
    }

    /// Whether codes are of a few directions out of many.
    pub(crate) fn is_reduced(&self) -> bool {
        self.centre.len() > *TURNED.end() && !self.basis.is_empty()
    }

    /// Whether vectors differ in so many directions that codes are long: a scan may then be cheaper
    /// than a walk.
    pub(crate) fn has_many_directions(&self) -> bool {
        !self.basis.is_empty() && self.shape.stride() > 2 * LINE
    }

    /// The step with which hardly anything is cut off.
    fn step_for(&self, sample: &[&[f32]]) -> f32 {
        let mut turned = Vec::new();
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        for some in sample.chunks(TURNED_TOGETHER) {
            self.turn(some, &mut turned);
            for turned in turned.chunks_exact(self.code_dim) {
                let (first, rest) = turned.split_at(turned.len().min(self.shape.wide()));
                wide.extend(first.iter().map(|x| x.abs()));
                narrow.extend(rest.iter().map(|x| x.abs()));
            }
        }
        let of_wide = reach(&mut wide, CUT_OFF) / WIDE_MIDDLE;
        let of_narrow = reach(&mut narrow, NARROW_CUT_OFF) / (NARROW_MIDDLE + NARROW_STEP / 2.0);
        of_wide.max(of_narrow).clamp(f32::MIN_POSITIVE, f32::MAX)
    }

    /// Writes the codes of `vectors`, one after another; `codes` has a stride's bytes for each,
    /// `turned` is scratch.
    pub(crate) fn encode(&self, vectors: &[&[f32]], codes: &mut [u8], turned: &mut Vec<f32>) {
        self.turn(vectors, turned);
        codes.fill(0);
        let codes = codes.chunks_exact_mut(self.shape.stride());
        for (turned, code) in turned.chunks_exact(self.code_dim).zip(codes) {
            for (number, x) in turned.iter().enumerate() {
                if number < self.shape.wide() {
                    code[number] = (x / self.step + WIDE_MIDDLE).round().clamp(0.0, 255.0) as u8;
                } else {
                    let (byte, shift) = self.shape.place(number);
                    let half = (x / self.step + NARROW_MIDDLE) / NARROW_STEP;
                    code[byte] |= (half.round().clamp(0.0, 15.0) as u8) << shift;
                }
            }
        }
    }

    /// Quantises a probe: like a code, but clamped to `-128..=383`, 128 wider than a byte on either
    /// side.
    pub(crate) fn probe(&self, vector: &[f32], probe: &mut Vec<i16>, turned: &mut Vec<f32>) {
        self.turn(&[vector], turned);
        self.probe_of(turned, probe);
    }

    /// Quantises a projected vector as [`probe`](Self::probe) does.
    pub(super) fn probe_of(&self, turned: &[f32], probe: &mut Vec<i16>) {
        let wide = turned.len().min(self.shape.wide());
        let scaled =
            |x: &f32, middle: f32| (x / self.step + middle).round().clamp(-128.0, 383.0) as i16;
        probe.clear();
        probe.extend(turned[..wide].iter().map(|x| scaled(x, WIDE_MIDDLE)));
        probe.extend(turned[wide..].iter().map(|x| scaled(x, NARROW_MIDDLE)));
        probe.resize(self.shape.numbers(), 0);
    }

    /// Writes vectors about the centre and along the directions: `code_dim` numbers of each, one
    /// after another.
    pub(super) fn turn(&self, vectors: &[&[f32]], turned: &mut Vec<f32>) {
        turned.clear();
        if self.basis.is_empty() {
            for vector in vectors {
                turned.extend(vector.iter().zip(&self.centre).map(|(x, centre)| x - centre));
            }
        } else {
            turned.resize(self.code_dim * vectors.len(), 0.0);
            turn(vectors, &self.centre, &self.basis, turned);
        }
    }
}

/// A step of a narrow number in wide steps.
const NARROW_STEP: f32 = (1 << NARROW_SHIFT) as f32;

/// The shortest shape whose error is small, for numbers of these variances, which fall; `whole`
/// where none is shorter.
fn shape_for(variances: &[f64], whole: Shape) -> Shape {
    let all: f64 = variances.iter().sum();
    let error = |shape: &Shape| {
        let kept = shape.numbers().min(variances.len());
        let wide = shape.wide().min(kept);
        let reach = |at: usize| REACH * variances.get(at).copied().unwrap_or(0.0).sqrt();
        let of_wide = if wide > 0 { reach(0) / f64::from(WIDE_MIDDLE) } else { 0.0 };
        let of_narrow = reach(wide) / f64::from(NARROW_MIDDLE + NARROW_STEP / 2.0);
        let step = of_wide.max(of_narrow);
        // Rounding to a step has a mean squared error of a twelfth of the squared step.
        let coarse = f64::from(NARROW_STEP).powi(2);
        let rounding = step * step / 12.0 * (wide as f64 + coarse * (kept - wide) as f64);
        rounding + variances[kept..].iter().sum::<f64>()
    };
    let of_stride = |stride: usize| {
        let shapes = (0..=stride).step_by(GROUP).filter_map(|wide| Shape::new(wide, stride));
        let best = shapes.min_by(|a, b| error(a).total_cmp(&error(b)))?;
        (error(&best) <= ERROR * all).then_some(best)
    };
    (LINE..whole.stride()).step_by(LINE).find_map(of_stride).unwrap_or(whole)
}

/// How far numbers reach, one in `cut_off` left out; zero where there are none.
fn reach(numbers: &mut [f32], cut_off: usize) -> f32 {
    let Some(last) = numbers.len().checked_sub(1) else { return 0.0 };
    let at = last - numbers.len() / cut_off;
    *numbers.select_nth_unstable_by(at, f32::total_cmp).1
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
