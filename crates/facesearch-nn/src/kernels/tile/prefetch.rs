//! Prefetches the weights of the next panel.

use crate::kernels::Simd;

/// Numbers in a cache line.
const LINE: usize = 16;

/// Panels with more weights than this, 512 KiB, are not prefetched.
const MAX_PREFETCH: usize = 128 * 1024;

/// The cache lines after a panel's weights, which hold the weights of the next panel. While a panel
/// is multiplied, they are prefetched, one line for each number of a row. Otherwise the first tile
/// of the next panel would wait for weights from beyond the level-2 cache.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Prefetch {
    weights: *const f32,
    next: usize,
    end: usize,
}

impl Prefetch {
    /// Prefetches as many weights as the `len` of this panel, after them. Prefetches nothing where
    /// both panels together would not stay in the level-2 cache.
    #[inline(always)]
    pub(in crate::kernels) fn new(weights: *const f32, len: usize) -> Self {
        let end = if len <= MAX_PREFETCH { 2 * len } else { len };
        Self { weights, next: len, end }
    }

    /// The lines for a tile whose rows have `row_len` numbers.
    #[inline(always)]
    pub(in crate::kernels) fn take(&mut self, row_len: usize) -> CacheLines {
        if self.next >= self.end {
            // The same line again and again, which costs nothing.
            return CacheLines { next: self.weights, step: 0 };
        }
        // An address only: it may lie beyond all weights.
        let lines = CacheLines { next: self.weights.wrapping_add(self.next), step: LINE };
        self.next += row_len * LINE;
        lines
    }
}

/// Cache lines to prefetch.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct CacheLines {
    next: *const f32,
    step: usize,
}

impl CacheLines {
    /// Prefetches the next line.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions.
    #[inline(always)]
    pub(in crate::kernels) unsafe fn prefetch<S: Simd>(&mut self) {
        // SAFETY: the caller promises the instruction.
        unsafe { S::prefetch(self.next) };
        self.next = self.next.wrapping_add(self.step);
    }
}
