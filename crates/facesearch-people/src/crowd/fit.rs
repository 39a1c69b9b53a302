//! Fits a mixture of Gaussians of reduced rank to faces, by expectation maximisation.

use rayon::prelude::*;

use super::mixture::Mixture;
use crate::{Faces, PeopleError, Random};

/// How a mixture is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureOptions {
    /// Components.
    pub components: usize,
    /// Directions of each component.
    pub rank: usize,
    /// Rounds of expectation maximisation.
    pub rounds: usize,
    /// How many faces the spread of all components counts for, beside a component's own.
    pub shrinkage: f64,
    /// Whether points are scaled to unit length, as embeddings of most metrics are.
    pub unit: bool,
}

impl Default for MixtureOptions {
    fn default() -> Self {
        Self { components: 32, rank: 16, rounds: 25, shrinkage: 20.0, unit: false }
    }
}

/// Rounds that improve the eigenvectors of one covariance; they start from those of the last round
/// of the fit.
const POWER_ROUNDS: usize = 8;
/// Faces with a smaller share in a component do not count in it.
const NEGLIGIBLE: f64 = 1e-6;

/// Fits a mixture to populations, each counting as much as every other, and in each of them each
/// person once (by the first face).
///
/// - **Cost:** about `rounds * faces * dim * (dim + components * rank)` multiplications, on all
///   cores.
///
/// # Errors
///
/// [`PeopleError::TooFew`] with fewer than ten people for each component,
/// [`PeopleError::Dimension`] where populations differ in it.
pub fn fit_mixture(
    populations: &[&Faces],
    options: &MixtureOptions,
) -> Result<Mixture, PeopleError> {
    let dim = populations.first().map_or(0, |faces| faces.dim());
    let (mut faces, mut counts): (Vec<Vec<f64>>, Vec<f64>) = (Vec::new(), Vec::new());
    for population in populations {
        if population.dim() != dim {
            return Err(PeopleError::Dimension { expected: dim, got: population.dim() });
        }
        let people = population.rows_by_person();
        let firsts = people.iter().filter_map(|rows| rows.first());
        faces.extend(
            firsts.map(|row| population.vector(*row).iter().map(|x| (*x).into()).collect()),
        );
        counts.extend(vec![1.0 / people.len() as f64; people.len()]);
    }
    let wanted = 10 * options.components;
    if faces.len() < wanted {
        return Err(PeopleError::TooFew { what: "people", got: faces.len(), wanted });
    }
    // The counts sum to the number of faces, as if each counted once.
    let scale = faces.len() as f64 / populations.len() as f64;
    counts.iter_mut().for_each(|count| *count *= scale);
    let mut fit = Fit::start(&faces, counts, options);
    for _ in 0..options.rounds {
        fit.maximise();
        fit.expect();
    }
    Ok(fit.finish())
}

/// One Gaussian while it is fitted.
#[derive(Clone)]
struct Component {
    /// The faces that it has, each counting by its share.
    count: f64,
    mean: Vec<f64>,
    /// Unit vectors, one after another.
    axes: Vec<f64>,
    /// The variance along each.
    variances: Vec<f64>,
    /// The variance in all other directions.
    noise: f64,
}

struct Fit<'a> {
    faces: &'a [Vec<f64>],
    /// How much each face counts.
    counts: Vec<f64>,
    options: MixtureOptions,
    /// The share of each component in each face.
    shares: Vec<Vec<f64>>,
    components: Vec<Component>,
}

impl<'a> Fit<'a> {
    /// Components around centres that are far from each other, moved to the means of their faces
    /// (k-means++).
    fn start(faces: &'a [Vec<f64>], counts: Vec<f64>, options: &MixtureOptions) -> Self {
        let mut random = Random::new(1);
        let mut centres = vec![faces[random.below(faces.len())].clone()];
        let mut nearest: Vec<f64> = faces.iter().map(|face| squared(face, &centres[0])).collect();
        while centres.len() < options.components {
            let total: f64 = nearest.iter().sum();
            let place = random.below(1 << 53) as f64 / (1u64 << 53) as f64 * total;
            let mut passed = 0.0;
            let chosen = nearest.iter().position(|square| {
                passed += square;
                passed > place
            });
            let centre = faces[chosen.unwrap_or(faces.len() - 1)].clone();
            for (square, face) in nearest.iter_mut().zip(faces) {
                *square = square.min(squared(face, &centre));
            }
            centres.push(centre);
        }
        let mut owner = vec![0; faces.len()];
        for _ in 0..10 {
            let of_face = |face: &Vec<f64>| {
                let by_distance = |a: &usize, b: &usize| {
                    squared(face, &centres[*a]).total_cmp(&squared(face, &centres[*b]))
                };
                (0..centres.len()).min_by(by_distance).unwrap_or(0)
            };
            owner = faces.par_iter().map(of_face).collect();
            for (number, centre) in centres.iter_mut().enumerate() {
                let own = || faces.iter().zip(&owner).filter(|(_, owner)| **owner == number);
                let count = own().count();
                if count > 0 {
                    centre.fill(0.0);
                    own().for_each(|(face, _)| add(centre, face, 1.0 / count as f64));
                }
            }
        }
        let dim = faces[0].len();
        let shares = owner.iter().map(|owner| {
            let mut share = vec![0.0; options.components];
            share[*owner] = 1.0;
            share
        });
        let component = |mean: Vec<f64>| Component {
            count: 0.0,
            mean,
            axes: first_axes(options.rank.min(dim), dim),
            variances: Vec::new(),
            noise: 0.0,
        };
        Self {
            faces,
            counts,
            options: *options,
            shares: shares.collect(),
            components: centres.into_iter().map(component).collect(),
        }
    }

