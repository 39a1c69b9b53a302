//! Intervals by resampling: how different could the figure have been with other pairs?
//!
//! Efron's percentile bootstrap: draw as many items as there are, with replacement, compute the
//! figure again, and cut the tails off the results. The trap: it treats items as independent. Pairs
//! that share a person are not, so for them the interval is somewhat too narrow.

use facesearch_people::Random;
use serde::Serialize;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bootstrap {
    /// How often.
    pub resamples: usize,
    /// Share of the results inside of the interval.
    pub level: f64,
    /// Where the random numbers start: the same seed always gives the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, level: 0.95, seed: 1 }
    }
}

/// From where to where a figure probably lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// An interval for each figure that `figures` computes from a resampled list of items.
///
/// `figures` always returns the same number of figures. A figure that cannot be computed on a
/// resample is `NaN` there, and is left out of its interval. `None` where it never could be
/// computed, and for all figures without resamples.
pub fn intervals<T: Clone>(
    items: &[T],
    how: &Bootstrap,
    mut figures: impl FnMut(&[T]) -> Vec<f64>,
) -> Vec<Option<Interval>> {
    if items.is_empty() || how.resamples == 0 {
        return figures(items).iter().map(|_| None).collect();
    }
    let mut random = Random::new(how.seed);
    let mut results: Vec<Vec<f64>> = Vec::new();
    let mut sample = Vec::with_capacity(items.len());
    for _ in 0..how.resamples {
        sample.clear();
        sample.extend((0..items.len()).map(|_| items[random.below(items.len())].clone()));
        let drawn = figures(&sample);
        results.resize(drawn.len(), Vec::new());
        for (result, figure) in results.iter_mut().zip(drawn) {
            if !figure.is_nan() {
                result.push(figure);
            }
        }
    }
    results.into_iter().map(|result| interval(result, how.level)).collect()
}

fn interval(mut results: Vec<f64>, level: f64) -> Option<Interval> {
    results.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    Some(Interval { low: quantile(&results, tail)?, high: quantile(&results, 1.0 - tail)? })
}

/// The `q`-quantile of ascending numbers, linear between neighbours (numpy's default).
pub(crate) fn quantile(ascending: &[f64], q: f64) -> Option<f64> {
    let at = q * (ascending.len().checked_sub(1)? as f64);
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let (low, high) = (ascending.get(low)?, ascending.get(high)?);
    Some(low + (high - low) * at.fract())
}
