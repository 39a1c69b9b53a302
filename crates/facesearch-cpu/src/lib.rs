//! Which instruction sets the kernels of this process may use.
//!
//! The distances of `facesearch-core`, the candidate search of `facesearch-ann` and the networks of
//! `facesearch-nn` each have kernels for several instruction sets. All of them ask
//! [`kernel_level`], so that they agree and one environment variable tests them all.
//!
//! ```
//! use facesearch_cpu::{KernelLevel, kernel_level};
//!
//! let name = match kernel_level() {
//!     KernelLevel::Portable => "plain Rust",
//!     KernelLevel::Avx2 => "AVX2",
//!     KernelLevel::Avx512 => "AVX-512",
//! };
//! assert!(!name.is_empty());
//! ```

use std::sync::OnceLock;

/// The instruction sets that kernels are written for, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelLevel {
    /// Plain Rust, any CPU.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The level that kernels run at in this process: what the CPU has, or less where the environment
/// variable `FACESEARCH_KERNELS` asks for it (`portable`, `avx2`, `avx512`). The variable is read
/// once.
#[inline]
pub fn kernel_level() -> KernelLevel {
    static LEVEL: OnceLock<KernelLevel> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wanted = std::env::var("FACESEARCH_KERNELS");
        at_most(wanted.ok().as_deref(), detected())
    })
}

/// The level that `wanted` names, but not above `available`. Without a known name, `available`.
fn at_most(wanted: Option<&str>, available: KernelLevel) -> KernelLevel {
    let wanted = match wanted {
        Some("portable") => KernelLevel::Portable,
        Some("avx2") => KernelLevel::Avx2,
        _ => KernelLevel::Avx512,
    };
    wanted.min(available)
}

#[cfg(target_arch = "x86_64")]
fn detected() -> KernelLevel {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => KernelLevel::Avx512,
        (true, false) => KernelLevel::Avx2,
        _ => KernelLevel::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> KernelLevel {
    KernelLevel::Portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_can_be_lowered_but_not_raised() {
        for available in [KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512] {
            assert_eq!(at_most(None, available), available);
            assert_eq!(at_most(Some("avx1024"), available), available);
            assert_eq!(at_most(Some("avx512"), available), available);
            assert_eq!(at_most(Some("avx2"), available), available.min(KernelLevel::Avx2));
            assert_eq!(at_most(Some("portable"), available), KernelLevel::Portable);
        }
    }
}
