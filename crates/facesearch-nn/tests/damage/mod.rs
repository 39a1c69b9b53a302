//! Damages files and measures what a reader allocates.
//!
//! The allocator that counts is the whole process's, so these tests have a binary of their own.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Lets one test run at a time: what another one allocates would count too.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a reader may use whatever the file is: its own tables, the message of an error.
pub(crate) const SLACK: usize = 1 << 18;

/// The most bytes allocated during `work`, beyond those allocated before, and its result.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = work();
    (ALLOCATED.peak_usage().saturating_sub(before), result)
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// A file that is damaged in many ways.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a [u8],
    /// The length of a second file that belongs to it.
    pub(crate) beside: usize,
    /// What a reader may use beyond four times the file.
    pub(crate) slack: usize,
}

impl Case<'_> {
    /// Reads the undamaged file, which must succeed, and each of `damaged`. None may take more
    /// memory than allowed. `read` returns whether it succeeded.
    pub(crate) fn check(
        &self,
        damaged: impl Iterator<Item = Vec<u8>>,
        read: impl Fn(&[u8]) -> bool,
    ) {
        let (used, succeeded) = peak(|| read(self.file));
        assert!(succeeded, "{} cannot be read undamaged", self.name);
        let (mut worst, mut tried, mut refused) = (self.ratio(used, self.file), 0, 0);
        for bytes in damaged {
            let (used, succeeded) = peak(|| read(&bytes));
            worst = worst.max(self.ratio(used, &bytes));
            tried += 1;
            refused += usize::from(!succeeded);
        }
        assert!(refused > 0, "{}: no damage was noticed", self.name);
        println!(
            "{}: {refused} of {tried} refused, memory at most {worst:.2} times the file",
            self.name
        );
    }

    /// The memory beyond the slack, in lengths of the file.
    fn ratio(&self, used: usize, file: &[u8]) -> f64 {
        let size = file.len() + self.beside;
        let allowed = 4 * size + self.slack;
        assert!(used <= allowed, "{}: {used} bytes of memory for a file of {size}", self.name);
        used.saturating_sub(self.slack) as f64 / size.max(1) as f64
    }
}

/// The file cut at every place, and with one bit changed in every byte.
pub(crate) fn everywhere(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..file.len()).map(|at| file[..at].to_vec());
    let mut random = Random(0x5eed);
    let changed = (0..file.len()).map(move |at| {
        let mut bytes = file.to_vec();
        bytes[at] ^= 1 << random.below(8);
        bytes
    });
    cut.chain(changed).chain(somewhere(file, 200))
}

/// The file with a few changes, most of them near its ends, where headers are. Some are cut as
/// well.
pub(crate) fn somewhere(file: &[u8], times: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0xface);
    (0..times).map(move |_| {
        let mut bytes = file.to_vec();
        for _ in 0..=random.below(4) {
            let place = match random.below(3) {
                0 => random.below(file.len().min(20_000)),
                1 => file.len() - 1 - random.below(file.len().min(20_000)),
                _ => random.below(file.len()),
            };
            bytes[place] ^= 1 << random.below(8);
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(file.len()));
        }
        bytes
    })
}

/// A small file of `facesearch-nn/tests/formats`.
pub(crate) fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../facesearch-nn/tests/formats");
    std::fs::read(folder.join(name)).expect("a file of tests/formats")
}
