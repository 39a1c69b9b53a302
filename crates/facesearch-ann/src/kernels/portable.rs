//! The definition, which the other kernels are tested against.

use super::{Codes, Shape, TOO_FAR};

pub(super) fn measure(probe: &[i16], codes: Codes, nodes: &[u32], bound: u32, out: &mut Vec<u32>) {
    let shape = codes.shape();
    out.extend(nodes.iter().map(|node| {
        let pairs = probe.iter().zip(shape.decode(codes.get(*node)));
        let sum = pairs.map(|(p, c)| square(i32::from(*p) - i32::from(c))).sum::<u32>();
        if sum > bound { TOO_FAR } else { sum }
    }));
}

/// Dimensions whose parts are read for one vector after another: in the second cache they stay.
const DIMENSIONS: usize = 32;

/// Numbers whose sums are kept in registers, in vectors of sixteen.
const TILE: usize = 4;

/// Compiled for every level: nothing is fused and no sum reordered, whatever the instructions.
#[inline(always)]
pub(super) fn turn(vectors: &[&[f32]], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    turned.fill(0.0);
    let Some(numbers) = turned.len().checked_div(vectors.len()).filter(|n| *n > 0) else { return };
    let blocks = centre.chunks(DIMENSIONS).zip(basis.chunks(DIMENSIONS * numbers));
    for ((centre, basis), first) in blocks.zip((0..).step_by(DIMENSIONS)) {
        for (vector, turned) in vectors.iter().zip(turned.chunks_exact_mut(numbers)) {
            let mut off = [0.0; DIMENSIONS];
            for ((off, x), c) in off.iter_mut().zip(&vector[first..]).zip(centre) {
                *off = x - c;
            }
            let parts = || off.iter().zip(basis.chunks_exact(numbers));
            let (sixteens, rest) = turned.as_chunks_mut::<16>();
            let (tiles, few) = sixteens.as_chunks_mut::<TILE>();
            for (tile, at) in tiles.iter_mut().zip((0..).step_by(16 * TILE)) {
                add(tile, parts().map(|(off, parts)| (*off, &parts[at..])));
            }
            let mut at = tiles.len() * TILE * 16;
            for sums in few {
                add(std::array::from_mut(sums), parts().map(|(off, parts)| (*off, &parts[at..])));
                at += 16;
            }
            for (off, parts) in parts() {
                rest.iter_mut().zip(&parts[at..]).for_each(|(sum, part)| *sum += off * part);
            }
        }
    }
}

/// Adds to `sums` the parts of each dimension, times how far off the vector is.
#[inline(always)]
fn add<'a, const N: usize>(
    sums: &mut [[f32; 16]; N],
    dimensions: impl Iterator<Item = (f32, &'a [f32])>,
) {
    let mut inside = *sums;
    for (off, parts) in dimensions {
        let parts = &parts[..16 * N];
        for (sums, parts) in inside.iter_mut().zip(parts.as_chunks::<16>().0) {
            for i in 0..16 {
                sums[i] += off * parts[i];
            }
        }
    }
    *sums = inside;
}

pub(super) fn between(shape: Shape, a: &[u8], b: &[u8]) -> u32 {
    let pairs = shape.decode(a).zip(shape.decode(b));
    pairs.map(|(x, y)| square(i32::from(x) - i32::from(y))).sum()
}

fn square(difference: i32) -> u32 {
    (difference * difference) as u32
}
