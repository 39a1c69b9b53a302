//! Raises each number to a power, for response normalisation and pools of squares.

use crate::layers::Map;

/// `x` to the power of `exponent` for each number. Where the exponent allows it, by square roots,
/// for which the processor has an instruction.
pub(super) fn power(images: usize, exponent: f32, input: (&[f32], Map), output: (&mut [f32], Map)) {
    match exponent {
        0.5 => for_each(images, input, output, f32::sqrt),
        -0.5 => for_each(images, input, output, |x| 1.0 / x.sqrt()),
        -0.75 => for_each(images, input, output, |x| 1.0 / (x.sqrt() * x.sqrt().sqrt())),
        _ => for_each(images, input, output, |x| x.powf(exponent)),
    }
}

fn for_each(
    images: usize,
    (input, input_map): (&[f32], Map),
    (output, map): (&mut [f32], Map),
    f: impl Fn(f32) -> f32,
) {
    for image in 0..images {
        for y in 0..map.height {
            let from = &input[input_map.row(image, y)];
            let to = &mut output[map.row(image, y)];
            to.iter_mut().zip(from).for_each(|(to, x)| *to = f(*x));
        }
    }
}
