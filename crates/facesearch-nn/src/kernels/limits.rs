//! The peak of this processor: how fast one thread multiplies and reads with the kernels' vectors.

use std::time::{Duration, Instant};

use super::{Kernel, Level, Simd, launch};
use crate::layers::Aligned;

/// Each figure is the best of this many tries.
const TRIES: usize = 20;

/// Sums in registers at once: more than the cycles that a multiplication takes, fewer than the
/// registers that there are.
pub(super) const PEAK_SUMS: usize = 12;

/// The measured limits of one thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachineLimits {
    /// Multiplications and additions of `f32` per second, in registers alone.
    pub flops: f64,
    /// Multiplications and additions of 16-bit integers per second, summed in 32 bits.
    pub int16_flops: f64,
    /// Bytes per second read from half a mebibyte again and again: the level-2 cache.
    pub near_bytes: f64,
    /// Bytes per second read from 8 MiB again and again: the last cache, where that is large
    /// enough.
    pub far_bytes: f64,
    /// Bytes per second read from 256 MiB: memory.
    pub memory_bytes: f64,
}

impl MachineLimits {
    /// Measures. Takes about a second.
    pub fn measure() -> Self {
        let level = Level::best();
        let mut sink = 0.0;
        let steps = 400_000;
        let flops = best(|| launch(level, Multiply { steps, sink: &mut sink }));
        let work = (2 * steps * PEAK_SUMS * level.lanes()) as f64;
        let int16_flops = best(|| launch(level, MultiplyInt16 { steps }));
        let mut numbers = Aligned::zeros(64 << 20);
        // Not zeros: the system may map all pages of zeros to the same memory.
        numbers.fill(1.0);
        let mut read = |mebibytes: f64, rounds: usize| {
            let count = (mebibytes * f64::from(1 << 18)) as usize;
            let numbers = &numbers[..count];
            let time = best(|| launch(level, Read { numbers, rounds, sink: &mut sink }));
            (4 * count * rounds) as f64 / time
        };
        let limits = Self {
            flops: work / flops,
            int16_flops: 2.0 * work / int16_flops,
            near_bytes: read(0.5, 64),
            far_bytes: read(8.0, 4),
            memory_bytes: read(256.0, 1),
        };
        // The compiler would drop a computation whose result is not used.
        std::hint::black_box(sink);
        limits
    }
}

/// Seconds of the fastest run.
fn best(mut run: impl FnMut()) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    best.as_secs_f64()
}

struct Multiply<'a> {
    steps: usize,
    sink: &'a mut f32,
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let mut first = [0.0; 16];
        // SAFETY: `run` is called below `launch` only, and a vector of any kind fits into 16
        // numbers.
        unsafe {
            let (x, y) = (S::splat(std::hint::black_box(0.999)), S::splat(0.5));
            let mut sums = [y; PEAK_SUMS];
            for _ in 0..self.steps {
                for sum in &mut sums {
                    *sum = S::fma(*sum, x, y);
                }
            }
            let mut total = sums[0];
            for sum in sums {
                total = S::add(total, sum);
            }
            S::store(first.as_mut_ptr(), total);
        }
        *self.sink += first[0];
    }
}

struct MultiplyInt16 {
    steps: usize,
}

impl Kernel for MultiplyInt16 {
    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: `run` is called below `launch` only.
        unsafe { S::peak_int16(self.steps) }
    }
}

struct Read<'a> {
    numbers: &'a [f32],
    rounds: usize,
    sink: &'a mut f32,
}

impl Kernel for Read<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let mut first = [0.0; 16];
        // SAFETY: `run` is called below `launch` only. A chunk holds `PEAK_SUMS` vectors, and a
        // vector of any kind fits into 16 numbers.
        unsafe {
            let mut sums = [S::splat(0.0); PEAK_SUMS];
            for _ in 0..self.rounds {
                for chunk in self.numbers.chunks_exact(PEAK_SUMS * S::LANES) {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = S::add(*sum, S::load(chunk.as_ptr().add(n * S::LANES)));
                    }
                }
            }
            let mut total = sums[0];
            for sum in sums {
                total = S::add(total, sum);
            }
            S::store(first.as_mut_ptr(), total);
        }
        *self.sink += first[0];
    }
}
