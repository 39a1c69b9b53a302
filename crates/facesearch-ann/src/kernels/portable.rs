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

/// Compiled for every level: nothing is fused and no sum reordered, whatever the instructions.
#[inline(always)]
pub(super) fn turn(vector: &[f32], centre: &[f32], basis: &[f32], turned: &mut [f32]) {
    turned.fill(0.0);
    for ((x, c), parts) in vector.iter().zip(centre).zip(basis.chunks_exact(turned.len())) {
        let off = x - c;
        turned.iter_mut().zip(parts).for_each(|(sum, part)| *sum += off * part);
    }
}

pub(super) fn between(shape: Shape, a: &[u8], b: &[u8]) -> u32 {
    let pairs = shape.decode(a).zip(shape.decode(b));
    pairs.map(|(x, y)| square(i32::from(x) - i32::from(y))).sum()
}

fn square(difference: i32) -> u32 {
    (difference * difference) as u32
}
