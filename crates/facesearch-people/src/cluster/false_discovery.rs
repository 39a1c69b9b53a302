//! A threshold by the false discovery rate: of the pairs that are near enough, how many are of two
//! people?
//!
//! The number of impostor pairs (two people) grows with the square of the number of faces, that of
//! genuine pairs (one person) about with the number. So one threshold cannot serve both an album
//! and an archive. The threshold chosen here is the largest at which a given share of all pairs
//! within it is expected to be impostor pairs: a false discovery rate with an empirical null
//! (Efron, *Large-scale simultaneous hypothesis testing: the choice of a null hypothesis*, JASA 99,
//! 2004).
//!
//! - **The null:** beyond the model's own threshold nearly all pairs are impostor pairs, so there
//!   they are counted. Below it the logarithm of their number is extrapolated as a parabola, as it
//!   is for normal distances. With five models on LFW's View 1 that was right within a factor of
//!   two.
//! - **All pairs:** those within a threshold are counted in the graph.
//!
//! Distances here are squared and corrected by the local density ([`DensityScale`]).

use facesearch_core::squared_distance;
use rayon::prelude::*;

use super::linkage::DensityScale;
use super::{Clusters, Graph, Vectors};
use crate::Random;

/// How many random pairs stand for all. Where there are fewer, all are taken.
const PAIRS: usize = 4_000_000;
/// Parts of the random pairs, each with its own random numbers.
const PARTS: usize = 64;
/// Fewer pairs than this at the near end of the distribution say nothing about its shape.
const FEWEST: usize = 30;
/// The curve is fitted from a number of pairs to this many times as many. The widest span is taken
/// over which the curve is concave. Near relatives among the rest make it convex.
const SPANS: [f64; 3] = [50.0, 16.0, 5.0];
/// A larger share of all pairs is no tail any more.
const TAIL: f64 = 0.1;
/// Points that the curve is fitted to.
const POINTS: usize = 20;
/// Thresholds from this part of the loosest on are tried.
const LOWEST: f64 = 0.6;
const STEPS: usize = 400;

/// What the threshold must keep to.
pub(crate) struct FalseDiscovery {
    /// The L2 distance up to which the model calls two faces one person. Pairs beyond it are taken
    /// to be impostor pairs.
    pub(crate) model_threshold: f32,
    /// The share of all pairs within the threshold that may be impostor pairs.
    pub(crate) rate: f64,
}

/// How many impostor pairs lie within a distance.
pub(super) struct ImpostorPairs {
    /// The natural logarithm of their number at `from + x`, as the coefficients of a parabola in
    /// `x`, constant first.
    parabola: [f64; 3],
    from: f64,
}

impl ImpostorPairs {
    /// Learns from pairs of faces in different clusters. The clusters must be loose, so that few
    /// people are in two of them. `beyond`: the squared distance from which on the model calls
    /// pairs two people. `None` where there are too few pairs.
    pub(super) fn learn(
        vectors: &(impl Vectors + ?Sized),
        scale: &DensityScale,
        clusters: &Clusters,
        beyond: f64,
        seed: u64,
    ) -> Option<Self> {
        let corrected = |a: usize, b: usize| {
            let square = squared_distance(vectors.vector(a), vectors.vector(b));
            let is_impostor = clusters.group[a] != clusters.group[b];
            is_impostor.then(|| scale.corrected(square, a, b) as f32)
        };
        let rows = vectors.len();
        let all = rows * rows.saturating_sub(1) / 2;
        let (mut distances, sampled) = sample(rows, all, seed, corrected);
        let most = distances.len() as f64 * TAIL;
        if distances.len() > most as usize + 1 {
            distances.select_nth_unstable_by(most as usize, f32::total_cmp);
            distances.truncate(most as usize + 1);
        }
        distances.par_sort_unstable_by(f32::total_cmp);
        let within = distances.partition_point(|distance| f64::from(*distance) <= beyond);
        if most < 2.0 * FEWEST as f64 {
            return None;
        }
        // Where the model's threshold lets very many impostor pairs in, the count starts nearer.
        let first = within.clamp(FEWEST, (most / 2.0) as usize);
        let from = f64::from(distances[first - 1]);
        let factor = all as f64 / sampled as f64;
        let counts = |span: f64| {
            let span = span.min(most / first as f64);
            (0..POINTS).map(move |i| span.powf(i as f64 / (POINTS - 1) as f64) * first as f64)
        };
        let point = |count: f64| {
            let distance = f64::from(distances[count as usize - 1]);
            (distance - from, f64::ln(count.floor() * factor))
        };
        let mut fits = SPANS.iter().filter_map(|span| parabola(counts(*span).map(point)));
        let concave = fits.find(|[_, slope, curvature]| *slope > 0.0 && *curvature <= 0.0);
        let [_, _, narrowest] = SPANS;
        let parabola = concave.or_else(|| straight_line(counts(narrowest).map(point)))?;
        Some(Self { parabola, from })
    }

    /// How many impostor pairs are expected within `distance`, which is below where they were
    /// counted.
    fn within(&self, distance: f64) -> f64 {
        let [height, slope, curvature] = self.parabola;
        let x = (distance - self.from).min(0.0);
        (height + slope * x + curvature * x * x).exp()
    }

