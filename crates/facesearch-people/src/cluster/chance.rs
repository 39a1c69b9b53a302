//! How near is near enough, among so many? The threshold follows from the pairs themselves.
//!
//! The number of pairs of strangers grows with the square of the faces, that of pairs of one person
//! about with the faces, so one threshold cannot serve an album and an archive. Here it is the
//! largest at which a given share of all pairs that near is expected to be strangers: a false
//! discovery rate with an empirical null (Efron, *Large-scale simultaneous hypothesis testing: the
//! choice of a null hypothesis*, JASA 99, 2004). How many strangers are within a distance can be
//! counted where strangers prevail, beyond the threshold at which the model itself calls a pair
//! two people; below, the logarithm of their number is carried on as a parabola, as it is for normal
//! distances; with five models on LFW's View 1 that was within a factor of two. How many pairs
//! there are in all is counted.

use facesearch_core::l2_squared;
use rayon::prelude::*;

use super::linkage::Scale;
use super::{Clusters, Graph, Vectors};
use crate::random::Random;

/// So many random pairs stand for all, in parts of which each has its own random numbers.
const PAIRS: usize = 4_000_000;
const PARTS: usize = 64;
/// Fewer pairs at the end of the strangers' distribution than this say nothing about its shape.
const FEWEST: usize = 30;
/// The distribution is followed over the widest of these factors of its size in which it is that of
/// one kind of pairs: the logarithm of a mixture, of near relations and the rest, is hollow.
const SPANS: [f64; 3] = [50.0, 16.0, 5.0];
/// Up to this share of all pairs, beyond which it is no tail.
const TAIL: f64 = 0.1;
/// At how many points it is read.
const POINTS: usize = 20;
/// Thresholds that are tried, from this share of the loosest on.
const LOWEST: f64 = 0.6;
const STEPS: usize = 400;

/// How many pairs of strangers lie within a score.
pub(super) struct Strangers {
    /// Of the natural logarithm of their number: at `from`, its slope and its curvature.
    parabola: [f64; 3],
    from: f64,
}

impl Strangers {
    /// Learns from pairs of faces that are in different groups of `clusters`, which must be loose
    /// enough to have few people in two groups. `beyond` is the score from which on pairs are
    /// strangers by the model's own threshold. `None` where there are too few pairs.
    pub(super) fn learn(
        vectors: &(impl Vectors + ?Sized),
        scale: &Scale,
        clusters: &Clusters,
        beyond: f64,
        seed: u64,
    ) -> Option<Self> {
        let rows = vectors.len();
        let all = rows * rows.saturating_sub(1) / 2;
        let score = |a: usize, b: usize| {
            let square = f64::from(l2_squared(vectors.vector(a), vectors.vector(b)));
            (clusters.group[a] != clusters.group[b]).then(|| scale.pair(square, a, b) as f32)
        };
        let (mut scores, asked): (Vec<f32>, usize) = if all <= PAIRS {
            let of = |a: usize| (0..a).filter_map(|b| score(a, b)).collect::<Vec<_>>();
            ((0..rows).into_par_iter().flat_map_iter(of).collect(), all)
        } else {
            let of = |part: usize| {
                let mut random = Random::new(seed ^ (part as u64 + 1) << 32);
                let pair = |_| {
                    let (a, b) = (random.below(rows), random.below(rows - 1));
                    score(a, if b < a { b } else { b + 1 })
                };
                (0..PAIRS / PARTS).filter_map(pair).collect::<Vec<_>>()
            };
            ((0..PARTS).into_par_iter().flat_map_iter(of).collect(), PAIRS / PARTS * PARTS)
        };
        let most = scores.len() as f64 * TAIL;
        if scores.len() > most as usize + 1 {
            scores.select_nth_unstable_by(most as usize, f32::total_cmp);
            scores.truncate(most as usize + 1);
        }
        scores.par_sort_unstable_by(f32::total_cmp);
        let within = scores.partition_point(|score| f64::from(*score) <= beyond);
        if most < 2.0 * FEWEST as f64 {
            return None;
        }
        // Where the model takes very many strangers for one person, they are counted from nearer on.
        let first = within.clamp(FEWEST, (most / 2.0) as usize);
        let from = f64::from(scores[first - 1]);
        let factor = all as f64 / asked as f64;
        let points = |span: f64| {
            let span = span.min(most / first as f64);
            (0..POINTS).map(move |i| span.powf(i as f64 / (POINTS - 1) as f64) * first as f64)
        };
        let read = |number: f64| {
            (f64::from(scores[number as usize - 1]) - from, f64::ln(number.floor() * factor))
        };
        let fits = SPANS.iter().filter_map(|span| parabola(points(*span).map(read)));
        let arched =
            fits.into_iter().find(|[_, slope, curvature]| *slope > 0.0 && *curvature <= 0.0);
        let [_, _, narrowest] = SPANS;
        let parabola = arched.or_else(|| straight(points(narrowest).map(read)))?;
        Some(Self { parabola, from })
    }

