//! One bit for each of a fixed number of things.

/// Bits, none of them set at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    pub(super) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], count: 0 }
    }

    pub(super) fn from_words(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, count }
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many are set.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn has(&self, i: u32) -> bool {
        self.words[i as usize / 64] & (1 << (i % 64)) != 0
    }

    /// Sets a bit; whether it was not set before.
    pub(super) fn set(&mut self, i: u32) -> bool {
        let is_new = !self.has(i);
        self.words[i as usize / 64] |= 1 << (i % 64);
        self.count += usize::from(is_new);
        is_new
    }
}