    /// The largest threshold, up to `loosest`, at which a share `rate` of all pairs within is
    /// expected to be impostor pairs. `pairs`: the squared distances of the pairs within `loosest`,
    /// ascending.
    pub(super) fn threshold(&self, pairs: &[f64], loosest: f64, rate: f64) -> f64 {
        let part = |step: usize| LOWEST + (1.0 - LOWEST) * step as f64 / STEPS as f64;
        let tried = (0..=STEPS).rev().map(|step| loosest * part(step));
        let keeps_to_rate = |threshold: &f64| {
            let square = threshold * threshold;
            let within = pairs.partition_point(|distance| *distance <= square);
            // Less than one pair is none.
            self.within(square) <= (rate * within as f64).max(1.0)
        };
        tried.into_iter().find(keeps_to_rate).unwrap_or(LOWEST * loosest)
    }
}

/// The distances of the impostor pairs among all pairs of rows, or among a random sample, and how
/// many pairs were looked at. `distance` returns `None` for a pair of one person.
fn sample(
    rows: usize,
    all: usize,
    seed: u64,
    distance: impl Fn(usize, usize) -> Option<f32> + Sync,
) -> (Vec<f32>, usize) {
    if all <= PAIRS {
        let of_row = |a: usize| (0..a).filter_map(|b| distance(a, b)).collect::<Vec<_>>();
        return ((0..rows).into_par_iter().flat_map_iter(of_row).collect(), all);
    }
    let of_part = |part: usize| {
        let mut random = Random::new(seed ^ (part as u64 + 1) << 32);
        let pair = |_| {
            let (a, b) = (random.below(rows), random.below(rows - 1));
            distance(a, if b < a { b } else { b + 1 })
        };
        (0..PAIRS / PARTS).filter_map(pair).collect::<Vec<_>>()
    };
    ((0..PARTS).into_par_iter().flat_map_iter(of_part).collect(), PAIRS / PARTS * PARTS)
}

/// The squared distances, ascending, of the pairs in the graph that are within `loosest`.
pub(super) fn pairs_within(
    vectors: &(impl Vectors + ?Sized),
    scale: &DensityScale,
    graph: &Graph,
    loosest: f64,
) -> Vec<f64> {
    let of_row = |a: usize| {
        let distance = move |b: usize| {
            let square = squared_distance(vectors.vector(a), vectors.vector(b));
            // A pair that each has as a neighbour counts once.
            let is_counted = b < a && graph.neighbours(b).any(|other| other == a);
            (!is_counted).then(|| scale.corrected(square, a, b))
        };
        let distances = graph.neighbours(a).filter_map(distance);
        distances.filter(|distance| *distance <= loosest * loosest)
    };
    let mut distances: Vec<f64> = (0..graph.rows()).into_par_iter().flat_map_iter(of_row).collect();
    distances.par_sort_unstable_by(f64::total_cmp);
    distances
}

/// The parabola with the least squared errors at the points: its coefficients, constant first.
fn parabola(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<[f64; 3]> {
    // x in units of its largest value, so that its powers are of one size.
    let reach = points.clone().map(|point| point.0.abs()).fold(0.0, f64::max);
    let (mut a, mut b) = ([[0.0; 3]; 3], [0.0; 3]);
    for (x, y) in points {
        let powers = [1.0, x / reach, (x / reach).powi(2)];
        for i in 0..3 {
            b[i] += powers[i] * y;
            (0..3).for_each(|j| a[i][j] += powers[i] * powers[j]);
        }
    }
    // Three equations are solved by Cramer's rule.
    let whole = determinant(&a);
    let solved = [0, 1, 2].map(|column| {
        let mut replaced = a;
        (0..3).for_each(|row| replaced[row][column] = b[row]);
        determinant(&replaced) / whole
    });
    let found = [solved[0], solved[1] / reach, solved[2] / (reach * reach)];
    found.iter().all(|number| number.is_finite()).then_some(found)
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

/// The straight line with the least squared errors at the points, as a parabola.
fn straight_line(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<[f64; 3]> {
    let (n, x, y) =
        points.clone().fold((0.0, 0.0, 0.0), |(n, sx, sy), (x, y)| (n + 1.0, sx + x, sy + y));
    let (x, y) = (x / n, y / n);
    let (mut both, mut square) = (0.0, 0.0);
    for point in points {
        both += (point.0 - x) * (point.1 - y);
        square += (point.0 - x).powi(2);
    }
    let slope = both / square;
    slope.is_finite().then_some([y - slope * x, slope, 0.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<[f64; 3]>, want: [f64; 3]) {
        let found = found.unwrap();
        assert!(found.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn parabolas_and_lines_are_found_again() {
        let points = |curvature: f64| {
            let y = move |x: f64| 3.0 + 2.0 * x + curvature * x * x;
            (0..7).map(|i| f64::from(i) / 3.0).map(move |x| (x, y(x)))
        };
        close(parabola(points(-0.5)), [3.0, 2.0, -0.5]);
        close(straight_line(points(0.0)), [3.0, 2.0, 0.0]);
        assert!(parabola([(0.0, 1.0); 4].into_iter()).is_none());
        assert!(straight_line([(0.0, 1.0); 4].into_iter()).is_none());
    }
}
