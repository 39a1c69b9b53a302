//! How likely a stranger reaches a score, in a gallery of N people.
//!
//! Scores are normalised, so that the rate at which strangers reach one grows with the number of
//! people alone: `E = Λ(s) N` strangers are expected at `s` or better, and `1 - exp(-E)` is the
//! chance of any. `Λ` is learned from people who are strangers to each other, in many small
//! galleries. Beyond what was seen it goes on as a straight line in the logarithm.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{PeopleError, Random};

/// `Λ` is kept at powers of ten: the first exponent, the last, and how far apart they are.
const FIRST: f64 = -6.5;
const LAST: f64 = -0.5;
const STEP: f64 = 0.25;
/// Below this power the curve is straight, with the slope of the power of ten above it: fewer
/// strangers than that were seen.
const SEEN: f64 = -4.0;
/// People in a gallery, and how many such galleries are drawn.
const GALLERIES: [(usize, usize); 3] = [(5, 60), (20, 40), (100, 15)];
/// Scores at which the curves of several gallery sizes are averaged.
const SCORES: (f64, f64, usize) = (-60.0, 15.0, 751);
/// Of the strangers' best scores in order, the first few are left out, and the share from here on:
/// both say little.
const USED: (usize, f64) = (2, 0.9);

/// The probability that the best score of a stranger is at most a number, by gallery size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrangerTail {
    /// The score at each power of ten, ascending.
    scores: Vec<f64>,
}

/// People who are strangers to each other.
pub(super) trait Strangers: Sync {
    /// How many.
    fn people(&self) -> usize;

    /// The score of `probe` with the nearest of `gallery`; `None` where it has none.
    fn best(&self, probe: usize, gallery: &[usize]) -> Option<f64>;
}

impl StrangerTail {
    /// Learns it from populations. Where they differ, the one that comes nearer counts.
    ///
    /// # Errors
    ///
    /// [`PeopleError::TooFew`] where a population has fewer than 40 people, or all its distances
    /// are one.
    pub(super) fn learn(populations: &[&dyn Strangers]) -> Result<Self, PeopleError> {
        let mut highest = vec![f64::NEG_INFINITY; SCORES.2];
        for population in populations {
            for (highest, rate) in highest.iter_mut().zip(curve(*population)?) {
                *highest = if rate.is_nan() { f64::NAN } else { highest.max(rate) };
            }
        }
        let mut known: Vec<(f64, f64)> = Vec::new();
        for (i, rate) in highest.into_iter().enumerate().filter(|(_, rate)| rate.is_finite()) {
            let before = known.last().map_or(f64::NEG_INFINITY, |(_, before)| *before);
            known.push((score_at(i), rate.max(before)));
        }
        let too_few = || PeopleError::TooFew { what: "different distances", got: 0, wanted: 2 };
        let (Some(first), Some(last)) = (known.first(), known.last()) else {
            return Err(too_few());
        };
        if first.1 >= last.1 {
            return Err(too_few());
        }
        let seen = SEEN.clamp(first.1, (last.1 - 0.5).max(first.1));
        let above = (seen + 1.0).min(last.1);
        let slope = (inverse(&known, above) - inverse(&known, seen)) / (above - seen);
        let score = |power: f64| match power {
            power if power < seen => inverse(&known, seen) + (power - seen) * slope,
            power if power > last.1 => last.0 + (power - last.1) * slope,
            power => inverse(&known, power),
        };
        Ok(Self { scores: powers().map(score).collect() })
    }

    /// The probability that a stranger reaches `score` or better with one of `people`.
    pub fn chance(&self, score: f64, people: usize) -> f64 {
        let after = self.scores.partition_point(|at| *at < score);
        let before = after.clamp(1, self.scores.len() - 1) - 1;
        let (low, high) = (self.scores[before], self.scores[before + 1]);
        let steps = if high > low { (score - low) / (high - low) } else { 0.0 };
        let power = FIRST + STEP * (before as f64 + steps);
        let expected = 10f64.powf(power) * people as f64;
        -f64::exp_m1(-expected)
    }

    /// The largest score that at most a share `rate` of strangers reaches with one of `people`.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Option`] where `rate` is not above 0 and below 1.
    pub fn threshold(&self, rate: f64, people: usize) -> Result<f64, PeopleError> {
        if !(rate > 0.0 && rate < 1.0) {
            let (what, wanted) = ("the share of strangers", "above 0 and below 1");
            return Err(PeopleError::Option { what, got: rate, wanted });
        }
        let expected = -f64::ln_1p(-rate) / people.max(1) as f64;
        let place = (expected.log10() - FIRST) / STEP;
        let before = (place.max(0.0) as usize).min(self.scores.len() - 2);
        let (low, high) = (self.scores[before], self.scores[before + 1]);
        Ok(low + (place - before as f64) * (high - low))
    }
}

