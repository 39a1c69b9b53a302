//! How a library says where it is, without knowing who listens.

/// Receives news of a long task. The binary draws bars from it; libraries only call it.
pub trait Progress: Send + Sync {
    /// A task of `total` steps begins; `None` where the number is not known yet.
    fn start(&self, total: Option<u64>, unit: &'static str);
    /// `steps` more are done.
    fn advance(&self, steps: u64);
    /// A line worth reading now, such as a file that was passed over.
    fn note(&self, line: &str);
    /// The task is over.
    fn finish(&self);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _total: Option<u64>, _unit: &'static str) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, _line: &str) {}
    fn finish(&self) {}
}
