//! A scan of sketches: for faces that differ in so many directions that a walk would look at a good
//! part of all codes.
//!
//! A sketch has two bits for each of the leading directions, the vector's squared length, and a
//! weight that makes up for what was rounded away (after Gao and Long's RaBitQ, SIGMOD 2024, which
//! turns vectors at random; here they are turned to their principal directions, so that the first
//! ones say most). All sketches are compared with a probe one after another, for several probes in
//! one reading; of those that seem nearest the codes are compared, and of the best of these the
//! exact vectors, as after a walk. **Trap:** sketches only propose; how many are kept decides the
//! recall, and is measured when the segment is sealed.

use rayon::prelude::*;

use super::beam::Scratch;
use super::quantiser::{Quantiser, TURNED_TOGETHER};
use crate::kernels::{
    Codes, LINE, MAX_LINES, OF_LINE, SketchProbe, TOGETHER, block_len, estimate, measure,
};

/// Directions of a sketch: 64 bytes.
const DIRECTIONS: usize = 256;

/// The distance of two steps, in deviations, at which the mean squared error of a normally
/// distributed number in two bits is least (Max, *Quantizing for minimum distortion*, 1960).
const STEP: f32 = 0.9957;

/// Vectors that deviations are learnt from.
const SAMPLE: usize = 1 << 12;

/// Blocks whose estimates are looked at together: they stay in the first cache.
const AT_ONCE: usize = 32;

/// Codes asked for ahead of their comparison.
const AHEAD: usize = 16;

/// Sketches in memory, as they lie in a file.
pub(crate) struct Sketches {
    /// For each direction the distance of two steps.
    pub(super) steps: Vec<f32>,
    pub(super) blocks: Vec<u8>,
}

impl Sketches {
    /// The sketches of the vectors that `order` names. `None` where their squared lengths are too
    /// large.
    pub(super) fn new<'a>(
        quantiser: &Quantiser,
        order: &[u32],
        vector: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Option<Self> {
        let directions = quantiser.code_dim.min(DIRECTIONS);
        let steps = steps(quantiser, order, directions, &vector);
        let lines = directions.div_ceil(OF_LINE);
        let mut blocks = vec![0; order.len().div_ceil(TOGETHER) * block_len(lines)];
        blocks
            .par_chunks_exact_mut(block_len(lines))
            .zip(order.par_chunks(TOGETHER))
            .for_each_init(Vec::new, |turned, (block, items)| {
                // A place without a vector is farther than any.
                let squares = block.len() - 8 * TOGETHER;
                for at in (squares..squares + 4 * TOGETHER).step_by(4) {
                    block[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
                }
                let vectors: Vec<&[f32]> =
                    items.iter().map(|item| vector(*item as usize)).collect();
                quantiser.turn(&vectors, turned);
                let turned = turned.chunks_exact(quantiser.code_dim);
                for (lane, (vector, turned)) in vectors.iter().zip(turned).enumerate() {
                    write(quantiser, &steps, (vector, turned), block, lane);
                }
            });
        let all = View { steps: &steps, blocks: &blocks };
        let finite = (0..order.len()).into_par_iter().all(|node| all.square(node).is_finite());
        finite.then_some(Self { steps, blocks })
    }

    pub(super) fn view(&self) -> View<'_> {
        View { steps: &self.steps, blocks: &self.blocks }
    }
}

/// The distance of two steps in each direction.
fn steps<'a>(
    quantiser: &Quantiser,
    order: &[u32],
    directions: usize,
    vector: impl Fn(usize) -> &'a [f32],
) -> Vec<f32> {
    let sample = &order[..order.len().min(SAMPLE)];
    let mut sums = vec![0.0f64; directions];
    let mut turned = Vec::new();
    for items in sample.chunks(TURNED_TOGETHER) {
        let vectors: Vec<&[f32]> = items.iter().map(|item| vector(*item as usize)).collect();
        quantiser.turn(&vectors, &mut turned);
        for turned in turned.chunks_exact(quantiser.code_dim) {
            sums.iter_mut().zip(turned).for_each(|(sum, x)| *sum += f64::from(x * x));
        }
    }
    let deviation = |sum: f64| (sum / sample.len().max(1) as f64).sqrt() as f32;
    sums.into_iter().map(|sum| STEP * deviation(sum)).collect()
}