    /// The Gaussians that fit the shares best.
    fn maximise(&mut self) {
        let Self { faces, counts, options, shares, components } = self;
        let dim = faces[0].len();
        let weighted = |number: usize| {
            let members = faces.iter().zip(&*shares).zip(&*counts);
            members.filter_map(move |((face, shares), count)| {
                let weight = shares[number] * count;
                (weight > NEGLIGIBLE).then_some((face, weight))
            })
        };
        let scatters: Vec<Vec<f64>> = components
            .par_iter_mut()
            .enumerate()
            .map(|(number, component)| {
                component.count = weighted(number).map(|(_, weight)| weight).sum();
                component.mean.fill(0.0);
                for (face, weight) in weighted(number) {
                    add(&mut component.mean, face, weight / component.count.max(1e-9));
                }
                let mut scatter = vec![0.0; dim * dim];
                let mut centred = vec![0.0; dim];
                for (face, weight) in weighted(number) {
                    for ((centred, x), mean) in centred.iter_mut().zip(face).zip(&component.mean) {
                        *centred = x - mean;
                    }
                    for (row, x) in scatter.chunks_exact_mut(dim).zip(&centred) {
                        add(row, &centred, x * weight);
                    }
                }
                scatter
            })
            .collect();
        let mut within = vec![0.0; dim * dim];
        scatters.iter().for_each(|scatter| add(&mut within, scatter, 1.0 / faces.len() as f64));
        components.par_iter_mut().zip(scatters).for_each(|(component, mut covariance)| {
            let divisor = component.count + options.shrinkage;
            for (value, within) in covariance.iter_mut().zip(&within) {
                *value = (*value + options.shrinkage * within) / divisor;
            }
            let trace: f64 = (0..dim).map(|i| covariance[i * dim + i]).sum();
            component.variances = principal_axes(&covariance, &mut component.axes, dim);
            let rest = trace - component.variances.iter().sum::<f64>();
            let others = (dim - component.variances.len()).max(1) as f64;
            component.noise = (rest / others).max(1e-12);
            let noise = component.noise;
            component.variances.iter_mut().for_each(|variance| *variance = variance.max(noise));
        });
    }

    /// The share of each component in each face.
    fn expect(&mut self) {
        let Self { faces, shares, components, .. } = self;
        faces.par_iter().zip(shares).for_each(|(face, shares)| {
            let mut centred = vec![0.0; face.len()];
            for (share, component) in shares.iter_mut().zip(&*components) {
                *share = component.ln_density(face, &mut centred);
            }
            let highest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            shares.iter_mut().for_each(|share| *share = (*share - highest).exp());
            let total: f64 = shares.iter().sum();
            shares.iter_mut().for_each(|share| *share /= total);
        });
    }

    /// The mixture, the largest component first.
    fn finish(mut self) -> Mixture {
        self.components.sort_by(|a, b| b.count.total_cmp(&a.count));
        let total: f64 = self.components.iter().map(|component| component.count).sum();
        let directions = self.components.iter().flat_map(|component| {
            let dim = component.mean.len();
            component.axes.chunks_exact(dim).zip(&component.variances).flat_map(
                |(axis, variance)| {
                    let length = (variance - component.noise).max(0.0).sqrt();
                    axis.iter().map(move |x| (x * length) as f32)
                },
            )
        });
        Mixture {
            dim: self.faces[0].len(),
            rank: self.components[0].variances.len(),
            weights: self.components.iter().map(|part| (part.count / total) as f32).collect(),
            means: self.components.iter().flat_map(|part| &part.mean).map(|x| *x as f32).collect(),
            directions: directions.collect(),
            noise: self.components.iter().map(|part| part.noise.sqrt() as f32).collect(),
            unit: self.options.unit,
        }
    }
}

