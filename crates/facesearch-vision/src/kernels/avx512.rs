//! Vectors of 16 numbers: AVX-512 F, BW, DQ and VL.

use std::arch::x86_64::*;

use super::tile::{self, Product};
use super::{Kernel, Simd};

/// AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// # Safety
///
/// The CPU must have AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run(kernel: impl Kernel) {
    kernel.run::<Avx512>();
}

// Each method is one instruction, which the caller promises the CPU has; those with a pointer read
// or write only what the caller promises is there, and ask for no alignment.
impl Simd for Avx512 {
    const LANES: usize = 16;
    const MANY_REGISTERS: bool = true;
    type V = __m512;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller promises the instruction and `n` numbers; lanes off in the mask are not read.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, from) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: Self::V, n: usize) {
        // SAFETY: the caller promises the instruction and `n` numbers; lanes off in the mask are not written.
        unsafe { _mm512_mask_storeu_ps(to, ((1u32 << n) - 1) as u16, v) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply(product: Product<'_>) {
        // SAFETY: what the caller promises, the instructions included.
        unsafe { multiply(product) }
    }
}

/// # Safety
///
/// As for [`tile::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
unsafe fn multiply(product: Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { tile::multiply::<Avx512>(product) }
}
