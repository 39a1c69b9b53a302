//! What a kind of vector can do, and the kind that every CPU has.

use super::int16::{self, Int16Product, Plain};
use super::tile::{self, Product, by_vectors};

/// A kind of vector of `f32`.
///
/// The methods are unsafe for two reasons. All but [`Portable`]'s need instructions of the CPU, so
/// they may be called only below [`launch`](super::launch). And those that take a pointer need
/// `LANES` numbers there (the `_first` ones only `n`), at any alignment.
pub(crate) trait Simd: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Whether there are 32 registers instead of 16.
    const MANY_REGISTERS: bool;
    /// The vector.
    type V: Copy;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Loads the first `n < LANES` numbers and fills the other lanes with zeros.
    unsafe fn load_first(from: *const f32, n: usize) -> Self::V;
    /// Stores the first `n < LANES` numbers. The memory after them does not change.
    unsafe fn store_first(to: *mut f32, v: Self::V, n: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;

    /// Prefetches a cache line into the level-2 cache. Any address is allowed.
    #[inline(always)]
    unsafe fn prefetch(_line: *const f32) {}

    /// A vector of `LANES` lanes of 32 bits: each a pair of `i16`, or an `i32` sum of products.
    type I: Copy;

    /// Sums that are all 0.
    unsafe fn zero_sums() -> Self::I;
    /// Loads `2 * LANES` integers, a pair for each lane.
    unsafe fn load_pairs(from: *const i16) -> Self::I;
    /// Loads one pair of integers into every lane.
    unsafe fn splat_pair(from: *const i16) -> Self::I;
    /// Adds to each lane of `sums` both products of its pairs. No sum may leave 32 bits.
    unsafe fn add_products(sums: Self::I, a: Self::I, b: Self::I) -> Self::I;
    /// The sums as `f32`, rounded to the nearest.
    unsafe fn to_f32(sums: Self::I) -> Self::V;
    /// Stores `LANES` integers, ties rounded to even. NaN and numbers beyond 16 bits become any
    /// integer.
    unsafe fn store_int16(to: *mut i16, v: Self::V);

    /// [`int16::multiply`](super::int16::multiply), compiled as a function of its own.
    unsafe fn multiply_int16(product: Int16Product<'_>);

    /// [`int16::peak`](super::int16::peak), compiled as a function of its own.
    unsafe fn peak_int16(steps: usize);

    /// [`tile::multiply`](super::tile::multiply), compiled as a function of its own. Otherwise its
    /// many tiles would be compiled again for every kernel that uses them.
    unsafe fn multiply(product: Product<'_>);

    /// [`load`](Self::load) where `n >= LANES`, else [`load_first`](Self::load_first). With
    /// `n == 0` nothing is read.
    #[inline(always)]
    unsafe fn load_up_to(from: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller promises the instructions and `min(n, LANES)` numbers.
        unsafe { if n >= Self::LANES { Self::load(from) } else { Self::load_first(from, n) } }
    }

    /// [`store`](Self::store) where `n >= LANES`, else [`store_first`](Self::store_first).
    #[inline(always)]
    unsafe fn store_up_to(to: *mut f32, v: Self::V, n: usize) {
        // SAFETY: the caller promises the instructions and `min(n, LANES)` numbers.
        unsafe { if n >= Self::LANES { Self::store(to, v) } else { Self::store_first(to, v, n) } }
    }
}

/// Four numbers in plain Rust, which the compiler turns into the instructions that the CPU has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn zip(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    const LANES: usize = 4;
    const MANY_REGISTERS: bool = false;
    type V = [f32; 4];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller promises four numbers; the read needs no alignment.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: as for `load`.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self::V {
        let mut v = [0.0; 4];
        for (i, x) in v.iter_mut().enumerate().take(n) {
            // SAFETY: `i < n`, and the caller promises `n` numbers.
            *x = unsafe { *from.add(i) };
        }
        v
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: Self::V, n: usize) {
        for (i, x) in v.iter().enumerate().take(n) {
            // SAFETY: `i < n`, and the caller promises `n` numbers.
            unsafe { *to.add(i) = *x };
        }
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }

    /// Rounds twice: without the instruction, a fused one would be a slow function call.
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        zip(zip(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    type I = [i32; 4];

    #[inline(always)]
    unsafe fn zero_sums() -> Self::I {
        [0; 4]
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const i16) -> Self::I {
        // SAFETY: the caller promises eight integers; the read needs no alignment.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const i16) -> Self::I {
        // SAFETY: the caller promises two integers.
        [unsafe { from.cast::<i32>().read_unaligned() }; 4]
    }

    #[inline(always)]
    unsafe fn add_products(sums: Self::I, a: Self::I, b: Self::I) -> Self::I {
        let mut sums = sums;
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            // The byte order of the machine decides which half is the first integer. It does not
            // matter, because both pairs are read alike.
            let low = i32::from(a as i16) * i32::from(b as i16);
            *sum += low + (a >> 16) * (b >> 16);
        }
        sums
    }

    #[inline(always)]
    unsafe fn to_f32(sums: Self::I) -> Self::V {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    unsafe fn store_int16(to: *mut i16, v: Self::V) {
        // 1.5 * 2^23: from here on `f32` has no fraction, so adding it rounds to the nearest
        // integer, ties to even.
        const WHOLE: f32 = 12_582_912.0;
        for (i, x) in v.into_iter().enumerate() {
            // SAFETY: the caller promises room for four integers.
            unsafe { *to.add(i) = (x + WHOLE - WHOLE) as i16 };
        }
    }

    #[inline(always)]
    unsafe fn multiply_int16(product: Int16Product<'_>) {
        // SAFETY: what the caller promises; the panel decides on `NR`.
        unsafe { by_vectors!(product, multiply_int16) }
    }

    #[inline(never)]
    unsafe fn peak_int16(steps: usize) {
        // SAFETY: what the caller promises.
        unsafe { int16::peak::<Plain<Self>>(steps) }
    }

    #[inline(always)]
    unsafe fn multiply(product: Product<'_>) {
        // SAFETY: what the caller promises; the panel decides on `NR`.
        unsafe { by_vectors!(product, multiply) }
    }
}

/// # Safety
///
/// As for [`tile::multiply`].
#[inline(never)]
unsafe fn multiply<const NR: usize>(product: Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { tile::multiply::<Portable, NR>(product) }
}

/// # Safety
///
/// As for [`int16::multiply`].
#[inline(never)]
unsafe fn multiply_int16<const NR: usize>(product: Int16Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { int16::multiply::<Plain<Portable>, NR>(product) }
}