/// Writes the sketch of a vector, given as it is and turned, into its lane of a block.
fn write(
    quantiser: &Quantiser,
    steps: &[f32],
    (vector, turned): (&[f32], &[f32]),
    block: &mut [u8],
    lane: usize,
) {
    let (mut product, mut square) = (0.0f32, 0.0f32);
    for (i, (x, step)) in turned.iter().zip(steps).enumerate() {
        let number = if *step > 0.0 { (x / step + 2.0).floor().clamp(0.0, 3.0) } else { 0.0 };
        let (line, place) = (i / OF_LINE, i % OF_LINE);
        block[line * LINE + 4 * lane + place % 4] |= (number as u8) << (place / 4 * 2);
        let rounded = step * (number - MIDDLE);
        product += x * rounded;
        square += rounded * rounded;
    }
    let weight = if square > 0.0 { 2.0 * product / square } else { 0.0 };
    let off = vector.iter().zip(&quantiser.centre).map(|(x, centre)| x - centre);
    let length: f32 = off.map(|x| x * x).sum();
    let squares = block.len() - 8 * TOGETHER + 4 * lane;
    block[squares..squares + 4].copy_from_slice(&length.to_le_bytes());
    let weights = squares + 4 * TOGETHER;
    block[weights..weights + 4].copy_from_slice(&weight.to_le_bytes());
}

/// The middle of the numbers of a sketch.
const MIDDLE: f32 = 1.5;

/// Sketches, wherever they are.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) steps: &'a [f32],
    pub(super) blocks: &'a [u8],
}

impl View<'_> {
    /// Whether the places of the last block that have no node are farther than any.
    pub(super) fn ends_with(&self, nodes: usize) -> bool {
        (nodes..self.places()).all(|node| self.square(node) == f32::INFINITY)
    }

    fn square(&self, node: usize) -> f32 {
        let len = block_len(self.steps.len().div_ceil(OF_LINE));
        let at = node / TOGETHER * len + len - 8 * TOGETHER + node % TOGETHER * 4;
        f32::from_le_bytes(self.blocks[at..at + 4].try_into().expect("four bytes"))
    }

    /// Places for nodes, those of the last block that have none included.
    fn places(&self) -> usize {
        self.blocks.len() / block_len(self.steps.len().div_ceil(OF_LINE)) * TOGETHER
    }

    /// How many nodes seem no farther than `limit`.
    fn count(&self, probe: &SketchProbe, limit: f32) -> usize {
        let mut near = [0.0; AT_ONCE * TOGETHER];
        let len = block_len(probe.numbers.len() / OF_LINE);
        let some = |blocks: &[u8]| {
            let near = &mut near[..blocks.len() / len * TOGETHER];
            estimate(probe, blocks, near);
            near.iter().filter(|near| **near <= limit).count()
        };
        self.blocks.chunks(AT_ONCE * len).map(some).sum()
    }

    /// Leaves in `kept`, for each of the probes, the `width` nodes, of those that `keep` lets
    /// through, whose sketches seem nearest; ties by node. In no order. Sketches are read from
    /// memory once for all probes.
    fn nearest<E>(
        &self,
        probes: &[SketchProbe],
        width: usize,
        keep: &impl Fn(u32) -> Result<bool, E>,
        kept: &mut [Kept],
    ) -> Result<(), E> {
        kept.iter_mut().for_each(Kept::clear);
        let mut near = [0.0; AT_ONCE * TOGETHER];
        let len = block_len(self.steps.len().div_ceil(OF_LINE));
        let firsts = (0..).step_by(AT_ONCE * TOGETHER);
        for (blocks, first) in self.blocks.chunks(AT_ONCE * len).zip(firsts) {
            let near = &mut near[..blocks.len() / len * TOGETHER];
            for (probe, kept) in probes.iter().zip(&mut *kept) {
                estimate(probe, blocks, near);
                kept.offer(near, first, width, keep)?;
            }
        }
        kept.iter_mut().for_each(|kept| kept.shorten(width));
        Ok(())
    }
}

