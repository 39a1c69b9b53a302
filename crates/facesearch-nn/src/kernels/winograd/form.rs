//! The forms of the transform, and their three matrices.
//!
//! In one dimension, a window of `taps` makes `n` outputs of `n + taps - 1` inputs, with as many
//! multiplications as inputs. The method is that of Toom and Cook: polynomials are multiplied by
//! their values at as many points, one of them at infinity. Input tiles of 6 use the points 0, 1,
//! -1, 2 and -2, tiles of 5 leave out -2, and tiles of 4 leave out 2 as well. So the tiles of 6
//! share `Bᵀ`, whether they make 4 outputs of 3 taps or 3 outputs of 4 taps. Larger tiles would
//! need further points, which round more coarsely.

use crate::kernels::Simd;

/// The size of a tile, and the windows that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Windows of 3x3, output tiles of 2x2.
    F2x2,
    /// Windows of 3x3, output tiles of 4x4.
    F4x4,
    /// Windows of 7x7 and 8x8 with stride 2, output tiles of 3x3. The input goes through
    /// space-to-depth first: each block of 2x2 pixels becomes one pixel of four times the channels.
    /// On that input the window is 4x4 with stride 1.
    SpaceToDepth,
    /// Windows of up to `3n x 3n`, output tiles of 3x3. The window is cut into `n x n` parts of
    /// 3x3. A tile is as wide as a part, so a part reads from a tile what the part before it reads
    /// from the next tile. Hence each tile is transformed once.
    Parts(usize),
}

impl Form {
    /// Rows and columns of an output tile.
    pub(crate) const fn output_tile(self) -> usize {
        match self {
            Form::F2x2 => 2,
            Form::F4x4 => 4,
            Form::SpaceToDepth | Form::Parts(_) => 3,
        }
    }

    /// Rows and columns of the window, or of one of its parts.
    pub(crate) const fn taps(self) -> usize {
        match self {
            Form::SpaceToDepth => 4,
            Form::F2x2 | Form::F4x4 | Form::Parts(_) => 3,
        }
    }

    /// Rows and columns of an input tile.
    const fn input_tile(self) -> usize {
        self.output_tile() + self.taps() - 1
    }

    /// How many planes there are: one for each place of an input tile.
    pub(crate) const fn planes(self) -> usize {
        self.input_tile() * self.input_tile()
    }

    /// How many parts the window has, down and across.
    pub(crate) const fn parts(self) -> usize {
        match self {
            Form::Parts(parts) => parts,
            Form::F2x2 | Form::F4x4 | Form::SpaceToDepth => 1,
        }
    }

    /// How many products a sum of a plane has, for a number of input channels.
    pub(crate) const fn row_len(self, inputs: usize) -> usize {
        match self {
            Form::SpaceToDepth => 4 * inputs,
            Form::F2x2 | Form::F4x4 | Form::Parts(_) => self.parts() * self.parts() * inputs,
        }
    }

    /// How much the transform can enlarge numbers at the place of this plane: the largest result
    /// divided by the largest number of the tile.
    pub(crate) fn gain(self, plane: usize) -> f32 {
        let (down, across) = (plane / self.input_tile(), plane % self.input_tile());
        match self {
            Form::F2x2 => gain::<4>(down) * gain::<4>(across),
            Form::F4x4 | Form::SpaceToDepth => gain::<6>(down) * gain::<6>(across),
            Form::Parts(_) => gain::<5>(down) * gain::<5>(across),
        }
    }
}

/// The sum of the absolute values in a row of `Bᵀ`.
pub(super) const fn gain<const IN_TILE: usize>(place: usize) -> f32 {
    match IN_TILE {
        4 => 2.0,
        5 => [6.0, 4.0, 6.0, 2.0, 6.0][place],
        _ => [10.0, 10.0, 10.0, 6.0, 6.0, 10.0][place],
    }
}