impl Component {
    /// The logarithm of its density at a face, times how many faces it has; a constant is left out.
    fn ln_density(&self, face: &[f64], centred: &mut [f64]) -> f64 {
        for ((centred, x), mean) in centred.iter_mut().zip(face).zip(&self.mean) {
            *centred = x - mean;
        }
        let mut outside: f64 = centred.iter().map(|x| x * x).sum();
        let (mut square, mut ln_volume) = (0.0, 0.0);
        for (axis, variance) in self.axes.chunks_exact(face.len()).zip(&self.variances) {
            let along = dot(axis, centred);
            outside -= along * along;
            square += along * along / variance;
            ln_volume += variance.ln();
        }
        let others = (face.len() - self.variances.len()) as f64;
        ln_volume += others * self.noise.ln();
        self.count.max(1e-9).ln() - (square + outside.max(0.0) / self.noise + ln_volume) / 2.0
    }
}

/// Turns `axes` towards the eigenvectors with the largest eigenvalues, which are returned (subspace
/// iteration).
fn principal_axes(covariance: &[f64], axes: &mut [f64], dim: usize) -> Vec<f64> {
    for _ in 0..POWER_ROUNDS {
        let turned: Vec<f64> = axes
            .chunks_exact(dim)
            .flat_map(|axis| covariance.chunks_exact(dim).map(|row| dot(row, axis)))
            .collect();
        axes.copy_from_slice(&turned);
        make_orthonormal(axes, dim);
    }
    axes.chunks_exact(dim)
        .map(|axis| {
            let turned = covariance.chunks_exact(dim).map(|row| dot(row, axis));
            turned.zip(axis).map(|(a, b)| a * b).sum()
        })
        .collect()
}

/// Gram and Schmidt's method, twice, because one pass loses digits.
fn make_orthonormal(axes: &mut [f64], dim: usize) {
    for _ in 0..2 {
        for i in 0..axes.len() / dim {
            let (before, from) = axes.split_at_mut(i * dim);
            let axis = &mut from[..dim];
            for other in before.chunks_exact(dim) {
                let along = dot(other, axis);
                add(axis, other, -along);
            }
            let length = dot(axis, axis).sqrt().max(1e-300);
            axis.iter_mut().for_each(|x| *x /= length);
        }
    }
}

/// Orthonormal vectors to start from.
fn first_axes(count: usize, dim: usize) -> Vec<f64> {
    let mut random = Random::new(2);
    let numbers = (0..count * dim).map(|_| random.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5);
    let mut axes: Vec<f64> = numbers.collect();
    make_orthonormal(&mut axes, dim);
    axes
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn add(to: &mut [f64], vector: &[f64], times: f64) {
    to.iter_mut().zip(vector).for_each(|(to, x)| *to += x * times);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Faces drawn from a known mixture give that mixture back.
    #[test]
    fn a_mixture_is_found_again() {
        let (dim, rank) = (6, 1);
        let mut directions = vec![0.0; 3 * dim];
        (directions[3], directions[dim + 4], directions[2 * dim + 5]) = (1.5, 1.0, 0.8);
        let mut means = vec![0.0; 3 * dim];
        (means[0], means[dim + 1], means[2 * dim + 2]) = (6.0, 6.0, 6.0);
        let known = Mixture {
            dim,
            rank,
            weights: vec![0.5, 0.3, 0.2],
            means,
            directions,
            noise: vec![0.2; 3],
            unit: false,
        };
        let points = known.points(6000);
        let names: Vec<String> = (0..6000).map(|i| format!("{i:05}")).collect();
        let named = names.iter().map(String::as_str).zip(points.chunks_exact(dim));
        let faces = Faces::new(named).unwrap();
        let options =
            MixtureOptions { components: 3, rank, rounds: 20, shrinkage: 1.0, unit: false };
        let found = fit_mixture(&[&faces], &options).unwrap();
        let near = |a: &[f32], b: &[f32], by: f32| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < by, "{a} is not {b}"));
        };
        near(&found.weights, &known.weights, 0.01);
        // Three deviations of the mean of 3,000 points.
        near(&found.means, &known.means, 0.09);
        near(&found.noise, &known.noise, 0.01);
        let signless = |v: &[f32]| v.iter().map(|x| x.abs()).collect::<Vec<_>>();
        near(&signless(&found.directions), &signless(&known.directions), 0.06);
    }

    #[test]
    fn too_few_people_are_refused() {
        let faces = Faces::new([("a", [0.0f32, 1.0]), ("b", [1.0, 0.0])]).unwrap();
        let error = fit_mixture(&[&faces], &MixtureOptions::default()).unwrap_err();
        assert!(matches!(error, PeopleError::TooFew { got: 2, wanted: 320, .. }));
    }
}