/// The nodes that seem nearest to a probe so far.
#[derive(Default)]
struct Kept {
    /// What their distances seem to be, and nodes. In no order.
    nodes: Vec<(f32, u32)>,
    /// Farther ones are not among the nearest.
    limit: f32,
}

impl Kept {
    fn clear(&mut self) {
        self.nodes.clear();
        self.limit = f32::INFINITY;
    }

    /// Takes of the nodes from `first` on, with what their distances seem to be, those that may be
    /// among the `width` nearest.
    fn offer<E>(
        &mut self,
        near: &[f32],
        first: u32,
        width: usize,
        keep: &impl Fn(u32) -> Result<bool, E>,
    ) -> Result<(), E> {
        for (some, first) in near.chunks_exact(TOGETHER).zip((first..).step_by(TOGETHER)) {
            // Nearly always all are far: that is found out without a branch for each.
            if !some.iter().fold(false, |any, near| any | (*near < self.limit)) {
                continue;
            }
            for (near, node) in some.iter().zip(first..) {
                if *near < self.limit && keep(node)? {
                    self.nodes.push((*near, node));
                }
            }
        }
        if self.nodes.len() > width.saturating_mul(2).saturating_add(TOGETHER) {
            self.shorten(width);
        }
        Ok(())
    }

    /// Leaves the `width` nearest.
    fn shorten(&mut self, width: usize) {
        if self.nodes.len() > width {
            let nearer = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            self.nodes.select_nth_unstable_by(width - 1, nearer);
            self.nodes.truncate(width);
            self.limit = self.nodes[width - 1].0;
        }
    }
}

/// Memory of a scan, kept for the next one.
#[derive(Default)]
pub(super) struct ScanScratch {
    /// One for each probe of the last proposal, and more that wait to be used again; the same as
    /// codes are compared with.
    probes: Vec<SketchProbe>,
    of_codes: Vec<Vec<i16>>,
    kept: Vec<Kept>,
    distances: Vec<u32>,
    nodes: Vec<u32>,
    /// Squared distances of codes, and nodes.
    best: Vec<(u32, u32)>,
}

impl ScanScratch {
    /// After a scan of one probe for some of the nodes: how many of all seem no farther than the
    /// `k`th of those wanted, for each of the `k`. Farther out, more nodes are about as near as
    /// any, so the scan has to be so many times as wide. 1 where fewer than `width`, which the scan
    /// was for, were there: then all of them were looked at.
    pub(super) fn crowd(&mut self, sketches: View, width: usize, k: usize) -> usize {
        let Some((probe, Kept { nodes, .. })) = self.probes.first().zip(self.kept.first_mut())
        else {
            return 1;
        };
        if nodes.len() < width.max(1) {
            return 1;
        }
        let k = k.clamp(1, nodes.len());
        let by_estimate = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0);
        let limit = nodes.select_nth_unstable_by(k - 1, by_estimate).1.0;
        sketches.count(probe, limit).div_ceil(k)
    }

    /// The nodes found, nearest first.
    pub(super) fn found(&self) -> impl ExactSizeIterator<Item = u32> {
        self.best.iter().map(|(_, node)| *node)
    }
}

/// Finds the `count` nodes whose codes are nearest, of the `width` that seem nearest by their
/// sketches and that `keep` lets through. `guard` is asked before a code is read.
pub(super) fn scan<E>(
    quantiser: &Quantiser,
    sketches: View,
    codes: Codes,
    vector: &[f32],
    width: usize,
    count: usize,
    scratch: &mut Scratch,
    keep: impl Fn(u32) -> Result<bool, E>,
    guard: impl Fn(u32) -> Result<(), E>,
) -> Result<(), E> {
    propose(quantiser, sketches, &[vector], width.max(count), scratch, keep)?;
    settle(sketches, codes, 0, count, scratch, guard)
}

