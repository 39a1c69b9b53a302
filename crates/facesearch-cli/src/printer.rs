//! Where words go: results to stdout, everything else to stderr.
//!
//! This is where text leaves the program, so this is where it is made safe: whatever it quotes of
//! files, no line of it has a character that a terminal obeys, or a line end of its own.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;

use facesearch_core::{escape_text, is_disruptive};
use serde::Serialize;

use crate::exit::Unwritable;

/// The program's voice.
pub(crate) struct Printer {
    stdout: BufWriter<StdoutLock<'static>>,
    quiet: bool,
}

impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()), quiet }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line of results. A line end in it is shown as an escape; several lines are several calls.
    pub(crate) fn line(&mut self, line: impl Display) -> anyhow::Result<()> {
        writeln!(self.stdout, "{}", escape_text(&line.to_string())).map_err(Unwritable::stdout)?;
        Ok(())
    }

    /// Several lines of results.
    pub(crate) fn lines(
        &mut self,
        lines: impl IntoIterator<Item = impl Display>,
    ) -> anyhow::Result<()> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// A result for machines: one JSON object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.stdout.write_all(&json_line(value)?).map_err(Unwritable::stdout)?;
        Ok(())
    }

    /// Lets results through now.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.stdout.flush().map_err(Unwritable::stdout)?;
        Ok(())
    }

    /// What the user may want to know, but did not ask for.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet {
            say(&line.to_string());
        }
    }

    /// What went wrong, with its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        say(&format!("error: {error:#}"));
    }
}

/// One line on stderr. That stderr cannot be written is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape_text(line));
}

/// Text of several lines, made safe line by line.
pub(crate) fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape_text).collect();
    lines.join("\n")
}

/// Bytes of several lines, made safe where a terminal would show them on stdout.
pub(crate) fn for_stdout(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match io::stdout().is_terminal() {
        true => escape_lines(&String::from_utf8_lossy(text)).into_bytes().into(),
        false => text.into(),
    }
}

/// A value as JSON on one line, with its line end. What would disturb a terminal has a JSON escape.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut line, SafeJson))?;
    line.push(b'\n');
    Ok(line)
}

/// Compact JSON whose strings have only characters that can be shown.
struct SafeJson;

impl serde_json::ser::Formatter for SafeJson {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut shown = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| is_disruptive(*c)) {
            writer.write_all(&fragment.as_bytes()[shown..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            shown = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[shown..])
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
    fn json_has_escapes_for_what_a_terminal_would_obey_and_reads_back_the_same() {
        let text = "a\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}é\\\"\n";
        let line = json_line(&serde_json::json!({ text: text })).unwrap();
        let line = String::from_utf8(line).unwrap();
        let once = "a\\u001b[31m\\u007f\\u009b\\u202e\\u2028\\udb40\\udc41é\\\\\\\"\\n";
        assert_eq!(line, format!("{{\"{once}\":\"{once}\"}}\n"));
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back[text], text);
    }

    #[test]
    fn lines_stay_lines_and_nothing_else_does() {
        assert_eq!(escape_lines("a\n\u{1b}b\r\n"), "a\n\\u{1b}b\\r\n");
    }

    #[test]
    fn counts_read_as_people_write_them() {
        assert_eq!(count(1, "face", "faces"), "1 face");
        assert_eq!(count(0, "face", "faces"), "0 faces");
        assert_eq!(count(999, "face", "faces"), "999 faces");
        assert_eq!(count(1_234_567, "face", "faces"), "1,234,567 faces");
    }
}
