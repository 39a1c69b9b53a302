//! The directions in which vectors differ most: eigenvectors of their covariance.
//!
//! By Jacobi's rotations (1846), which need no library, converge for every symmetric matrix, and
//! give the same bits on every machine because nothing is summed in an order that depends on it.
//! Where there are too many dimensions for that, the few leading directions are approached by
//! iterating a subspace (Halko et al., *Finding structure with randomness*, SIAM Review 2011), and
//! only what spreads inside it is rotated.

use rayon::prelude::*;

use super::quantiser::TURNED_TOGETHER;
use super::random::Random;
use crate::kernels::turn;

/// Vectors that the covariance is taken of at most.
const SAMPLE: usize = 1 << 13;

/// How many times the subspace is iterated.
const PASSES: usize = 3;

/// Rounds over the whole matrix; six to ten are enough.
const ROUNDS: usize = 16;

/// Orthogonal directions, the one of the greatest spread first.
pub(super) struct Directions {
    /// One direction of unit length after another.
    rows: Vec<Vec<f64>>,
    /// Variance along each.
    variances: Vec<f64>,
}

impl Directions {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The variance along each, falling.
    pub(super) fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The projection matrix of the first `count` components, one row for each dimension.
    pub(super) fn transposed(&self, count: usize) -> Vec<f32> {
        let dims = 0..self.rows.first().map_or(0, Vec::len);
        dims.flat_map(|i| self.rows[..count].iter().map(move |row| row[i] as f32)).collect()
    }
}

/// The principal directions of a sample. `None` where its numbers are too large to square.
pub(super) fn principal_directions(sample: &[&[f32]], centre: &[f32]) -> Option<Directions> {
    rotated(covariance(sample, centre))
}

/// The `count` directions of about the greatest spread, where `dim` is too great to find all.
/// `None` as above.
pub(super) fn leading_directions(
    sample: &[&[f32]],
    centre: &[f32],
    count: usize,
) -> Option<Directions> {
    let dim = centre.len();
    let mut random = Random(dim as u64);
    let mut axes: Vec<Vec<f64>> =
        (0..count).map(|_| (0..dim).map(|_| random.normal()).collect()).collect();
    for _ in 0..PASSES {
        make_orthonormal(&mut axes);
        let seen = coordinates(sample, centre, &axes);
        axes = weighted_sums(sample, centre, &seen);
        if axes.iter().flatten().any(|x| !x.is_finite()) {
            return None;
        }
    }
    make_orthonormal(&mut axes);
    let seen = coordinates(sample, centre, &axes);
    let seen: Vec<&[f32]> = seen.iter().map(Vec::as_slice).collect();
    let inside = rotated(covariance(&seen, &vec![0.0; count]))?;
    let combined = |parts: &Vec<f64>| {
        let mut row = vec![0.0; dim];
        for (part, axis) in parts.iter().zip(&axes) {
            row.iter_mut().zip(axis).for_each(|(sum, x)| *sum += part * x);
        }
        row
    };
    Some(Directions { rows: inside.rows.par_iter().map(combined).collect(), ..inside })
}

/// Orthonormalises the axes by Gram-Schmidt, with two passes each against rounding errors.
fn make_orthonormal(axes: &mut [Vec<f64>]) {
    for i in 0..axes.len() {
        let (before, after) = axes.split_at_mut(i);
        let axis = &mut after[0];
        for other in before.iter().chain(before.iter()) {
            let shared: f64 = axis.iter().zip(other).map(|(x, y)| x * y).sum();
            axis.iter_mut().zip(other).for_each(|(x, y)| *x -= shared * y);
        }
        let norm = axis.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        axis.iter_mut().for_each(|x| *x /= norm);
    }
}

/// Each vector's part in each axis.
fn coordinates(sample: &[&[f32]], centre: &[f32], axes: &[Vec<f64>]) -> Vec<Vec<f32>> {
    let basis: Vec<f32> =
        (0..centre.len()).flat_map(|i| axes.iter().map(move |axis| axis[i] as f32)).collect();
    let turned = |vectors: &[&[f32]]| -> Vec<Vec<f32>> {
        let mut turned = vec![0.0; vectors.len() * axes.len()];
        turn(vectors, centre, &basis, &mut turned);
        turned.chunks(axes.len().max(1)).map(<[f32]>::to_vec).collect()
    };
    sample.par_chunks(TURNED_TOGETHER).flat_map_iter(turned).collect()
}

/// For each axis, the sum of all centred vectors, each times its coordinate on that axis.
fn weighted_sums(sample: &[&[f32]], centre: &[f32], seen: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let count = seen.first().map_or(0, Vec::len);
    let sums_of = |i: usize| {
        let mut sums = vec![0.0f32; count];
        for (vector, seen) in sample.iter().zip(seen) {
            let off = vector[i] - centre[i];
            sums.iter_mut().zip(seen).for_each(|(sum, x)| *sum += off * x);
        }
        sums
    };
    let sums: Vec<Vec<f32>> = (0..centre.len()).into_par_iter().map(sums_of).collect();
    (0..count).map(|j| sums.iter().map(|sums| f64::from(sums[j])).collect()).collect()
}