/// Finds for each of `vectors` the `width` nodes that seem nearest by their sketches and that
/// `keep` lets through; [`settle`] then compares their codes.
pub(super) fn propose<E>(
    quantiser: &Quantiser,
    sketches: View,
    vectors: &[&[f32]],
    width: usize,
    scratch: &mut Scratch,
    keep: impl Fn(u32) -> Result<bool, E>,
) -> Result<(), E> {
    let width = width.max(1);
    let Scratch { turned, scan, .. } = scratch;
    if scan.probes.len() < vectors.len() {
        scan.probes.resize_with(vectors.len(), SketchProbe::default);
        scan.of_codes.resize_with(vectors.len(), Vec::new);
        scan.kept.resize_with(vectors.len(), Kept::default);
    }
    quantiser.turn(vectors, turned);
    let probes = scan.probes.iter_mut().zip(&mut scan.of_codes);
    for (turned, (sketched, of_codes)) in turned.chunks_exact(quantiser.code_dim).zip(probes) {
        probe_of(turned, sketches.steps, sketched);
        quantiser.probe_of(turned, of_codes);
    }
    let (probes, kept) = (&scan.probes[..vectors.len()], &mut scan.kept[..vectors.len()]);
    sketches.nearest(probes, width, &keep, kept)
}

/// Of the nodes proposed for the probe at `place`, finds the `count` whose codes are nearest; adds
/// to what was examined how many sketches and codes that took. `guard` is asked before a code is
/// read.
pub(super) fn settle<E>(
    sketches: View,
    codes: Codes,
    place: usize,
    count: usize,
    scratch: &mut Scratch,
    guard: impl Fn(u32) -> Result<(), E>,
) -> Result<(), E> {
    let Scratch { scan, examined, .. } = scratch;
    let (probe, kept) = (&scan.of_codes[place], &scan.kept[place].nodes);
    *examined += (sketches.places() + kept.len()) as u64;
    scan.nodes.clear();
    scan.nodes.extend(kept.iter().map(|(_, node)| *node));
    scan.best.clear();
    let mut bound = u32::MAX - 1;
    for (some, ahead) in scan
        .nodes
        .chunks(AHEAD)
        .zip(scan.nodes.chunks(AHEAD).skip(1).map(Some).chain(std::iter::once(None)))
    {
        ahead.into_iter().flatten().for_each(|node| codes.prefetch(*node));
        some.iter().try_for_each(|node| guard(*node))?;
        scan.distances.clear();
        measure(probe, codes, some, bound, &mut scan.distances);
        for found in scan.distances.iter().copied().zip(some.iter().copied()) {
            if found.0 > bound {
                continue;
            }
            let place = scan.best.partition_point(|other| *other < found);
            scan.best.insert(place, found);
            scan.best.truncate(count);
            if scan.best.len() == count {
                bound = scan.best[count - 1].0;
            }
        }
    }
    Ok(())
}

/// The probe as sketches are compared with it.
fn probe_of(turned: &[f32], steps: &[f32], probe: &mut SketchProbe) {
    let parts = || turned.iter().zip(steps).map(|(x, step)| x * step);
    let reach = parts().fold(0.0f32, |reach, part| reach.max(part.abs()));
    probe.scale = if reach > 0.0 { reach / 127.0 } else { 1.0 };
    probe.numbers.clear();
    probe.numbers.extend(parts().map(|part| (part / probe.scale).round() as i8));
    probe.numbers.resize(steps.len().next_multiple_of(OF_LINE), 0);
    let sum: i32 = probe.numbers.iter().map(|number| i32::from(*number)).sum();
    probe.middle = MIDDLE * sum as f32;
}

const _: () = assert!(DIRECTIONS / OF_LINE <= MAX_LINES);
