//! The recall of a search structure, measured when it is sealed, and the beam widths for it.
//!
//! Some probes are answered both by the graph and by measuring everything. The widths at which the
//! graph is good enough become the efforts of this segment.

use facesearch_core::Effort;
use facesearch_core::approximate::l2_squared;
use rayon::prelude::*;

use super::beam::{Breadth, Scratch};
use super::graph::{Graph, Level, find};
use super::quantiser::Quantiser;
use super::random::Random;
use super::sketch::{Sketches, scan};
use crate::scan::{ManyProbes, Shortlist};

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// Width of the walk for the efforts fast, balanced and high.
    pub widths: [u32; 3],
    /// How many probes were answered both ways.
    pub probes: u32,
    /// Of the nearest vectors, the share that the balanced effort found.
    pub recall_at_1: f32,
    /// The same of the ten nearest.
    pub recall_at_10: f32,
    /// The exponent `g` by which distances grow: the squared distance of the `w`th nearest is about
    /// `(w / k)^g` times that of the `k`th.
    pub growth: f32,
    /// Whether sketches of all faces are scanned instead of a graph being walked; the widths are
    /// then how many codes are compared.
    pub scans: bool,
}

/// Recall@1 and recall@10 that each effort is to reach. The default promises 0.999 and 0.99, and
/// aims a little higher, because the probes of the measurement are only a sample.
const GOALS: [(f64, f64); 3] = [(0.98, 0.95), (0.999, 0.9925), (0.9997, 0.999)];

const WIDTHS: [usize; 22] = [
    16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 512, 640, 768, 1024, 1536, 2048,
    3072, 4096,
];

/// How many probes recall is measured with, if there are as many vectors.
const PROBES: usize = 2048;
const K: usize = 10;

/// Vectors that are measured against all probes while they are in the cache.
const BLOCK: usize = 1 << 8;

impl Certificate {
    /// The width of the walk for an effort, when `k` neighbours are wanted.
    pub(super) fn width(&self, effort: Effort, k: usize) -> usize {
        let width = match effort {
            Effort::Fast => self.widths[0] as usize,
            Effort::Balanced | Effort::Exact => self.widths[1] as usize,
            Effort::High => self.widths[2] as usize,
            Effort::List(width) => return width.max(measured_exactly(k)),
        };
        width.saturating_add(measured_exactly(k).saturating_sub(measured_exactly(K)))
    }

    /// The walk for an effort, when `k` neighbours are wanted.
    pub(super) fn breadth(&self, effort: Effort, k: usize) -> Breadth {
        breadth(self.width(effort, k), k, self.growth)
    }
}

/// The walk that on average ends with the `width` nearest, `k` or more of which are wanted.
///
/// It ends at the distance at which the `width`th nearest is expected. So it visits more nodes, up
/// to [`AT_MOST`] times `width`, if many are about as near as the `k`th, and fewer if few are.
fn breadth(width: usize, k: usize, growth: f32) -> Breadth {
    let nearest = k.max(K);
    let reach = (width as f64 / nearest as f64).max(1.0).powf(f64::from(growth));
    Breadth::within(reach, nearest, width.max(nearest).saturating_mul(AT_MOST))
}

const AT_MOST: usize = 4;

/// How many of the walk's best are measured exactly, when `k` neighbours are wanted.
pub(crate) fn measured_exactly(k: usize) -> usize {
    k.saturating_mul(3).max(k.saturating_add(20))
}

/// What a structure was found to do, and at what cost.
pub(super) struct Measured {
    pub(super) certificate: Certificate,
    /// What a probe costs at the default effort, in codes that a walk compares.
    cost: f64,
}

impl Measured {
    /// Whether this is the better structure: good enough where the other is not, or else cheaper.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let recall = |of: &Self| f64::from(of.certificate.recall_at_10).min(GOALS[1].1);
        (recall(self), -self.cost) > (recall(other), -other.cost)
    }
}

/// Probes and what is nearest to them.
pub(super) struct Task<'v, V> {
    vector: &'v V,
    n: usize,
    probes: Vec<Vec<f32>>,
    truth: Vec<Vec<u32>>,
}