/// The eigenvectors of a covariance. `None` where it is not finite.
fn rotated(mut matrix: Vec<Vec<f64>>) -> Option<Directions> {
    let dim = matrix.len();
    if matrix.iter().flatten().any(|x| !x.is_finite()) {
        return None;
    }
    let unit = |i: usize| (0..dim).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
    let mut vectors: Vec<Vec<f64>> = (0..dim).map(unit).collect();
    for _ in 0..ROUNDS {
        if !rotate_all(&mut matrix, &mut vectors) {
            break;
        }
    }
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|a, b| matrix[*b][*b].total_cmp(&matrix[*a][*a]).then(a.cmp(b)));
    Some(Directions {
        variances: order.iter().map(|i| matrix[*i][*i].max(0.0)).collect(),
        rows: order.iter().map(|i| std::mem::take(&mut vectors[*i])).collect(),
    })
}

fn covariance(sample: &[&[f32]], centre: &[f32]) -> Vec<Vec<f64>> {
    let some: Vec<Vec<f64>> = sample
        .iter()
        .step_by(sample.len().div_ceil(SAMPLE).max(1))
        .map(|v| v.iter().zip(centre).map(|(x, c)| f64::from(*x) - f64::from(*c)).collect())
        .collect();
    let row = |i: usize| {
        let mut row = vec![0.0; centre.len()];
        for vector in &some {
            row.iter_mut().zip(vector).for_each(|(sum, x)| *sum += vector[i] * x);
        }
        row
    };
    (0..centre.len()).into_par_iter().map(row).collect()
}

/// One Jacobi sweep: zeroes each off-diagonal element in turn. Returns whether it changed any.
fn rotate_all(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>]) -> bool {
    let mut any = false;
    for p in 0..matrix.len() {
        for q in p + 1..matrix.len() {
            let off = matrix[p][q];
            if off.abs() <= 1e-12 * (matrix[p][p] * matrix[q][q]).abs().sqrt() || off == 0.0 {
                continue;
            }
            any = true;
            let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * off);
            let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
            let sine = tangent * cosine;
            for row in matrix.iter_mut() {
                (row[p], row[q]) =
                    (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
            }
            rotate_rows(matrix, p, q, sine, cosine);
            rotate_rows(vectors, p, q, sine, cosine);
        }
    }
    any
}

fn rotate_rows(rows: &mut [Vec<f64>], p: usize, q: usize, sine: f64, cosine: f64) {
    let (before, after) = rows.split_at_mut(q);
    for (x, y) in before[p].iter_mut().zip(&mut after[0]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// How many of the first carry this share of the spread.
    fn needed_for(found: &Directions, share: f64) -> usize {
        let all: f64 = found.variances.iter().sum();
        let sums = found.variances.iter().scan(0.0, |sum, variance| {
            *sum += variance;
            Some(*sum)
        });
        sums.take_while(|sum| *sum < share * all).count() + 1
    }

    #[test]
    fn directions_are_orthogonal_and_carry_what_they_say() {
        let mut random = Random(3);
        let vectors: Vec<Vec<f32>> = (0..400)
            .map(|_| {
                let [a, b] = [3.0 * random.normal(), random.normal()];
                (0..6).map(|i| a + if i < 3 { b } else { -b } + 0.1 * random.normal()).collect()
            })
            .collect();
        let sample: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let found = principal_directions(&sample, &[0.0; 6]).unwrap();
        for (i, a) in found.rows.iter().enumerate() {
            for (j, b) in found.rows.iter().enumerate() {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((dot - want).abs() < 1e-9, "{i} {j}: {dot}");
            }
            let along =
                |v: &&[f32]| -> f64 { v.iter().zip(a).map(|(x, y)| f64::from(*x) * y).sum() };
            let variance: f64 = sample.iter().map(|v| along(v).powi(2)).sum();
            assert!((variance - found.variances[i]).abs() < 1e-6 * found.variances[0]);
        }
        assert!(found.variances.is_sorted_by(|a, b| a >= b));
        assert_eq!(needed_for(&found, 0.99), 2);
        assert_eq!(needed_for(&found, 1.0), 6);
    }

    #[test]
    fn leading_directions_carry_nearly_as_much_as_principal_ones() {
        let mut random = Random(4);
        let vectors: Vec<Vec<f32>> = (0..600)
            .map(|_| (0..40).map(|i| random.normal() * 0.8f32.powi((i * 7) % 40)).collect())
            .collect();
        let sample: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let all = principal_directions(&sample, &[0.0; 40]).unwrap();
        let some = leading_directions(&sample, &[0.0; 40], 12).unwrap();
        let [best, found] = [&all, &some].map(|d| d.variances[..12].iter().sum::<f64>());
        assert!(found > 0.99 * best, "{found} of {best}");
        for (a, b) in some.rows.iter().zip(&all.rows).take(4) {
            let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
            assert!(dot.abs() > 0.99, "{dot}");
        }
        let flat = vec![[0.5f32; 40]; 9];
        let flat: Vec<&[f32]> = flat.iter().map(|v| &v[..]).collect();
        let found = leading_directions(&flat, &[0.5; 40], 12).unwrap();
        assert!(found.rows.iter().flatten().all(|x| x.is_finite()));
    }

    #[test]
    fn equal_vectors_and_huge_ones_are_no_trouble() {
        let same = [[0.5f32; 4]; 3];
        let sample: Vec<&[f32]> = same.iter().map(|v| &v[..]).collect();
        let found = principal_directions(&sample, &[0.5; 4]).unwrap();
        assert_eq!(needed_for(&found, 0.99), 1);
        let huge = [[f32::MAX; 4], [f32::MIN; 4]];
        let sample: Vec<&[f32]> = huge.iter().map(|v| &v[..]).collect();
        let found = principal_directions(&sample, &[0.0; 4]).unwrap();
        assert!(found.rows.iter().flatten().all(|x| x.is_finite()));
    }
}
