//! The gain of the transform against every choice of signs.

use super::form::transform_input_1d;
use super::*;
use crate::kernels::simd::Portable;

/// The largest number at each place of a transformed row of numbers between -1 and 1.
fn largest<const IN_TILE: usize>() -> [f32; IN_TILE] {
    let mut largest = [0.0f32; IN_TILE];
    for signs in 0..1 << IN_TILE {
        // The transform is linear, so the largest number is at a corner.
        let d = std::array::from_fn(|i| [if signs >> i & 1 == 1 { 1.0 } else { -1.0 }; 4]);
        // SAFETY: every CPU has the portable instructions.
        let to = unsafe { transform_input_1d::<Portable, IN_TILE>(d) };
        for (largest, to) in largest.iter_mut().zip(to) {
            *largest = largest.max(to[0].abs());
        }
    }
    largest
}

#[test]
fn a_gain_is_the_largest_number_at_a_place() {
    fn check<const IN_TILE: usize>(form: Form) {
        let largest = largest::<IN_TILE>();
        assert_eq!(form.planes(), IN_TILE * IN_TILE);
        for (down, of_row) in largest.iter().enumerate() {
            for (across, of_column) in largest.iter().enumerate() {
                assert_eq!(form.gain(down * IN_TILE + across), of_row * of_column, "{form:?}");
            }
        }
    }
    check::<4>(Form::F2x2);
    check::<6>(Form::F4x4);
    check::<6>(Form::SpaceToDepth);
    check::<5>(Form::Parts(3));
}
