//! The near end of impostor distances, estimated from the comparisons of all probes together.
//!
//! A rare false alarm is that of one pair of people out of many, and the pairs in the data say
//! little about the rate among other people. But the comparisons of a probe say how far other
//! people are from it, by mean and standard deviation. Normalised by those, the comparisons of all
//! probes are much alike. Their common tail is [fitted](Tail), and says how likely any distance is
//! for each probe.
//!
//! This is the cohort normalisation of speaker recognition (Auckenthaler, Carey and Lloyd-Thomas,
//! *Score normalization for text-independent speaker verification systems*, Digital Signal
//! Processing 10, 2000), used to estimate a rate and not to change a score.

use super::tail::Tail;

/// How many of each probe's comparisons the tail is made of, on average.
const NEAREST: usize = 4;
/// How many are kept to find those, because some probes are near to many people.
const KEPT: usize = 16 * NEAREST;
/// How much a probe's own mean and deviation count, beside those of all probes: with 0 some probes
/// are mistaken too rarely, with 1 too often.
const OWN: f64 = 0.6;
/// Points of a curve, from its highest rate to the rarest.
const POINTS: usize = 48;
/// The rarest rate, as a part of the highest.
const RAREST: f64 = 1e-3;

/// What is kept of one probe's comparisons.
struct Probe {
    mean: f64,
    /// The logarithm of the standard deviation.
    ln_deviation: f64,
    /// The nearest distances, ascending.
    nearest: Vec<f32>,
}

/// The comparisons of all probes so far.
#[derive(Default)]
pub(super) struct Comparisons {
    probes: Vec<Probe>,
    people: usize,
}

impl Comparisons {
    /// Adds one probe's distances, ascending.
    pub(super) fn add(&mut self, distances: &[f32]) {
        if distances.is_empty() {
            return;
        }
        let count = distances.len() as f64;
        let mean = distances.iter().map(|distance| f64::from(*distance)).sum::<f64>() / count;
        let square = |distance: &f32| (f64::from(*distance) - mean).powi(2);
        let variance = distances.iter().map(square).sum::<f64>() / count;
        let nearest = distances[..distances.len().min(KEPT)].to_vec();
        self.probes.push(Probe { mean, ln_deviation: variance.max(1e-24).ln() / 2.0, nearest });
        self.people = self.people.max(distances.len());
    }

    /// Fits the common tail; `None` where there is none.
    pub(super) fn fit(self) -> Option<Normalised> {
        let Self { probes, people } = self;
        let count = probes.len() as f64;
        let mean = probes.iter().map(|probe| probe.mean).sum::<f64>() / count;
        let ln_deviation = probes.iter().map(|probe| probe.ln_deviation).sum::<f64>() / count;
        let scale = |probe: &Probe| Scale {
            mean: OWN * probe.mean + (1.0 - OWN) * mean,
            deviation: (OWN * probe.ln_deviation + (1.0 - OWN) * ln_deviation).exp(),
        };
        let scales: Vec<Scale> = probes.iter().map(scale).collect();
        let normalised = probes.iter().zip(&scales).flat_map(|(probe, scale)| {
            probe.nearest.iter().map(move |distance| scale.normalise(f64::from(*distance)))
        });
        let mut nearest: Vec<f64> = normalised.collect();
        nearest.sort_by(f64::total_cmp);
        let place = (NEAREST * probes.len()).min(nearest.len().checked_sub(1)?);
        let all = count * people as f64;
        let below: Vec<(f64, f64)> = nearest[..=place].iter().map(|z| (*z, 1.0)).collect();
        let tail = Tail::fit(nearest[place], (place + 1) as f64 / all, &below, place as f64)?;
        Some(Normalised { scales, nearest, all, people, tail })
    }
}

/// The mean and the standard deviation that a probe's distances are normalised by.
struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    fn normalise(&self, distance: f64) -> f64 {
        (distance - self.mean) / self.deviation
    }
}

/// How likely other people are near, for each of the probes.
pub(super) struct Normalised {
    /// One for each probe.
    scales: Vec<Scale>,
    /// The nearest normalised distances of all probes, ascending.
    nearest: Vec<f64>,
    /// How many comparisons there were.
    all: f64,
    /// How many people each probe was compared with.
    people: usize,
    /// Below the nearest distances.
    tail: Tail,
}

impl Normalised {
    /// Whether enough distances of each probe were kept to continue the curve of `people` below
    /// `rate`.
    pub(super) fn covers(&self, rate: f64, people: usize) -> bool {
        4.0 * rate * self.people as f64 <= (KEPT * people) as f64
    }

    /// The probability of a normalised distance of at most `z`.
    fn share(&self, z: f64) -> f64 {
        if z < self.tail.from {
            return self.tail.probability(z);
        }
        self.nearest.partition_point(|other| *other <= z) as f64 / self.all
    }

    /// The rate at `threshold`: the mean of `1 - (1 - F)^N` over the probes.
    fn rate(&self, threshold: f64, people: usize) -> f64 {
        let of_probe = |scale: &Scale| {
            let share = self.share(scale.normalise(threshold)).min(1.0 - 1e-15);
            -f64::exp_m1(people as f64 * f64::ln_1p(-share))
        };
        self.scales.iter().map(of_probe).sum::<f64>() / self.scales.len() as f64
    }

    /// Continues a curve of false alarm rates among `people` below its point `first` (threshold and
    /// rate), scaled to meet that point. Returns points, ascending, down to where alarms are rare,
    /// and the tail below them.
    pub(super) fn below(
        &self,
        first: (f64, f64),
        people: usize,
    ) -> (Vec<(f64, f64)>, Option<Tail>) {
        let (end, highest) = first;
        let at_end = self.rate(end, people);
        if at_end <= 0.0 {
            return (Vec::new(), None);
        }
        let scaled = |threshold: f64| highest * (self.rate(threshold, people) / at_end).min(1.0);
        let (mut low, mut start) = (0.0, end);
        for _ in 0..40 {
            let middle = low + (start - low) / 2.0;
            if scaled(middle) <= RAREST * highest { low = middle } else { start = middle }
        }
        let step = (end - start) / POINTS as f64;
        if step <= 0.0 {
            return (Vec::new(), None);
        }
        let threshold = |point: usize| start + step * point as f64;
        let curve: Vec<(f64, f64)> =
            (0..POINTS).map(|point| (threshold(point), scaled(threshold(point)))).collect();
        // The tail falls as steeply as the curve does at its lower end.
        let part = scaled(start - step) / curve[0].1;
        let shape = self.tail.shape;
        let scale = if shape.abs() < 1e-9 {
            -step / part.ln()
        } else {
            shape * step / (part.powf(-shape) - 1.0)
        };
        let tail = Tail { from: start, share: curve[0].1, scale, shape };
        (curve, (part > 0.0 && scale > 0.0 && scale.is_finite()).then_some(tail))
    }
}
