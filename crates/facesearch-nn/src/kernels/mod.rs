//! The inner loops of the CPU engine. Each is written once and compiled for every kind of vector.
//!
//! A [`Kernel`] is a struct of its arguments and a generic `run`. [`launch`] compiles that body for
//! AVX-512, for AVX2 with FMA and for any CPU, and calls the one that fits. Activations are stored
//! as NHWC: pixel by pixel, the channels of a pixel together. So a vector holds neighbouring
//! channels, and a row of a window is one contiguous run of numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod depthwise;
mod direct;
mod int16;
mod limits;
mod local;
mod pool;
mod simd;
mod tile;
mod winograd;

use facesearch_cpu::{KernelLevel, kernel_level};

pub(crate) use depthwise::Depthwise;
pub(crate) use direct::Direct;
pub(crate) use int16::{
    InputScale, MAX_INT16_ROW, Quantise, Quantised, as_int16_mut, input_scale, quantise_weights,
    quantised_len,
};
pub use limits::MachineLimits;
pub(crate) use local::Local;
pub(crate) use pool::PoolMap;
pub(crate) use simd::Simd;
pub(crate) use tile::{
    Epilogue, FusedActivation, Panel, Residual, SLACK, Source, fill_panels, split_panels,
};
pub(crate) use winograd::{
    Form, MAX_WINOGRAD_CHANNELS, TransformWeights, Winograd, WinogradLayout,
};

/// The kind of vector that kernels use: never one that the CPU lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(KernelLevel);

impl Level {
    /// The best that this process may use.
    pub fn best() -> Self {
        Self(kernel_level())
    }

    /// The lower of `level` and the best that this process may use. For tests that compare kernels.
    pub fn at_most(level: KernelLevel) -> Self {
        Self(level.min(kernel_level()))
    }

    /// Numbers in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            KernelLevel::Portable => simd::Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            KernelLevel::Avx2 => avx2::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            KernelLevel::Avx512 => avx512::Avx512::LANES,
            #[cfg(not(target_arch = "x86_64"))]
            _ => simd::Portable::LANES,
        }
    }

    /// Vectors side by side in the widest register tile.
    pub(crate) fn panel_vectors(self) -> usize {
        match self.0 {
            KernelLevel::Avx512 => 4,
            _ => 2,
        }
    }
}

/// A computation written for any kind of vector.
pub(crate) trait Kernel {
    /// Runs the kernel. Must be `#[inline(always)]`, as must everything that it calls with `S`: the
    /// instructions are available inside [`launch`] only.
    fn run<S: Simd>(self);
}

/// Runs `kernel` with the vectors of `level`.
pub(crate) fn launch(level: Level, kernel: impl Kernel) {
    match level.0 {
        KernelLevel::Portable => kernel.run::<simd::Portable>(),
        // SAFETY: a `Level` is never above `kernel_level()`, which reports a level only where the
        // CPU has its instructions.
        #[cfg(target_arch = "x86_64")]
        KernelLevel::Avx2 => unsafe { avx2::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        KernelLevel::Avx512 => unsafe { avx512::run(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => kernel.run::<simd::Portable>(),
    }
}

/// Plain loops that the compiler turns into vector instructions; see [`vectorise`].
pub trait Loops {
    /// Runs the loops. Must be `#[inline(always)]`, as must everything that it calls: the
    /// instructions are available inside [`vectorise`] only.
    fn run(self);
}

/// Runs `loops` with the instructions of `level`. Their body is compiled once for each level.
///
/// ```
/// use facesearch_nn::{Level, Loops, vectorise};
///
/// struct Double<'a>(&'a mut [f32]);
///
/// impl Loops for Double<'_> {
///     #[inline(always)]
///     fn run(self) {
///         self.0.iter_mut().for_each(|x| *x *= 2.0);
///     }
/// }
///
/// let mut numbers = [1.0, 2.0, 3.0];
/// vectorise(Level::best(), Double(&mut numbers));
/// assert_eq!(numbers, [2.0, 4.0, 6.0]);
/// ```
pub fn vectorise(level: Level, loops: impl Loops) {
    launch(level, Vectorised(loops));
}

struct Vectorised<L>(L);

impl<L: Loops> Kernel for Vectorised<L> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.0.run();
    }
}