impl<'a, V: Fn(usize) -> &'a [f32] + Sync> Task<'_, V> {
    /// Of the `n` vectors that `vector` gives.
    pub(super) fn new(n: usize, vector: &V) -> Task<'_, V> {
        let probes = probes(n, vector);
        let truth = truth(n, &probes, vector);
        Task { vector, n, probes, truth }
    }

    /// Measures walks along a graph.
    pub(super) fn walks(&self, graph: &Graph, quantiser: &Quantiser) -> Measured {
        let growth = growth(graph, quantiser, &self.probes);
        let views: Vec<_> = graph.levels.iter().map(Level::view).collect();
        let answer = |scratch: &mut Scratch, probe: &[f32], width, items: &mut Vec<u32>| {
            quantiser.probe(probe, &mut scratch.probe, &mut scratch.turned);
            scratch.examined = 0;
            find(graph.codes.view(), &views, self.n, breadth(width, K, growth), scratch);
            let found = scratch.found().take(measured_exactly(K));
            items.extend(found.map(|(_, node)| graph.order[node as usize]));
            scratch.examined as f64
        };
        let mut measured = self.measure(&WIDTHS, answer);
        measured.certificate.growth = growth;
        measured
    }

    /// Measures scans of sketches.
    pub(super) fn scans(
        &self,
        sketches: &Sketches,
        graph: &Graph,
        quantiser: &Quantiser,
    ) -> Measured {
        let answer = |scratch: &mut Scratch, probe: &[f32], width, items: &mut Vec<u32>| {
            let keep = |_| Ok::<_, std::convert::Infallible>(true);
            let Ok(()) = scan(
                quantiser,
                sketches.view(),
                graph.codes.view(),
                probe,
                width,
                measured_exactly(K),
                scratch,
                keep,
                |_| Ok(()),
            );
            items.extend(scratch.scan.found().map(|node| graph.order[node as usize]));
            self.n as f64 / SCANNED + width as f64
        };
        let mut measured = self.measure(&SCAN_WIDTHS, answer);
        measured.certificate.scans = true;
        measured
    }

    /// Tries the widths, which ascend, until all goals are met. `answer` adds what it finds and
    /// says what it cost.
    fn measure(
        &self,
        all: &[usize],
        answer: impl Fn(&mut Scratch, &[f32], usize, &mut Vec<u32>) -> f64 + Sync,
    ) -> Measured {
        let mut widths = [*all.last().expect("there are some") as u32; 3];
        let (mut recalls, mut cost) = ((0.0, 0.0), 0.0);
        let mut goals = GOALS.iter().enumerate().peekable();
        for width in all {
            let (at_1, at_10, each) = self.recall(*width, &answer);
            if goals.peek().is_some_and(|(effort, _)| *effort <= 1) {
                (recalls, cost) = ((at_1, at_10), each);
            }
            while let Some((effort, _)) =
                goals.next_if(|(_, goal)| at_1 >= goal.0 && at_10 >= goal.1)
            {
                widths[effort] = *width as u32;
            }
            if goals.peek().is_none() {
                break;
            }
        }
        let certificate = Certificate {
            widths,
            probes: self.probes.len() as u32,
            recall_at_1: recalls.0 as f32,
            recall_at_10: recalls.1 as f32,
            growth: 0.0,
            scans: false,
        };
        Measured { certificate, cost }
    }

    /// Recall at 1 and at 10, and the mean cost. A vector as near as one of the nearest is as good:
    /// copies of one face cannot be told apart.
    fn recall(
        &self,
        width: usize,
        answer: &(impl Fn(&mut Scratch, &[f32], usize, &mut Vec<u32>) -> f64 + Sync),
    ) -> (f64, f64, f64) {
        let hits = |(scratch, items): &mut (Scratch, Vec<u32>),
                    (probe, truth): (&Vec<f32>, &Vec<u32>)| {
            items.clear();
            let cost = answer(scratch, probe, width, items);
            let mut best: Vec<u32> = items
                .iter()
                .map(|item| l2_squared(probe, (self.vector)(*item as usize)).to_bits())
                .collect();
            best.sort_unstable();
            best.truncate(truth.len());
            let within = |bound: &u32| best.iter().filter(|bits| *bits <= bound).count();
            (within(&truth[0]).min(1), truth.last().map_or(0, within), cost)
        };
        let (ones, tens, cost) = self
            .probes
            .par_iter()
            .zip(&self.truth)
            .map_init(Default::default, hits)
            .reduce(|| (0, 0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        let all: usize = self.truth.iter().map(Vec::len).sum();
        let probes = self.probes.len() as f64;
        (ones as f64 / probes, tens as f64 / all as f64, cost / probes)
    }
}

/// So many sketches are scanned while a walk compares a code.
const SCANNED: f64 = 16.0;

const SCAN_WIDTHS: [usize; 12] = [64, 128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192];

/// Synthetic probes. Half are near one of the vectors, like another photo of a known person. Half
/// are strangers, which are harder: they are drawn from the normal distribution with the vectors'
/// mean and covariance, as a sum of many vectors with random weights.
fn probes<'a>(n: usize, vector: &(impl Fn(usize) -> &'a [f32] + Sync)) -> Vec<Vec<f32>> {
    let mut random = Random(n as u64);
    (0..PROBES.min(n))
        .map(|i| {
            let known = vector(random.below(n));
            let weights: &[f64] =
                if i % 2 == 0 { &[0.9, 0.1] } else { &[1.0 / MIXED as f64; MIXED] };
            let mut probe = vec![0.0f64; known.len()];
            for (j, weight) in weights.iter().enumerate() {
                let other = if j == 0 { known } else { vector(random.below(n)) };
                let spread = if i % 2 == 0 { 0.0 } else { random.normal() * SPREAD };
                let terms = other.iter().zip(vector(random.below(n)));
                for (sum, (x, y)) in probe.iter_mut().zip(terms) {
                    *sum += weight * f64::from(*x) + spread * (f64::from(*x) - f64::from(*y));
                }
            }
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
            let of_probe = norm(&mut probe.iter().copied());
            let of_known = norm(&mut known.iter().copied().map(f64::from));
            let scale = if of_probe > 0.0 { of_known / of_probe } else { 1.0 };
            probe.into_iter().map(|x| (x * scale) as f32).collect()
        })
        .collect()
}

