//! The forms of the transform, and their three matrices.
//!
//! A form makes `tile` outputs of `tile + taps - 1` inputs with as many multiplications, for a window of
//! `taps`: polynomials are multiplied at so many points, one of which is at infinity (Toom and Cook;
//! Lavin and Gray for windows). Pieces of 6 are taken at 0, 1, -1, 2 and -2 whether they
//! make 4 outputs of 3 taps or 3 of 4, so these two share `Bᵀ`; pieces of 5 do without -2, and those of 4 without 2.
//! Further points would round more coarsely.

use super::super::Simd;

/// What a piece is, and which windows it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// 3x3, pieces of 2x2 output pixels.
    Two,
    /// 3x3, pieces of 4x4 output pixels.
    Four,
    /// 7x7 and 8x8 of stride 2, which are 4x4 of stride 1 over the four pixels of every two rows and columns
    /// side by side as channels; pieces of 3x3 output pixels.
    Halved,
    /// Up to so many times 3x3, cut into as many parts of 3x3, down and across. A piece of 3x3 output pixels
    /// is as wide as a part, so that what one part sees of a piece another sees of its neighbour, and
    /// each piece is transformed once.
    Parts(usize),
}

impl Form {
    /// Output pixels of a piece, down and across.
    pub(crate) const fn tile(self) -> usize {
        match self {
            Form::Two => 2,
            Form::Four => 4,
            Form::Halved | Form::Parts(_) => 3,
        }
    }

    /// Rows and columns of the window that a piece is multiplied with.
    pub(crate) const fn taps(self) -> usize {
        match self {
            Form::Halved => 4,
            Form::Two | Form::Four | Form::Parts(_) => 3,
        }
    }

    /// Rows and columns of a piece of the input.
    const fn piece(self) -> usize {
        self.tile() + self.taps() - 1
    }

    /// Numbers in a piece, each of which has a plane.
    pub(crate) const fn planes(self) -> usize {
        self.piece() * self.piece()
    }

    /// Parts of the window, down and across.
    pub(crate) const fn parts(self) -> usize {
        match self {
            Form::Parts(parts) => parts,
            Form::Two | Form::Four | Form::Halved => 1,
        }
    }

    /// How many numbers one output of a plane sums for so many channels of the input.
    pub(crate) const fn row(self, inputs: usize) -> usize {
        match self {
            Form::Halved => 4 * inputs,
            Form::Two | Form::Four | Form::Parts(_) => self.parts() * self.parts() * inputs,
        }
    }

    /// How many times larger than the largest number of a piece those of each of its places may become
    /// by the transform.
    pub(crate) fn gain(self, plane: usize) -> f32 {
        let (down, across) = (plane / self.piece(), plane % self.piece());
        match self {
            Form::Two => gain::<4>(down) * gain::<4>(across),
            Form::Four | Form::Halved => gain::<6>(down) * gain::<6>(across),
            Form::Parts(_) => gain::<5>(down) * gain::<5>(across),
        }
    }
}

/// The sum of the sizes in a row of `Bᵀ`.
pub(super) const fn gain<const PIECE: usize>(place: usize) -> f32 {
    match PIECE {
        4 => 2.0,
        5 => [6.0, 4.0, 6.0, 2.0, 6.0][place],
        _ => [10.0, 10.0, 10.0, 6.0, 6.0, 10.0][place],
    }
}

/// `Bᵀ d`: one row or column of a piece of the input.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
pub(super) unsafe fn into_planes<S: Simd, const PIECE: usize>(d: [S::V; PIECE]) -> [S::V; PIECE] {
    let mut to = d;
    // SAFETY: the caller promises the instructions.
    unsafe {
        let two = S::splat(2.0);
        let minus = |a, b, c| S::sub(c, S::mul(a, b));
        if PIECE == 4 {
            to[0] = S::sub(d[0], d[2]);
            to[1] = S::add(d[1], d[2]);
            to[2] = S::sub(d[2], d[1]);
            to[3] = S::sub(d[1], d[3]);
            return to;
        }
        if PIECE == 5 {
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

/// `Aᵀ m`: one row or column of a piece's products.
///
/// # Safety
///
/// The CPU must have `S`'s instructions.
#[inline(always)]
pub(super) unsafe fn from_planes<S: Simd, const TILE: usize, const PIECE: usize>(
    m: [S::V; PIECE],
) -> [S::V; TILE] {
    let mut to = [m[0]; TILE];
    // SAFETY: the caller promises the instructions.
    unsafe {
        let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        if PIECE == 4 {
            to[0] = S::add(m[0], sum);
            to[1] = S::sub(difference, m[3]);
            return to;
        }
        let (two, four) = (S::splat(2.0), S::splat(4.0));
        if PIECE == 5 {
            to[0] = S::add(m[0], S::add(sum, m[3]));
            to[1] = S::fma(two, m[3], difference);
            to[2] = S::add(m[4], S::fma(four, m[3], sum));
            return to;
        }
        let (wide_sum, wide_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        to[0] = S::add(m[0], S::add(sum, wide_sum));
        to[1] = S::fma(two, wide_difference, difference);
        to[2] = S::fma(four, wide_sum, sum);
        if TILE == 3 {
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
pub(super) unsafe fn weight_planes<S: Simd, const TAPS: usize, const PIECE: usize>(
    g: [S::V; TAPS],
) -> [S::V; PIECE] {
    let mut to = [g[0]; PIECE];
    // SAFETY: the caller promises the instructions.
    unsafe {
        // At a point and at its opposite the even taps are the same, and the odd ones opposite.
        let mut odd = g[1];
        if TAPS == 4 {
            odd = S::add(odd, g[3]);
        }
        let even = S::add(g[0], g[2]);
        to[PIECE - 1] = g[TAPS - 1];
        if PIECE == 4 {
            let half = S::splat(0.5);
            to[1] = S::mul(half, S::add(even, odd));
            to[2] = S::mul(half, S::sub(even, odd));
            return to;
        }
        let (two, four, sixth) = (S::splat(2.0), S::splat(4.0), S::splat(1.0 / 6.0));
        if PIECE == 5 {
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
