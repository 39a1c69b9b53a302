//! The inner loops of the CPU engine, each written once and compiled for every kind of vector.
//!
//! A [`Kernel`] is a struct of its arguments and a generic `run`; [`launch`] compiles that body
//! for AVX-512, for AVX2 with FMA and for any CPU, and calls the one that fits. Activations lie
//! pixel by pixel, the channels of a pixel together (NHWC), so that vectors run over channels and
//! a kernel's row over a map is one contiguous run of numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod depthwise;
mod direct;
mod limits;
mod local;
mod pool;
mod short;
mod simd;
mod tile;
mod winograd;

use facesearch_cpu::{KernelLevel, kernel_level};

pub(crate) use depthwise::Depthwise;
pub(crate) use direct::Direct;
pub use limits::MachineLimits;
pub(crate) use local::Local;
pub(crate) use pool::PoolMap;
pub(crate) use short::{
    Factor, LONGEST_ROW, Short, Shorten, factor_of, integers_mut, short_len, shorten_weights,
};
pub(crate) use simd::Simd;
pub(crate) use tile::{
    Epilogue, Panel, Residual, SLACK, Source, Squash, fill_panels, split_panels,
};
pub(crate) use winograd::{Form, MOST_WINOGRAD_CHANNELS, TransformWeights, Winograd};

/// A kind of vector that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(KernelLevel);

impl Level {
    /// The best of this process.
    pub fn best() -> Self {
        Self(kernel_level())
    }

    /// The best of this process that is not above `level`: for tests that compare kernels.
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
    /// Does it. Must be `#[inline(always)]`, as must all that it calls with `S`: only inside
    /// [`launch`] are the instructions available.
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

/// Plain loops that the compiler is to make vector instructions of; see [`vectorise`].
pub trait Loops {
    /// Runs the loops. Must be `#[inline(always)]`, as must all that it calls: only inside
    /// [`vectorise`] are the instructions available.
    fn run(self);
}

/// Runs `loops` with the instructions of `level`: their body is compiled once for each level.
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
