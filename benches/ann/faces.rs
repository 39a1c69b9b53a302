//! Made-up embeddings that lie as real ones do.
//!
//! A face is a mean that all share, plus what makes the person, plus what makes the photo; the two
//! parts are normal with the spectra that were measured on LFW View 1, along the same directions,
//! and some photos stray farther than others. `benches/ann/fit.py` prints quantiles of the real and
//! the made-up distances side by side; `docs/benchmarks/search.md` has them.

use rayon::prelude::*;

/// Directions, from the one of the greatest spread between people, at which a spectrum is given.
const RANKS: [f32; 11] = [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 47.0, 63.0, 79.0, 95.0, 127.0];

/// How the embeddings of a recogniser lie.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    /// Share of the squared length that all faces have in common.
    mean: f32,
    /// Variance between people along the directions of [`RANKS`].
    between: [f32; 11],
    /// Variance between photos of a person along the same directions.
    within: [f32; 11],
    /// Deviation of the logarithm of how far a photo strays.
    stray: f32,
    /// Whether negative numbers are cut to zero, as by the last layer of DeepFace.
    cut: bool,
}

/// dlib's recogniser, normalised.
const DLIB: Profile = Profile {
    mean: 0.834,
    between: [
        0.014575, 0.011278, 0.006522, 0.003412, 0.001965, 0.000920, 0.000471, 0.000217, 0.0, 0.0,
        0.0,
    ],
    within: [
        0.000929, 0.000943, 0.000984, 0.001046, 0.000924, 0.000720, 0.000549, 0.000392, 0.000007,
        0.0, 0.0,
    ],
    stray: 0.25,
    cut: false,
};

/// A MobileFaceNet trained with the ArcFace loss: hardly a direction is unused.
const ARCFACE: Profile = Profile {
    mean: 0.010,
    between: [
        0.017226, 0.016397, 0.015090, 0.013308, 0.010555, 0.007568, 0.005500, 0.003914, 0.002832,
        0.001952, 0.000007,
    ],
    within: [
        0.003789, 0.003739, 0.003720, 0.003486, 0.003770, 0.003542, 0.003383, 0.003048, 0.002886,
        0.002880, 0.000431,
    ],
    stray: 0.30,
    cut: false,
};

/// Non-negative, half of it zeros. No real embeddings of DeepFace were measured; distances within a
/// person lie below its thresholds of 0.55 and 0.64, those between people above.
const DEEPFACE: Profile = Profile { mean: 1.0, cut: true, ..ARCFACE };

impl Profile {
    /// The profile of a name: `dlib`, `arcface` or `deepface`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "dlib" => Some(DLIB),
            "arcface" => Some(ARCFACE),
            "deepface" => Some(DEEPFACE),
            _ => None,
        }
    }
}

/// A gallery of `n` faces of people with one to nine photos each, and probes: two of three are
/// further photos of people who are there, one is of a stranger.
pub(crate) struct Faces {
    pub(crate) dim: usize,
    /// The person on each photo.
    pub(crate) people: Vec<u64>,
    /// The person on each probe.
    pub(crate) asked: Vec<u64>,
    between: Vec<f32>,
    within: Vec<f32>,
    signs: Vec<f32>,
    profile: Profile,
}

impl Faces {
    /// Panics unless `dim` is a power of two.
    pub(crate) fn new(profile: Profile, n: usize, dim: usize, probes: usize) -> Self {
        assert!(dim.is_power_of_two(), "directions are mixed by a Hadamard transform");
        let mut random = Random(1);
        let mut people = Vec::with_capacity(n + 9);
        while people.len() < n {
            let person = random.next();
            people.extend(std::iter::repeat_n(person, 1 + random.below(9)));
        }
        people.truncate(n);
        for i in (1..n).rev() {
            people.swap(i, random.below(i + 1));
        }
        let asked = (0..probes)
            .map(|i| if i % 3 == 2 { random.next() } else { people[random.below(n)] })
            .collect();
        let mut random = Random(2);
        let signs =
            (0..dim).map(|_| if random.next().is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
        let deviations = |spectrum: &[f32; 11]| deviations(spectrum, dim);
        let (between, within) = (deviations(&profile.between), deviations(&profile.within));
        Self { dim, people, asked, between, within, signs, profile }
    }

    /// The embedding of the `i`th photo.
    pub(crate) fn photo(&self, i: usize) -> Vec<f32> {
        self.make(self.people[i], i as u64)
    }

    /// The embeddings of all probes, one after another.
    pub(crate) fn probes(&self) -> Vec<f32> {
        let number = |i: usize| (self.people.len() + i) as u64;
        (0..self.asked.len())
            .into_par_iter()
            .flat_map_iter(|i| self.make(self.asked[i], number(i)))
            .collect()
    }

    fn make(&self, person: u64, photo: u64) -> Vec<f32> {
        let mut row = vec![0.0; self.dim];
        let mut random = Random(person);
        row.iter_mut().zip(&self.between).for_each(|(x, spread)| *x = spread * random.normal());
        let mut random = Random(photo ^ 0x5EED_0000_0000_0000);
        let stray = self.profile.stray;
        // The mean square of a log-normal number is exp(2 stray^2).
        let far = (stray * random.normal() - stray * stray).exp();
        row.iter_mut()
            .zip(&self.within)
            .for_each(|(x, spread)| *x += far * spread * random.normal());
        row[self.dim - 1] += self.profile.mean.sqrt();
        row.iter_mut().zip(&self.signs).for_each(|(x, sign)| *x *= sign);
        hadamard(&mut row);
        if self.profile.cut {
            row.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
        row
    }
}

/// Deviations along `dim` directions: a spectrum between its given ranks, which are spread out four
/// times at most, as 512 dimensions have four times the directions of 128.
fn deviations(spectrum: &[f32; 11], dim: usize) -> Vec<f32> {
    let stretch = (dim as f32 / 128.0).min(4.0);
    let log = spectrum.map(|variance| variance.max(1e-9).ln());
    (0..dim)
        .map(|j| {
            let at = j as f32 / stretch;
            let Some(right) = RANKS.iter().position(|rank| *rank >= at) else { return 0.0 };
            let left = right.saturating_sub(1);
            let width = (RANKS[right] - RANKS[left]).max(1.0);
            let share = (at - RANKS[left]) / width;
            ((log[left] * (1.0 - share) + log[right] * share).exp() / stretch).sqrt()
        })
        .collect()
}

/// The Walsh-Hadamard transform: a rotation, up to scale, in `dim log dim` steps.
fn hadamard(row: &mut [f32]) {
    let mut half = 1;
    while half < row.len() {
        for block in row.chunks_exact_mut(2 * half) {
            let (a, b) = block.split_at_mut(half);
            for (x, y) in a.iter_mut().zip(b) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half *= 2;
    }
}

/// Repeatable numbers (Steele et al., SplitMix64, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Normal (Box and Muller 1958).
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }
}
