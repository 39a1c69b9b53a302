//! Vectors of 8 numbers: AVX2 and FMA.

use std::arch::x86_64::*;

use super::int16::{self, Int16Product, Plain};
use super::tile::{self, Product, by_vectors};
use super::{Kernel, Simd};

/// AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2;

/// # Safety
///
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run(kernel: impl Kernel) {
    kernel.run::<Avx2>();
}

/// All bits set in the first `n` of eight lanes.
///
/// # Safety
///
/// The CPU must have AVX2, and `n` must be at most 8.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    const ON_THEN_OFF: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: `n <= 8`, so the eight numbers from `8 - n` lie in the sixteen.
    unsafe { _mm256_loadu_si256(ON_THEN_OFF.as_ptr().add(8 - n).cast()) }
}

// Each method is one instruction, which the caller promises the CPU has. Those with a pointer read
// or write only what the caller promises is there, at any alignment.
impl Simd for Avx2 {
    const LANES: usize = 8;
    const MANY_REGISTERS: bool = false;
    type V = __m256;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller promises the instruction and room for eight numbers.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller promises the instruction and `n` numbers; lanes that the mask turns
        // off are not read.
        unsafe { _mm256_maskload_ps(from, first(n)) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: Self::V, n: usize) {
        // SAFETY: the caller promises the instruction and `n` numbers; lanes that the mask turns
        // off are not written.
        unsafe { _mm256_maskstore_ps(to, first(n), v) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn prefetch(line: *const f32) {
        // SAFETY: the caller promises the instruction, which any address is valid for.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }

    type I = __m256i;

    #[inline(always)]
    unsafe fn zero_sums() -> Self::I {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const i16) -> Self::I {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const i16) -> Self::I {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: Self::I, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: the caller promises the instructions.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn to_f32(sums: Self::I) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm256_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    unsafe fn store_int16(to: *mut i16, v: Self::V) {
        // SAFETY: the caller promises the instructions and room for eight numbers.
        unsafe {
            let whole = _mm256_cvtps_epi32(v);
            let (low, high) = (_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            _mm_storeu_si128(to.cast(), _mm_packs_epi32(low, high));
        }
    }

    #[inline(always)]
    unsafe fn multiply_int16(product: Int16Product<'_>) {
        // SAFETY: what the caller promises, the instructions included; the panel decides on `NR`.
        unsafe { by_vectors!(product, multiply_int16) }
    }

    #[inline(always)]
    unsafe fn peak_int16(steps: usize) {
        // SAFETY: what the caller promises, the instructions included.
        unsafe { peak_int16(steps) }
    }

    #[inline(always)]
    unsafe fn multiply(product: Product<'_>) {
        // SAFETY: what the caller promises, the instructions included; the panel decides on `NR`.
        unsafe { by_vectors!(product, multiply) }
    }
}

/// # Safety
///
/// As for [`tile::multiply`].
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn multiply<const NR: usize>(product: Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { tile::multiply::<Avx2, NR>(product) }
}

/// # Safety
///
/// As for [`int16::multiply`].
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn multiply_int16<const NR: usize>(product: Int16Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { int16::multiply::<Plain<Avx2>, NR>(product) }
}

/// # Safety
///
/// As for [`int16::peak`].
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn peak_int16(steps: usize) {
    // SAFETY: what the caller promises.
    unsafe { int16::peak::<Plain<Avx2>>(steps) }
}