    /// How many pairs of strangers are expected to be within `score`, which is below where they
    /// were counted.
    fn within(&self, score: f64) -> f64 {
        let [height, slope, curvature] = self.parabola;
        let x = (score - self.from).min(0.0);
        (height + slope * x + curvature * x * x).exp()
    }

    /// The largest threshold of at most `loosest` at which a share `strangers` of all pairs within
    /// is expected to be strangers.
    pub(super) fn threshold(
        &self,
        vectors: &(impl Vectors + ?Sized),
        scale: &Scale,
        graph: &Graph,
        loosest: f64,
        strangers: f64,
    ) -> f64 {
        let of = |a: usize| {
            let pair = move |b: usize| {
                let square = f64::from(l2_squared(vectors.vector(a), vectors.vector(b)));
                // A pair that is at both ends in the graph counts once.
                let twice = b < a && graph.neighbours(b).any(|other| other == a);
                (!twice).then(|| scale.pair(square, a, b))
            };
            graph.neighbours(a).filter_map(pair).filter(|score| *score <= loosest * loosest)
        };
        let mut near: Vec<f64> = (0..graph.rows()).into_par_iter().flat_map_iter(of).collect();
        near.par_sort_unstable_by(f64::total_cmp);
        let tried = (0..=STEPS)
            .rev()
            .map(|step| loosest * (LOWEST + (1.0 - LOWEST) * step as f64 / STEPS as f64));
        let good = |threshold: &f64| {
            let square = threshold * threshold;
            let there = near.partition_point(|score| *score <= square);
            // Less than one pair is none.
            self.within(square) <= (strangers * there as f64).max(1.0)
        };
        tried.into_iter().find(good).unwrap_or(LOWEST * loosest)
    }
}

/// The parabola nearest to the points by squares: its coefficients, constant first.
fn parabola(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<[f64; 3]> {
    // x in units of its reach, so that the powers stay alike.
    let reach = points.clone().map(|point| point.0.abs()).fold(0.0, f64::max);
    let (mut a, mut b) = ([[0.0; 3]; 3], [0.0; 3]);
    for (x, y) in points {
        let powers = [1.0, x / reach, (x / reach).powi(2)];
        for i in 0..3 {
            b[i] += powers[i] * y;
            (0..3).for_each(|j| a[i][j] += powers[i] * powers[j]);
        }
    }
    // Cramer's rule does for three numbers.
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

/// The straight line nearest to the points by squares, as a parabola.
fn straight(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<[f64; 3]> {
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
        close(straight(points(0.0)), [3.0, 2.0, 0.0]);
        assert!(parabola([(0.0, 1.0); 4].into_iter()).is_none());
        assert!(straight([(0.0, 1.0); 4].into_iter()).is_none());
    }
}
