//! How large numbers become by the transform, against every choice of signs.

use super::super::simd::Portable;
use super::*;

/// The largest that each place of a row or column of numbers between -1 and 1 can become.
fn largest<const PIECE: usize>() -> [f32; PIECE] {
    let mut most = [0.0f32; PIECE];
    for signs in 0..1 << PIECE {
        // It is linear, so the largest is at a corner.
        let d = std::array::from_fn(|i| [if signs >> i & 1 == 1 { 1.0 } else { -1.0 }; 4]);
        // SAFETY: every CPU has the portable instructions.
        let to = unsafe { into_planes::<Portable, PIECE>(d) };
        for (most, to) in most.iter_mut().zip(to) {
            *most = most.max(to[0].abs());
        }
    }
    most
}

#[test]
fn a_gain_is_the_largest_that_a_place_can_become() {
    fn hold<const PIECE: usize>(form: Form) {
        let most = largest::<PIECE>();
        assert_eq!(form.planes(), PIECE * PIECE);
        for (down, of_row) in most.iter().enumerate() {
            for (across, of_column) in most.iter().enumerate() {
                assert_eq!(form.gain(down * PIECE + across), of_row * of_column, "{form:?}");
            }
        }
    }
    hold::<4>(Form::Two);
    hold::<6>(Form::Four);
    hold::<6>(Form::Halved);
    hold::<5>(Form::Parts(3));
}