fn powers() -> impl Iterator<Item = f64> {
    let count = ((LAST - FIRST) / STEP).round() as usize + 1;
    (0..count).map(|i| FIRST + STEP * i as f64)
}

fn score_at(i: usize) -> f64 {
    let (first, last, count) = SCORES;
    first + (last - first) * i as f64 / (count - 1) as f64
}

/// The logarithm of the rate per person at each of [`SCORES`]: the mean over gallery sizes, NaN
/// where none was seen.
fn curve(population: &dyn Strangers) -> Result<Vec<f64>, PeopleError> {
    let people = population.people();
    let mut random = Random::new(3);
    let (mut sums, mut counts) = (vec![0.0; SCORES.2], vec![0.0; SCORES.2]);
    for (size, galleries) in GALLERIES {
        // At least as many strangers as people in the gallery.
        if people < 2 * size || people < 40 {
            continue;
        }
        let mut order: Vec<usize> = (0..people).collect();
        let mut best: Vec<f64> = Vec::new();
        for _ in 0..galleries {
            random.shuffle(&mut order);
            let (gallery, strangers) = order.split_at(size);
            let of_stranger = |stranger: &usize| population.best(*stranger, gallery);
            best.extend(strangers.par_iter().filter_map(of_stranger).collect::<Vec<f64>>());
        }
        best.sort_by(f64::total_cmp);
        let used = USED.0..(best.len() as f64 * USED.1) as usize;
        let known: Vec<(f64, f64)> = used
            .map(|i| {
                let share = (i as f64 + 0.5) / best.len() as f64;
                (best[i], (-f64::ln_1p(-share) / size as f64).log10())
            })
            .collect();
        for i in 0..SCORES.2 {
            if let Some(rate) = interpolate(&known, score_at(i)) {
                sums[i] += rate;
                counts[i] += 1.0;
            }
        }
    }
    if counts.iter().all(|count| *count == 0.0) {
        return Err(PeopleError::TooFew { what: "people", got: people, wanted: 40 });
    }
    Ok(sums.iter().zip(&counts).map(|(sum, count)| sum / count).collect())
}

/// The second number at `x`; `None` outside of what is known. First numbers ascend.
fn interpolate(known: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = known.partition_point(|(at, _)| *at < x);
    let (high, low) = (known.get(after)?, after.checked_sub(1).map(|before| known[before]));
    match low {
        Some(low) if high.0 > low.0 => {
            Some(low.1 + (high.1 - low.1) * (x - low.0) / (high.0 - low.0))
        }
        _ if high.0 == x => Some(high.1),
        _ => None,
    }
}

/// The first number at which the second, which never falls, reaches `y`.
fn inverse(known: &[(f64, f64)], y: f64) -> f64 {
    let after = known.partition_point(|(_, rate)| *rate < y).min(known.len() - 1);
    let Some(before) = after.checked_sub(1) else { return known[0].0 };
    let (low, high) = (known[before], known[after]);
    if high.1 <= low.1 {
        return high.0;
    }
    low.0 + (high.0 - low.0) * ((y - low.1) / (high.1 - low.1)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores that are independent of each other, each below `s` with probability `exp(s)`.
    struct Independent(usize);

    impl Strangers for Independent {
        fn people(&self) -> usize {
            self.0
        }

        fn best(&self, probe: usize, gallery: &[usize]) -> Option<f64> {
            let score = |other: &usize| {
                let mut random = Random::new((probe * self.0 + other) as u64);
                (random.below(1 << 40) as f64 + 0.5) / (1u64 << 40) as f64
            };
            gallery.iter().map(|other| score(other).ln()).reduce(f64::min)
        }
    }

    #[test]
    fn the_rate_grows_with_the_people_and_is_what_was_drawn() {
        let tail = StrangerTail::learn(&[&Independent(600)]).unwrap();
        // Within a factor of 1.3 of the rate, and of 1.8 where the curve is extrapolated.
        let near = [(5, 0.1, 1.3), (50, 0.01, 1.3), (1000, 0.1, 1.3), (20_000, 0.01, 1.8f64)];
        for (people, rate, factor) in near {
            let wanted = (1.0 - (1.0f64 - rate).powf(1.0 / f64::from(people))).ln();
            let got = tail.threshold(rate, people as usize).unwrap();
            assert!((got - wanted).abs() < factor.ln(), "{people} {rate}: {got} is not {wanted}");
            let back = tail.chance(got, people as usize);
            assert!((back / rate - 1.0).abs() < 1e-9, "{back}");
        }
        assert!(tail.threshold(0.0, 5).is_err());
    }

    #[test]
    fn few_people_say_nothing() {
        assert!(matches!(
            StrangerTail::learn(&[&Independent(39)]),
            Err(PeopleError::TooFew { got: 39, wanted: 40, .. })
        ));
    }
}
