//! Vectors of 16 numbers: AVX-512 F, BW, DQ and VL.

use std::arch::x86_64::*;

use super::int16::{self, Dot, Int16Product, Plain};
use super::tile::{self, Product, by_vectors};
use super::{Kernel, Simd};

/// AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// Runs `kernel` compiled for AVX-512.
///
/// # Safety
///
/// The CPU must have AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run(kernel: impl Kernel) {
    kernel.run::<Avx512>();
}

// Each method is one instruction, which the caller promises the CPU has. Those with a pointer read
// or write only what the caller promises is there, at any alignment.
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
        // SAFETY: the caller promises the instruction and `n` numbers; lanes that the mask turns
        // off are not read.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, from) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, v: Self::V, n: usize) {
        // SAFETY: the caller promises the instruction and `n` numbers; lanes that the mask turns
        // off are not written.
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
    unsafe fn prefetch(line: *const f32) {
        // SAFETY: the caller promises the instruction, which any address is valid for.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }

    type I = __m512i;

    #[inline(always)]
    unsafe fn zero_sums() -> Self::I {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const i16) -> Self::I {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const i16) -> Self::I {
        // SAFETY: the caller promises the instruction and the numbers.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: Self::I, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: the caller promises the instructions.
        unsafe { _mm512_add_epi32(sums, _mm512_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn to_f32(sums: Self::I) -> Self::V {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    unsafe fn store_int16(to: *mut i16, v: Self::V) {
        // SAFETY: the caller promises the instructions and room for 16 numbers.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v))) }
    }

    #[inline(always)]
    unsafe fn multiply_int16(product: Int16Product<'_>) {
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: what the caller promises, and the instruction has been found; the panel
            // decides on `NR`.
            unsafe { by_vectors!(product, multiply_int16_vnni) }
        } else {
            // SAFETY: what the caller promises, the instructions included; the panel decides on
            // `NR`.
            unsafe { by_vectors!(product, multiply_int16) }
        }
    }

    #[inline(always)]
    unsafe fn peak_int16(steps: usize) {
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: what the caller promises, and the instruction has been found.
            unsafe { peak_int16_vnni(steps) }
        } else {
            // SAFETY: what the caller promises, the instructions included.
            unsafe { peak_int16(steps) }
        }
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
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
unsafe fn multiply<const NR: usize>(product: Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { tile::multiply::<Avx512, NR>(product) }
}

/// The products of pairs added in one instruction.
pub(super) struct Vnni;

impl Dot for Vnni {
    type S = Avx512;

    #[inline(always)]
    unsafe fn add_products(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller promises the instruction.
        unsafe { _mm512_dpwssd_epi32(sums, a, b) }
    }
}

/// # Safety
///
/// As for [`int16::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn multiply_int16_vnni<const NR: usize>(product: Int16Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { int16::multiply::<Vnni, NR>(product) }
}

/// # Safety
///
/// As for [`int16::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn multiply_int16<const NR: usize>(product: Int16Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe { int16::multiply::<Plain<Avx512>, NR>(product) }
}

/// # Safety
///
/// As for [`int16::peak`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
#[inline(never)]
unsafe fn peak_int16_vnni(steps: usize) {
    // SAFETY: what the caller promises.
    unsafe { int16::peak::<Vnni>(steps) }
}

/// # Safety
///
/// As for [`int16::peak`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
unsafe fn peak_int16(steps: usize) {
    // SAFETY: what the caller promises.
    unsafe { int16::peak::<Plain<Avx512>>(steps) }
}
