//! What this processor can do at most: multiplying and reading, by the kernels' own vectors.

use std::time::{Duration, Instant};

use super::{Kernel, Level, Simd, launch};
use crate::layers::Aligned;

/// Each figure is the best of so many tries.
const TRIES: usize = 20;

/// Sums in registers at once: more than a multiplication takes steps, fewer than there are registers.
const SUMS: usize = 12;

/// The limits of one thread, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachineLimits {
    /// Multiplications and additions a second, in registers alone.
    pub flops: f64,
    /// The same of 16-bit integers, added in 32 bits.
    pub short_flops: f64,
    /// Bytes a second read from half a mebibyte again and again: the level-2 cache.
    pub near_bytes: f64,
    /// The same from 8 MiB: the last cache, where there is a large one.
    pub far_bytes: f64,
    /// The same from 256 MiB: memory.
    pub memory_bytes: f64,
}

impl MachineLimits {
    /// Measures for about a second.
    pub fn measure() -> Self {
        let level = Level::best();
        let mut sink = 0.0;
        let steps = 400_000;
        let flops = best(|| launch(level, Multiply { steps, sink: &mut sink }));
        let work = (2 * steps * SUMS * level.lanes()) as f64;
        let short_flops = best(|| launch(level, MultiplyShort { steps }));
        let mut numbers = Aligned::zeros(64 << 20);
        // Not zeros, for which the system may give the same page again and again.
        numbers.fill(1.0);
        let mut read = |mebibytes: f64, rounds: usize| {
            let count = (mebibytes * f64::from(1 << 18)) as usize;
            let numbers = &numbers[..count];
            let time = best(|| launch(level, Read { numbers, rounds, sink: &mut sink }));
            (4 * count * rounds) as f64 / time
        };
        let limits = Self {
            flops: work / flops,
            short_flops: 2.0 * work / short_flops,
            near_bytes: read(0.5, 64),
            far_bytes: read(8.0, 4),
            memory_bytes: read(256.0, 1),
        };
        // What was computed must be looked at, or it would not be.
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
        // SAFETY: `run` is called below `launch` only, and 16 numbers are a vector of any kind.
        unsafe {
            let (x, y) = (S::splat(std::hint::black_box(0.999)), S::splat(0.5));
            let mut sums = [y; SUMS];
            for _ in 0..self.steps {
                for sum in &mut sums {
                    *sum = S::fma(*sum, x, y);
                }
            }
            let mut all = sums[0];
            for sum in sums {
                all = S::add(all, sum);
            }
            S::store(first.as_mut_ptr(), all);
        }
        *self.sink += first[0];
    }
}

struct MultiplyShort {
    steps: usize,
}

impl Kernel for MultiplyShort {
    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: `run` is called below `launch` only.
        unsafe { S::spin_short(self.steps) }
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
        // SAFETY: `run` is called below `launch` only; a chunk holds `SUMS` vectors, and 16 numbers are
        // a vector of any kind.
        unsafe {
            let mut sums = [S::splat(0.0); SUMS];
            for _ in 0..self.rounds {
                for chunk in self.numbers.chunks_exact(SUMS * S::LANES) {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = S::add(*sum, S::load(chunk.as_ptr().add(n * S::LANES)));
                    }
                }
            }
            let mut all = sums[0];
            for sum in sums {
                all = S::add(all, sum);
            }
            S::store(first.as_mut_ptr(), all);
        }
        *self.sink += first[0];
    }
}
