//! Where words go: results to stdout, everything else to stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use serde::Serialize;

/// The program's voice.
pub(crate) struct Printer {
    stdout: BufWriter<StdoutLock<'static>>,
    quiet: bool,
}

#[expect(clippy::print_stderr, reason = "this is the one place that does")]
impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()), quiet }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line of results.
    pub(crate) fn line(&mut self, line: impl Display) -> anyhow::Result<()> {
        writeln!(self.stdout, "{line}")?;
        Ok(())
    }

    /// A result for machines: one JSON object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Lets results through now.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.stdout.flush()?;
        Ok(())
    }

    /// What the user may want to know, but did not ask for.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// What went wrong, with its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        eprintln!("error: {error:#}");
    }
}

/// A path as people read it: what would disturb a terminal or a log line is escaped.
pub(crate) fn shown(path: &Path) -> String {
    facesearch_core::display_path(path)
}

/// A label as people read it.
pub(crate) fn shown_name(name: &str) -> String {
    shown(Path::new(name))
}

/// `1 face`, `2 faces`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_people_write_them() {
        assert_eq!(count(1, "face", "faces"), "1 face");
        assert_eq!(count(0, "face", "faces"), "0 faces");
        assert_eq!(count(999, "face", "faces"), "999 faces");
        assert_eq!(count(1_234_567, "face", "faces"), "1,234,567 faces");
    }
}
