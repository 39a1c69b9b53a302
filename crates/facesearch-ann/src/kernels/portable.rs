//! The definition, which the other kernels are tested against.

use super::Codes;

pub(super) fn measure(probe: &[i16], codes: Codes, nodes: &[u32], out: &mut Vec<u32>) {
    out.extend(nodes.iter().map(|node| {
        let pairs = probe.iter().zip(codes.get(*node));
        pairs.map(|(p, c)| square(i32::from(*p) - i32::from(*c))).sum::<u32>()
    }));
}

pub(super) fn between(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(x, y)| square(i32::from(*x) - i32::from(*y))).sum()
}

fn square(difference: i32) -> u32 {
    (difference * difference) as u32
}