/// `Bᵀ d`: one row or column of an input tile.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
pub(super) unsafe fn transform_input_1d<S: Simd, const IN_TILE: usize>(
    d: [S::V; IN_TILE],
) -> [S::V; IN_TILE] {
    let mut to = d;
    // SAFETY: the caller promises the instructions.
    unsafe {
        let two = S::splat(2.0);
        let minus = |a, b, c| S::sub(c, S::mul(a, b));
        if IN_TILE == 4 {
            to[0] = S::sub(d[0], d[2]);
            to[1] = S::add(d[1], d[2]);
            to[2] = S::sub(d[2], d[1]);
            to[3] = S::sub(d[1], d[3]);
            return to;
        }
        if IN_TILE == 5 {
            let (near, far) = (S::sub(d[3], d[1]), S::sub(d[0], d[2]));
            let sum = S::sub(d[3], d[2]);
            to[0] = S::fma(two, far, near);
            to[1] = minus(two, d[1], sum);
            to[2] = S::fma(two, S::sub(d[1], d[2]), sum);
            to[3] = near;
            to[4] = minus(two, near, S::sub(d[4], d[2]));
            return to;
        }
        let (four, five) = (S::splat(4.0), S::splat(5.0));
        let even = minus(four, d[2], d[4]);
        let odd = minus(four, d[1], d[3]);
        let outer = S::sub(d[4], d[2]);
        let inner = S::mul(two, S::sub(d[3], d[1]));
        to[0] = S::fma(four, d[0], minus(five, d[2], d[4]));
        to[1] = S::add(even, odd);
        to[2] = S::sub(even, odd);
        to[3] = S::add(outer, inner);
        to[4] = S::sub(outer, inner);
        to[5] = S::fma(four, d[1], minus(five, d[3], d[5]));
    }
    to
}

/// `Aᵀ m`: one row or column of the products of a tile.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
pub(super) unsafe fn transform_output_1d<S: Simd, const OUT_TILE: usize, const IN_TILE: usize>(
    m: [S::V; IN_TILE],
) -> [S::V; OUT_TILE] {
    let mut to = [m[0]; OUT_TILE];
    // SAFETY: the caller promises the instructions.
    unsafe {
        let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        if IN_TILE == 4 {
            to[0] = S::add(m[0], sum);
            to[1] = S::sub(difference, m[3]);
            return to;
        }
        let (two, four) = (S::splat(2.0), S::splat(4.0));
        if IN_TILE == 5 {
            to[0] = S::add(m[0], S::add(sum, m[3]));
            to[1] = S::fma(two, m[3], difference);
            to[2] = S::add(m[4], S::fma(four, m[3], sum));
            return to;
        }
        let (wide_sum, wide_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        to[0] = S::add(m[0], S::add(sum, wide_sum));
        to[1] = S::fma(two, wide_difference, difference);
        to[2] = S::fma(four, wide_sum, sum);
        if OUT_TILE == 3 {
            to[2] = S::add(m[5], to[2]);
        } else {
            to[3] = S::add(m[5], S::fma(S::splat(8.0), wide_difference, difference));
        }
    }
    to
}

/// `G g`: one row or column of a kernel.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
pub(super) unsafe fn transform_weights_1d<S: Simd, const TAPS: usize, const IN_TILE: usize>(
    g: [S::V; TAPS],
) -> [S::V; IN_TILE] {
    let mut to = [g[0]; IN_TILE];
    // SAFETY: the caller promises the instructions.
    unsafe {
        // At a point and at its negative, even taps have the same value and odd taps opposite ones.
        let mut odd = g[1];
        if TAPS == 4 {
            odd = S::add(odd, g[3]);
        }
        let even = S::add(g[0], g[2]);
        to[IN_TILE - 1] = g[TAPS - 1];
        if IN_TILE == 4 {
            let half = S::splat(0.5);
            to[1] = S::mul(half, S::add(even, odd));
            to[2] = S::mul(half, S::sub(even, odd));
            return to;
        }
        let (two, four, sixth) = (S::splat(2.0), S::splat(4.0), S::splat(1.0 / 6.0));
        if IN_TILE == 5 {
            let half = S::splat(0.5);
            to[0] = S::mul(half, g[0]);
            to[1] = S::mul(S::splat(-0.5), S::add(even, odd));
            to[2] = S::mul(S::splat(-1.0 / 6.0), S::sub(even, odd));
            to[3] = S::mul(sixth, S::fma(four, g[2], S::fma(two, g[1], g[0])));
            return to;
        }
        let sixth_down = S::splat(-1.0 / 6.0);
        let far = S::fma(S::splat(1.0 / 24.0), g[0], S::mul(sixth, g[2]));
        let mut near = S::mul(S::splat(1.0 / 12.0), g[1]);
        if TAPS == 4 {
            near = S::fma(S::splat(1.0 / 3.0), g[3], near);
        }
        to[0] = S::mul(S::splat(0.25), g[0]);
        to[1] = S::mul(sixth_down, S::add(even, odd));
        to[2] = S::mul(sixth_down, S::sub(even, odd));
        to[3] = S::add(far, near);
        to[4] = S::sub(far, near);
    }
    to
}