/// Vectors that make up a stranger.
const MIXED: usize = 64;

/// The weight of a difference of two vectors in a stranger, in deviations: `MIXED` of them together
/// spread as single vectors do.
const SPREAD: f64 = 0.088_388_347_648_318_44; // 1 / sqrt(2 * MIXED)

/// The squared distances of the nearest few of each probe, ascending.
fn truth<'a>(
    n: usize,
    probes: &[Vec<f32>],
    vector: &(impl Fn(usize) -> &'a [f32] + Sync),
) -> Vec<Vec<u32>> {
    let Some(dim) = probes.first().map(Vec::len) else { return Vec::new() };
    let many = ManyProbes::new(&probes.iter().map(Vec::as_slice).collect::<Vec<_>>(), dim);
    let blocks: Vec<usize> = (0..n).step_by(BLOCK).collect();
    let some = |blocks: &[usize]| {
        let (mut lists, mut rows) = (many.lists(K), Vec::with_capacity(BLOCK * dim));
        for start in blocks {
            rows.clear();
            (*start..n.min(start + BLOCK)).for_each(|item| rows.extend_from_slice(vector(item)));
            many.offer(&rows, *start as u32, &mut lists);
        }
        lists
    };
    let each = blocks.len().div_ceil(rayon::current_num_threads()).max(1);
    let lists = blocks
        .par_chunks(each)
        .map(some)
        .reduce_with(|a, b| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect());
    let lists = lists.unwrap_or_else(|| many.lists(K));
    let nearest = |(probe, list): (&Vec<f32>, Shortlist)| {
        // Bits of floats that are not negative order as the floats do.
        let mut near: Vec<u32> =
            list.rows().map(|item| l2_squared(probe, vector(item as usize)).to_bits()).collect();
        near.sort_unstable();
        near.truncate(K);
        near
    };
    probes.par_iter().zip(lists).map(nearest).collect()
}

/// The mean growth of distances from the `K`th nearest to the [`FAR`]th.
fn growth(graph: &Graph, quantiser: &Quantiser, probes: &[Vec<f32>]) -> f32 {
    let views: Vec<_> = graph.levels.iter().map(Level::view).collect();
    let n = graph.order.len();
    let of = |scratch: &mut Scratch, probe: &Vec<f32>| {
        quantiser.probe(probe, &mut scratch.probe, &mut scratch.turned);
        let breadth = Breadth::all_of(FAR);
        find(graph.codes.view(), &views, n, breadth, scratch);
        let found: Vec<f64> = scratch.found().map(|(distance, _)| f64::from(distance)).collect();
        let (near, far) = (*found.get(K - 1)?, *found.last()?);
        let growth = (far / near).ln() / (found.len() as f64 / K as f64).ln();
        growth.is_finite().then_some(growth)
    };
    let all: Vec<f64> = probes.par_iter().map_init(Scratch::default, of).flatten().collect();
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    // Logarithms differ in the last digits from one machine to another; files should not.
    ((mean * 1024.0).round() / 1024.0) as f32
}

/// Far enough to tell growth from chance.
const FAR: usize = 512;
