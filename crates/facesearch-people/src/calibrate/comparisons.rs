//! How near do strangers come, once it is known how near all are to each probe?
//!
//! A rare alarm is that of one pair of people out of many, and the pairs that were seen say little
//! of the rate in other people. All comparisons of a probe say how far strangers are from it, by
//! mean and spread; measured by those, the comparisons of all probes are much alike, and their tail
//! together, [fitted](Tail), says how likely any distance is for each of them. That is the
//! normalisation by cohorts of speaker recognition (Auckenthaler, Carey and Lloyd-Thomas, *Score
//! normalization for text-independent speaker verification systems*, Digital Signal Processing 10,
//! 2000), used to estimate a rate and not to change a score.

use super::Tail;

/// How many of each probe's comparisons the tail is made of, in the mean.
const NEAREST: usize = 4;
/// How many are kept, to find those: some probes are near to many.
const KEPT: usize = 16 * NEAREST;
/// How much a probe's mean and spread count beside those of all: with 0 some are mistaken too
/// rarely, with 1 too often.
const OWN: f64 = 0.6;
/// How many thresholds a curve is kept at, from its highest rate to the rarest.
const POINTS: usize = 48;
const RAREST: f64 = 1e-3;

/// What is kept of one probe's comparisons.
struct Probe {
    mean: f64,
    /// Of the standard deviation.
    ln_spread: f64,
    nearest: Vec<f32>,
}

/// Comparisons as they come in.
#[derive(Default)]
pub(super) struct Comparisons {
    probes: Vec<Probe>,
    people: usize,
}

impl Comparisons {
    /// Adds one probe's scores, ascending.
    pub(super) fn add(&mut self, scores: &[f32]) {
        if scores.is_empty() {
            return;
        }
        let count = scores.len() as f64;
        let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / count;
        let square = |score: &f32| (f64::from(*score) - mean).powi(2);
        let variance = scores.iter().map(square).sum::<f64>() / count;
        let nearest = scores[..scores.len().min(KEPT)].to_vec();
        self.probes.push(Probe { mean, ln_spread: variance.max(1e-24).ln() / 2.0, nearest });
        self.people = self.people.max(scores.len());
    }

    /// What they say together; `None` where they have no tail.
    pub(super) fn fit(self) -> Option<Likeness> {
        let Self { probes, people } = self;
        let count = probes.len() as f64;
        let mean = probes.iter().map(|probe| probe.mean).sum::<f64>() / count;
        let ln_spread = probes.iter().map(|probe| probe.ln_spread).sum::<f64>() / count;
        let by = |probe: &Probe| {
            let spread = OWN * probe.ln_spread + (1.0 - OWN) * ln_spread;
            (OWN * probe.mean + (1.0 - OWN) * mean, spread.exp())
        };
        let measures: Vec<(f64, f64)> = probes.iter().map(by).collect();
        let measured = probes.iter().zip(&measures).flat_map(|(probe, (mean, spread))| {
            probe.nearest.iter().map(move |score| (f64::from(*score) - mean) / spread)
        });
        let mut nearest: Vec<f64> = measured.collect();
        nearest.sort_by(f64::total_cmp);
        let place = (NEAREST * probes.len()).min(nearest.len().checked_sub(1)?);
        let all = count * people as f64;
        let below: Vec<(f64, f64)> = nearest[..=place].iter().map(|z| (*z, 1.0)).collect();
        let tail = Tail::fit(nearest[place], (place + 1) as f64 / all, &below, place as f64)?;
        Some(Likeness { measures, nearest, all, people, tail })
    }
}

/// How likely strangers are near, for each of the probes.
pub(super) struct Likeness {
    /// Mean and spread of each probe's distances, as they count.
    measures: Vec<(f64, f64)>,
    /// The nearest distances of all, so measured, ascending.
    nearest: Vec<f64>,
    /// How many comparisons there were.
    all: f64,
    /// With how many people each probe was compared.
    people: usize,
    tail: Tail,
}

impl Likeness {
    /// Whether enough was kept of each probe to go on below a false alarm rate among `people`.
    pub(super) fn covers(&self, rate: f64, people: usize) -> bool {
        4.0 * rate * self.people as f64 <= (KEPT * people) as f64
    }

    /// The probability of a comparison within `measured`.
    fn share(&self, measured: f64) -> f64 {
        if measured < self.tail.from {
            return self.tail.probability(measured);
        }
        self.nearest.partition_point(|z| *z <= measured) as f64 / self.all
    }

    /// The mean over the probes of `1 - (1 - F)^N`.
    fn alarms(&self, threshold: f64, people: usize) -> f64 {
        let of = |(mean, spread): &(f64, f64)| {
            let share = self.share((threshold - mean) / spread).min(1.0 - 1e-15);
            -f64::exp_m1(people as f64 * f64::ln_1p(-share))
        };
        self.measures.iter().map(of).sum::<f64>() / self.measures.len() as f64
    }

    /// How a curve of false alarms among `people` goes on below its point `first`, ascending, down
    /// to where they are rare; and the tail below that. Scaled so that it meets the point.
    pub(super) fn below(
        &self,
        first: (f64, f64),
        people: usize,
    ) -> (Vec<(f64, f64)>, Option<Tail>) {
        let (at, rate) = first;
        let here = self.alarms(at, people);
        if here <= 0.0 {
            return (Vec::new(), None);
        }
        let scaled = |threshold: f64| rate * (self.alarms(threshold, people) / here).min(1.0);
        let (mut low, mut high) = (0.0, at);
        for _ in 0..40 {
            let middle = low + (high - low) / 2.0;
            if scaled(middle) <= RAREST * rate { low = middle } else { high = middle }
        }
        let step = (at - high) / POINTS as f64;
        if step <= 0.0 {
            return (Vec::new(), None);
        }
        let threshold = |point: usize| high + step * point as f64;
        let curve: Vec<(f64, f64)> =
            (0..POINTS).map(|point| (threshold(point), scaled(threshold(point)))).collect();
        // The tail goes on as steeply as the curve ends.
        let part = scaled(high - step) / curve[0].1;
        let shape = self.tail.shape;
        let scale = if shape.abs() < 1e-9 {
            -step / part.ln()
        } else {
            shape * step / (part.powf(-shape) - 1.0)
        };
        let tail = Tail { from: high, share: curve[0].1, scale, shape };
        (curve, (part > 0.0 && scale > 0.0 && scale.is_finite()).then_some(tail))
    }
}
