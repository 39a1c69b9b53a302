//! A mixture of Gaussians that stands for the faces of many people, and the points drawn from it.
//!
//! Each component has a mean, a few directions in which its faces vary, and one small deviation in
//! all dimensions (Tipping and Bishop, *Mixtures of probabilistic principal component analysers*,
//! Neural Computation 11, 1999). These are statistics of thousands of faces; nobody's embedding is
//! among them.
//!
//! Points are drawn with integers, sums and products alone, so that they are the same on every
//! machine.

use crate::Random;

/// A mixture of Gaussians of reduced rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Length of every vector.
    pub(super) dim: usize,
    /// Directions of each component.
    pub(super) rank: usize,
    /// The share of each component; they sum to 1.
    pub(super) weights: Vec<f32>,
    /// The means, one component after another.
    pub(super) means: Vec<f32>,
    /// The directions, each as long as the faces deviate along it, one component after another.
    pub(super) directions: Vec<f32>,
    /// The deviation of each component in every dimension, besides its directions.
    pub(super) noise: Vec<f32>,
    /// Whether points are scaled to unit length.
    pub(super) unit: bool,
}

impl Mixture {
    /// The first `count` points, one after another: shape `count x dim`. Components follow one
    /// another, each with its share of the points.
    pub fn points(&self, count: usize) -> Vec<f32> {
        let Self { dim, rank, .. } = *self;
        let mut random = Random::new(0);
        let mut points = Vec::with_capacity(count * dim);
        let mut point = vec![0.0f64; dim];
        let total: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        let (mut component, mut reached) = (0, f64::from(self.weights[0]) / total);
        for i in 0..count {
            let place = (i as f64 + 0.5) / count as f64;
            while reached <= place && component + 1 < self.weights.len() {
                component += 1;
                reached += f64::from(self.weights[component]) / total;
            }
            let mean = &self.means[component * dim..][..dim];
            point.iter_mut().zip(mean).for_each(|(x, mean)| *x = f64::from(*mean));
            let directions = &self.directions[component * rank * dim..][..rank * dim];
            for direction in directions.chunks_exact(dim) {
                let along = normal(&mut random);
                for (x, step) in point.iter_mut().zip(direction) {
                    *x += along * f64::from(*step);
                }
            }
            let noise = f64::from(self.noise[component]);
            for part in point.chunks_mut(64) {
                let signs = random.bits();
                for (bit, x) in part.iter_mut().enumerate() {
                    *x += if signs >> bit & 1 == 1 { noise } else { -noise };
                }
            }
            let length = match self.unit {
                true => point.iter().map(|x| x * x).sum::<f64>().sqrt(),
                false => 1.0,
            };
            points.extend(point.iter().map(|x| (x / length) as f32));
        }
        points
    }
}

/// A number that is nearly normally distributed: the sum of twelve uniform ones, less 6.
fn normal(random: &mut Random) -> f64 {
    let mut sum = 0;
    for _ in 0..3 {
        let bits = random.bits();
        sum += [0, 16, 32, 48].into_iter().map(|shift| bits >> shift & 0xffff).sum::<u64>();
    }
    // Each of the twelve stands for the middle of its step.
    (sum as f64 + 6.0) / 65536.0 - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_the_means_and_deviations_of_their_components() {
        let mixture = Mixture {
            dim: 3,
            rank: 1,
            weights: vec![0.75, 0.25],
            means: vec![1.0, 0.0, 0.0, -5.0, 2.0, 0.0],
            directions: vec![0.0, 2.0, 0.0, 0.0, 0.0, 0.5],
            noise: vec![0.1, 0.2],
            unit: false,
        };
        let points = mixture.points(40_000);
        let (first, second) = points.split_at(30_000 * 3);
        let check = |points: &[f32], means: [f64; 3], deviations: [f64; 3]| {
            for dimension in 0..3 {
                let values = points.chunks_exact(3).map(|point| f64::from(point[dimension]));
                let count = values.len() as f64;
                let mean = values.clone().sum::<f64>() / count;
                let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / count;
                assert!((mean - means[dimension]).abs() < 0.03, "{mean}");
                let deviation = variance.sqrt();
                assert!((deviation / deviations[dimension] - 1.0).abs() < 0.03, "{deviation}");
            }
        };
        check(first, [1.0, 0.0, 0.0], [0.1, 4.01f64.sqrt(), 0.1]);
        check(second, [-5.0, 2.0, 0.0], [0.2, 0.2, 0.29f64.sqrt()]);
        assert_eq!(mixture.points(40_000), points);
        let unit = Mixture { unit: true, ..mixture }.points(10);
        for point in unit.chunks_exact(3) {
            let square: f32 = point.iter().map(|x| x * x).sum();
            assert!((square - 1.0).abs() < 1e-6);
        }
    }
}
