//! The rotation, scale and shift that best map one set of points onto another.
//!
//! The least-squares solution of Umeyama (*Least-squares estimation of transformation parameters
//! between two point patterns*, PAMI 1991) without reflections; in the plane it needs no singular
//! values, because a similarity is one complex number.

/// `x' = a x - b y + tx`, `y' = b x + a y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Similarity {
    pub(crate) a: f64,
    pub(crate) b: f64,
    pub(crate) shift: [f64; 2],
}

impl Similarity {
    /// The one with the smallest sum of squared distances between the images of `from` and `to`.
    /// Where all of `from` are one point it is a shift.
    pub(crate) fn between<const N: usize>(from: &[[f64; 2]; N], to: &[[f64; 2]; N]) -> Self {
        let mean = |points: &[[f64; 2]; N], axis: usize| {
            points.iter().map(|p| p[axis]).sum::<f64>() / N as f64
        };
        let (fx, fy) = (mean(from, 0), mean(from, 1));
        let (tx, ty) = (mean(to, 0), mean(to, 1));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let (x, y, u, v) = (f[0] - fx, f[1] - fy, t[0] - tx, t[1] - ty);
            along += x * u + y * v;
            across += x * v - y * u;
            spread += x * x + y * y;
        }
        let (a, b) = if spread > 0.0 { (along / spread, across / spread) } else { (1.0, 0.0) };
        Self { a, b, shift: [tx - (a * fx - b * fy), ty - (b * fx + a * fy)] }
    }

    /// The image of one point.
    pub(crate) fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.a * x - self.b * y + self.shift[0], self.b * x + self.a * y + self.shift[1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_similarity_is_found_again() {
        let truth = Similarity { a: 1.2, b: -0.7, shift: [30.0, -4.0] };
        let from = [[0.0, 0.0], [10.0, 1.0], [3.0, 8.0], [-2.0, 5.0]];
        let found = Similarity::between(&from, &from.map(|p| truth.apply(p)));
        for (got, want) in [
            (found.a, truth.a),
            (found.b, truth.b),
            (found.shift[0], truth.shift[0]),
            (found.shift[1], truth.shift[1]),
        ] {
            assert!((got - want).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn points_that_are_all_one_give_a_shift() {
        let found = Similarity::between(&[[2.0, 2.0]; 3], &[[5.0, 1.0]; 3]);
        assert_eq!(found, Similarity { a: 1.0, b: 0.0, shift: [3.0, -1.0] });
    }
}
